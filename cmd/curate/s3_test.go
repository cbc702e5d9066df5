package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/internal/s3server"
	"github.com/curate-data/curate/shards"
)

// corpusBucket is a server with one bucket, which holds a corpus of ten rows.
type corpusBucket struct {
	server *s3server.Server
	name   string
	local  string // the corpus on disk
	config string // of a run from the bucket to its folder "out"
}

// newCorpusBucket starts a server and uploads the corpus. This process, and
// those that it starts, find the server by their environment.
func newCorpusBucket(t *testing.T) corpusBucket {
	t.Helper()
	server := s3server.Start(t)
	server.Setenv(t)
	t.Setenv("CURATE_CACHE", filepath.Join(t.TempDir(), "cache"))
	b := corpusBucket{server: server, name: server.Bucket(t), local: t.TempDir()}
	for _, file := range smallCorpus(t, b.local) {
		upload(t, b.uri(file), filepath.Join(b.local, file))
	}
	b.config = b.writeConfig(t, "s3://"+b.name)
	return b
}

// smallCorpus writes a pool of two shards, a target and a tokenizer below a
// folder and returns their names.
func smallCorpus(t *testing.T, folder string) []string {
	t.Helper()
	type row struct {
		ID     string `parquet:"id"`
		Domain string `parquet:"domain"`
		Text   string `parquet:"text"`
	}
	var rows []row
	var target strings.Builder
	for i, text := range []string{
		"The ship lay still at the quay and the gulls were loud.", "To open a file, call open with its name and a mode.",
		"She had not slept, and the long grey morning came slowly.", "A table has rows, and each row has a key that is unique.",
	} {
		rows = append(rows, row{fmt.Sprint("p", i), []string{"books", "docs"}[i%2], text})
		fmt.Fprintf(&target, "{\"text\": %q}\n", "He said: "+text)
	}
	rows = append(rows, row{"p4", "books", "The wind turned, and with it the whole night."})
	var pool bytes.Buffer
	if err := parquet.Write(&pool, rows); err != nil {
		t.Fatal(err)
	}
	tokenizer, err := os.ReadFile("../../configs/demo/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(folder, "pool/en/five.parquet"), pool.String())
	put(t, filepath.Join(folder, "target.jsonl"), target.String())
	put(t, filepath.Join(folder, "tokenizer.json"), string(tokenizer))
	tinyJSONL(t, filepath.Join(folder, "pool"))
	return []string{"pool/en/five.parquet", "pool/more.jsonl", "target.jsonl", "tokenizer.json"}
}

// writeConfig writes a config file for the corpus at a place. Models of this
// size are quicker on the pure-Go backend, which compiles nothing.
func (b corpusBucket) writeConfig(t *testing.T, place string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "small.yaml")
	put(t, file, strings.Join([]string{
		"inputs: [" + place + "/pool/**]",
		"output: " + place + "/out",
		"backend: go",
		"id_column: id",
		"domain_column: domain",
		"tokenizer: " + place + "/tokenizer.json",
		"sequence_length: 16",
		"prior: {preset: olmo-nano, batch_size: 2, tokens: 128}",
		"conditional: {target: [" + place + "/target.jsonl], batch_size: 2, tokens: 64}",
		"select: {keep_fraction: 0.4}",
	}, "\n"))
	return file
}

// uri is that of a key in the bucket.
func (b corpusBucket) uri(key string) string { return "s3://" + b.name + "/" + key }

// path is where the server keeps an object: its buckets are folders.
func (b corpusBucket) path(key string) string { return filepath.Join(b.server.Data, b.name, key) }

