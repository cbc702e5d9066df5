package main

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/curate-data/curate/scoring/safetensors/safetensorstest"
	"github.com/curate-data/curate/scoring/vision"
)

const hubCommit = "89abcdef0123456789abcdef0123456789abcdef"

// modelHub is a hub on this machine whose models are folders: ORG/NAME is the
// folder NAME of root.
type modelHub struct {
	root string
	sent atomic.Int64 // contents
	down atomic.Bool
}

// newModelHub starts a hub. This process, and those that it starts, find it and a
// cache of their own by their environment.
func newModelHub(t *testing.T) (h *modelHub, cache string) {
	t.Helper()
	h, cache = &modelHub{root: t.TempDir()}, filepath.Join(t.TempDir(), "hub")
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	t.Setenv("HF_ENDPOINT", server.URL)
	t.Setenv("HF_HUB_CACHE", cache)
	for _, name := range []string{"HF_TOKEN", "HF_HUB_OFFLINE"} {
		t.Setenv(name, "")
	}
	return h, cache
}

// ServeHTTP answers as the hub does. Weights count as large files.
func (h *modelHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case h.down.Load():
		http.Error(w, "closed", http.StatusForbidden)
	case strings.HasPrefix(r.URL.Path, "/api/models/org/") && len(parts) == 6 && parts[4] == "revision" && fileExists(filepath.Join(h.root, parts[3])):
		json.NewEncoder(w).Encode(map[string]string{"sha": hubCommit})
	case strings.HasPrefix(r.URL.Path, "/api/models/org/") && len(parts) == 6 && parts[4] == "tree":
		var entries []map[string]any
		files, _ := os.ReadDir(filepath.Join(h.root, parts[3]))
		for _, file := range files {
			b, _ := os.ReadFile(filepath.Join(h.root, parts[3], file.Name()))
			entry := map[string]any{"type": "file", "path": file.Name(), "size": len(b), "oid": fmt.Sprintf("%x", sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...)))}
			if strings.HasSuffix(file.Name(), ".safetensors") {
				entry["lfs"] = map[string]any{"oid": fmt.Sprintf("%x", sha256.Sum256(b)), "size": len(b)}
			}
			entries = append(entries, entry)
		}
		json.NewEncoder(w).Encode(entries)
	case len(parts) == 5 && parts[0] == "org" && parts[2] == "resolve" && parts[3] == hubCommit:
		h.sent.Add(1)
		w.Header().Set("ETag", `"x"`)
		http.ServeFileFS(w, r, os.DirFS(filepath.Join(h.root, parts[1])), parts[4])
	default:
		w.Header().Set("X-Error-Code", "RepoNotFound")
		http.Error(w, "{}", http.StatusUnauthorized)
	}
}

