package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/curate-data/curate/scoring/backend"
)

// TestMain lets a test start this binary as the real command, in a process of
// its own that can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("CURATE_TEST_AS_COMMAND") == "1" || len(os.Args) > 1 && os.Args[1] == childCommand {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	var err error
	if scratch, err = os.MkdirTemp("", "curate-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// scratch is a folder for what several tests share.
var scratch string

// curate runs one command line in this process.
func curate(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

// mustCurate fails the test unless the command exits with 0.
func mustCurate(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr := curate(t, args...)
	if code != 0 {
		t.Fatalf("curate %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout, stderr
}

// backendForTests is XLA where the plugin is installed, else pure Go.
func backendForTests(t *testing.T) string {
	t.Helper()
	if _, err := backend.FindPlugin("cpu"); err == nil || os.Getenv("CURATE_REQUIRE_XLA") == "1" {
		return backend.CPU
	}
	return backend.Go
}

// tinyConfig writes a config that trains, scores, selects and writes 28 real
// documents in seconds, and returns its path and the output folder.
func tinyConfig(t *testing.T, more ...string) (config, output string) {
	t.Helper()
	dir := t.TempDir()
	output = filepath.Join(dir, "out")
	demo, err := filepath.Abs("../../configs/demo")
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{
		"inputs: [" + demo + "/heldout.parquet, " + tinyJSONL(t, dir) + "]",
		"output: " + output,
		"backend: " + backendForTests(t),
		"id_column: id",
		"domain_column: domain",
		"tokenizer: " + demo + "/tokenizer.json",
		"sequence_length: 32",
		"prior: {preset: olmo-nano, batch_size: 4, tokens: 1024}",
		"conditional: {target: [" + demo + "/target.parquet], batch_size: 4, tokens: 512}",
		"select: {keep_fraction: 0.25}",
	}
	config = filepath.Join(dir, "tiny.yaml")
	if err := os.WriteFile(config, []byte(strings.Join(append(lines, more...), "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return config, output
}

// tinyJSONL writes a second shard, with rows that have no score among others.
func tinyJSONL(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "more.jsonl")
	lines := []string{
		`{"id":"j0","domain":"books","text":"The old sailor looked over the rail and said nothing for a long while."}`,
		`{"id":"j1","domain":"docs","text":null,"extra":{"n":1}}`,
		`{"id":"j2","domain":"docs","text":""}`,
		`{"id":"j3","domain":"docs","text":"Set the pragma before the first transaction begins, or it has no effect at all."}`,
		`{"id":"j4","domain":"books","text":"x"}`,
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// treeDigests returns the SHA-256 of every file below root that must not
// differ between two runs: all but logs, locks, caches and the report, which
// hold times.
func treeDigests(t *testing.T, root string) map[string]string {
	t.Helper()
	digests := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if holdsTimes(name) {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		digests[filepath.ToSlash(name)] = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return digests
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// holdsTimes names the files of an output folder that differ between runs.
func holdsTimes(name string) bool {
	return name == "report.html" || strings.HasPrefix(name, "logs"+string(filepath.Separator)) ||
		strings.HasPrefix(filepath.Base(name), ".")
}
