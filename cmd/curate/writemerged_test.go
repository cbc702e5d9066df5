package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// textsOf reads the texts of files, in order.
func textsOf(t *testing.T, paths ...string) (texts []string) {
	t.Helper()
	ctx := context.Background()
	for _, path := range paths {
		inputs, err := shards.ListInputs(ctx, local.Locate, []string{path})
		if err != nil {
			t.Fatal(err)
		}
		s, err := shards.Open(ctx, inputs[0])
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range s.Batches(ctx, shards.Columns{Text: "text"}, 0, s.NumRowGroups()) {
			if err != nil {
				t.Fatal(err)
			}
			column := b.Record.Column(0).(*array.Binary)
			for i := range b.NumRows() {
				texts = append(texts, string(column.Value(i)))
			}
			b.Release()
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return texts
}

// TestWriteMerged deals the rows of two shards of different formats to files of
// as many rows each.
func TestWriteMerged(t *testing.T) {
	dir := t.TempDir()
	demo, err := filepath.Abs("../../configs/demo")
	if err != nil {
		t.Fatal(err)
	}
	inputs := []string{filepath.Join(demo, "heldout.parquet"), tinyJSONL(t, dir)}
	selection := filepath.Join(dir, "selection")
	want := handMadeSelection(t, selection, inputs)
	apart := filepath.Join(dir, "apart")
	mustCurate(t, append([]string{"write", "--selection", selection, "--output", apart}, inputs...)...)
	rows := textsOf(t, filepath.Join(apart, "heldout.parquet"), filepath.Join(apart, "more.parquet"))
	for _, n := range []int{1, 3, 7} {
		folder := filepath.Join(dir, fmt.Sprintf("merged-%d", n))
		args := append([]string{"write", "--selection", selection, "--output", folder, "--shards", fmt.Sprint(n), "--workers", "2"}, inputs...)
		mustCurate(t, args...)
		manifest := readManifest(t, folder)
		var files []string
		for _, unit := range manifest.Units {
			if unit.Rows < want/int64(n) || unit.Rows > want/int64(n)+1 {
				t.Errorf("%d files: %s has %d of %d rows", n, unit.File, unit.Rows, want)
			}
			files = append(files, filepath.Join(folder, unit.File))
		}
		if manifest.Counts.Kept != want || manifest.Counts.RowsIn != readManifest(t, selection).Counts.RowsIn {
			t.Errorf("%d files: counts %+v, want %d kept", n, manifest.Counts, want)
		}
		if len(files) != n || filepath.Base(files[n-1]) != fmt.Sprintf("shard-%05d-of-%05d.parquet", n-1, n) {
			t.Errorf("%d files: %v", n, files)
		}
		if got := textsOf(t, files...); !slices.Equal(got, rows) {
			t.Errorf("%d files: %d other texts than the %d of the shards one by one", n, len(got), len(rows))
		}
		mustCurate(t, "verify", folder)
		before := treeDigests(t, folder)
		if stdout, stderr := mustCurate(t, args...); !strings.Contains(stdout+stderr, "nothing to do") {
			t.Errorf("%d files: a second run says %s%s", n, stdout, stderr)
		}
		// A run that was interrupted goes on and writes the same bytes.
		for _, name := range []string{manifestName, filepath.Base(files[n/2]), filepath.Join(unitsFolder, filepath.Base(files[n/2])+".json")} {
			if err := os.Remove(filepath.Join(folder, name)); err != nil {
				t.Fatal(err)
			}
		}
		mustCurate(t, args...)
		if changed := differences(before, treeDigests(t, folder)); len(changed) > 0 {
			t.Errorf("%d files: the run that went on changed %v", n, changed)
		}
	}
	for option, want := range map[string]string{"--shards=-1": "want 1 to", "--format=jsonl --shards=2": "--shards writes parquet, not jsonl"} {
		args := append([]string{"write", "--selection", selection, "--output", filepath.Join(dir, "bad")}, strings.Fields(option)...)
		if code, _, stderr := curate(t, append(args, inputs...)...); code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: code %d, %s", option, code, stderr)
		}
	}
}

// TestWriteMergedRefuses names what has no common schema, and writes nothing.
func TestWriteMergedRefuses(t *testing.T) {
	dir := t.TempDir()
	var inputs []string
	for name, content := range map[string]string{"a.jsonl": `{"text":"a","n":1}`, "b.jsonl": `{"text":"b","n":"one"}`} {
		inputs = append(inputs, filepath.Join(dir, name))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	selection, folder := filepath.Join(dir, "selection"), filepath.Join(dir, "out")
	handMadeSelection(t, selection, inputs)
	code, _, stderr := curate(t, append([]string{"write", "--selection", selection, "--output", folder, "--shards", "1"}, inputs...)...)
	for _, part := range []string{"column n", "int64 in shard a.jsonl", "STRING", "in shard b.jsonl"} {
		if code != 1 || !strings.Contains(stderr, part) {
			t.Errorf("code %d, want %q in %s", code, part, stderr)
		}
	}
	if left, err := filepath.Glob(filepath.Join(folder, "*.parquet")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestWriteMergedBloom asks for Bloom filters in files of several shards.
func TestWriteMergedBloom(t *testing.T) {
	dir := t.TempDir()
	input := tinyJSONL(t, dir)
	selection, data := filepath.Join(dir, "selection"), filepath.Join(dir, "data")
	handMadeSelection(t, selection, []string{input})
	args := []string{"write", "--selection", selection, "--output", data, "--shards", "1", input, "--bloom-column"}
	if code, _, stderr := curate(t, append(args, "nothing")...); code == 0 || !strings.Contains(stderr, "nothing") {
		t.Errorf("exit %d for a column that is not there: %s", code, stderr)
	}
	mustCurate(t, append(args, "text")...)
	b, err := os.ReadFile(filepath.Join(data, "shard-00000-of-00001.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := file.Schema().Lookup("text")
	for i, chunk := range file.RowGroups()[0].ColumnChunks() {
		if has := chunk.BloomFilter() != nil; has != (i == text.ColumnIndex) {
			t.Errorf("column %d: Bloom filter %v", i, has)
		}
	}
}
