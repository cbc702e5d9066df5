package shards

import (
	"fmt"
	"hash/crc32"
	"io"
	"sort"
	"sync"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// packedChunk is a column chunk of an unpackedObject.
type packedChunk struct {
	codec        format.CompressionCodec
	leaf         *leafColumn
	stored, size int64 // where it is in the file, and its bytes there
	start, end   int64 // where it is in the unpacked file

	mu    sync.Mutex
	pages []*packedPage // found so far, in order
	next  int64         // offset in the stored chunk of the page after them
	found int64         // offset in the unpacked file of the page after them
}

// packedPage is a page of a packedChunk.
type packedPage struct {
	header []byte // as the unpacked file has it
	start  int64  // offset in the unpacked file of the header
	len    int64  // bytes of the body in the unpacked file

	body        int64 // offset in the file of the packed bytes
	packed, raw int32 // their number, and that when they are unpacked
	levels      int32 // how many of them are levels that are not packed
	stored      bool  // the rest is not packed either
	crc         uint32
	filler      bool
	repack      func(raw []byte) ([]byte, error) // changes the encoding; nil where that stays

	mu      sync.Mutex
	content []byte // the body; nil when it is not in memory
}

// size is the length of the page in the unpacked file.
func (p *packedPage) size() int64 { return int64(len(p.header)) + p.len }

// readAt reads from the page that has the offset in the unpacked file.
func (c *packedChunk) readAt(u *unpackedObject, p []byte, at int64) (n int, err error) {
	page, err := c.find(u, at)
	if err != nil {
		return 0, fmt.Errorf("column %s: %w", c.leaf.name(), err)
	}
	at -= page.start
	if at < int64(len(page.header)) {
		n = copy(p, page.header[at:])
		at += int64(n)
	}
	if n == len(p) || page.len == 0 {
		return n, nil
	}
	at -= int64(len(page.header))
	if page.filler {
		return n + copy(p[n:], page.content[at:]), nil
	}
	content, err := u.cache.content(page, func() ([]byte, error) { return c.unpack(u.Object, page) })
	if err != nil {
		return n, fmt.Errorf("column %s: %w", c.leaf.name(), err)
	}
	k := copy(p[n:], content[at:])
	if at+int64(k) == page.len {
		u.cache.drop(page)
	}
	return n + k, nil
}

// find returns the page that has an offset of the unpacked file.
func (c *packedChunk) find(u *unpackedObject, at int64) (*packedPage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.found <= at {
		page, err := c.nextPage(u)
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", len(c.pages), err)
		}
		if c.found+page.size() > c.end-leastFiller && !page.filler {
			return nil, fmt.Errorf("page %d: %w: the footer says that the chunk unpacks to less", len(c.pages), ErrCorrupt)
		}
		c.pages = append(c.pages, page)
		c.found += page.size()
	}
	i := sort.Search(len(c.pages), func(i int) bool { return c.pages[i].start+c.pages[i].size() > at })
	return c.pages[i], nil
}

