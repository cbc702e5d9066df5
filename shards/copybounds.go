package shards

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// longestBound is the size in bytes of a value that is written as the minimum
// or maximum of a column chunk. Longer ones, documents mostly, prune nothing
// and would copy text into the footer.
const longestBound = 256

// boundedIndex returns the encoded page bounds of a column chunk, nil where
// none may be written, and mends the chunk's own bounds:
//
//   - none where parquet-go has no order for the column's type (see ordered);
//   - a zero as lower bound of a float column is -0.0, as upper bound +0.0;
//   - no page bounds for a chunk with a page of NaNs only, as the format asks.
func boundedIndex(tail []byte, offset int64, chunk *format.ColumnChunk, el *format.SchemaElement) ([]byte, error) {
	stats := &chunk.MetaData.Statistics
	stats.Min, stats.Max = nil, nil
	if len(stats.MinValue) > longestBound || len(stats.MaxValue) > longestBound || !ordered(el) ||
		floating(el) && (isNaNBytes(stats.MinValue) || isNaNBytes(stats.MaxValue)) {
		stats.MinValue, stats.MaxValue = nil, nil
	}
	if floating(el) {
		signZero(stats.MinValue, true)
		signZero(stats.MaxValue, false)
	}
	if chunk.ColumnIndexLength == 0 || !ordered(el) {
		return nil, nil
	}
	from := chunk.ColumnIndexOffset - offset
	end := from + int64(chunk.ColumnIndexLength)
	if from < 0 || end > int64(len(tail)) {
		return nil, fmt.Errorf("column index at %d to %d", from, end)
	}
	var index format.ColumnIndex
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), tail[from:end], &index); err != nil {
		return nil, fmt.Errorf("decode column index: %w", err)
	}
	if !floating(el) {
		return tail[from:end], nil
	}
	width := 4
	if el.Type.V == format.Double {
		width = 8
	}
	for i, null := range index.NullPages {
		if null {
			continue
		}
		if len(index.MinValues[i]) != width || isNaNBytes(index.MinValues[i]) || isNaNBytes(index.MaxValues[i]) {
			return nil, nil
		}
		signZero(index.MinValues[i], true)
		signZero(index.MaxValues[i], false)
	}
	return thrift.Marshal(new(thrift.CompactProtocol), &index)
}

// isNaNBytes tells whether b is a NaN of 4 or 8 little-endian bytes.
func isNaNBytes(b []byte) bool {
	switch len(b) {
	case 4:
		return isNaN32(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case 8:
		return math.IsNaN(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return false
}

// signZero sets the sign of a little-endian float if it is a zero of any sign.
func signZero(b []byte, negative bool) {
	if len(b) == 0 {
		return
	}
	last := len(b) - 1
	for _, x := range b[:last] {
		if x != 0 {
			return
		}
	}
	if b[last]&0x7F != 0 {
		return
	}
	b[last] = 0
	if negative {
		b[last] = 0x80
	}
}
