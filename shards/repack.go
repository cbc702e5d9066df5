package shards

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// repackPage looks whether the encoding of a data page must be changed to PLAIN.
// If so the page is unpacked at once, since how long it becomes depends on it.
func (c *packedChunk) repackPage(u *unpackedObject, page *packedPage, header *format.PageHeader) error {
	encoding, values := &header.DataPageHeader.V.Encoding, int64(header.DataPageHeader.V.NumValues)
	nulls := int64(-1) // not known
	switch header.Type {
	case format.DataPage:
		v1 := &header.DataPageHeader.V
		if *encoding == repackOf(c.leaf) && (c.leaf.maxRep > 0 && v1.RepetitionLevelEncoding != format.RLE || c.leaf.maxDef > 0 && v1.DefinitionLevelEncoding != format.RLE) {
			return fmt.Errorf("%w: %s values with levels that are not RLE", ErrUnsupported, *encoding)
		}
	case format.DataPageV2:
		v2 := &header.DataPageHeaderV2.V
		encoding, values, nulls = &v2.Encoding, int64(v2.NumValues), int64(v2.NumNulls)
	default:
		return nil
	}
	if *encoding == format.Plain || *encoding != repackOf(c.leaf) {
		return nil
	}
	of := *encoding
	page.repack = func(raw []byte) ([]byte, error) {
		start, nulls := int(page.levels), nulls
		if nulls < 0 {
			var err error
			if start, nulls, err = c.levelsV1(raw, values); err != nil {
				return nil, err
			}
		}
		if of == format.RLE {
			return plainBooleans(raw[:start:start], raw[start:], values-nulls)
		}
		return plainIntegers(raw[:start:start], raw[start:], values-nulls)
	}
	*encoding = format.Plain
	content, err := u.cache.content(page, func() ([]byte, error) { return c.unpack(u.Object, page) })
	page.len = int64(len(content))
	return err
}

// levelsV1 returns where the levels of a page of version 1 end, and how many of
// its values are null.
func (c *packedChunk) levelsV1(raw []byte, values int64) (end int, nulls int64, err error) {
	for i, maximum := range []int{c.leaf.maxRep, c.leaf.maxDef} {
		if maximum == 0 {
			continue
		}
		if len(raw)-end < 4 || uint64(binary.LittleEndian.Uint32(raw[end:])) > uint64(len(raw)-end-4) {
			return 0, 0, fmt.Errorf("%w: its levels pass the end of the page", ErrCorrupt)
		}
		begin := end + 4
		end = begin + int(binary.LittleEndian.Uint32(raw[end:]))
		if i == 0 {
			continue
		}
		nulls = values
		err := eachRun(raw[begin:end], bits.Len(uint(maximum)), values, func(n int64, level uint64) {
			if level == uint64(maximum) {
				nulls -= n
			}
		})
		if err != nil {
			return 0, 0, fmt.Errorf("%w: definition levels: %w", ErrCorrupt, err)
		}
	}
	return end, nulls, nil
}

// plainBooleans appends the booleans of a page in runs, n in number, as bits.
func plainBooleans(to, runs []byte, n int64) ([]byte, error) {
	if len(runs) < 4 && n == 0 {
		return to, nil
	}
	if len(runs) < 4 || uint64(binary.LittleEndian.Uint32(runs)) > uint64(len(runs)-4) {
		return nil, fmt.Errorf("%w: its booleans pass the end of the page", ErrCorrupt)
	}
	runs = runs[4 : 4+binary.LittleEndian.Uint32(runs)]
	start, at := len(to), int64(0)
	to = append(to, make([]byte, (n+7)/8)...)
	err := eachRun(runs, 1, n, func(length int64, value uint64) {
		for ; value == 1 && length > 0; at, length = at+1, length-1 {
			to[start+int(at/8)] |= 1 << (at % 8)
		}
		at += length
	})
	if err != nil {
		return nil, fmt.Errorf("%w: booleans: %w", ErrCorrupt, err)
	}
	return to, nil
}

// plainIntegers appends n integers of 32 bits in deltas. They are taken as 64
// bits: what wraps around at 32 and what does not is then the same.
func plainIntegers(to, deltas []byte, n int64) ([]byte, error) {
	var values []int64
	if n > 0 {
		claimed, err := deltaCount(deltas)
		if err == nil && claimed != uint64(n) {
			err = fmt.Errorf("%d values in deltas, want %d", claimed, n)
		}
		if err == nil {
			err = guard(func() (err error) {
				values, err = parquet.DeltaBinaryPacked.DecodeInt64(nil, deltas)
				return err
			})
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	for _, v := range values[:n] {
		to = binary.LittleEndian.AppendUint32(to, uint32(v))
	}
	return to, nil
}

// deltaCount returns the number of values that a DELTA_BINARY_PACKED header
// claims, which a decoder allocates.
func deltaCount(b []byte) (count uint64, err error) {
	for range 3 { // block size, blocks, values
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, errCutShort
		}
		count, b = v, b[n:]
	}
	return count, nil
}

// eachRun calls f for runs of equal values, n in all, of the hybrid of runs and
// packed bits that Parquet calls RLE. The last packed bits may be padding.
func eachRun(b []byte, width int, n int64, f func(length int64, value uint64)) error {
	for n > 0 {
		head, size := binary.Uvarint(b)
		if size <= 0 {
			return errCutShort
		}
		b = b[size:]
		if head&1 == 0 {
			bytes := (width + 7) / 8
			if len(b) < bytes {
				return errCutShort
			}
			value := uint64(0)
			for i, x := range b[:bytes] {
				value |= uint64(x) << (8 * i)
			}
			length := int64(min(head>>1, uint64(n)))
			if head>>1 == 0 {
				return errors.New("a run of no values")
			}
			f(length, value)
			n, b = n-length, b[bytes:]
			continue
		}
		groups := head >> 1 // of 8 values, a byte for each bit of their width
		if groups == 0 || groups > uint64(len(b)) {
			return errCutShort
		}
		packed := int(groups) * width
		if packed > len(b) {
			return errCutShort
		}
		for i := 0; i < 8*int(groups) && n > 0; i++ {
			value := uint64(0)
			for k := range width {
				bit := i*width + k
				value |= uint64(b[bit/8]>>(bit%8)&1) << k
			}
			f(1, value)
			n--
		}
		b = b[packed:]
	}
	return nil
}
