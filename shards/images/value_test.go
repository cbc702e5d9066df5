package images

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/shards"
)

// TestHostileArrays reads arrays whose offsets, as files may have them, lead out of
// them or would take all memory.
func TestHostileArrays(t *testing.T) {
	offsets := func(list ...uint32) *memory.Buffer {
		var b []byte
		for _, o := range list {
			b = binary.LittleEndian.AppendUint32(b, o)
		}
		return memory.NewBufferBytes(b)
	}
	child := func(dt arrow.DataType) *array.Data {
		return array.NewData(dt, 4, []*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, 32))}, nil, 0, 0)
	}
	for _, dt := range []arrow.DataType{arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64, arrow.FixedWidthTypes.Float16, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Uint8} {
		for _, ends := range [][]uint32{{0, 1 << 30}, {3, 1}, {1 << 31, 0}, {5, 6}} {
			data := array.NewData(arrow.ListOf(dt), 1, []*memory.Buffer{nil, offsets(ends...)}, []arrow.ArrayData{child(dt)}, 0, 0)
			a := array.NewListData(data)
			record := array.NewRecord(arrow.NewSchema([]arrow.Field{{Name: "vec", Type: a.DataType()}}, nil), []arrow.Array{a}, 1)
			_, err := recordRow(record, 0)
			if !errors.Is(err, shards.ErrCorrupt) || !strings.Contains(err.Error(), "column vec") {
				t.Errorf("list of %s from %d to %d: error %v", dt, ends[0], ends[1], err)
			}
		}
	}
}
