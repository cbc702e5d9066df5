package shards

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// pieceBytes is the size of one read of bytes that are copied.
	pieceBytes = 4 << 20
	// headerGuess is more than most page headers have.
	headerGuess = 1 << 10
	// maxHeader is the most a page header may have: bounds that are documents
	// make long ones.
	maxHeader = 64 << 20
)

// pieceReader reads an object in large pieces, mostly forward.
type pieceReader struct {
	obj  Object
	end  int64 // of what is worth reading
	buf  []byte
	from int64 // offset of buf[0] in the object
	n    int   // bytes of buf that are valid
}

// peek returns the bytes at an offset, want or more of them; fewer only where
// the object's part ends. They are valid until the next call.
func (p *pieceReader) peek(at int64, want int) ([]byte, error) {
	want = int(min(int64(want), p.end-at))
	if at >= p.from && at+int64(want) <= p.from+int64(p.n) {
		return p.buf[at-p.from : p.n], nil
	}
	old, kept := p.buf, 0
	if len(p.buf) < want {
		p.buf = make([]byte, max(want, pieceBytes))
	}
	if at >= p.from && at < p.from+int64(p.n) {
		kept = copy(p.buf, old[at-p.from:p.n])
	}
	size := int(min(int64(len(p.buf)), p.end-at))
	p.from, p.n = at, 0
	if n, err := p.obj.ReadAt(p.buf[kept:size], at+int64(kept)); kept+n < size {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read %d bytes at %d: %w", size-kept, at+int64(kept), err)
	}
	p.n = size
	return p.buf[:size], nil
}

// copyTo writes length bytes from an offset on, and returns the CRC-32 of all
// but the first skip of them.
func (p *pieceReader) copyTo(w *tailWriter, at, length, skip int64) (uint32, error) {
	sum := uint32(0)
	for length > 0 {
		b, err := p.peek(at, 1)
		if err != nil {
			return 0, err
		}
		b = b[:min(int64(len(b)), length)]
		hashed := min(skip, int64(len(b)))
		sum = crc32.Update(sum, crc32.IEEETable, b[hashed:])
		if err := w.add(b); err != nil {
			return 0, err
		}
		skip -= hashed
		at, length = at+int64(len(b)), length-int64(len(b))
	}
	return sum, nil
}

// structure returns the bytes of the Thrift struct at an offset, which ends
// before end.
func (p *pieceReader) structure(at, end int64) ([]byte, error) {
	for want := int64(headerGuess); ; want *= 8 {
		want = min(want, end-at)
		b, err := p.peek(at, int(want))
		if err != nil {
			return nil, err
		}
		b = b[:min(int64(len(b)), end-at)]
		walk := thriftWalk{b}
		err = walk.structure(0)
		switch {
		case err == nil:
			return b[:len(b)-len(walk.rest)], nil
		case !errors.Is(err, errCutShort) || want == end-at || want > maxHeader:
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
}

// pageHeader reads the header of the page at an offset, and its length.
func (p *pieceReader) pageHeader(at, end int64) (h format.PageHeader, length int64, err error) {
	b, err := p.structure(at, end)
	if err != nil {
		return h, 0, err
	}
	if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReaderFromBytes(b)).Decode(&h); err != nil {
		return h, 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return h, int64(len(b)), nil
}

// bloomFilter returns the length of the Bloom filter of a column chunk, its
// header included; 0 where there is none that is sound. File data ends at end.
func (p *pieceReader) bloomFilter(meta *format.ColumnMetaData, end int64) (int64, error) {
	at := meta.BloomFilterOffset
	if at < int64(len(parquetMagic)) || at >= end {
		return 0, nil
	}
	p.end = end
	b, err := p.structure(at, end)
	if errors.Is(err, ErrCorrupt) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var header format.BloomFilterHeader
	err = guard(func() error {
		return thrift.NewDecoder(new(thrift.CompactProtocol).NewReaderFromBytes(b)).Decode(&header)
	})
	length := int64(len(b)) + int64(header.NumBytes)
	if err != nil || header.NumBytes <= 0 || length > end-at || meta.BloomFilterLength != 0 && int64(meta.BloomFilterLength) != length {
		return 0, nil
	}
	return length, nil
}
