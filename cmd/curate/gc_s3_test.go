package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// TestCollectOnS3: an upload that nobody completed and a file of other options
// go; the data of others in the bucket stays, whatever is asked for.
func TestCollectOnS3(t *testing.T) {
	b := newCorpusBucket(t)
	mustCurate(t, "run", b.config, "--quiet")
	abandonUpload(t, b.uri("out/data"), "left.parquet")
	report := func(args ...string) gcReport {
		for _, r := range collected(t, args...) {
			if r.Stage == "write" {
				return r
			}
		}
		t.Fatal("gc did not look at the data")
		return gcReport{}
	}
	if found := report(b.uri("out")); len(found.Leftovers) != 1 || found.Leftovers[0].Name != "left.parquet" || !strings.Contains(found.Leftovers[0].Why, "upload") {
		t.Errorf("an upload that was never completed: %+v", found)
	}
	mustCurate(t, "run", b.config, "--set", "inputs=["+b.uri("pool/more.jsonl")+"]", "--quiet")
	if found := report("--yes", b.uri("out")); !leftoverNames(found)["en/five.parquet"] || fileExists(b.path("out/data/en/five.parquet")) {
		t.Errorf("a file of other inputs: %+v", found)
	}
	if found := report(b.uri("out")); len(found.Leftovers) != 0 {
		t.Errorf("left after gc: %+v", found)
	}
	mustCurate(t, "verify", b.uri("out"))
	for _, place := range []string{"s3://" + b.name, b.uri("pool"), b.uri("none")} {
		if code, _, stderr := curate(t, "gc", "--yes", place); code != exitFailed || !strings.Contains(stderr, "no output folder") {
			t.Errorf("gc %s: exit %d: %s", place, code, stderr)
		}
	}
	if !fileExists(b.path("pool/en/five.parquet")) || !fileExists(b.path("tokenizer.json")) || fileExists(b.path(".curate.lock")) {
		t.Error("gc has touched what is not curate's")
	}
}

// abandonUpload leaves an object half-uploaded, as a killed process does.
func abandonUpload(t *testing.T, folder, name string) {
	t.Helper()
	places := newStores()
	defer places.close()
	store, err := places.Folder(context.Background(), folder)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pending, err := store.Create(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	// Enough for several parts: the upload has begun.
	if _, err := pending.Write(bytes.Repeat([]byte("half"), 8<<20)); err != nil {
		t.Fatal(err)
	}
}
