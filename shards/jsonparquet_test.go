package shards

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/format"
)

const jsonRows = "testdata/types/jsonl/rows"

// TestCopyJSONL compares a copied JSONL file with the Parquet file that pyarrow
// made of the same rows under a schema given by hand.
func TestCopyJSONL(t *testing.T) {
	input, err := os.ReadFile(jsonRows + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	pyarrow, err := os.ReadFile(jsonRows + ".parquet")
	if err != nil {
		t.Fatal(err)
	}
	want, wantRows := footerOf(t, pyarrow), storedRows(t, pyarrow)
	for name, keep := range masks {
		got, counts, err := copyBytes(input, JSONL, 50, keep, CopyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var wantKept []string
		for row, line := range wantRows {
			if keep(row) {
				wantKept = append(wantKept, line)
			}
		}
		if counts.RowsIn != 50 || counts.Kept != int64(len(wantKept)) {
			t.Errorf("%s: counts %+v", name, counts)
		}
		if rows := storedRows(t, got); !slices.Equal(rows, wantKept) {
			t.Errorf("%s: rows\n got %.500q\nwant %.500q", name, rows, wantKept)
		}
		out := footerOf(t, got)
		if !reflect.DeepEqual(unnamed(out.schema.elements), unnamed(want.schema.elements)) {
			t.Errorf("%s: schema\n got %+v\nwant %+v", name, out.schema.elements, want.schema.elements)
		}
	}
}

// unnamed drops the root's name, which means nothing.
func unnamed(elements []format.SchemaElement) []format.SchemaElement {
	elements = slices.Clone(elements)
	elements[0].Name = ""
	return elements
}

func TestCopyJSONLPython(t *testing.T) {
	needPython(t)
	dir := t.TempDir()
	var jobs strings.Builder
	addCompareJobs(t, &jobs, dir, jsonRows+".jsonl", JSONL, 50)
	comparePython(t, "compare_rows.py", dir, jobs.String())
}

func TestCopyJSONLRefuses(t *testing.T) {
	for _, c := range []struct {
		name, input string
		want        []string // parts of the message
	}{
		{"two types", `{"a":1}` + "\n\n" + `{"a":"x"}`, []string{"column a", "an integer in line 1", "a string in line 3"}},
		{"nested types", `{"a":[{"b":true}]}` + "\n" + `{"a":[{"b":[]}]}`, []string{"column a[].b", "true or false in line 1", "a list in line 2"}},
		{"object and list", `{"a":{}}` + "\n" + `{"a":[]}`, []string{"column a", "an object in line 1", "a list in line 2"}},
		{"big integer", `{"a":1}` + "\n" + `{"a":9223372036854775808}`, []string{"line 2", "column a", "9223372036854775808", "64 bits"}},
		{"inexact mix", `{"a":0.5}` + "\n" + `{"a":9007199254740993}`, []string{"column a", "line 2", "double"}},
		{"large double", `{"a":1e999}`, []string{"line 1", "column a", "1e999"}},
		{"key twice", `{"a":1,"a":2}`, []string{"line 1", "column a", "twice"}},
		{"nested key twice", `{"a":[{"b":1},{"b":1,"b":1}]}`, []string{"line 1", "column a[].b", "twice"}},
		{"not UTF-8", "{\"a\":\"\xff\"}", []string{"line 1", "column a", "Unicode"}},
		{"lone surrogate", `{"a":"\ud800"}`, []string{"line 1", "column a", "surrogate"}},
		{"key not UTF-8", "{\"\xff\":1}", []string{"line 1", "Unicode"}},
		{"no keys", "{}\n{}", []string{"no row has a key"}},
		{"not an object", "[1]", []string{"line 1", "want an object"}},
		{"null row", "null", []string{"line 1", "want an object"}},
		{"cut short", `{"a":1`, []string{"line 1"}},
		{"trailing bytes", `{"a":1} {"a":2}`, []string{"line 1"}},
		{"deep", `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", []string{"line 1", "nested deeper"}},
	} {
		rows := len(strings.Split(strings.ReplaceAll(c.input, "\n\n", "\n"), "\n"))
		got, _, err := copyBytes([]byte(c.input), JSONL, rows, masks["all"], CopyOptions{})
		if err == nil || len(got) > 0 {
			t.Errorf("%s: %d bytes, error %v; want an error", c.name, len(got), err)
			continue
		}
		if !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v is neither ErrUnsupported nor ErrCorrupt", c.name, err)
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %q lacks %q", c.name, err, part)
			}
		}
	}
}

// TestCopyJSONLDropsBadRows: what cannot be stored does not matter in a row
// that is dropped.
func TestCopyJSONLDropsBadRows(t *testing.T) {
	input := "{\"a\":\"\xff\"}\n{\"a\":\"x\",\"a\":\"y\"}\n{\"a\":\"z\"}"
	got, _, err := copyBytes([]byte(input), JSONL, 3, func(row int) bool { return row == 2 }, CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if rows := storedRows(t, got); len(rows) != 1 || !strings.Contains(rows[0], `"z"`) {
		t.Errorf("rows %q", rows)
	}
}

// TestCopyJSONLLong copies more rows and longer lines than are held at a time.
func TestCopyJSONLLong(t *testing.T) {
	var input bytes.Buffer
	const rows = 5000
	for i := range rows {
		fmt.Fprintf(&input, `{"id":%d,"text":%q,"n":[%d,%d]}`+"\n", i, strings.Repeat(fmt.Sprint("word ", i, " "), 1+i%7*100), i, -i)
	}
	fmt.Fprintf(&input, `{"id":%d,"text":%q,"n":[]}`, rows, strings.Repeat("x", 10<<20))
	got, counts, err := copyBytes(input.Bytes(), JSONL, rows+1, func(row int) bool { return row%10 == 0 }, CopyOptions{MaxRowGroupBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	out := footerOf(t, got)
	if counts.Kept != rows/10+1 || out.meta.NumRows != counts.Kept || len(out.meta.RowGroups) < 3 {
		t.Fatalf("counts %+v, %d rows in %d row groups", counts, out.meta.NumRows, len(out.meta.RowGroups))
	}
	for i, line := range storedRows(t, got) {
		if want := fmt.Sprintf("0 r0 d1 %+q;", fmt.Sprint(10*i)); !strings.HasPrefix(line, want) {
			t.Fatalf("row %d begins %.60q, want %q", i, line, want)
		}
	}
}

// FuzzCopyJSONL: any bytes give an error or rows that a second copy, of the
// Parquet file, repeats.
func FuzzCopyJSONL(f *testing.F) {
	rows, err := os.ReadFile(jsonRows + ".jsonl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(rows)
	f.Add([]byte(`{"a":{"b":[null,{"c":1.5}]},"d":"\u00e9"}` + "\n" + `{"a":null,"e":[[]]}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		n := 0
		s, err := openBytes(input, JSONL)
		if err != nil {
			return
		}
		if err := s.reader.(*jsonlReader).eachLine(t.Context(), func([]byte, int64) error { n++; return nil }); err != nil {
			return
		}
		got, counts, err := copyBytes(input, JSONL, n, masks["all"], CopyOptions{})
		if err != nil || n == 0 {
			return
		}
		if counts.Kept != int64(n) || footerOf(t, got).meta.NumRows != int64(n) {
			t.Fatalf("%d rows: counts %+v", n, counts)
		}
		again, _, err := copyBytes(got, Parquet, n, masks["all"], CopyOptions{})
		if err != nil {
			t.Fatalf("copy of the copy: %v", err)
		}
		if !slices.Equal(storedRows(t, got), storedRows(t, again)) {
			t.Fatal("copy of the copy differs")
		}
	})
}

// TestLongLines checks the bound on the length of a line.
func TestLongLines(t *testing.T) {
	line := []byte(`{"text":"` + strings.Repeat("x", 3*lineBuffer) + "\"}\n")
	for limit, want := range map[int]error{2 * lineBuffer: ErrUnsupported, 4 * lineBuffer: nil} {
		lines, err := openLines(Input{Path: "a.jsonl"}, bytesObject(append([]byte("{}\n"), line...)))
		if err != nil {
			t.Fatal(err)
		}
		lines.limit = limit
		if _, err := lines.next(); err != nil {
			t.Fatal(err)
		}
		got, err := lines.next()
		if !errors.Is(err, want) || want == nil && len(got) != len(line)-1 || want != nil && !strings.Contains(err.Error(), "line 2") {
			t.Errorf("limit %d: %d bytes, error %v, want %v", limit, len(got), err, want)
		}
	}
}

// TestLinesAroundBuffer reads lines whose ends fall around those of a read.
func TestLinesAroundBuffer(t *testing.T) {
	var file bytes.Buffer
	lengths := []int{lineBuffer - 2, 1, lineBuffer - 1, lineBuffer, lineBuffer + 1, 3 * lineBuffer, 1, 10 * lineBuffer, 2}
	for i, n := range lengths {
		file.Write(bytes.Repeat([]byte{byte('a' + i)}, n))
		file.WriteString("\n")
	}
	lines, err := openLines(Input{Path: "a.jsonl"}, bytesObject(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range lengths {
		line, err := lines.next()
		if err != nil || !bytes.Equal(line, bytes.Repeat([]byte{byte('a' + i)}, n)) {
			t.Errorf("line %d: %d bytes, want %d, error %v", i, len(line), n, err)
		}
	}
	if _, err := lines.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last line: %v", err)
	}
}
