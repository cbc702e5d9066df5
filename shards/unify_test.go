package shards

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/pipeline"
)

// openUnify opens files of testdata/unify as shards of their names.
func openUnify(t testing.TB, names ...string) (opened []*Shard) {
	t.Helper()
	for _, name := range names {
		format, _, _ := formatOf(name)
		s, err := openBytes(readTestFile(t, filepath.Join("testdata/unify", name)), format)
		if err != nil {
			t.Fatal(err)
		}
		s.in.Shard, s.in.Path = name, name
		opened = append(opened, s)
	}
	return opened
}

// each yields values without errors.
func each[T any](values ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range values {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// decideFor is decide for a shard of any name.
func decideFor(shard string, n int, keep func(int) bool) iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) {
		for d, err := range decide(n, keep) {
			d.Shard = shard
			if !yield(d, err) {
				return
			}
		}
	}
}

// mergeJob is a line for compare_merged.py.
type mergeJob struct {
	Out    string            `json:"out"`
	Parts  []mergePart       `json:"parts"`
	Scores []float32         `json:"scores"`
	Types  map[string]string `json:"types"`
}

func (j mergeJob) rows() (n int) {
	for _, p := range j.Parts {
		n += len(p.Rows)
	}
	return n
}

type mergePart struct {
	Path string `json:"path"`
	Rows []int  `json:"rows"`
}

