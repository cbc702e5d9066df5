package shards

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// idsOf are the ids that the tests give row i: none for some rows, and null for others.
func idsOf(i int) (ids []int32, null bool) {
	for k := range i % 7 {
		ids = append(ids, int32(i*10+k))
	}
	return ids, i%5 == 3
}

// lists yields idsOf rows rows, a few at a time.
func lists(mem memory.Allocator, rows int) iter.Seq2[*array.List, error] {
	return func(yield func(*array.List, error) bool) {
		for from := 0; from < rows; from += 11 {
			b := array.NewListBuilder(mem, arrow.PrimitiveTypes.Int32)
			for i := from; i < min(rows, from+11); i++ {
				ids, null := idsOf(i)
				b.Append(!null)
				if !null {
					b.ValueBuilder().(*array.Int32Builder).AppendValues(ids, nil)
				}
			}
			list := b.NewListArray()
			b.Release()
			more := yield(list, nil)
			list.Release()
			if !more {
				return
			}
		}
	}
}

// TestCopyTokens adds ids to Parquet, copied as bytes and by values, to Arrow and to
// JSONL; memory is given back.
func TestCopyTokens(t *testing.T) {
	var lines bytes.Buffer
	for i := range 100 {
		fmt.Fprintf(&lines, "{\"text\":\"text %d\",\"n\":%d}\n", i, i)
	}
	files := map[string][]byte{"in.jsonl": lines.Bytes()}
	openIn := func(name string) *Shard {
		format := Parquet
		if name == "in.jsonl" {
			format = JSONL
		}
		s, err := openBytes(files[name], format)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, c := range []struct {
		from, to string
		splice   int64
	}{{"in.jsonl", "values.parquet", 0}, {"values.parquet", "spliced.parquet", 1}, {"values.parquet", "copied.parquet", -1}} {
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		in := openIn(c.from)
		column := "ids"
		if c.from != "in.jsonl" {
			column = "more"
		}
		var out bytes.Buffer
		counts, err := CopyTokens(context.Background(), in, column, lists(mem, 100), &out, CopyOptions{SpliceBytes: c.splice, MaxRowGroupBytes: 400})
		if err != nil || counts.RowsIn != 100 || counts.Kept != 100 {
			t.Fatalf("%s: %+v %v", c.to, counts, err)
		}
		files[c.to] = out.Bytes()
		mem.AssertSize(t, 0)
		checkIDColumn(t, openIn(c.to), column)
		if c.from != "in.jsonl" {
			checkIDColumn(t, openIn(c.to), "ids") // as it was
		}
	}
	for rows, want := range map[int]error{99: ErrDecisions, 101: ErrDecisions} {
		if _, err := CopyTokens(context.Background(), openIn("in.jsonl"), "ids", lists(memory.DefaultAllocator, rows), new(bytes.Buffer), CopyOptions{}); !errors.Is(err, want) {
			t.Errorf("ids of %d rows for 100: %v", rows, err)
		}
	}
	if _, err := CopyTokens(context.Background(), openIn("in.jsonl"), "text", lists(memory.DefaultAllocator, 100), new(bytes.Buffer), CopyOptions{}); err == nil {
		t.Error("a second column text is written")
	}
}

func checkIDColumn(t *testing.T, s *Shard, column string) {
	t.Helper()
	row := 0
	for b, err := range s.Records(context.Background(), []string{column}, 0, s.NumRowGroups()) {
		if err != nil {
			t.Fatal(err)
		}
		list := b.Record.Column(0).(*array.List)
		values := list.ListValues().(*array.Int32).Int32Values()
		for i := range list.Len() {
			want, null := idsOf(row)
			from, to := list.ValueOffsets(i)
			if list.IsNull(i) != null || !null && !slices.Equal(values[from:to], want) {
				t.Errorf("%s row %d: %v, null %t; want %v, null %t", column, row, values[from:to], list.IsNull(i), want, null)
			}
			row++
		}
		b.Release()
	}
	if row != 100 {
		t.Errorf("%d rows", row)
	}
}
