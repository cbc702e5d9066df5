package shards

import (
	"bytes"
	"os"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
)

// fuzzOut copies whatever a file holds to every other format: an error, or a
// copy that reads back with as many rows as were kept.
func fuzzOut(t *testing.T, b []byte, f Format, rows int, mask uint8) {
	if rows > 10_000 {
		return
	}
	keep := func(i int) bool { return mask>>(i%8)&1 == 1 }
	for _, format := range []OutputFormat{OutArrowFile, OutArrowStream, OutJSONL, OutSame} {
		got, counts, err := copyBytes(b, f, rows, keep, CopyOptions{Format: format, ScoreColumn: "\x01score", MaxRowGroupBytes: 4000})
		if err != nil || format == OutSame && f == Parquet {
			continue
		}
		if counts.Kept == 0 {
			if len(got) > 0 {
				t.Errorf("%s: %d bytes for no rows", format, len(got))
			}
			continue
		}
		again, _, _ := copyBytes(b, f, rows, keep, CopyOptions{Format: format, ScoreColumn: "\x01score", MaxRowGroupBytes: 4000})
		if !bytes.Equal(got, again) {
			t.Errorf("%s: a second copy has other bytes", format)
		}
		checkBack(t, got, format, f, counts.Kept)
	}
}

func seedTypes(f *testing.F, names ...string) {
	for _, name := range names {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(0xB5))
	}
}

func FuzzOutArrow(f *testing.F) {
	seedTypes(f, "types/all.arrows", "types/arrow_union.arrows", "types/arrow_run_end.arrows", "types/arrow_string_view.arrows", "types/arrow_decimal64.arrows",
		"types/arrow_interval.arrows", "inputs/deltas.arrows", "inputs/replaced.arrows", "inputs/list.arrow", "inputs/lz4-stream.arrows", "inputs/sliced-file.arrow")
	f.Fuzz(func(t *testing.T, b []byte, mask uint8) {
		r, err := openArrow(bytesObject(b))
		if err != nil {
			return
		}
		rows := 0
		for record, err := range r.records(t.Context(), memory.DefaultAllocator, 0, len(r.rows)) {
			if err != nil {
				break
			}
			rows += int(record.NumRows())
		}
		fuzzOut(t, b, Arrow, rows, mask)
	})
}

func FuzzOutParquet(f *testing.F) {
	seedTypes(f, "types/rows_one.parquet", "types/map_list.parquet", "types/struct_deep.parquet", "types/list_dictionary.parquet", "types/decimal256.parquet",
		"types/int96.parquet", "types/schema_required_field_ids.parquet", "types/float16.parquet", "inputs/duckdb.parquet")
	f.Fuzz(func(t *testing.T, b []byte, mask uint8) {
		s, err := openBytes(b, Parquet)
		if err != nil {
			return
		}
		fuzzOut(t, b, Parquet, int(s.NumRows()), mask)
	})
}
