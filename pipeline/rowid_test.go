package pipeline_test

import (
	"slices"
	"testing"

	"github.com/curate-data/curate/pipeline"
)

func TestRowIDCompare(t *testing.T) {
	ordered := []pipeline.RowID{
		{Shard: "", Row: 9, Seq: 9},
		{Shard: "a-10", Row: 0, Seq: 0}, // names compare as bytes, not as numbers
		{Shard: "a-2", Row: 0, Seq: 0},
		{Shard: "a-2", Row: 0, Seq: 1},
		{Shard: "a-2", Row: 1, Seq: 0},
		{Shard: "a-2", Row: 2, Seq: -1},
		{Shard: "a-2", Row: 10, Seq: 0},
		{Shard: "a-2", Row: 1 << 40, Seq: 0},
		{Shard: "b", Row: 0, Seq: 0},
	}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			switch {
			case i < j:
				want = -1
			case i > j:
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%+v compared with %+v is %d, want %d", a, b, got, want)
			}
		}
	}
	if !slices.IsSortedFunc(ordered, pipeline.RowID.Compare) {
		t.Error("ascending addresses do not count as sorted")
	}
}

func TestBatchAddressesItsRows(t *testing.T) {
	b := pipeline.Batch{Shard: "x", FirstRow: 1000}
	if got, want := b.RowID(7), (pipeline.RowID{Shard: "x", Row: 1007}); got != want {
		t.Errorf("row 7 is %+v, want %+v", got, want)
	}
	if b.NumRows() != 0 {
		t.Errorf("a batch without a record has %d rows", b.NumRows())
	}
	b.Release() // must not panic without a record
}
