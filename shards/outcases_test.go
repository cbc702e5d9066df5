package shards

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// outCases are the files of make_cases.py: name, rows, and the output format
// that has no place for what is in them.
func outCases(t *testing.T, dir string) (cases [][3]string) {
	t.Helper()
	out, err := exec.Command(needPython(t), "testdata/make_cases.py", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		cases = append(cases, [3]string(strings.Split(strings.TrimSpace(line), "\t")))
	}
	return cases
}

// TestOutputOfOddFiles copies files of odd but valid kinds to every format and
// has pyarrow compare.
func TestOutputOfOddFiles(t *testing.T) {
	dir := t.TempDir()
	var arrow, lines strings.Builder
	for _, c := range outCases(t, dir) {
		path, refused := filepath.Join(dir, c[0]), c[2]
		rows, err := strconv.Atoi(c[1])
		if err != nil {
			t.Fatal(err)
		}
		format := Arrow
		if strings.HasSuffix(path, ".parquet") {
			format = Parquet
		}
		input, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range []OutputFormat{OutArrowFile, OutArrowStream, OutJSONL} {
			if strings.HasPrefix(refused, string(out)) && !strings.HasPrefix(refused, string(out)+"s") {
				if _, _, err := copyBytes(input, format, rows, masks["all"], CopyOptions{Format: out}); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "column") {
					t.Errorf("%s as %s: want ErrUnsupported that names a column, got %v", c[0], out, err)
				}
				continue
			}
			for name, keep := range map[string]func(int) bool{"all": masks["all"], "third": masks["third"]} {
				got, counts, err := copyBytes(input, format, rows, keep, CopyOptions{Format: out, MaxRowGroupBytes: 400})
				if err != nil {
					t.Errorf("%s as %s: %v", c[0], out, err)
					continue
				}
				if counts.Kept == 0 {
					continue
				}
				checkBack(t, got, out, format, counts.Kept)
				var bits []byte
				for i := range rows {
					bits = append(bits, "01"[map[bool]int{true: 1}[keep(i)]])
				}
				target := path + name + "." + string(out)
				if err := errors.Join(os.WriteFile(target+".mask", bits, 0o600), os.WriteFile(target, got, 0o600)); err != nil {
					t.Fatal(err)
				}
				to := &arrow
				if out.lines() {
					to = &lines
				}
				fmt.Fprintf(to, "%s\t%s\t%s\t\n", path, target, target+".mask")
			}
		}
	}
	comparePython(t, "compare_arrow.py", dir, arrow.String())
	comparePython(t, "compare_lines.py", dir, lines.String())
}
