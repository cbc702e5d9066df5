package shards

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// recordLines returns rows of records as text, one a line.
func recordLines(record arrow.Record) []string {
	var lines []string
	for i := range int(record.NumRows()) {
		line := ""
		for k, c := range record.Columns() {
			line += record.ColumnName(k) + "=" + elementText(c, i) + " "
		}
		lines = append(lines, line)
	}
	return lines
}

// elementText is array.Array's ValueStr, which cannot write lists of NaNs.
func elementText(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	var parts []string
	switch a := a.(type) {
	case *array.Struct:
		for k, f := range a.DataType().(*arrow.StructType).Fields() {
			parts = append(parts, f.Name+":"+elementText(a.Field(k), i))
		}
		return "{" + strings.Join(parts, " ") + "}"
	case array.ListLike:
		for from, to := a.ValueOffsets(i); from < to; from++ {
			parts = append(parts, elementText(a.ListValues(), int(from)))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return a.ValueStr(i)
}

// readRecords reads row groups of a shard as JSON.
func readRecords(t *testing.T, s *Shard, columns []string, from, to int) ([]string, error) {
	t.Helper()
	var lines []string
	for b, err := range s.Records(context.Background(), columns, from, to) {
		if err != nil {
			return lines, err
		}
		if b.FirstRow != int64(len(lines)) && from == 0 {
			t.Errorf("a batch begins in row %d, want %d", b.FirstRow, len(lines))
		}
		lines = append(lines, recordLines(b.Record)...)
		b.Release()
	}
	return lines, nil
}

// TestRecordsEqualArrowCopies compares the records of Parquet files of every type
// with what a copy to Arrow, which pyarrow checks, has.
func TestRecordsEqualArrowCopies(t *testing.T) {
	seen := 0
	others, err := filepath.Glob("images/testdata/*.parquet")
	if err != nil || len(others) < 20 {
		t.Fatalf("%d files of images: %v", len(others), err)
	}
	for _, path := range append(typeFiles(t), others...) {
		input := readTestFile(t, path)
		s, err := openBytes(input, Parquet)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		s.Memory = mem
		rows := int(s.NumRows())
		schema, err := s.Schema()
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		var columns []string
		for _, f := range schema.Fields() {
			columns = append(columns, f.Name)
		}
		copied, _, err := copyBytes(input, Parquet, rows, func(int) bool { return true }, CopyOptions{Format: OutArrowStream})
		if err != nil {
			continue // refused by name, elsewhere tested
		}
		decoder, err := ipc.NewReader(bytes.NewReader(copied))
		if err != nil {
			continue // the library does not know the type
		}
		var want []string
		for decoder.Next() {
			want = append(want, recordLines(decoder.Record())...)
		}
		got, err := readRecords(t, s, columns, 0, s.NumRowGroups())
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: rows differ\n got %.300q\nwant %.300q", path, got, want)
		}
		if last := s.NumRowGroups() - 1; last > 0 {
			from := rows - int(s.RowGroupRows(last))
			if got, err := readRecords(t, s, columns, last, last+1); err != nil || !slices.Equal(got, want[from:]) {
				t.Errorf("%s: the last row group differs: %v", path, err)
			}
		}
		mem.AssertSize(t, 0)
		seen++
	}
	if seen < 50 {
		t.Errorf("%d files were compared", seen)
	}
}

// TestRecordsOfSomeColumns picks columns and fields of structs.
func TestRecordsOfSomeColumns(t *testing.T) {
	const lines = `{"a":1,"s":{"x":[1,2],"y":{"z":"u","w":5}},"b":"t"}
{"a":2,"s":null,"b":null}
{"a":3,"s":{"x":[],"y":null},"b":"v"}
`
	s, err := openBytes([]byte(lines), JSONL)
	if err != nil {
		t.Fatal(err)
	}
	var parquet, stream bytes.Buffer
	for format, to := range map[OutputFormat]*bytes.Buffer{OutParquet: &parquet, OutArrowStream: &stream} {
		if _, err := CopyKept(context.Background(), s, decide(3, func(int) bool { return true }), to, CopyOptions{Format: format}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		columns []string
		want    string
	}{
		{[]string{"b"}, `b=t |b=null |b=v `},
		{[]string{"s.y.z", "a"}, `a=1 s={y:{z:u}} |a=2 s=null |a=3 s={y:null} `},
		{[]string{"s.x", "s.y.w"}, `s={x:[1 2] y:{w:5}} |s=null |s={x:[] y:null} `},
		{[]string{"s.y", "s"}, `s={x:[1 2] y:{z:u w:5}} |s=null |s={x:[] y:null} `},
	} {
		p, err := openBytes(parquet.Bytes(), Parquet)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readRecords(t, p, c.columns, 0, 1)
		if err != nil || strings.Join(got, "|") != c.want {
			t.Errorf("%v: %s, %v\nwant %s", c.columns, strings.Join(got, "|"), err, c.want)
		}
		a, err := openBytes(stream.Bytes(), Arrow)
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range a.Records(context.Background(), c.columns, 0, 1) {
			if err != nil {
				t.Fatal(err)
			}
			if top, _, _ := strings.Cut(c.columns[0], "."); b.Record.NumCols() > 2 || len(b.Record.Schema().FieldIndices(top)) != 1 {
				t.Errorf("%v: Arrow columns %s", c.columns, b.Record.Schema())
			}
			b.Release()
		}
		for _, columns := range [][]string{{"c"}, {"s.q"}, {"a.x"}, {"s.x.element"}} {
			if _, err := readRecords(t, p, columns, 0, 1); !errors.Is(err, ErrColumn) {
				t.Errorf("%v: error %v", columns, err)
			}
		}
	}
	for b, err := range s.Records(context.Background(), []string{"a"}, 0, 1) {
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("JSONL: %v, %v", b, err)
		}
	}
}

// TestRecordsStop stops early, is cancelled, and asks for what is not there.
func TestRecordsStop(t *testing.T) {
	s, err := openBytes(readTestFile(t, "testdata/types/list_list.parquet"), Parquet)
	if err != nil {
		t.Fatal(err)
	}
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	s.Memory = mem
	for b, err := range s.Records(context.Background(), []string{"v"}, 0, s.NumRowGroups()) {
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
		break
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(io.ErrClosedPipe)
	var last error
	for _, err := range s.Records(ctx, []string{"v"}, 0, 1) {
		last = err
	}
	if !errors.Is(last, io.ErrClosedPipe) {
		t.Errorf("cancelled: %v", last)
	}
	if _, err := readRecords(t, s, []string{"v"}, 0, 99); !errors.Is(err, ErrRange) {
		t.Errorf("range: %v", err)
	}
	mem.AssertSize(t, 0)
}

// TestRecordWriterEqualsCopy writes the record batches of an Arrow file, which is
// to be what a copy of the file has.
func TestRecordWriterEqualsCopy(t *testing.T) {
	input, err := os.ReadFile(filepath.Join("testdata", "types", "all.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := copyBytes(input, Arrow, 50, func(int) bool { return true }, CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := openBytes(input, Arrow)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := s.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, f := range schema.Fields() {
		columns = append(columns, f.Name)
	}
	var got bytes.Buffer
	w, err := NewRecordWriter(&got, schema, CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range s.Records(context.Background(), columns, 0, s.NumRowGroups()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(b.Record); err != nil {
			t.Fatal(err)
		}
		b.Release()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(storedRows(t, got.Bytes()), storedRows(t, want)) {
		t.Error("rows differ from those of a copy")
	}
}

// FuzzRecords reads all columns of damaged Parquet files.
func FuzzRecords(f *testing.F) {
	for _, path := range []string{"images/testdata/pages-version2.parquet", "images/testdata/halves.parquet", "types/list_list.parquet", "types/map_list.parquet"} {
		if !strings.HasPrefix(path, "images/") {
			path = "testdata/" + path
		}
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := openBytes(b, Parquet)
		if err != nil {
			return
		}
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		s.Memory = mem
		schema, err := s.Schema()
		if err != nil || s.NumRows() > 10_000 {
			return
		}
		var columns []string
		for _, field := range schema.Fields() {
			columns = append(columns, field.Name)
		}
		rows := int64(0)
		for batch, err := range s.Records(context.Background(), columns, 0, s.NumRowGroups()) {
			if err != nil {
				return
			}
			rows += batch.Record.NumRows()
			batch.Release()
		}
		if rows != s.NumRows() {
			t.Errorf("%d rows, the footer says %d", rows, s.NumRows())
		}
		mem.AssertSize(t, 0)
	})
}
