package shards

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// unlessRefused converts a file to JSON lines, but for the rows that an error
// names, which must be rows that JSON cannot hold.
func unlessRefused(t *testing.T, input []byte, f Format, rows int, keep func(int) bool, opt CopyOptions) (out []byte, kept []bool, refused int) {
	t.Helper()
	named := regexp.MustCompile(`row (\d+): column`)
	kept = make([]bool, rows)
	for i := range kept {
		kept[i] = keep(i)
	}
	for range rows + 1 {
		out, _, err := copyBytes(input, f, rows, func(i int) bool { return kept[i] }, opt)
		if err == nil {
			return out, kept, refused
		}
		row := named.FindStringSubmatch(err.Error())
		if !errors.Is(err, ErrUnsupported) || row == nil {
			t.Fatalf("want an error that names row and column, got %v", err)
		}
		at, _ := strconv.Atoi(row[1])
		if !kept[at] {
			t.Fatalf("row %d was dropped: %v", at, err)
		}
		kept[at] = false
		refused++
	}
	t.Fatal("every row is refused, and more")
	return nil, nil, 0
}

// TestToJSONEqualsPyarrow converts every type file to JSON lines and compares
// the values with what pyarrow reads from the file.
func TestToJSONEqualsPyarrow(t *testing.T) {
	needPython(t)
	dir := t.TempDir()
	var jobs strings.Builder
	refusals := map[string]int{}
	job := func(path string, f Format, rows int, mask string, opt CopyOptions) {
		input, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out, kept, refused := unlessRefused(t, input, f, rows, masks[mask], opt)
		if refused > 0 {
			refusals[filepath.Base(path)] = refused
		}
		if len(out) == 0 {
			return
		}
		var bits []byte
		for _, k := range kept {
			bits = append(bits, "01"[map[bool]int{true: 1}[k]])
		}
		target := filepath.Join(dir, filepath.Base(path)+mask+"."+string(opt.Format))
		if err := errors.Join(os.WriteFile(target+".mask", bits, 0o600), os.WriteFile(target, out, 0o600)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&jobs, "%s\t%s\t%s\t%s\n", path, target, target+".mask", opt.ScoreColumn)
	}
	for _, path := range typeFiles(t) {
		rows := 50
		if strings.Contains(path, "rows_one") {
			rows = 1
		}
		job(path, Parquet, rows, "all", CopyOptions{Format: OutJSONL})
		if strings.Contains(path, "codec") {
			continue
		}
		job(path, Parquet, rows, "third", CopyOptions{Format: OutJSONLZstd, ScoreColumn: "color_score", MaxRowGroupBytes: 2000})
	}
	for path, rows := range map[string]int{
		"all.arrow": 50, "all.arrows": 50, "arrow_string_view.arrows": 50, "arrow_interval.arrows": 3, "arrow_union.arrows": 2, "arrow_run_end.arrows": 3,
	} {
		job("testdata/types/"+path, Arrow, rows, "all", CopyOptions{Format: OutJSONL})
		job("testdata/types/"+path, Arrow, rows, "runs", CopyOptions{Format: OutJSONLGzip, ScoreColumn: "color_score"})
	}
	if refusals["float64.parquet"] == 0 || refusals["string.parquet"] > 0 {
		t.Errorf("rows refused: %v", refusals)
	}
	comparePython(t, "compare_lines.py", dir, jobs.String())
}
