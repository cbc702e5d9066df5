package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// modelsForTests returns tiny models, trained once for all tests of a process.
func modelsForTests(t *testing.T) (prior, conditional string) {
	t.Helper()
	folder := filepath.Join(scratch, "models")
	if !fileExists(filepath.Join(folder, "conditional", manifestName)) {
		config, output := tinyConfig(t)
		mustCurate(t, "run", config, "--quiet")
		if err := os.CopyFS(folder, os.DirFS(filepath.Join(output, "models"))); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "prior"), filepath.Join(folder, "conditional")
}

// TestBadInput: each of these gets a clear error or a counted reason.
func TestBadInput(t *testing.T) {
	prior, conditional := modelsForTests(t)
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.jsonl", []byte(`{"text":"The ship lay still at the quay."}`+"\n"))
	whole, err := os.ReadFile("../../configs/demo/heldout.parquet")
	if err != nil {
		t.Fatal(err)
	}
	var long bytes.Buffer
	long.WriteString(`{"text":"`)
	for long.Len() < 10<<20 {
		long.WriteString("the whale and the sea and the long grey morning ")
	}
	long.WriteString("\"}\n")
	cases := []struct {
		name  string
		input string
		code  int
		want  string           // in stderr
		rows  int64            // read
		drop  map[string]int64 // counted
		slow  bool
	}{
		{name: "column that is not there", input: file("nocolumn.jsonl", []byte(`{"content":"x"}`+"\n")), code: exitPartial, want: "text"},
		{name: "whole Parquet", input: file("p.parquet", whole), code: exitDone, rows: 29},
		{name: "file without bytes", input: file("empty.parquet", nil), code: exitPartial, want: "no bytes"},
		{name: "truncated Parquet", input: file("cut.parquet", whole[:len(whole)-100]), code: exitPartial, want: "cut.parquet"},
		{name: "not JSON", input: file("bad.jsonl", []byte("{\"text\":\"a b c d\"}\n{\"text\": oops}\n")), code: exitPartial, want: "line 2"},
		{name: "null, empty and one-token texts", input: file("gaps.jsonl", []byte("{\"text\":null}\n{\"text\":\"\"}\n{\"text\":\"a\"}\n")), code: exitDone, rows: 4,
			drop: map[string]int64{"null_text": 1, "empty_text": 1, "too_short": 1}},
		{name: "10 MB in one line", input: file("long.jsonl", long.Bytes()), code: exitDone, rows: 2, slow: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.slow && testing.Short() {
				t.Skip("scores two million tokens")
			}
			scores := t.TempDir()
			code, _, stderr := curate(t, "score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t),
				"--sequence-length", "32", "--output", scores, good, c.input)
			if code != c.code || !strings.Contains(stderr, c.want) {
				t.Fatalf("exit %d, want %d with %q:\n%s", code, c.code, c.want, stderr)
			}
			manifest := readManifest(t, scores)
			if c.code == exitPartial {
				if failed := failedInputs(manifest); len(failed) != 1 || failed[0].Shard != filepath.Base(c.input) {
					t.Errorf("failed inputs %+v, want %s", failed, filepath.Base(c.input))
				}
				return
			}
			if manifest.Counts.RowsIn != c.rows {
				t.Errorf("%d rows, want %d", manifest.Counts.RowsIn, c.rows)
			}
			for reason, n := range c.drop {
				if got := fmt.Sprint(manifest.Counts.Dropped); !strings.Contains(got, fmt.Sprintf("%s:%d", reason, n)) {
					t.Errorf("dropped %s, want %d for %s", got, n, reason)
				}
			}
		})
	}
}

// TestColumnErrorListsColumns: the text column of a Parquet file is misspelt.
func TestColumnErrorListsColumns(t *testing.T) {
	prior, conditional := modelsForTests(t)
	code, _, stderr := curate(t, "score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t),
		"--text-column", "txt", "--output", t.TempDir(), "../../configs/demo/heldout.parquet")
	if code != exitFailed || !strings.Contains(stderr, "txt") || !strings.Contains(stderr, "domain") {
		t.Errorf("exit %d, want %d, with the wrong and the right names:\n%s", code, exitFailed, stderr)
	}
}

// TestModelsThatDoNotFit: a folder without weights, and a tokenizer with more
// ids than the model has embeddings.
func TestModelsThatDoNotFit(t *testing.T) {
	prior, conditional := modelsForTests(t)
	score := func(prior, conditional string) (int, string) {
		code, _, stderr := curate(t, "score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t),
			"--output", t.TempDir(), "../../configs/demo/heldout.parquet")
		return code, stderr
	}
	copyOf := func() string {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(prior)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	without := copyOf()
	if err := os.Remove(filepath.Join(without, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	if code, stderr := score(without, conditional); code != exitFailed || !strings.Contains(stderr, "model.safetensors") {
		t.Errorf("no weights: exit %d: %s", code, stderr)
	}
	small := copyOf()
	raw, err := os.ReadFile(filepath.Join(small, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	// One more token, with an id beyond the embedding.
	more := strings.Replace(string(raw), `"added_tokens": [`, `"added_tokens": [{"id": 4096, "content": "<|far|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},`, 1)
	if more == string(raw) {
		t.Fatal("the tokenizer has no added_tokens to extend")
	}
	other := copyOf()
	for _, dir := range []string{small, other} {
		if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(more), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if code, stderr := score(small, other); code != exitFailed || !strings.Contains(stderr, "do not belong together") {
		t.Errorf("tokenizer that does not fit: exit %d: %s", code, stderr)
	}
}

// TestFullDisk runs out of space in the middle and goes on when there is some.
func TestFullDisk(t *testing.T) {
	config, output := tinyConfig(t)
	mustCurate(t, "run", config, "--quiet")
	want := treeDigests(t, output)
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no small disk can be mounted here: %v", err)
	}
	defer syscall.Unmount(disk, 0)
	out := filepath.Join(disk, "out")
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := curate(t, "run", config, "--set", "output="+out)
	if code != exitFailed || !strings.Contains(stderr, "no space left on device") {
		t.Fatalf("exit %d on a full disk: %s", code, stderr)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	mustCurate(t, "run", config, "--set", "output="+out, "--quiet")
	if got := treeDigests(t, out); len(differences(got, want)) > 0 {
		t.Errorf("after the disk was full: %v", differences(got, want))
	}
}
