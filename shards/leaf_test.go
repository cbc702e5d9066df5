package shards

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"github.com/parquet-go/parquet-go/format"
)

// TestValueInNullColumn reads a file whose type says null where values are.
func TestValueInNullColumn(t *testing.T) {
	b, err := os.ReadFile("testdata/types/int32.parquet")
	if err != nil {
		t.Fatal(err)
	}
	footer := footerOf(t, b)
	footer.schema.elements[2].LogicalType.Value = &format.NullType{}
	schema, err := newFileSchema(footer.schema.elements)
	if err != nil {
		t.Fatal(err)
	}
	tail, err := encodeFooter(&footer.meta, schema)
	if err != nil {
		t.Fatal(err)
	}
	b = binary.LittleEndian.AppendUint32(append(b, tail...), uint32(len(tail)))
	s, err := openBytes(append(b, "PAR1"...), Parquet)
	if err != nil {
		t.Fatal(err)
	}
	for _, cols := range []Columns{{Text: "v"}, {Text: "v", ID: "v"}} {
		var failed error
		for batch, err := range s.Batches(t.Context(), cols, 0, s.NumRowGroups()) {
			if failed = err; err == nil {
				batch.Release()
			}
		}
		if !errors.Is(failed, ErrCorrupt) {
			t.Errorf("%+v: error %v, want ErrCorrupt", cols, failed)
		}
	}
}
