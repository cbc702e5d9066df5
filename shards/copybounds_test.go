package shards

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// TestCopyBounds checks that the statistics of every copy bound its values, and
// that none are written where their order is not defined.
func TestCopyBounds(t *testing.T) {
	for _, path := range typeFiles(t) {
		name := strings.TrimPrefix(path, "testdata/types/")
		if strings.Contains(name, "lz4") {
			continue
		}
		rows := len(storedRows(t, typeFile(t, name)))
		for _, keep := range masks {
			got, counts, err := copyBytes(typeFile(t, name), Parquet, rows, keep, CopyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if counts.Kept > 0 {
				checkFileBounds(t, name, got)
			}
		}
	}
}

func checkFileBounds(t *testing.T, name string, b []byte) {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := footerOf(t, b).schema.leaves()
	if err != nil {
		t.Fatal(err)
	}
	for i, chunk := range f.RowGroups()[0].ColumnChunks() {
		meta := &f.Metadata().RowGroups[0].Columns[i]
		bounded := meta.MetaData.Statistics.MinValue != nil
		if !ordered(leaves[i].element) && (bounded || meta.ColumnIndexOffset != 0) {
			t.Errorf("%s: %s has bounds, but no order", name, leaves[i].name())
		}
		if meta.OffsetIndexOffset == 0 {
			t.Errorf("%s: %s has no offset index", name, leaves[i].name())
		}
		if bounded {
			checkBounds(t, name, leaves[i], chunk, &meta.MetaData.Statistics)
		}
	}
}

func checkBounds(t *testing.T, name string, leaf *leafColumn, chunk parquet.ColumnChunk, stats *format.Statistics) {
	t.Helper()
	kind := chunk.Type().Kind()
	lo, hi := kind.Value(stats.MinValue), kind.Value(stats.MaxValue)
	nan := func(v parquet.Value) bool {
		return kind == parquet.Double && math.IsNaN(v.Double()) || kind == parquet.Float && isNaN32(v.Float())
	}
	if nan(lo) || nan(hi) {
		t.Errorf("%s: %s: bounds %v..%v", name, leaf.name(), lo, hi)
	}
	pages := chunk.Pages()
	defer pages.Close()
	nulls := int64(0)
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		values := make([]parquet.Value, page.NumValues())
		if n, err := page.Values().ReadValues(values); n < len(values) && err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if v.IsNull() {
				nulls++
			} else if !nan(v) && (chunk.Type().Compare(v, lo) < 0 || chunk.Type().Compare(v, hi) > 0) {
				t.Errorf("%s: %s: %v is not in %v..%v", name, leaf.name(), v, lo, hi)
			}
		}
	}
	if nulls != stats.NullCount {
		t.Errorf("%s: %s: %d nulls, statistics say %d", name, leaf.name(), nulls, stats.NullCount)
	}
}

// TestCopyNoBoundsWithoutOrder: parquet-go compares these types as bytes, which
// is not their order.
func TestCopyNoBoundsWithoutOrder(t *testing.T) {
	for _, name := range []string{"decimal128", "decimal128_38", "decimal256", "float16", "int96"} {
		got, _, err := copyBytes(typeFile(t, name+".parquet"), Parquet, 50, masks["all"], CopyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		chunk := footerOf(t, got).meta.RowGroups[0].Columns[1]
		if s := chunk.MetaData.Statistics; s.MinValue != nil || s.MaxValue != nil || s.Min != nil || s.Max != nil || chunk.ColumnIndexOffset != 0 {
			t.Errorf("%s: bounds %x..%x, column index at %d", name, s.MinValue, s.MaxValue, chunk.ColumnIndexOffset)
		}
	}
}

// TestCopyZeroBounds: as bounds, zeros have the sign that includes both zeros.
func TestCopyZeroBounds(t *testing.T) {
	got, _, err := copyBytes([]byte("{\"f\":0.0}\n{\"f\":0.0}"), JSONL, 2, masks["all"], CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(got), int64(len(got)))
	if err != nil {
		t.Fatal(err)
	}
	stats, index := f.Metadata().RowGroups[0].Columns[0].MetaData.Statistics, f.ColumnIndexes()[0]
	low, high := "\x00\x00\x00\x00\x00\x00\x00\x80", "\x00\x00\x00\x00\x00\x00\x00\x00"
	if string(stats.MinValue) != low || string(stats.MaxValue) != high || string(index.MinValues[0]) != low || string(index.MaxValues[0]) != high {
		t.Errorf("bounds %x..%x, of the page %x..%x", stats.MinValue, stats.MaxValue, index.MinValues, index.MaxValues)
	}
}

// TestCopyAllNaN: a page of NaNs has no bounds, and so its column no index.
func TestCopyAllNaN(t *testing.T) {
	input := typeFile(t, "float64.parquet")
	nan := map[int]bool{}
	for row, v := range storedColumns(t, input)[1] {
		nan[row] = strings.HasSuffix(v, "0x7ff8000000000000")
	}
	got, counts, err := copyBytes(input, Parquet, 50, func(row int) bool { return nan[row] }, CopyOptions{})
	if err != nil || counts.Kept < 2 {
		t.Fatalf("counts %+v, %v", counts, err)
	}
	if chunk := footerOf(t, got).meta.RowGroups[0].Columns[1]; chunk.MetaData.Statistics.MinValue != nil || chunk.ColumnIndexOffset != 0 {
		t.Errorf("bounds %x, column index at %d", chunk.MetaData.Statistics.MinValue, chunk.ColumnIndexOffset)
	}
}

// TestSignZero: a zero as bound must not exclude the zero of the other sign.
func TestSignZero(t *testing.T) {
	for _, c := range []struct {
		in   string
		low  bool
		want string
	}{
		{"\x00\x00\x00\x00", true, "\x00\x00\x00\x80"},
		{"\x00\x00\x00\x80", true, "\x00\x00\x00\x80"},
		{"\x00\x00\x00\x80", false, "\x00\x00\x00\x00"},
		{"\x01\x00\x00\x80", false, "\x01\x00\x00\x80"},
		{"\x00\x00\x00\x00\x00\x00\xF0\xBF", false, "\x00\x00\x00\x00\x00\x00\xF0\xBF"},
		{"", true, ""},
	} {
		b := []byte(c.in)
		if signZero(b, c.low); string(b) != c.want {
			t.Errorf("signZero(%x, %t) = %x, want %x", c.in, c.low, b, c.want)
		}
	}
}