// upload copies a local file to a place.
func upload(t *testing.T, place, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	places := newStores()
	defer places.close()
	folder, name := place[:strings.LastIndex(place, "/")], place[strings.LastIndex(place, "/")+1:]
	store, err := places.Folder(context.Background(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := shards.WriteObject(context.Background(), store, name, content); err != nil {
		t.Fatal(err)
	}
}

// TestRunFromS3ToS3 is the whole job between buckets: the kept rows are those
// of a run on local disks, byte for byte, a second run does nothing, and other
// commands take the same URIs.
func TestRunFromS3ToS3(t *testing.T) {
	b := newCorpusBucket(t)
	mustCurate(t, "run", b.writeConfig(t, b.local), "--quiet")
	stdout, stderr := mustCurate(t, "run", b.config)
	if !strings.Contains(stdout, b.uri("out/report.html")) {
		t.Errorf("the summary lacks the report's place:\n%s", stdout)
	}
	if want := "done: 2 shards, 10 rows in, 4 kept, "; !strings.Contains(stderr, want) || !strings.Contains(stderr, "written to "+b.uri("out")+" in ") {
		t.Errorf("no line %q at the end of:\n%s", want, stderr)
	}
	want, got := treeDigests(t, filepath.Join(b.local, "out/data")), treeDigests(t, b.path("out/data"))
	for _, name := range []string{"en/five.parquet", "more.parquet"} {
		if want[name] == "" || got[name] != want[name] {
			t.Errorf("%s differs from that of a local run", name)
		}
	}
	if page, err := os.ReadFile(b.path("out/report.html")); err != nil || !bytes.Contains(page, []byte("<svg")) {
		t.Errorf("report: %v", err)
	}
	manifest := readManifest(t, b.path("out/scores"))
	for _, in := range manifest.Inputs {
		if !strings.HasPrefix(in.Digest, "etag:") || in.URI != b.uri("pool/"+in.Shard) {
			t.Errorf("input %+v: want its ETag and its URI", in)
		}
	}

	before := treeDigests(t, b.path("out"))
	if stdout, _ := mustCurate(t, "run", b.config); !strings.Contains(stdout, "nothing to do") {
		t.Errorf("a second run says:\n%s", stdout)
	}
	// Nor on another machine, where no model is in the cache.
	t.Setenv("CURATE_CACHE", filepath.Join(t.TempDir(), "empty"))
	if stdout, _ := mustCurate(t, "run", b.config); !strings.Contains(stdout, "nothing to do") {
		t.Errorf("a run without cache says:\n%s", stdout)
	}
	if after := treeDigests(t, b.path("out")); !maps.Equal(after, before) {
		t.Errorf("a second run changed %v", differences(after, before))
	}
	if fileExists(filepath.Join(os.Getenv("CURATE_CACHE"), "models")) {
		t.Error("models were fetched for nothing")
	}
	stdout, _ = mustCurate(t, "verify", b.uri("out"))
	if strings.Count(stdout, "whole") != 5 || strings.Contains(stdout, "note") {
		t.Errorf("verify says:\n%s", stdout)
	}
	if stdout, _ := mustCurate(t, "gc", b.uri("out")); !strings.Contains(stdout, "nothing to remove") {
		t.Errorf("gc says:\n%s", stdout)
	}
	if stdout, _ := mustCurate(t, "inspect", b.uri("out/models/prior"), b.uri("out/data"), b.uri("pool/en/five.parquet")); !strings.Contains(stdout, "parameters") || !strings.Contains(stdout, "curate write") {
		t.Errorf("inspect says:\n%s", stdout)
	}
}

// TestModelsFromS3 scores with fetched copies of models: the sidecars are those
// of the local ones; a damaged copy in the cache is fetched again, a damaged
// model is refused.
func TestModelsFromS3(t *testing.T) {
	b := newCorpusBucket(t)
	mustCurate(t, "run", b.writeConfig(t, b.local), "--quiet")
	prior, conditional := filepath.Join(b.local, "out/models/prior"), filepath.Join(b.local, "out/models/conditional")
	for role, folder := range map[string]string{"prior": prior, "conditional": conditional} {
		for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json", "train.json", "train.jsonl", manifestName} {
			upload(t, b.uri("models/"+role+"/"+name), filepath.Join(folder, name))
		}
	}
	score := func(prior, conditional string) (string, int, string) {
		out := t.TempDir()
		code, _, stderr := curate(t, "score", "--prior", prior, "--conditional", conditional, "--backend", "go",
			"--output", out, b.uri("pool/en/five.parquet"))
		return out, code, stderr
	}
	local, code, stderr := score(prior, conditional)
	if code != 0 {
		t.Fatal(stderr)
	}
	want := treeDigests(t, local)
	remote, code, stderr := score(b.uri("models/prior"), b.uri("models/conditional"))
	if got := treeDigests(t, remote); code != 0 || !maps.Equal(got, want) {
		t.Errorf("models on S3: exit %d, %v\n%s", code, differences(got, want), stderr)
	}
	copies, err := filepath.Glob(filepath.Join(os.Getenv("CURATE_CACHE"), "models", "*", "model.safetensors"))
	if err != nil || len(copies) != 2 {
		t.Fatalf("copies in the cache: %v, %v", copies, err)
	}
	if err := os.Truncate(copies[0], 1000); err != nil {
		t.Fatal(err)
	}
	remote, code, stderr = score(b.uri("models/prior"), b.uri("models/conditional"))
	if got := treeDigests(t, remote); code != 0 || !maps.Equal(got, want) {
		t.Errorf("a damaged copy: exit %d, %v\n%s", code, differences(got, want), stderr)
	}
	// As large as the manifest says, and another: not to be scored with.
	weights, err := os.ReadFile(filepath.Join(prior, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	weights[len(weights)-2] ^= 1
	changed := filepath.Join(t.TempDir(), "model.safetensors")
	put(t, changed, string(weights))
	upload(t, b.uri("models/prior/model.safetensors"), changed)
	t.Setenv("CURATE_CACHE", t.TempDir())
	if _, code, stderr := score(b.uri("models/prior"), b.uri("models/conditional")); code != exitFailed || !strings.Contains(stderr, "SHA-256") {
		t.Errorf("a changed model: exit %d: %s", code, stderr)
	}
}

// TestKillBetweenBuckets kills `curate run` from S3 to S3 at random moments and
// runs it again: the same objects, the same bytes.
func TestKillBetweenBuckets(t *testing.T) {
	moments := 5
	if testing.Short() {
		moments = 2
	}
	b := newCorpusBucket(t)
	start := time.Now()
	runCommand(t, b.config, b.uri("out"))
	whole := time.Since(start)
	want := treeDigests(t, b.path("out"))
	if len(want) < 10 {
		t.Fatalf("only %d objects to compare: %v", len(want), want)
	}
	random := rand.New(rand.NewPCG(20, 27))
	interrupted := 0
	for i := range moments {
		out := fmt.Sprint("killed-", i)
		t.Setenv("CURATE_CACHE", filepath.Join(t.TempDir(), "cache"))
		delay := time.Duration(random.Float64() * float64(whole))
		if killedAfter(t, delay, b.config, b.uri(out)) {
			interrupted++
		}
		b.waitForLocks(t, out)
		runCommand(t, b.config, b.uri(out))
		mustCurate(t, "gc", "--yes", b.uri(out))
		if got := treeDigests(t, b.path(out)); !maps.Equal(got, want) {
			t.Errorf("killed after %v: output differs: %v", delay.Round(time.Millisecond), differences(got, want))
		}
		mustCurate(t, "verify", b.uri(out))
	}
	t.Logf("%d of %d runs were killed before they ended; a whole run takes %v", interrupted, moments, whole.Round(time.Millisecond))
}

// waitForLocks removes the locks that a killed run left, in place of the
// minutes after which they are void.
func (b corpusBucket) waitForLocks(t *testing.T, out string) {
	t.Helper()
	for _, name := range stageFolders {
		if err := os.Remove(filepath.Join(b.path(out), name, ".curate.lock")); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// TestSecondRunOnS3StopsAtOnce: two processes on one output in a bucket.
func TestSecondRunOnS3StopsAtOnce(t *testing.T) {
	b := newCorpusBucket(t)
	first := asCommand(t, "run", b.config, "--quiet")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, b.path("out/models/prior/.curate.lock"))
	if err := first.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CURATE_CACHE", t.TempDir()) // another machine's
	checkLocked(t, []string{"run", b.config}, first.Process.Pid)
	if err := first.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("the first run: %v", err)
	}
	mustCurate(t, "verify", b.uri("out"))
}

// TestLostLockStopsTheRun takes the lock away from a run that is at work. It
// does so until the run ends: a request that is under way may write it again.
func TestLostLockStopsTheRun(t *testing.T) {
	b := newCorpusBucket(t)
	places := newStores()
	places.s3.lockLifetime = time.Second
	defer places.close()
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	root := newRoot(io.Discard, io.Discard, places)
	root.SetArgs([]string{"run", b.config, "--set", "prior.tokens=50000000"}) // hours
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	lock := b.path("out/models/prior/.curate.lock")
	waitForRenewal(t, lock)
	var err error
	for running := true; running; {
		if err := os.Remove(lock); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		select {
		case err = <-ended:
			running = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	if err == nil || exitCode(context.Background(), err) != exitFailed || !strings.Contains(err.Error(), "lock") {
		t.Errorf("the run ended with %v", err)
	}
	if fileExists(b.path("out/models/prior/" + manifestName)) {
		t.Error("a run without lock has published a manifest")
	}
}

// waitForRenewal waits until a lock has been written for the second time: before,
// its run is still finding out what the store can do.
func waitForRenewal(t *testing.T, lock string) {
	t.Helper()
	waitFor(t, lock)
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var record struct{ Renewals int }
		if b, err := os.ReadFile(lock); err == nil && json.Unmarshal(b, &record) == nil && record.Renewals > 0 {
			return
		}
	}
	t.Fatalf("%s was not renewed", lock)
}

// TestSignalsOnS3 interrupts a run between buckets and lets the next finish it.
func TestSignalsOnS3(t *testing.T) {
	b := newCorpusBucket(t)
	runCommand(t, b.config, b.uri("out"))
	want := treeDigests(t, b.path("out"))
	t.Setenv("CURATE_CACHE", filepath.Join(t.TempDir(), "cache"))
	interruptRuns(t, b.config, b.uri("interrupted"), b.path("interrupted"))
	runCommand(t, b.config, b.uri("interrupted"))
	if got := treeDigests(t, b.path("interrupted")); !maps.Equal(got, want) {
		t.Errorf("output differs from an undisturbed run: %v", differences(got, want))
	}
}

// TestStoreFaultsAreNotTheShards: without the right to read, or without an
// answer, a run fails; no shard is called broken.
func TestStoreFaultsAreNotTheShards(t *testing.T) {
	b := newCorpusBucket(t)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not-the-one")
	out := filepath.Join(t.TempDir(), "scores")
	code, _, stderr := curate(t, "score", "--prior", b.local, "--conditional", b.local, "--output", out, b.uri("pool/**"))
	if code != exitFailed || !strings.Contains(stderr, "credentials") || strings.Contains(stderr, "not-the-one") {
		t.Errorf("wrong key: exit %d: %s", code, stderr)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"inspect", "gs://bucket/x.parquet"}, "gs://"},
		{[]string{"verify", "ftp://host/out"}, "ftp://"},
		{[]string{"inspect", "s3:///key"}, "bucket"},
		{[]string{"verify", "s3://bucket/../other"}, ".."},
		{[]string{"gc", "file://out"}, "file:///"},
		{[]string{"verify", "hf://datasets/org/name"}, "only be read"},
	} {
		if code, _, stderr := curate(t, c.args...); code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("curate %v: exit %d, want %d with %q: %s", c.args, code, exitUsage, c.want, stderr)
		}
	}
}

// TestEveryConfigRuns runs the YAML files that we ship on the small corpus, with
// small models: those that name S3 in a bucket, the others on disk. (The nightly
// one has its own test.)
func TestEveryConfigRuns(t *testing.T) {
	b := newCorpusBucket(t)
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		c, err := loadConfig(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.Prior.Model != "" || !c.has(filterColor) {
			continue
		}
		place := b.local
		if strings.HasPrefix(c.Output, "s3://") {
			place = "s3://" + b.name
		}
		args := []string{"run", file}
		for _, set := range []string{
			"inputs=[" + place + "/pool/**]", "output=" + place + "/" + filepath.Base(file), "backend=go", "sequence_length=16",
			"tokenizer=" + place + "/tokenizer.json", "prior.preset=olmo-nano", "prior.tokens=128", "prior.batch_size=2",
			"conditional.target=[" + place + "/target.jsonl]", "conditional.tokens=64", "conditional.batch_size=2",
		} {
			args = append(args, "--set", set)
		}
		if _, stderr := mustCurate(t, args...); !strings.Contains(stderr, "done: 2 shards, 10 rows in, ") {
			t.Errorf("%s ends with:\n%s", file, stderr)
		}
	}
}

// TestS3Section: a config file may say where the store is; the environment has
// the last word, and what is secret is refused.
func TestS3Section(t *testing.T) {
	b := newCorpusBucket(t)
	read := func(section string) error {
		t.Helper()
		file := filepath.Join(t.TempDir(), "s3.yaml")
		raw, err := os.ReadFile(b.config)
		if err != nil {
			t.Fatal(err)
		}
		put(t, file, string(raw)+"\n"+section)
		code, stdout, stderr := curate(t, "run", file, "--dry-run")
		if code == 0 && !strings.Contains(stdout, b.uri("pool/more.jsonl")) {
			t.Errorf("the plan lacks an input:\n%s", stdout)
		}
		if code != 0 {
			return fmt.Errorf("exit %d: %s", code, stderr)
		}
		return nil
	}
	if err := read("s3: {endpoint: \"http://127.0.0.1:1\", region: nowhere}"); err != nil {
		t.Errorf("the environment has not the last word: %v", err)
	}
	for _, section := range []string{
		"s3: {endpoint: \"https://user:secret@host\"}", "s3: {endpoint: host}", "s3: {access_key_id: x}", "s3: {checksums: sometimes}", "s3: {sse_kms_key_id: x}",
	} {
		if err := read(section); err == nil || !strings.HasPrefix(err.Error(), "exit 2") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", section, err)
		}
	}
	t.Setenv("AWS_ENDPOINT_URL_S3", "")
	t.Setenv("AWS_REGION", "")
	if err := read("s3: {endpoint: \"" + b.server.URL() + "\", region: " + s3server.Region + ", path_style: true}"); err != nil {
		t.Errorf("endpoint and region of the file: %v", err)
	}
}
