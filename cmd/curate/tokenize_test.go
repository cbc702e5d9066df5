package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/tokenizer"
)

const demoTokenizer = "../../configs/demo/tokenizer.json"

// checkIDs compares a file of `tokenize` with its input, by pyarrow and DuckDB, and
// its ids with an Encoder's.
func checkIDs(t *testing.T, in, out, column string) (rows, tokens int64) {
	t.Helper()
	tok, err := tokenizer.Load(demoTokenizer)
	if err != nil {
		t.Fatal(err)
	}
	e := tok.NewEncoder()
	for line := range strings.Lines(string(script(t, "check_ids.py", in, out, column))) {
		var row struct {
			text *string
			ids  []int32
		}
		if err := json.Unmarshal([]byte(line), &[]any{&row.text, &row.ids}); err != nil {
			t.Fatal(err)
		}
		if row.text == nil {
			if row.ids != nil {
				t.Errorf("%s row %d: ids of a null text: %v", out, rows, row.ids)
			}
		} else if want := e.Append([]int32{}, []byte(*row.text)); !slices.Equal(row.ids, want) || row.ids == nil {
			t.Errorf("%s row %d: ids %v, want %v", out, rows, row.ids, want)
		}
		rows++
		tokens += int64(len(row.ids))
	}
	return rows, tokens
}

// TestTokenizeFolder adds ids to Parquet and JSONL, verifies them, does nothing the
// second time and the rest after an interruption.
func TestTokenizeFolder(t *testing.T) {
	dir := t.TempDir()
	inputs := []string{"../../configs/demo/heldout.parquet", tinyJSONL(t, dir)}
	out := filepath.Join(dir, "out")
	args := append([]string{"tokenize", "--tokenizer", demoTokenizer, "--output", out, "--ids-column", "input_ids", "--workers", "2"}, inputs...)
	stdout, _ := mustCurate(t, args...)
	manifest := readManifest(t, out)
	var rows, tokens int64
	for i, unit := range manifest.Units {
		r, n := checkIDs(t, inputs[slices.IndexFunc(inputs, func(in string) bool { return filepath.Base(in) == unit.Shard })], filepath.Join(out, unit.File), "input_ids")
		if r != unit.Rows || n != unit.Tokens {
			t.Errorf("unit %d: %d rows, %d tokens; its record says %d, %d", i, r, n, unit.Rows, unit.Tokens)
		}
		rows, tokens = rows+r, tokens+n
	}
	counts := tokensOf(manifest)
	if counts.Rows != rows || counts.Tokens != tokens || len(counts.Shards) != 2 {
		t.Errorf("counts %+v, want %d rows, %d tokens", counts, rows, tokens)
	}
	if want := map[pipeline.Reason]int64{pipeline.NullText: 1, pipeline.EmptyText: 1}; !maps.Equal(counts.WithoutIDs, want) {
		t.Errorf("rows without ids %v, want %v", counts.WithoutIDs, want)
	}
	for _, want := range []string{"more.jsonl", "heldout.parquet", "all", "null_text"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the summary lacks %q:\n%s", want, stdout)
		}
	}
	before := treeDigests(t, out)
	mustCurate(t, "verify", out)
	if stdout, stderr := mustCurate(t, args...); !strings.Contains(stdout+stderr, "nothing to do") {
		t.Errorf("a second run says %s%s", stdout, stderr)
	}
	// A run that was killed has no manifest, and perhaps not all files.
	for _, name := range []string{manifestName, "heldout.parquet"} {
		if err := os.Remove(filepath.Join(out, name)); err != nil {
			t.Fatal(err)
		}
	}
	mustCurate(t, args...)
	if changed := differences(before, treeDigests(t, out)); len(changed) > 0 {
		t.Errorf("another run changed %v", changed)
	}
	stdout, _ = mustCurate(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(stdout), manifest); err != nil || manifest.Stage != "tokenize" {
		t.Errorf("--json prints %v %.100s", err, stdout)
	}
}