// merge writes the kept rows of files to n outputs, and says what must be
// in each.
func merge(t *testing.T, n int, score string, keep func(int) bool, types map[string]string, files ...string) (jobs []mergeJob) {
	t.Helper()
	opened := openUnify(t, files...)
	u, err := UnifySchemas(t.Context(), each(opened...))
	if err != nil {
		t.Fatal(err)
	}
	kept, rows := make([]int64, len(files)), make([]int, len(files))
	keptRows := make([][]int, len(files))
	for i, s := range opened {
		rows[i] = rowsIn(t, s)
		for row := range rows[i] {
			if keep(row) {
				kept[i]++
				keptRows[i] = append(keptRows[i], row)
			}
		}
	}
	in, out := 0, int64(0)
	for o, runs := range AssignKept(kept, n) {
		job := mergeJob{Out: filepath.Join(t.TempDir(), fmt.Sprintf("%d-of-%d.parquet", o, n)), Types: types}
		var parts []CopyPart
		for _, file := range files { // all of them make the schema
			job.Parts = append(job.Parts, mergePart{filepath.Join("testdata/unify", file), []int{}})
		}
		for _, r := range runs {
			s := opened[r.Input]
			parts = append(parts, CopyPart{Shard: s, Decisions: decideFor(s.in.Shard, rows[r.Input], keep), From: r.From, To: r.To, Last: r.Last})
			part := keptRows[r.Input][r.From:r.To]
			job.Parts = append(job.Parts, mergePart{filepath.Join("testdata/unify", files[r.Input]), append([]int{}, part...)})
			for _, row := range part {
				if score != "" {
					job.Scores = append(job.Scores, float32(row)+0.5)
				}
			}
		}
		var b bytes.Buffer
		counts, err := u.Copy(t.Context(), each(parts...), &b, CopyOptions{ScoreColumn: score})
		if err != nil {
			t.Fatalf("%v: %v", files, err)
		}
		for _, c := range counts {
			in += int(c.RowsIn)
			out += c.Kept
			dropped := int64(0)
			for _, d := range c.Dropped {
				dropped += d
			}
			if c.RowsIn != c.Kept+dropped {
				t.Errorf("%v output %d: counts %+v do not add up", files, o, c)
			}
		}
		if b.Len() == 0 {
			if job.rows() > 0 {
				t.Errorf("%v output %d: nothing is written", files, o)
			}
			continue
		}
		if err := os.WriteFile(job.Out, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		checkMerged(t, b.Bytes(), job)
		jobs = append(jobs, job)
	}
	wantIn, wantOut := 0, int64(0)
	for i := range files {
		wantIn, wantOut = wantIn+rows[i], wantOut+kept[i]
	}
	if in != wantIn || out != wantOut {
		t.Errorf("%v to %d: %d rows in and %d kept, want %d and %d", files, n, in, out, wantIn, wantOut)
	}
	return jobs
}

// checkMerged checks that a merged file can be read, and has as many rows.
func checkMerged(t *testing.T, b []byte, job mergeJob) {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	want := job.rows()
	if got := len(storedRows(t, b)); got != want || f.NumRows() != int64(want) {
		t.Errorf("%s: %d rows, the footer says %d, want %d", job.Out, got, f.NumRows(), want)
	}
}

// rowsIn counts the rows of a shard.
func rowsIn(t *testing.T, s *Shard) int {
	if n := s.NumRows(); n >= 0 {
		return int(n)
	}
	n := 0
	if err := s.reader.(*jsonlReader).eachLine(t.Context(), func([]byte, int64) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMergedEqualsPyarrow(t *testing.T) {
	dir := t.TempDir()
	var jobs []mergeJob
	for name, keep := range masks {
		jobs = append(jobs, merge(t, 1, "", keep, nil, "a.parquet", "b.parquet")...)
		jobs = append(jobs, merge(t, 3, "color_score", keep, nil, "b.parquet", "a.parquet", "c.arrow")...)
		jobs = append(jobs, merge(t, 2, "", keep, nil, "c.arrow", "e.jsonl", "a.parquet", "h.parquet")...)
		if name == "all" || name == "third" {
			jobs = append(jobs, merge(t, 7, "color_score", keep, nil, "d.jsonl", "e.jsonl", "a.parquet")...)
		}
		jobs = append(jobs, merge(t, 2, "", keep, map[string]string{
			"cat": "dictionary<values=string, indices=int32, ordered=0>", "later": "dictionary<values=string, indices=int32, ordered=0>",
			"when": "timestamp[us, tz=Europe/Vienna]", "text": "string", "id": "int64", "late": "uint16",
		}, "h.parquet", "f.parquet", "g.parquet")...)
	}
	for _, a := range []string{"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"} {
		for _, b := range []string{"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"} {
			if (a == "uint64") != (b == "uint64") && (a[0] != 'u' || b[0] != 'u') {
				continue // refused: see TestUnifyRefuses
			}
			jobs = append(jobs, merge(t, 1, "", masks["all"], nil, "number-"+a+".parquet", "number-"+b+".parquet")...)
		}
	}
	jobs = append(jobs, merge(t, 1, "", masks["all"], map[string]string{"v": "double"}, "number-float32.parquet", "number-float64.parquet")...)
	jobs = append(jobs, merge(t, 1, "", masks["all"], map[string]string{"v": "int32"}, "number-int16.parquet", "number-uint16.parquet")...)
	var lines []byte
	for _, job := range jobs {
		line, err := json.Marshal(job)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	list := filepath.Join(dir, "jobs")
	if err := os.WriteFile(list, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(needPython(t), "../scripts/golden/compare_merged.py", list).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func TestUnifyRefuses(t *testing.T) {
	for name, want := range map[string]string{
		"text":   "byte_array (STRING) in shard bad-text-1.parquet, int64 in shard bad-text-2.parquet",
		"binary": "byte_array (STRING) in shard bad-binary-1.parquet, byte_array in shard",
		"unit":   "TIMESTAMP", "zone": "TIMESTAMP",
		"list":   "list in shard bad-list-1.parquet, int64 in shard",
		"struct": "column v.a.b: int64 in shard", "float": "double in shard bad-float-1.parquet, int64 in shard",
		"decimal": "DECIMAL", "width": "fixed_len_byte_array(2) in shard", "half": "FLOAT16", "map": "map in shard",
	} {
		for _, order := range [][]int{{1, 2}, {2, 1}} {
			var files []string
			for _, i := range order {
				files = append(files, fmt.Sprintf("bad-%s-%d.parquet", name, i))
			}
			_, err := UnifySchemas(t.Context(), each(openUnify(t, files...)...))
			if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), files[0]) || !strings.Contains(err.Error(), files[1]) {
				t.Errorf("%v: error %v, want one with both names", files, err)
			} else if order[0] == 1 && !strings.Contains(err.Error(), want) {
				t.Errorf("%v: error %v, want %q", files, err, want)
			}
		}
	}
	for _, signed := range []string{"int8", "int64"} {
		if _, err := UnifySchemas(t.Context(), each(openUnify(t, "number-uint64.parquet", "number-"+signed+".parquet")...)); !errors.Is(err, ErrUnsupported) {
			t.Errorf("uint64 and %s: %v", signed, err)
		}
	}
}

func TestUnifyMetadata(t *testing.T) {
	u, err := UnifySchemas(t.Context(), each(openUnify(t, "a.parquet", "b.parquet", "c.arrow")...))
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]bool{}
	for _, kv := range u.meta {
		kept[kv.Key] = true
	}
	if !kept["corpus"] || kept["part"] || kept[arrowSchemaKey] || len(u.Notices) != 2 || !strings.Contains(u.Notices[0], `"part"`) || !strings.Contains(u.Notices[1], "column") {
		t.Errorf("metadata %v, notices %q", kept, u.Notices)
	}
}

// TestUnifyOne writes what CopyKept does, but for the encoding, from one shard.
func TestUnifyOne(t *testing.T) {
	for _, path := range typeFiles(t) {
		b := readTestFile(t, path)
		s, err := openBytes(b, Parquet)
		if err != nil {
			t.Fatal(err)
		}
		u, err := UnifySchemas(t.Context(), each(s))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		rows := int(s.NumRows())
		kept := int64(0)
		for i := range rows {
			if masks["third"](i) {
				kept++
			}
		}
		var got bytes.Buffer
		part := CopyPart{Shard: s, Decisions: decide(rows, masks["third"]), To: kept, Last: true}
		if _, err := u.Copy(t.Context(), each(part), &got, CopyOptions{}); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		want, _, err := copyBytes(b, Parquet, rows, masks["third"], CopyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if kept == 0 {
			if got.Len() > 0 {
				t.Errorf("%s: %d bytes for no rows", path, got.Len())
			}
			continue
		}
		in, out := footerOf(t, readable(t, want)), footerOf(t, readable(t, got.Bytes()))
		if !slices.EqualFunc(in.schema.raw, out.schema.raw, bytes.Equal) || !slices.Equal(in.meta.KeyValueMetadata, out.meta.KeyValueMetadata) {
			t.Errorf("%s: another schema or other metadata", path)
		}
		if !slices.Equal(storedRows(t, readable(t, want)), storedRows(t, readable(t, got.Bytes()))) {
			t.Errorf("%s: other rows", path)
		}
	}
}

func TestAssignKept(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		kept, n := make([]int64, rng.IntN(6)), 1+rng.IntN(6)
		total := int64(0)
		for i := range kept {
			kept[i] = rng.Int64N(12) * rng.Int64N(2)
			total += kept[i]
		}
		next := make([]int64, len(kept))
		done := make([]bool, len(kept))
		last := 0
		outputs := AssignKept(kept, n)
		if len(outputs) != n {
			t.Fatalf("%d outputs, want %d", len(outputs), n)
		}
		for o, runs := range outputs {
			size := int64(0)
			for _, r := range runs {
				if r.Input < last || r.From != next[r.Input] || done[r.Input] || r.To < r.From {
					t.Fatalf("%v to %d: output %d has %+v", kept, n, o, runs)
				}
				last, next[r.Input], done[r.Input] = r.Input, r.To, r.Last
				size += r.To - r.From
			}
			if size != total/int64(n) && size != total/int64(n)+1 {
				t.Fatalf("%v to %d: output %d has %d rows of %d", kept, n, o, size, total)
			}
		}
		for i := range kept {
			if next[i] != kept[i] || !done[i] {
				t.Fatalf("%v to %d: input %d ends at %d, done %t", kept, n, i, next[i], done[i])
			}
		}
	}
}

// FuzzUnify merges a Parquet file with a good one: an error, or rows as many as
// both have.
func FuzzUnify(f *testing.F) {
	for _, name := range []string{"a.parquet", "b.parquet", "h.parquet", "bad-struct-1.parquet"} {
		f.Add(readTestFile(f, filepath.Join("testdata/unify", name)))
	}
	good := readTestFile(f, "testdata/unify/f.parquet")
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := openBytes(good, Parquet)
		if err != nil {
			t.Fatal(err)
		}
		second, err := openBytes(b, Parquet)
		if err != nil || second.NumRows() > 1000 {
			return
		}
		first.in.Shard, second.in.Shard = "first", "second"
		u, err := UnifySchemas(t.Context(), each(first, second))
		if err != nil {
			return
		}
		var parts []CopyPart
		rows := int64(0)
		for _, s := range []*Shard{first, second} {
			n := s.NumRows()
			rows += n
			parts = append(parts, CopyPart{Shard: s, Decisions: decideFor(s.in.Shard, int(n), masks["all"]), To: n, Last: true})
		}
		var out bytes.Buffer
		if _, err := u.Copy(t.Context(), each(parts...), &out, CopyOptions{}); err != nil {
			return
		}
		if merged, err := openBytes(out.Bytes(), Parquet); err != nil || merged.NumRows() != rows {
			t.Fatalf("the merged file: %v", err)
		}
	})
}
