package shards

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// arrowJobs copies a file as Arrow in every way and lists the results for
// compare_arrow.py.
func arrowJobs(t *testing.T, jobs *strings.Builder, dir, path string, f Format, rows int, formats ...OutputFormat) {
	t.Helper()
	input, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(path, "rows_one") {
		rows = 1
	}
	for name, keep := range masks {
		for i, format := range formats {
			if (len(name)+i)%2 == 1 && len(formats) == 2 && name != "third" {
				continue // the other of the two has this mask
			}
			score := []string{"", "color_score"}[(len(name)+i)%2]
			got, counts, err := copyBytes(input, f, rows, keep, CopyOptions{ScoreColumn: score, Format: format, MaxRowGroupBytes: int64(1 + i*4000)})
			if err != nil {
				t.Errorf("%s as %s: %v", path, format, err)
				continue
			}
			if counts.Kept == 0 {
				continue
			}
			checkBack(t, got, format, f, counts.Kept)
			mask := filepath.Join(dir, name+fmt.Sprint(rows))
			var bits []byte
			for i := range rows {
				bits = append(bits, "01"[map[bool]int{true: 1}[keep(i)]])
			}
			extension := "." + string(format)
			if format == OutSame {
				extension = filepath.Ext(path)
			}
			target := filepath.Join(dir, filepath.Base(path)+"-"+name+score+string(format)+extension)
			if err := errors.Join(os.WriteFile(mask, bits, 0o600), os.WriteFile(target, got, 0o600)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(jobs, "%s\t%s\t%s\t%s\n", path, target, mask, score)
		}
	}
}

// checkBack has CheckRows' part for a format count the rows of a copy.
func checkBack(t *testing.T, b []byte, format OutputFormat, input Format, want int64) {
	t.Helper()
	if format == OutSame {
		format = map[Format]OutputFormat{Arrow: OutArrowFile, JSONL: OutJSONL}[input] // files and streams are told apart by content
	}
	name := "copy." + string(format)
	read, _, _ := formatOf(name)
	rows, err := checkOtherRows(t.Context(), Input{Path: name, Format: read}, bytesObject(b))
	if err != nil || rows != want {
		t.Errorf("read back as %s: %d rows, want %d: %v", format, rows, want, err)
	}
}

// TestArrowToArrowEqualsPyarrow copies every Arrow type and has pyarrow compare.
func TestArrowToArrowEqualsPyarrow(t *testing.T) {
	needPython(t)
	dir := t.TempDir()
	var jobs strings.Builder
	for path, rows := range map[string]int{
		"all.arrow": 50, "all.arrows": 50, "arrow_string_view.arrows": 50, "arrow_interval.arrows": 3, "arrow_union.arrows": 2, "arrow_run_end.arrows": 3, "arrow_decimal64.arrows": 50,
	} {
		arrowJobs(t, &jobs, dir, "testdata/types/"+path, Arrow, rows, OutArrowFile, OutArrowStream, OutSame)
	}
	comparePython(t, "compare_arrow.py", dir, jobs.String())
}

// TestJSONLToArrowEqualsPyarrow compares with the Parquet file that pyarrow made
// of the same rows under a schema given by hand.
func TestJSONLToArrowEqualsPyarrow(t *testing.T) {
	needPython(t)
	dir := t.TempDir()
	var jobs strings.Builder
	arrowJobs(t, &jobs, dir, jsonRows+".jsonl", JSONL, 50, OutArrowFile, OutArrowStream)
	comparePython(t, "compare_arrow.py", dir, jobs.String())
}

// TestParquetToArrowEqualsPyarrow converts every type file and has pyarrow
// compare with its own reading of the Parquet file.
func TestParquetToArrowEqualsPyarrow(t *testing.T) {
	needPython(t)
	dir := t.TempDir()
	var jobs strings.Builder
	for _, path := range typeFiles(t) {
		arrowJobs(t, &jobs, dir, path, Parquet, 50, OutArrowFile, OutArrowStream)
	}
	comparePython(t, "compare_arrow.py", dir, jobs.String())
}

// TestArrowInputsAsOutput copies every committed Arrow input, other writers'
// kinds among them, to every format: JSON made of a copy is JSON made of the
// input, and an input that cannot be read is an error whatever it becomes.
func TestArrowInputsAsOutput(t *testing.T) {
	paths, err := filepath.Glob("testdata/inputs/*.arrow*")
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d inputs: %v", len(paths), err)
	}
	copied := 0
	for _, path := range paths {
		input, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := openBytes(input, Arrow)
		if err != nil {
			continue
		}
		rows, err := s.reader.(*arrowReader).countValues(t.Context())
		all := func(b []byte, format OutputFormat) ([]byte, error) {
			out, counts, err := copyBytes(b, Arrow, int(rows), masks["all"], CopyOptions{Format: format})
			if err == nil && counts.Kept != rows {
				err = fmt.Errorf("%d rows", counts.Kept)
			}
			return out, err
		}
		want, jsonErr := all(input, OutJSONL)
		if err != nil {
			if jsonErr == nil {
				t.Errorf("%s cannot be read, but is copied: %v", path, err)
			}
			continue
		}
		for _, format := range []OutputFormat{OutArrowFile, OutArrowStream, OutSame} {
			out, err := all(input, format)
			if err != nil {
				t.Errorf("%s as %s: %v", path, format, err)
				continue
			}
			if rows == 0 || jsonErr != nil {
				continue
			}
			if got, err := all(out, OutJSONL); err != nil || string(got) != string(want) {
				t.Errorf("%s as %s reads back as other rows: %v\n got %.300s\nwant %.300s", path, format, err, got, want)
			}
		}
		copied++
	}
	if copied < 15 {
		t.Errorf("%d of %d inputs copied", copied, len(paths))
	}
}

// TestParquetDictionariesInSteps converts a file that is small because its rows
// share a few large values: no more than a table's worth is in memory at once.
func TestParquetDictionariesInSteps(t *testing.T) {
	type row struct {
		V string `parquet:"v,dict"`
	}
	rows := make([]row, 600)
	for i := range rows {
		rows[i].V = strings.Repeat(string(rune('a'+i%3)), 500_000)
	}
	var file bytes.Buffer
	if err := parquet.Write(&file, rows); err != nil {
		t.Fatal(err)
	}
	s, err := openBytes(file.Bytes(), Parquet)
	if err != nil {
		t.Fatal(err)
	}
	widest := 0
	w := writerFunc(func(b []byte) (int, error) {
		widest = max(widest, len(b))
		return len(b), nil
	})
	counts, err := CopyKept(t.Context(), s, decide(len(rows), masks["all"]), w, CopyOptions{Format: OutArrowStream})
	if err != nil || counts.Kept != 600 {
		t.Fatalf("%+v, %v", counts, err)
	}
	if widest > 3*tableBytes {
		t.Errorf("a column of %d bytes in one batch, want about %d", widest, tableBytes)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
