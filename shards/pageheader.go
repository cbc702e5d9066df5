package shards

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// usualPageHeader is more bytes than most page headers have; statistics of long
// values make some longer.
const usualPageHeader = 4 << 10

// checkPageHeaders walks the page headers of a column chunk: sizes must fit the
// chunk and be possible, and the values must be as many as the footer says.
func checkPageHeaders(obj Object, meta *format.ColumnMetaData) error {
	values := int64(0)
	err := eachHeader(obj, meta, func(_, _ int64, header *format.PageHeader) error {
		n, err := checkPage(header, meta.Codec)
		values += n
		return err
	})
	if err != nil {
		return err
	}
	if values != meta.NumValues {
		return fmt.Errorf("%w: its pages hold %d values, the footer says %d", ErrCorrupt, values, meta.NumValues)
	}
	return nil
}

// eachHeader calls f for every page header of a chunk that passed its checks,
// with the offsets of the header and of the body behind it, until it returns an
// error.
func eachHeader(obj Object, meta *format.ColumnMetaData, f func(at, body int64, header *format.PageHeader) error) error {
	start := chunkStart(meta)
	pages := pageHeaders{section: io.NewSectionReader(obj, start, meta.TotalCompressedSize)}
	for page := 0; pages.at < pages.section.Size(); page++ {
		at := start + pages.at
		header, err := pages.next()
		if err != nil {
			return fmt.Errorf("header of page %d: %w", page, err)
		}
		if _, err = checkPage(header, meta.Codec); err == nil && int64(header.CompressedPageSize) > pages.section.Size()-pages.at {
			err = fmt.Errorf("%w: its %d bytes pass the end of the chunk", ErrCorrupt, header.CompressedPageSize)
		}
		if err == nil {
			err = pages.checkBody(header, meta.Codec)
		}
		if err == nil {
			err = f(at, start+pages.at, header)
		}
		if err != nil {
			return fmt.Errorf("page %d: %w", page, err)
		}
		pages.at += int64(header.CompressedPageSize)
	}
	return nil
}

// pageHeaders reads the page headers of a column chunk. The library's decoder
// allocates what a header claims, so each is walked before it is decoded.
type pageHeaders struct {
	section *io.SectionReader
	at      int64  // offset of the next header
	buffer  []byte // bytes of the section from offset start on
	start   int64
}

// next decodes the header at p.at and moves p.at behind it.
func (p *pageHeaders) next() (*format.PageHeader, error) {
	for window := int64(usualPageHeader); ; window *= 8 {
		b, err := p.bytes(p.at, window)
		if err != nil {
			return nil, err
		}
		walk := thriftWalk{b}
		err = walk.structure(0)
		if errors.Is(err, errCutShort) && window < maxHeader && int64(len(b)) < p.section.Size()-p.at {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		length := len(b) - len(walk.rest)
		header := new(format.PageHeader)
		if err := thrift.Unmarshal(new(thrift.CompactProtocol), b[:length], header); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		p.at += int64(length)
		return header, nil
	}
}

// bytes returns n bytes from at on, fewer only at the end of the section. They
// are valid until the next call.
func (p *pageHeaders) bytes(at, n int64) ([]byte, error) {
	n = min(n, p.section.Size()-at)
	if from := at - p.start; from >= 0 && from+n <= int64(len(p.buffer)) {
		return p.buffer[from : from+n], nil
	}
	if int64(cap(p.buffer)) < n {
		p.buffer = make([]byte, n)
	}
	p.buffer, p.start = p.buffer[:n], at
	read, err := p.section.ReadAt(p.buffer, at)
	if int64(read) < n {
		return nil, fmt.Errorf("read page header: %w", noEOF(err))
	}
	return p.buffer, nil
}

// checkBody compares the size that a compressed page itself says it has with
// the header's: decompressors allocate it before they find out. Gzip and brotli
// do not say.
func (p *pageHeaders) checkBody(header *format.PageHeader, codec format.CompressionCodec) error {
	raw, at := int64(header.UncompressedPageSize), p.at
	if v2 := header.DataPageHeaderV2; v2.Valid {
		if v2.V.IsCompressed.Valid && !v2.V.IsCompressed.V {
			return nil
		}
		// Levels come first, uncompressed.
		levels := int64(v2.V.RepetitionLevelsByteLength) + int64(v2.V.DefinitionLevelsByteLength)
		if min(v2.V.RepetitionLevelsByteLength, v2.V.DefinitionLevelsByteLength) < 0 || levels > int64(header.CompressedPageSize) || levels > raw {
			return fmt.Errorf("%w: levels of %d bytes in a page of %d", ErrCorrupt, levels, header.CompressedPageSize)
		}
		raw, at = raw-levels, at+levels
	}
	if codec != format.Zstd && codec != format.Snappy {
		return nil
	}
	head, err := p.bytes(at, zstd.HeaderMaxSize)
	if err != nil {
		return err
	}
	says := uint64(0)
	if codec == format.Snappy {
		says, _ = binary.Uvarint(head)
	} else {
		var frame zstd.Header
		if frame.Decode(head) == nil && frame.HasFCS {
			says = frame.FrameContentSize
		}
	}
	if says > uint64(raw) {
		return fmt.Errorf("%w: %d bytes by the page's header, %d by its content", ErrCorrupt, raw, says)
	}
	return nil
}
