package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// bomb writes a Parquet file of one row with pages that say they have some
// hundred bytes, and unpack to 16 GiB: gzip does not tell before it is done.
// Columns with a codec of their own are as they should be.
func bomb[Row any](t *testing.T, path string, row Row) {
	t.Helper()
	var zeros bytes.Buffer
	z := gzip.NewWriter(&zeros)
	z.Write(make([]byte, 64<<20))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w := parquet.NewGenericWriter[Row](&file, parquet.Compression(&bombCodec{bytes.Repeat(zeros.Bytes(), 256)}), parquet.DataPageVersion(1))
	if _, err := w.Write([]Row{row}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// bombText is a row whose text explodes, bombExtra one with a column that
// scoring does not read.
type (
	bombText struct {
		Text string `parquet:"text"`
	}
	bombExtra struct {
		Text  string `parquet:"text,snappy"`
		Extra string `parquet:"extra"`
	}
)

const shipText = "The ship lay still at the quay that morning."

// bombCodec puts a bomb where a page should be.
type bombCodec struct{ page []byte }

func (*bombCodec) String() string                            { return "GZIP" }
func (*bombCodec) CompressionCodec() format.CompressionCodec { return format.Gzip }
func (c *bombCodec) Encode(_, _ []byte) ([]byte, error)      { return c.page, nil }
func (*bombCodec) Decode(_, src []byte) ([]byte, error)      { return src, nil }

// sandboxPool writes two good shards; b.parquet would come between them.
func sandboxPool(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the sandbox needs Linux")
	}
	dir := t.TempDir()
	for _, name := range []string{"a.jsonl", "c.jsonl"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(`{"text":"`+shipText+`"}`+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestSandboxSurvivesBomb: a shard that unpacks to 16 GiB costs its decoder and
// is named; the others are scored, and the exit code says so.
func TestSandboxSurvivesBomb(t *testing.T) {
	pool := sandboxPool(t)
	bomb(t, filepath.Join(pool, "b.parquet"), bombText{shipText})
	prior, conditional := modelsForTests(t)
	scores := filepath.Join(t.TempDir(), "scores")
	code, _, stderr := curate(t, "score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t), "--sequence-length", "32",
		"--output", scores, "--sandbox", "--sandbox-memory", "256MiB", pool)
	if code != exitPartial || !strings.Contains(stderr, "b.parquet") || !strings.Contains(stderr, "out of memory") {
		t.Fatalf("exit %d, want %d, naming b.parquet and the memory:\n%s", code, exitPartial, stderr)
	}
	manifest := readManifest(t, scores)
	if failed := failedInputs(manifest); len(failed) != 1 || failed[0].Shard != "b.parquet" || manifest.Counts.Kept != 2 || manifest.Counts.Quarantined != 1 {
		t.Errorf("counts %+v, failed %+v", manifest.Counts, failed)
	}
	// Without the sandbox the whole process would die; with it the other commands live, too.
	code, stdout, stderr := curate(t, "inspect", "--sandbox", filepath.Join(pool, "b.parquet"))
	if code != exitDone || !strings.Contains(stdout, "1 rows in 1 row groups") {
		t.Errorf("inspect: exit %d\n%s%s", code, stdout, stderr)
	}
}

// TestSandboxWritesTheSame: the output of score, select and write is the same
// bytes with and without.
func TestSandboxWritesTheSame(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the sandbox needs Linux")
	}
	prior, conditional := modelsForTests(t)
	inputs := []string{"../../configs/demo/heldout.parquet", tinyJSONL(t, t.TempDir())}
	pipeline := func(more ...string) map[string]string {
		dir := t.TempDir()
		scores, selection := filepath.Join(dir, "scores"), filepath.Join(dir, "selection")
		score := append([]string{"score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t), "--sequence-length", "32", "--id-column", "id", "--output", scores}, more...)
		mustCurate(t, append(score, inputs...)...)
		mustCurate(t, "select", "--scores", scores, "--output", selection, "--keep-fraction", "0.25")
		write := append([]string{"write", "--selection", selection, "--output", filepath.Join(dir, "data")}, more...)
		mustCurate(t, append(write, inputs...)...)
		return treeDigests(t, dir)
	}
	want := pipeline()
	if got := pipeline("--sandbox"); len(differences(got, want)) > 0 || len(want) < 8 {
		t.Errorf("output of %d files differs: %v", len(want), differences(got, want))
	}
}

// TestWriteSurvivesBomb: `curate write` quarantines a shard whose decoder dies.
func TestWriteSurvivesBomb(t *testing.T) {
	pool := sandboxPool(t)
	prior, conditional := modelsForTests(t)
	dir := t.TempDir()
	scores, selection, data := filepath.Join(dir, "scores"), filepath.Join(dir, "selection"), filepath.Join(dir, "data")
	bomb(t, filepath.Join(pool, "b.parquet"), bombExtra{shipText, shipText})
	mustCurate(t, "score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t), "--sequence-length", "32", "--output", scores, "--sandbox", pool)
	mustCurate(t, "select", "--scores", scores, "--output", selection, "--keep-fraction", "1")
	code, _, stderr := curate(t, "write", "--selection", selection, "--output", data, "--sandbox", "--sandbox-memory", "256MiB", pool)
	if code != exitPartial || !strings.Contains(stderr, "b.parquet") || !strings.Contains(stderr, "out of memory") {
		t.Fatalf("exit %d, want %d, naming b.parquet and the memory:\n%s", code, exitPartial, stderr)
	}
	manifest := readManifest(t, data)
	if failed := failedInputs(manifest); len(failed) != 1 || failed[0].Shard != "b.parquet" || manifest.Counts.Kept != 2 || manifest.Counts.Quarantined != 1 {
		t.Errorf("counts %+v, failed %+v", manifest.Counts, failed)
	}
	if _, err := os.Stat(filepath.Join(data, "b.parquet")); err == nil {
		t.Error("b.parquet is in the output")
	}
}

// TestSandboxRefusesSharedFiles: rows of several shards in one file are not
// copied by one child.
func TestSandboxRefusesSharedFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the sandbox needs Linux")
	}
	pool := newWrittenPool(t, 2000)
	code, _, stderr := curate(t, "write", "--selection", pool.selection, "--output", filepath.Join(t.TempDir(), "data"), "--sandbox", "--shards", "2", pool.folder)
	if code != exitUsage || !strings.Contains(stderr, "--shards does not go with --sandbox") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// TestSandboxChildIsConfined: the child has no environment, no new privileges,
// and opens no file.
func TestSandboxChildIsConfined(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the sandbox needs Linux")
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "distinctive-secret")
	process, err := startDecoder(256 << 20)
	if err != nil {
		t.Fatal(err)
	}
	d := process.(*decoder)
	defer func() { d.Kill(); d.Wait() }()
	// Its first answer says that it is past all of its steps.
	d.Write([]byte{'b', 0, 0, 0, 0})
	if _, err := d.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	proc := fmt.Sprintf("/proc/%d/", d.cmd.Process.Pid)
	for file, want := range map[string]string{"status": "NoNewPrivs:\t1", "limits": "Max data size             268435456            268435456"} {
		if content, err := os.ReadFile(proc + file); err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s lacks %q: %v\n%s", file, want, err, content)
		}
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max open files 3 3 files") {
		t.Errorf("it may open files: %v\n%s", err, limits)
	}
	environment, err := os.ReadFile(proc + "environ")
	if err != nil || bytes.Contains(environment, []byte("AWS")) || bytes.Contains(environment, []byte("distinctive")) {
		t.Errorf("its environment: %v %q", err, environment)
	}
}
