package shards

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/pipeline"
)

// typeFiles are the files of testdata/types, one type, encoding or codec each.
func typeFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/types/*.parquet")
	if err != nil || len(files) != 64 {
		t.Fatalf("want 64 files in testdata/types, got %d: %v", len(files), err)
	}
	return files
}

// masks are the decisions each file is copied with.
var masks = map[string]func(row int) bool{
	"all":   func(int) bool { return true },
	"third": func(row int) bool { return row%3 == 1 },
	"late":  func(row int) bool { return row >= 37 },
	"runs":  func(row int) bool { return row/7%2 == 0 },
	"last":  func(row int) bool { return row == 49 },
}

// splicedMasks are the masks, and those that keep row groups whole once more,
// with splicing: all rows, all row groups but the first, all but the last.
func splicedMasks() map[string]func(row int) bool {
	all := maps.Clone(masks)
	all["splice all"] = masks["all"]
	all["splice most"] = func(row int) bool { return row != 5 }
	all["splice begin"] = func(row int) bool { return row != 45 }
	return all
}

// memObject is an Object in memory.
type memObject struct{ *bytes.Reader }

func (memObject) Close() error { return nil }

func bytesObject(b []byte) Object { return memObject{bytes.NewReader(b)} }

// openBytes opens a file's bytes as a shard.
func openBytes(b []byte, f Format) (*Shard, error) {
	in := Input{Shard: "test", Format: f, Size: int64(len(b))}
	obj := bytesObject(b)
	reader, err := openFormat(in, obj)
	if err != nil {
		return nil, err
	}
	return &Shard{Memory: memory.DefaultAllocator, in: in, obj: obj, reader: reader}, nil
}

// decide yields decisions for n rows in runs of different lengths. The score
// of row i is i + 0.5.
func decide(n int, keep func(int) bool) iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) {
		for row, size := 0, 1; row < n; size++ {
			d := &pipeline.Decisions{Shard: "test"}
			for range min(size, n-row) {
				d.Row, d.Seq = append(d.Row, int64(row)), append(d.Seq, 0)
				reason := pipeline.Reason("")
				if !keep(row) {
					reason = pipeline.BelowCut
				}
				d.Keep, d.Reason = append(d.Keep, keep(row)), append(d.Reason, reason)
				d.Score = append(d.Score, float32(row)+0.5)
				row++
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

// copyBytes is CopyKept from bytes to bytes.
func copyBytes(b []byte, f Format, rows int, keep func(int) bool, opt CopyOptions) ([]byte, CopyCounts, error) {
	s, err := openBytes(b, f)
	if err != nil {
		return nil, CopyCounts{}, err
	}
	var out bytes.Buffer
	counts, err := CopyKept(context.Background(), s, decide(rows, keep), &out, opt)
	return out.Bytes(), counts, err
}

// storedRows reads a Parquet file through parquet-go's row reader, which
// copies do not use, as lines: every value with its column and levels.
func storedRows(t *testing.T, b []byte) (lines []string) {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range f.RowGroups() {
		rows := g.Rows()
		buf := make([]parquet.Row, 7)
		for {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				lines = append(lines, rowLine(row))
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

// rowLine writes a row such that lines are equal exactly where values are:
// NaNs and zeros by their bits.
func rowLine(row parquet.Row) string {
	var b strings.Builder
	for _, v := range row {
		fmt.Fprintf(&b, "%d r%d d%d ", v.Column(), v.RepetitionLevel(), v.DefinitionLevel())
		switch v.Kind() {
		case parquet.Float:
			fmt.Fprintf(&b, "%#x", math.Float32bits(v.Float()))
		case parquet.Double:
			fmt.Fprintf(&b, "%#x", math.Float64bits(v.Double()))
		default:
			fmt.Fprintf(&b, "%+q", v.String())
		}
		b.WriteString("; ")
	}
	return b.String()
}

func footerOf(t *testing.T, b []byte) *parquetFooter {
	t.Helper()
	f, err := readFooter(bytesObject(b))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestCopyKeepsEveryType(t *testing.T) {
	for _, path := range typeFiles(t) {
		input, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".parquet"), func(t *testing.T) {
			if strings.Contains(path, "lz4") {
				_, _, err := copyBytes(input, Parquet, 50, masks["all"], CopyOptions{})
				if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "LZ4_RAW") {
					t.Fatalf("want ErrUnsupported naming LZ4_RAW, got %v", err)
				}
				return
			}
			in, all := footerOf(t, input), storedRows(t, input)
			for name, keep := range splicedMasks() {
				opt := CopyOptions{}
				if rest, ok := strings.CutPrefix(name, "splice "); ok {
					opt.SpliceBytes, name = 1, rest
				}
				var want []string
				for row, line := range all {
					if keep(row) {
						want = append(want, line)
					}
				}
				got, counts, err := copyBytes(input, Parquet, len(all), keep, opt)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				dropped := int64(len(all) - len(want))
				if counts.RowsIn != int64(len(all)) || counts.Kept != int64(len(want)) || counts.Dropped[pipeline.BelowCut] != dropped {
					t.Errorf("%s: counts %+v, want %d of %d kept", name, counts, len(want), len(all))
				}
				if len(want) == 0 {
					if len(got) != 0 {
						t.Errorf("%s: %d bytes written for no rows", name, len(got))
					}
					continue
				}
				out := footerOf(t, got)
				if !slices.EqualFunc(in.schema.raw, out.schema.raw, bytes.Equal) {
					t.Errorf("%s: schema elements differ:\n%+v\n%+v", name, in.schema.elements, out.schema.elements)
				}
				if !slices.Equal(in.meta.KeyValueMetadata, out.meta.KeyValueMetadata) {
					t.Errorf("%s: metadata %v, want %v", name, out.meta.KeyValueMetadata, in.meta.KeyValueMetadata)
				}
				if lines := storedRows(t, got); !slices.Equal(lines, want) {
					t.Errorf("%s: rows differ\n got %.300q\nwant %.300q", name, lines, want)
				}
			}
		})
	}
}

// TestCopyEqualsPyarrow has pyarrow and DuckDB compare all copies with their
// inputs, where CURATE_PYTHON names a Python that has both.
func TestCopyEqualsPyarrow(t *testing.T) {
	needPython(t)
	dir := t.TempDir()
	var jobs strings.Builder
	for _, path := range typeFiles(t) {
		if strings.Contains(path, "lz4") {
			continue
		}
		addCompareJobs(t, &jobs, dir, path, Parquet, 50)
	}
	comparePython(t, dir, jobs.String())
}

// addCompareJobs copies a file in every way and lists the results for compare_rows.py.
func addCompareJobs(t *testing.T, jobs *strings.Builder, dir, path string, f Format, rows int) {
	t.Helper()
	input, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(path, "rows_one") {
		rows = 1
	}
	for name, keep := range splicedMasks() {
		opt := CopyOptions{}
		if strings.HasPrefix(name, "splice ") {
			if f != Parquet {
				continue
			}
			opt.SpliceBytes = 1
		}
		for _, score := range []string{"", "color_score"} {
			opt.ScoreColumn = score
			got, counts, err := copyBytes(input, f, rows, keep, opt)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if counts.Kept == 0 {
				continue
			}
			mask := filepath.Join(dir, name+fmt.Sprint(rows))
			var bits []byte
			for i := range rows {
				bits = append(bits, "01"[map[bool]int{true: 1}[keep(i)]])
			}
			target := filepath.Join(dir, filepath.Base(path)+"-"+name+score+".parquet")
			if err := errors.Join(os.WriteFile(mask, bits, 0o600), os.WriteFile(target, got, 0o600)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(jobs, "%s\t%s\t%s\t%s\n", path, target, mask, score)
		}
	}
}

func needPython(t *testing.T) string {
	t.Helper()
	python := os.Getenv("CURATE_PYTHON")
	if python == "" {
		t.Skip("set CURATE_PYTHON to a Python with pyarrow and duckdb to compare with them")
	}
	return python
}

func comparePython(t *testing.T, dir, jobs string) {
	t.Helper()
	list := filepath.Join(dir, "jobs")
	if err := os.WriteFile(list, []byte(jobs), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(needPython(t), "../scripts/golden/compare_rows.py", "--list", list).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
