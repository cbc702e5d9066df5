package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// handMadeSelection writes what `curate select` would, without scores: it keeps
// every third row. The score of row i is i + 0.5.
func handMadeSelection(t *testing.T, folder string, inputs []string) (kept int64) {
	t.Helper()
	ctx, store := context.Background(), local.New(folder)
	listed, err := shards.ListInputs(ctx, local.Locate, inputs)
	if err != nil {
		t.Fatal(err)
	}
	m := &shards.Manifest{Stage: "select", Key: shards.UnitKey("by hand"), Curate: version, Options: json.RawMessage(`{"unit":"document"}`), Backend: "go"}
	for _, in := range listed {
		digest, err := shards.Digest(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := shards.CheckRows(ctx, in.Store, in.Path)
		if err != nil {
			t.Fatal(err)
		}
		d := &pipeline.Decisions{Shard: in.Shard}
		counts := shards.Counts{RowsIn: rows, Dropped: map[pipeline.Reason]int64{}}
		for i := range rows {
			reason := pipeline.BelowCut
			if i%3 == 0 {
				reason = ""
				counts.Kept++
			} else {
				counts.Dropped[reason]++
			}
			d.Row, d.Seq, d.Keep = append(d.Row, i), append(d.Seq, 0), append(d.Keep, reason == "")
			d.Reason, d.Score = append(d.Reason, reason), append(d.Score, float32(i)+0.5)
		}
		var file bytes.Buffer
		w := shards.NewSelectionWriter(&file, nil)
		if err := errors.Join(w.Write(d), w.Close()); err != nil {
			t.Fatal(err)
		}
		name := outputName(in.Shard)
		if err := shards.WriteObject(ctx, store, name, file.Bytes()); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(file.Bytes())
		m.Inputs = append(m.Inputs, shards.ManifestInput{Shard: in.Shard, URI: in.URI, Size: in.Size, Digest: digest, Rows: rows})
		m.Units = append(m.Units, shards.Unit{
			File: name, Size: int64(file.Len()), SHA256: hex.EncodeToString(sum[:]), Key: shards.UnitKey(name), Shard: in.Shard, Rows: rows, Counts: counts,
		})
		m.Counts.Add(counts)
	}
	if err := shards.WriteManifest(ctx, store, manifestName, m); err != nil {
		t.Fatal(err)
	}
	return m.Counts.Kept
}

// TestWriteFormats writes one selection in every format, verifies each and
// finds nothing to do the second time.
func TestWriteFormats(t *testing.T) {
	dir := t.TempDir()
	demo, err := filepath.Abs("../../configs/demo")
	if err != nil {
		t.Fatal(err)
	}
	inputs := []string{filepath.Join(demo, "heldout.parquet"), tinyJSONL(t, dir)}
	selection := filepath.Join(dir, "selection")
	want := handMadeSelection(t, selection, inputs)
	for format, names := range map[string][]string{
		"parquet": {"heldout.parquet", "more.parquet"}, "jsonl": {"heldout.jsonl", "more.jsonl"},
		"jsonl.zst": {"heldout.jsonl.zst", "more.jsonl.zst"}, "jsonl.gz": {"heldout.jsonl.gz", "more.jsonl.gz"},
		"arrow": {"heldout.arrow", "more.arrow"}, "arrows": {"heldout.arrows", "more.arrows"}, "same": {"heldout.parquet", "more.jsonl"},
	} {
		folder := filepath.Join(dir, "as-"+format)
		args := append([]string{"write", "--selection", selection, "--output", folder, "--format", format}, inputs...)
		mustCurate(t, args...)
		manifest := readManifest(t, folder)
		var kept int64
		for i, unit := range manifest.Units {
			kept += unit.Rows
			if unit.Rows > 0 && unit.File != names[i] {
				t.Errorf("%s: unit %d is %s, want %s", format, i, unit.File, names[i])
			}
		}
		if kept != want || manifest.Counts.Kept != want {
			t.Errorf("%s: %d rows in units, counts %+v, want %d", format, kept, manifest.Counts, want)
		}
		before := treeDigests(t, folder)
		mustCurate(t, "verify", folder)
		if stdout, stderr := mustCurate(t, args...); !strings.Contains(stdout+stderr, "nothing to do") {
			t.Errorf("%s: a second run says %s%s", format, stdout, stderr)
		}
		if changed := differences(before, treeDigests(t, folder)); len(changed) > 0 {
			t.Errorf("%s: a second run changed %v", format, changed)
		}
		// A file that lost a row, or its end, is found.
		for _, unit := range manifest.Units {
			if unit.File == "" {
				continue
			}
			path := filepath.Join(folder, unit.File)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, whole[:len(whole)-1], 0o600); err != nil {
				t.Fatal(err)
			}
			if code, _, stderr := curate(t, "verify", folder); code == 0 || !strings.Contains(stderr, unit.File) {
				t.Errorf("%s: a cut file: exit %d\n%s", format, code, stderr)
			}
		}
	}
}

// TestWriteFormatRows finds the kept lines of JSONL as they were, but for the
// score.
func TestWriteFormatRows(t *testing.T) {
	dir := t.TempDir()
	input := tinyJSONL(t, dir)
	handMadeSelection(t, filepath.Join(dir, "selection"), []string{input})
	mustCurate(t, "write", "--selection", filepath.Join(dir, "selection"), "--output", filepath.Join(dir, "data"), "--format", "jsonl", input)
	lines, err := os.ReadFile(input)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "data", "more.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(string(lines)), "\n") {
		if i%3 == 0 {
			fmt.Fprintf(&want, "%s,\"color_score\":%d.5}\n", strings.TrimSuffix(line, "}"), i)
		}
	}
	if string(got) != want.String() {
		t.Errorf("got\n%swant\n%s", got, want.String())
	}
}

// TestWriteAnotherFormat writes the same selection to the same folder in two
// formats: the files of the first are left over, and gc removes them.
func TestWriteAnotherFormat(t *testing.T) {
	dir := t.TempDir()
	input := tinyJSONL(t, dir)
	handMadeSelection(t, filepath.Join(dir, "selection"), []string{input})
	data := filepath.Join(dir, "data")
	for i, format := range []string{"parquet", "arrows", "jsonl.gz"} {
		code, _, stderr := curate(t, "write", "--selection", filepath.Join(dir, "selection"), "--output", data, "--format", format, input)
		if code != 0 || strings.Contains(stderr, "more.parquet") != (i > 0) {
			t.Errorf("%s: exit %d, want a warning of more.parquet from the second on: %s", format, code, stderr)
		}
	}
	if units := readManifest(t, data).Units; len(units) != 1 || units[0].File != "more.jsonl.gz" {
		t.Errorf("units %+v, want more.jsonl.gz alone", units)
	}
	mustCurate(t, "gc", data, "--yes")
	var left []string
	for name := range treeDigests(t, data) {
		left = append(left, name)
	}
	slices.Sort(left)
	if want := []string{"_manifest.json", "_units/more.jsonl.gz.json", "more.jsonl.gz"}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
	mustCurate(t, "verify", data)
}

func TestWriteFormatRefused(t *testing.T) {
	if code, _, stderr := curate(t, "write", "--selection", "s", "--output", "o", "--format", "csv", "x.parquet"); code != 2 || !strings.Contains(stderr, "jsonl.zst") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	config, _ := tinyConfig(t, "write: {format: csv}")
	if code, _, stderr := curate(t, "run", config); code != 2 || !strings.Contains(stderr, "write.format: output format") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
