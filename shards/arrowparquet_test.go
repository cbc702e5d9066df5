package shards

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go/format"
)

// storedColumns reads a Parquet file by leaf column: every value with its levels.
func storedColumns(t *testing.T, b []byte) map[int][]string {
	t.Helper()
	columns := map[int][]string{}
	for _, line := range storedRows(t, b) {
		for value := range strings.SplitSeq(strings.TrimSuffix(line, "; "), "; ") {
			var column int
			rest := value
			for i := 0; rest[i] != ' '; i++ {
				column = 10*column + int(rest[i]-'0')
			}
			_, rest, _ = strings.Cut(value, " ")
			columns[column] = append(columns[column], rest)
		}
	}
	return columns
}

// leavesBelow returns the leaves of a top-level column and its elements,
// without the name of the first.
func leavesBelow(t *testing.T, f *parquetFooter, name string) (leaves []int, elements []format.SchemaElement) {
	t.Helper()
	all, err := f.schema.leaves()
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range all {
		if c.path[0] == name {
			leaves = append(leaves, i)
		}
	}
	for i := 1; i < len(f.schema.elements); i = f.schema.next(i) {
		if f.schema.elements[i].Name == name {
			elements = slices.Clone(f.schema.elements[i:f.schema.next(i)])
			elements[0].Name = ""
		}
	}
	return leaves, elements
}

// TestCopyArrowEqualsPyarrow compares the columns of a copied Arrow file with
// the Parquet files that pyarrow made of the same columns.
func TestCopyArrowEqualsPyarrow(t *testing.T) {
	for file, want := range map[string]int{"all.arrow": 50, "all.arrows": 8} {
		input, err := os.ReadFile("testdata/types/" + file)
		if err != nil {
			t.Fatal(err)
		}
		got, counts, err := copyBytes(input, Arrow, 50, masks["all"], CopyOptions{})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if counts.Kept != 50 {
			t.Fatalf("%s: counts %+v", file, counts)
		}
		out, columns := footerOf(t, got), storedColumns(t, got)
		names := out.schema.topLevel()
		if len(names) < want {
			t.Errorf("%s: %d columns, want at least %d", file, len(names), want)
		}
		for _, name := range names {
			pyarrow, err := os.ReadFile("testdata/types/" + name + ".parquet")
			if err != nil {
				t.Fatal(err)
			}
			wantFooter, wantColumns := footerOf(t, pyarrow), storedColumns(t, pyarrow)
			leaves, elements := leavesBelow(t, out, name)
			wantLeaves, wantElements := leavesBelow(t, wantFooter, "v")
			if !reflect.DeepEqual(elements, wantElements) {
				t.Errorf("%s: %s: schema\n got %+v\nwant %+v", file, name, elements, wantElements)
				continue
			}
			for i := range leaves {
				if !slices.Equal(columns[leaves[i]], wantColumns[wantLeaves[i]]) {
					t.Errorf("%s: %s: values\n got %.200q\nwant %.200q", file, name, columns[leaves[i]], wantColumns[wantLeaves[i]])
				}
			}
		}
	}
}

func TestCopyArrowFilters(t *testing.T) {
	input, err := os.ReadFile("testdata/types/all.arrow")
	if err != nil {
		t.Fatal(err)
	}
	whole, _, err := copyBytes(input, Arrow, 50, masks["all"], CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := storedRows(t, whole)
	for name, keep := range masks {
		var want []string
		for row, line := range all {
			if keep(row) {
				want = append(want, line)
			}
		}
		got, _, err := copyBytes(input, Arrow, 50, keep, CopyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(storedRows(t, got), want) {
			t.Errorf("%s: rows differ", name)
		}
	}
}

func TestCopyArrowRefusesByName(t *testing.T) {
	for name, want := range map[string]string{
		"interval": "month_day_nano_interval", "union": "union", "run_end": "run_end_encoded", "decimal64": "",
	} {
		input, err := os.ReadFile("testdata/types/arrow_" + name + ".arrows")
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := copyBytes(input, Arrow, 3, masks["all"], CopyOptions{})
		if err == nil || !strings.Contains(err.Error(), want) || len(got) > 0 {
			t.Errorf("%s: %d bytes, error %v; want one that names the type", name, len(got), err)
		}
		if want != "" && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "column v")) {
			t.Errorf("%s: error %v; want ErrUnsupported that names column v", name, err)
		}
	}
}

func TestCopyArrowReleases(t *testing.T) {
	input, err := os.ReadFile("testdata/types/all.arrow")
	if err != nil {
		t.Fatal(err)
	}
	checked := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer checked.AssertSize(t, 0)
	s, err := openBytes(input, Arrow)
	if err != nil {
		t.Fatal(err)
	}
	s.Memory = checked
	if _, err := CopyKept(t.Context(), s, decide(50, masks["third"]), new(strings.Builder), CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := CopyKept(t.Context(), s, decide(30, masks["third"]), new(strings.Builder), CopyOptions{}); err == nil {
		t.Error("30 decisions for 50 rows: want an error")
	}
}

// TestCopyArrowPython has pyarrow compare copies of the Arrow files.
func TestCopyArrowPython(t *testing.T) {
	needPython(t)
	dir := t.TempDir()
	var jobs strings.Builder
	for _, file := range []string{"all.arrow", "all.arrows", "arrow_string_view.arrows"} {
		addCompareJobs(t, &jobs, dir, filepath.Join("testdata/types", file), Arrow, 50)
	}
	for _, file := range []string{"view-zstd-file.arrow", "view-stream.arrows", "polars-zstd.arrow", "polars-old.arrow", "polars.arrows"} {
		addCompareJobs(t, &jobs, dir, filepath.Join("testdata/inputs", file), Arrow, 40)
	}
	comparePython(t, "compare_rows.py", dir, jobs.String())
}