// add publishes a copy of a folder.
func (h *modelHub) add(t *testing.T, name, folder string) (published string) {
	t.Helper()
	published = filepath.Join(h.root, name)
	if err := os.CopyFS(published, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{manifestName, ".digests.json"} {
		if err := os.Remove(filepath.Join(published, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return published
}

// TestModelsFromTheHub scores with models of a hub, one of them in several files:
// the output is that of the same folders on disk, byte for byte, online, offline
// and when there is nothing to do.
func TestModelsFromTheHub(t *testing.T) {
	h, cache := newModelHub(t)
	whole := randomModel(t, filepath.Join(t.TempDir(), "whole"), 1)
	prior := h.add(t, "prior", whole)
	safetensorstest.Split(t, prior, 3)
	conditional := h.add(t, "cond", randomModel(t, filepath.Join(t.TempDir(), "c"), 2))
	input := tinyJSONL(t, t.TempDir())
	score := func(out, prior, conditional string) (string, int) {
		code, stdout, stderr := curate(t, "score", "--prior", prior, "--conditional", conditional, "--backend", "go", "--output", out, input)
		return stdout + stderr, code
	}
	local, online, offline := t.TempDir(), t.TempDir(), t.TempDir()
	if text, code := score(local, prior, conditional); code != 0 {
		t.Fatal(text)
	}
	want := treeDigests(t, local)
	if text, code := score(online, "hf://org/prior", "hf://org/cond@main"); code != 0 || !maps.Equal(treeDigests(t, online), want) {
		t.Errorf("online: exit %d, %v\n%s", code, differences(treeDigests(t, online), want), text)
	}
	// One file and several hold the same weights.
	if text, code := score(offline, whole, conditional); code != 0 {
		t.Fatal(text)
	}
	name := "more.jsonl.rg-00000-00000.scores.parquet"
	if got := treeDigests(t, offline); got[name] != want[name] {
		t.Error("several files give other losses than one")
	}
	sent := h.sent.Load()
	if text, code := score(online, "hf://org/prior", "hf://org/cond"); code != 0 || !strings.Contains(text, "nothing to do") || h.sent.Load() != sent {
		t.Errorf("again: exit %d, %d contents sent: %s", code, h.sent.Load()-sent, text)
	}
	h.down.Store(true)
	t.Setenv("HF_HUB_OFFLINE", "1")
	for _, folder := range []string{t.TempDir(), online} {
		if text, code := score(folder, "hf://org/prior", "hf://org/cond@"+hubCommit); code != 0 || !maps.Equal(treeDigests(t, folder), want) {
			t.Errorf("offline: exit %d, %v\n%s", code, differences(treeDigests(t, folder), want), text)
		}
	}
	checkBrokenCache(t, cache, func() (string, int) { return score(t.TempDir(), "hf://org/prior", "hf://org/cond") })
}

// checkBrokenCache breaks the cache in turn: what is wrong is said, without network.
func checkBrokenCache(t *testing.T, cache string, score func() (string, int)) {
	t.Helper()
	snapshot := filepath.Join(cache, "models--org--prior", "snapshots", hubCommit)
	config, part := filepath.Join(snapshot, "config.json"), filepath.Join(snapshot, "model-00002-of-00003.safetensors")
	for _, c := range []struct {
		damage func() error
		want   []string
	}{
		{func() error { return errors.Join(os.Remove(part), os.Symlink(filepath.Base(part), part)) }, []string{"model-00002-of-00003.safetensors is a link that leads to itself"}},
		{func() error { return os.Remove(part) }, []string{"model-00002-of-00003.safetensors is not in the cache"}},
		{func() error { return errors.Join(os.Remove(config), os.Symlink("../../blobs/abc", config)) }, []string{"config.json is a link to ../../blobs/abc, which is missing"}},
		{func() error { return os.RemoveAll(filepath.Dir(snapshot)) }, []string{"has no snapshot of commit " + hubCommit}},
		{func() error { return os.RemoveAll(filepath.Join(cache, "models--org--prior")) }, []string{"model org/prior at main", "has nothing of it"}},
	} {
		if err := c.damage(); err != nil {
			t.Fatal(err)
		}
		text, code := score()
		if code != exitFailed {
			t.Errorf("exit %d, want %d: %s", code, exitFailed, text)
		}
		for _, want := range append(c.want, "HF_HUB_OFFLINE is set") {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in: %s", want, text)
			}
		}
	}
}

// TestOtherCommandsTakeHubModels trains with a tokenizer and a prior of the hub, and
// embeds with an encoder in several files.
func TestOtherCommandsTakeHubModels(t *testing.T) {
	h, _ := newModelHub(t)
	dir := t.TempDir()
	prior := h.add(t, "prior", randomModel(t, filepath.Join(dir, "model"), 1))
	train := func(args ...string) {
		t.Helper()
		mustCurate(t, append([]string{"train", args[0], "--backend", "go", "--sequence-length", "32", "--batch-size", "2", "--tokens", "64", "--quiet",
			"--output", filepath.Join(dir, args[0])}, append(args[1:], "../../configs/demo/heldout.parquet")...)...)
	}
	train("prior", "--preset", "olmo-nano", "--tokenizer", "hf://org/prior")
	if !slices.Equal(mustRead(t, filepath.Join(dir, "prior", "tokenizer.json")), mustRead(t, filepath.Join(prior, "tokenizer.json"))) {
		t.Error("another tokenizer")
	}
	train("conditional", "--from", "hf://org/prior@main")
	if got := readManifest(t, filepath.Join(dir, "conditional")); len(got.Models) != 1 || got.Models[0].Role != "prior" {
		t.Errorf("models %+v", got.Models)
	}
	encoder := filepath.Join(dir, "encoder")
	if err := vision.WriteRandom(encoder, vision.RandomPresets()[0], 3); err != nil {
		t.Fatal(err)
	}
	published := h.add(t, "vit", encoder)
	safetensorstest.Split(t, published, 2)
	shards := nestedShards(t, dir, photos(6), false)
	local := embed(t, append([]string{"--encoder", published}, shards...)...)
	remote := embed(t, append([]string{"--encoder", "hf://org/vit"}, shards...)...)
	if a, b := parquetDigests(t, local), parquetDigests(t, remote); len(a) == 0 || !maps.Equal(a, b) {
		t.Errorf("other vectors: %v, %v", a, b)
	}
	for uri, want := range map[string]string{
		"hf://datasets/org/prior": "is no model: want hf://ORG/NAME", "hf://gpt2": "want hf://ORG/NAME", "hf://org/none": "set HF_TOKEN",
		"hf://org/prior/sub": "is no model",
	} {
		if code, _, stderr := curate(t, "score", "--prior", uri, "--conditional", uri, "--output", filepath.Join(dir, "s"), shards[0]); code == exitDone || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, no %q: %s", uri, code, want, stderr)
		}
	}
	if code, _, stderr := curate(t, "score", "--prior", prior, "--conditional", prior, "--output", "hf://org/prior", shards[0]); code != exitUsage || !strings.Contains(stderr, "can only be read") {
		t.Errorf("output on the hub: exit %d: %s", code, stderr)
	}
}

// parquetDigests are the digests of the Parquet files below a folder.
func parquetDigests(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := treeDigests(t, folder)
	maps.DeleteFunc(all, func(name, _ string) bool { return !strings.HasSuffix(name, ".parquet") })
	return all
}

// TestModelInSeveralFilesOnS3 scores with a prior in three files: the sidecars are
// those of the same folder on disk, and a damaged copy of one file is fetched again.
func TestModelInSeveralFilesOnS3(t *testing.T) {
	b := newCorpusBucket(t)
	prior := randomModel(t, filepath.Join(b.local, "prior"), 1)
	safetensorstest.Split(t, prior, 3)
	files, err := os.ReadDir(prior)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		upload(t, b.uri("prior/"+file.Name()), filepath.Join(prior, file.Name()))
	}
	score := func(prior string) map[string]string {
		t.Helper()
		out := t.TempDir()
		mustCurate(t, "score", "--prior", prior, "--conditional", filepath.Join(b.local, "prior"), "--backend", "go", "--output", out, b.uri("target.jsonl"))
		return parquetDigests(t, out)
	}
	want := score(prior)
	if got := score(b.uri("prior")); len(want) == 0 || !maps.Equal(got, want) {
		t.Errorf("on S3: %v", differences(got, want))
	}
	copies, err := filepath.Glob(filepath.Join(os.Getenv("CURATE_CACHE"), "models", "*", "model-00002-of-00003.safetensors"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies in the cache: %v, %v", copies, err)
	}
	if err := os.Truncate(copies[0], 1000); err != nil {
		t.Fatal(err)
	}
	if got := score(b.uri("prior")); !maps.Equal(got, want) {
		t.Errorf("a damaged copy: %v", differences(got, want))
	}
}