// nextPage reads the header at c.next and makes the one that the unpacked file
// has in its place. After the last page come empty ones.
func (c *packedChunk) nextPage(u *unpackedObject) (page *packedPage, err error) {
	if c.next == c.size {
		return c.fill()
	}
	pages := pageHeaders{section: io.NewSectionReader(u.Object, c.stored+c.next, c.size-c.next)}
	var header *format.PageHeader
	err = guard(func() (err error) {
		header, err = pages.next()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("page header: %w", err)
	}
	length := pages.at
	if _, err := checkPage(header, c.codec); err != nil {
		return nil, err
	}
	page = &packedPage{
		start: c.found, len: int64(header.UncompressedPageSize), body: c.stored + c.next + length,
		packed: header.CompressedPageSize, raw: header.UncompressedPageSize, crc: uint32(header.CRC),
	}
	if c.next += length + int64(page.packed); c.next > c.size {
		return nil, fmt.Errorf("%w: its %d bytes pass the end of the chunk", ErrCorrupt, page.packed)
	}
	if (c.codec == format.Lz4 || c.codec == format.Lz4Raw) && int64(page.raw) > lz4Ratio*int64(page.packed) {
		return nil, fmt.Errorf("%w: it claims %d bytes, %d uncompressed", ErrCorrupt, page.packed, page.raw)
	}
	header.CRC = 0 // it is that of the packed page, and checked when that is unpacked
	header.DataPageHeader.V.Statistics = format.Statistics{}
	if header.Type == format.DataPageV2 {
		v2 := &header.DataPageHeaderV2.V
		if err := page.setLevels(v2); err != nil {
			return nil, err
		}
		v2.IsCompressed, v2.Statistics = thrift.New(false), format.Statistics{}
	}
	if err := c.repackPage(u, page, header); err != nil {
		return nil, err
	}
	if page.len == 0 && page.packed > 0 { // its body will not be read: check it here
		if _, err := c.unpack(u.Object, page); err != nil {
			return nil, err
		}
	}
	header.UncompressedPageSize, header.CompressedPageSize = int32(page.len), int32(page.len)
	page.header, err = thrift.Marshal(new(thrift.CompactProtocol), header)
	return page, err
}

// Bytes of the pages that fill the end of a chunk.
const (
	leastFiller = 64
	mostFiller  = 32 << 10
)

// fill returns an empty page that ends with the chunk, or leaves room for
// another. It is as long as its header, in which a field that nobody knows makes
// up the length.
func (c *packedChunk) fill() (*packedPage, error) {
	left := c.end - c.found
	size := min(left, mostFiller)
	if left > size && left-size < leastFiller {
		size -= leastFiller
	}
	page := &packedPage{start: c.found, content: make([]byte, 0, 8)}
	for _, maximum := range []int{c.leaf.maxRep, c.leaf.maxDef} {
		if maximum > 0 {
			page.content = append(page.content, 0, 0, 0, 0) // the length of no levels
		}
	}
	page.len = int64(len(page.content))
	header, err := thrift.Marshal(new(thrift.CompactProtocol), &format.PageHeader{
		Type: format.DataPage, UncompressedPageSize: int32(page.len), CompressedPageSize: int32(page.len),
		DataPageHeader: thrift.New(format.DataPageHeader{
			Encoding: format.Plain, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("encode page header: %w", err)
	}
	// Field 15, ten after the last: bytes, whose length has three bytes.
	more := size - page.len - int64(len(header)) - 4
	if more < 0 {
		return nil, fmt.Errorf("no empty page of %d bytes", size)
	}
	header = append(header[:len(header)-1], 10<<4|thriftBinary, byte(more)|0x80, byte(more>>7)|0x80, byte(more>>14))
	page.header = append(header, make([]byte, more+1)...) // and the end of the struct
	page.filler = true
	return page, nil
}

// lz4Ratio is more than what a byte of LZ4 can stand for.
const lz4Ratio = 256

// setLevels notes which part of a page of version 2 is not packed.
func (p *packedPage) setLevels(v2 *format.DataPageHeaderV2) error {
	rep, def := v2.RepetitionLevelsByteLength, v2.DefinitionLevelsByteLength
	if rep < 0 || def < 0 || int64(rep)+int64(def) > int64(min(p.packed, p.raw)) {
		return fmt.Errorf("%w: %d and %d bytes of levels in a page of %d", ErrCorrupt, rep, def, p.raw)
	}
	p.levels = rep + def
	p.stored = v2.IsCompressed.Valid && !v2.IsCompressed.V
	if p.stored && p.packed != p.raw {
		return fmt.Errorf("%w: an uncompressed page of %d bytes claims %d", ErrCorrupt, p.packed, p.raw)
	}
	return nil
}

// unpack reads and unpacks the body of a page.
func (c *packedChunk) unpack(obj Object, page *packedPage) ([]byte, error) {
	packed := make([]byte, page.packed)
	if n, err := obj.ReadAt(packed, page.body); n < len(packed) {
		return nil, fmt.Errorf("read page: %w", noEOF(err))
	}
	if sum := crc32.ChecksumIEEE(packed); page.crc != 0 && page.crc != sum {
		return nil, fmt.Errorf("%w: a page at %d has checksum %#08x, its header says %#08x", ErrCorrupt, page.body, sum, page.crc)
	}
	raw := packed
	if !page.stored {
		raw = make([]byte, page.raw)
		copy(raw, packed[:page.levels])
		if err := unpackBytes(c.codec, raw[page.levels:], packed[page.levels:]); err != nil {
			return nil, fmt.Errorf("%w: unpack a %s page at %d: %w", ErrCorrupt, c.codec, page.body, err)
		}
	}
	if page.repack != nil {
		return page.repack(raw)
	}
	return raw, nil
}