// TestTokenizeFile writes one file with nothing beside it, and knows it again.
func TestTokenizeFile(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "ids.parquet")
	model := filepath.Join(dir, "model")
	content, err := os.ReadFile(demoTokenizer)
	if err == nil {
		err = os.MkdirAll(model, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(model, "tokenizer.json"), content, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	input := "../../configs/demo/heldout.parquet"
	args := []string{"tokenize", "--tokenizer", model, "--output", out, "--json", input}
	stdout, _ := mustCurate(t, args...)
	var counts tokenCounts
	if err := json.Unmarshal([]byte(stdout), &counts); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	if rows, tokens := checkIDs(t, input, out, "ids"); rows != counts.Rows || tokens != counts.Tokens || rows == 0 {
		t.Errorf("%d rows, %d tokens; told %+v", rows, tokens, counts)
	}
	before, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if stdout, stderr := mustCurate(t, args[:len(args)-2][0], "--tokenizer", model, "--output", out, input); !strings.Contains(stdout+stderr, "nothing to do") {
		t.Errorf("a second run says %s%s", stdout, stderr)
	}
	if err := os.WriteFile(out, before[:len(before)/2], 0o644); err != nil { // damaged: made anew
		t.Fatal(err)
	}
	mustCurate(t, args...)
	if after, err := os.ReadFile(out); err != nil || string(after) != string(before) {
		t.Errorf("a damaged file becomes %d bytes, want the %d as before: %v", len(after), len(before), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d entries beside the file: %v %v", len(entries), entries, err)
	}
}

// TestTokenizeFaults: mistakes are named, a corrupt shard does not stop the others.
func TestTokenizeFaults(t *testing.T) {
	dir := t.TempDir()
	good := tinyJSONL(t, dir)
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	unigram := write("unigram.json", []byte(`{"model":{"type":"Unigram","vocab":[]},"normalizer":{"type":"NFKC"}}`))
	empty := write("empty.jsonl", []byte("\n"))
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{good}, exitUsage, []string{"--tokenizer", "--output"}},
		{[]string{"--tokenizer", demoTokenizer, "--output", filepath.Join(dir, "one.parquet"), good, "../../configs/demo/heldout.parquet"}, exitUsage, []string{"one.parquet", "2 inputs", "folder"}},
		{[]string{"--tokenizer", unigram, "--output", filepath.Join(dir, "o"), good}, exitFailed, []string{"Unigram", "NFKC", "unigram.json"}},
		{[]string{"--tokenizer", filepath.Join(dir, "none"), "--output", filepath.Join(dir, "o"), good}, exitFailed, []string{"none"}},
		{[]string{"--tokenizer", demoTokenizer, "--output", filepath.Join(dir, "o.parquet"), empty}, exitFailed, []string{"empty.jsonl", "no rows"}},
		{[]string{"--tokenizer", demoTokenizer, "--output", filepath.Join(dir, "o.parquet"), "--text-column", "body", "../../configs/demo/heldout.parquet"}, exitFailed, []string{"body"}},
		{[]string{"--tokenizer", demoTokenizer, "--output", filepath.Join(dir, "o.parquet"), "--ids-column", "text", "../../configs/demo/heldout.parquet"}, exitFailed, []string{`ids column "text"`}},
		{[]string{"--sandbox", "--tokenizer", demoTokenizer, "--output", filepath.Join(dir, "o"), good}, exitUsage, []string{"--sandbox"}},
	} {
		code, _, stderr := curate(t, append([]string{"tokenize"}, c.args...)...)
		if code != c.code {
			t.Errorf("%v: exit %d, want %d: %s", c.args, code, c.code, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%v: stderr lacks %q: %s", c.args, want, stderr)
			}
		}
	}
	if fileExists(filepath.Join(dir, "o.parquet")) {
		t.Error("a run that failed left a file")
	}
	whole, err := os.ReadFile("../../configs/demo/heldout.parquet")
	if err != nil {
		t.Fatal(err)
	}
	bad, out := write("bad.parquet", whole[:len(whole)/2]), filepath.Join(dir, "out")
	code, _, stderr := curate(t, "tokenize", "--tokenizer", demoTokenizer, "--output", out, good, bad)
	if code != exitPartial || !strings.Contains(stderr, "bad.parquet") {
		t.Errorf("exit %d, want %d, naming bad.parquet:\n%s", code, exitPartial, stderr)
	}
	if m := readManifest(t, out); len(failedInputs(m)) != 1 || m.Counts.RowsIn != 5 {
		t.Errorf("manifest %+v", m.Counts)
	}
}

// TestTokenizeInvalidUTF8: such a text has no ids, and is counted.
func TestTokenizeInvalidUTF8(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.parquet")
	type row struct {
		Text []byte `parquet:"text"`
	}
	if err := parquet.WriteFile(in, []row{{[]byte("fine text")}, {[]byte("not \xff\xfe text")}}); err != nil {
		t.Fatal(err)
	}
	stdout, _ := mustCurate(t, "tokenize", "--tokenizer", demoTokenizer, "--output", filepath.Join(dir, "out.parquet"), "--json", in)
	var counts tokenCounts
	if err := json.Unmarshal([]byte(stdout), &counts); err != nil || counts.Rows != 2 || counts.WithoutIDs[pipeline.InvalidUTF8] != 1 {
		t.Errorf("%v: %s", err, stdout)
	}
}

// TestTokenizeOnS3 writes the bytes of a local run.
func TestTokenizeOnS3(t *testing.T) {
	b := newCorpusBucket(t)
	local := filepath.Join(t.TempDir(), "out")
	mustCurate(t, "tokenize", "--tokenizer", filepath.Join(b.local, "tokenizer.json"), "--output", local, filepath.Join(b.local, "pool"))
	mustCurate(t, "tokenize", "--tokenizer", b.uri("tokenizer.json"), "--output", b.uri("tokens"), b.uri("pool/"))
	mustCurate(t, "tokenize", "--tokenizer", demoTokenizer, "--output", b.uri("one.parquet"), b.uri("pool/en/five.parquet"))
	want, got := treeDigests(t, local), treeDigests(t, b.path("tokens"))
	if want["en/five.parquet"] == "" || got["en/five.parquet"] != want["en/five.parquet"] {
		t.Errorf("en/five.parquet differs from that of a local run")
	}
	mustCurate(t, "verify", b.uri("tokens"))
	if rows, _ := checkIDs(t, filepath.Join(b.local, "pool/en/five.parquet"), b.path("one.parquet"), "ids"); rows == 0 {
		t.Error("one.parquet has no rows")
	}
}
