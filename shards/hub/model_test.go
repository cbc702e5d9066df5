package hub_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/shards/hub"
	"github.com/curate-data/curate/shards/storetest"
)

// modelFiles is a small model with a file at the store, one below folders, and an
// empty one.
func modelFiles() map[string][]byte {
	return map[string][]byte{
		"config.json": []byte(`{"model_type": "llama"}`), "tokenizer.json": []byte("{}"), "model.safetensors": noise(3<<20 + 17),
		"onnx/deep/config.json": []byte(`{"model_type": "llama"}`), "empty.txt": {},
	}
}

func fetchNames() []string {
	return []string{"config.json", "tokenizer.json", "model.safetensors", "onnx/deep/config.json", "empty.txt"}
}

// fetchModel fetches all files of org/name into a cache, by a client of its own.
func (s *site) fetchModel(t *testing.T, uri string, opt hub.Options) (folder string, downloaded int64, err error) {
	t.Helper()
	m, err := s.client(t, opt).Model(t.Context(), uri)
	if err != nil {
		return "", 0, err
	}
	folder, err = m.Fetch(t.Context(), fetchNames(), func(bytes int64) func(int64) { return func(n int64) { downloaded += n } })
	return folder, downloaded, err
}

// cacheTree lists a cache: files with the ids of their contents, links with their
// targets.
func cacheTree(t *testing.T, root string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || strings.HasPrefix(name, ".locks") {
			return err
		}
		if e.Type()&fs.ModeSymlink != 0 {
			tree[name], err = os.Readlink(path)
			return err
		}
		b, err := os.ReadFile(path)
		tree[name] = contentID(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// wantTree is the layout of huggingface_hub.
func wantTree(files map[string][]byte) map[string]string {
	base, want := "models--org--name/", map[string]string{}
	want[base+"refs/main"] = contentID([]byte(commit))
	for name, b := range files {
		want[base+"blobs/"+contentID(b)] = contentID(b)
		want[base+"snapshots/"+commit+"/"+name] = strings.Repeat("../", 2+strings.Count(name, "/")) + "blobs/" + contentID(b)
	}
	return want
}

// TestModel fetches a model, and reads it again with and without the hub.
func TestModel(t *testing.T) {
	s, cache := newSite(t, modelFiles()), t.TempDir()
	folder, downloaded, err := s.fetchModel(t, "hf://org/name", hub.Options{Cache: cache, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(cache, "models--org--name", "snapshots", commit); folder != want {
		t.Errorf("folder %s, want %s", folder, want)
	}
	if diff := gocmp.Diff(wantTree(s.files), cacheTree(t, cache)); diff != "" {
		t.Error(diff)
	}
	if want := int64(3<<20 + 17 + 23 + 2 + 23); downloaded != want {
		t.Errorf("%d bytes of progress, want %d", downloaded, want)
	}
	sent := s.sent.Load()
	for name, opt := range map[string]hub.Options{"online": {Cache: cache}, "offline": {Cache: cache, Offline: true}} {
		for _, revision := range []string{"", "@main", "@" + commit} {
			m, err := s.client(t, opt).Model(t.Context(), "hf://org/name"+revision)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for file, want := range s.files {
				if got := storetest.Get(t, m, file); got != string(want) {
					t.Errorf("%s: %s has %d bytes", name, file, len(got))
				}
			}
			infos, err := m.List(t.Context(), "model.")
			if err != nil || len(infos) != 1 || infos[0].Digest != contentID(s.files["model.safetensors"]) || infos[0].Version == "" {
				t.Errorf("%s: List: %+v, error %v", name, infos, err)
			}
			if m.Commit() != commit {
				t.Errorf("%s: commit %s", name, m.Commit())
			}
			if _, err := m.Open(t.Context(), "nope"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: a missing file: %v", name, err)
			}
			if _, err := m.Create(t.Context(), "x"); !errors.Is(err, hub.ErrReadOnly) {
				t.Errorf("%s: Create: %v", name, err)
			}
			if err := m.Remove(t.Context(), "config.json"); !errors.Is(err, hub.ErrReadOnly) {
				t.Errorf("%s: Remove: %v", name, err)
			}
		}
	}
	if s.sent.Load() != sent {
		t.Errorf("%d contents were sent again", s.sent.Load()-sent)
	}
}

// TestModelByLocate finds a file of a model by its URI.
func TestModelByLocate(t *testing.T) {
	s := newSite(t, modelFiles())
	store, name, err := s.client(t, hub.Options{Cache: t.TempDir()}).Locate(t.Context(), "hf://org/name@v1%2Fx/onnx/deep/config.json")
	if err != nil || name != "onnx/deep/config.json" {
		t.Fatalf("%q, %v", name, err)
	}
	if got := storetest.Get(t, store, name); got != `{"model_type": "llama"}` {
		t.Errorf("got %q", got)
	}
}

// TestCacheOfPython reads, without network, what huggingface_hub made.
func TestCacheOfPython(t *testing.T) {
	cache := pythonCache(t)
	for _, uri := range []string{"hf://org/tiny", "hf://org/tiny@refs/pr/1", "hf://org/tiny@" + commit} {
		c, err := hub.New(hub.Options{Cache: cache, Offline: true})
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Model(t.Context(), uri)
		if err != nil {
			t.Fatal(err)
		}
		folder, err := m.Fetch(t.Context(), []string{"config.json", "model.safetensors", "onnx/deep/config.json", "tokenizer.json"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(folder, "tokenizer.json")); err != nil || string(b) != "{\"version\": \"1.0\"}\n" {
			t.Errorf("%s: %q, %v", uri, b, err)
		}
	}
}

// pythonCache makes testdata/cache.json a cache again.
func pythonCache(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/cache.json")
	if err != nil {
		t.Fatal(err)
	}
	var files map[string]struct{ Text, Link string }
	if err := json.Unmarshal(raw, &files); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	for name, file := range files {
		path := filepath.Join(cache, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if file.Link != "" {
			err = os.Symlink(file.Link, path)
		} else {
			err = os.WriteFile(path, []byte(file.Text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return cache
}

// TestSharedWithPython has huggingface_hub itself fill the cache that is read
// here, and read the cache that is filled here. It needs a Python that has it, in
// CURATE_HF_PYTHON.
func TestSharedWithPython(t *testing.T) {
	python := os.Getenv("CURATE_HF_PYTHON")
	if python == "" {
		t.Skip("CURATE_HF_PYTHON names no Python with huggingface_hub")
	}
	s := newSite(t, modelFiles())
	snapshot := func(cache, more string) {
		t.Helper()
		cmd := exec.Command(python, "-c", "import huggingface_hub as h; print(h.snapshot_download('org/name'"+more+"))")
		cmd.Env = append(os.Environ(), "HF_HUB_CACHE="+cache, "HF_ENDPOINT="+s.hub.URL, "HF_HUB_DISABLE_XET=1", "HF_HUB_DISABLE_TELEMETRY=1", "HF_TOKEN=")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("huggingface_hub: %v: %s", err, err.(*exec.ExitError).Stderr)
		}
		for name, want := range s.files {
			if b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), name)); err != nil || !bytes.Equal(b, want) {
				t.Errorf("Python: %s: %v", name, err)
			}
		}
	}
	theirs, ours := t.TempDir(), t.TempDir()
	snapshot(theirs, "")
	sent := s.sent.Load()
	for _, opt := range []hub.Options{{Cache: theirs, Offline: true}, {Cache: theirs}} {
		if _, _, err := s.fetchModel(t, "hf://org/name", opt); err != nil {
			t.Error(err)
		}
	}
	if s.sent.Load() != sent {
		t.Error("what Python has was fetched again")
	}
	if _, _, err := s.fetchModel(t, "hf://org/name", hub.Options{Cache: ours}); err != nil {
		t.Fatal(err)
	}
	sent = s.sent.Load()
	snapshot(ours, ", local_files_only=True")
	snapshot(ours, "")
	if s.sent.Load() != sent {
		t.Error("Python fetched again what is there")
	}
}

// blobOf is the path of a content in a cache.
func blobOf(cache string, b []byte) string {
	return filepath.Join(cache, "models--org--name", "blobs", contentID(b))
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDownloadsGoOn begins with parts of the weights: what is there is not asked
// for again, unless it is something else.
func TestDownloadsGoOn(t *testing.T) {
	weights := modelFiles()["model.safetensors"]
	for name, part := range map[string][]byte{
		"none": nil, "most": weights[:3<<20], "all": weights, "something else": bytes.Repeat([]byte("x"), 1<<20), "too much": append(bytes.Clone(weights), 'x'),
	} {
		s, cache := newSite(t, modelFiles()), t.TempDir()
		put(t, blobOf(cache, weights)+".incomplete", part)
		if _, _, err := s.fetchModel(t, "hf://org/name", hub.Options{Cache: cache}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := gocmp.Diff(wantTree(s.files), cacheTree(t, cache)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		most := name == "most" || name == "all"
		if bytes := s.bytes.Load(); most != (bytes < 1<<20) { // the end comes with opening it
			t.Errorf("%s: the store sent %d bytes", name, bytes)
		}
	}
}

// TestInterruptedDownload is stopped in the middle, and goes on.
func TestInterruptedDownload(t *testing.T) {
	s, cache := newSite(t, modelFiles()), t.TempDir()
	s.files["model.safetensors"] = noise(40 << 20)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped by the user")
	m, err := s.client(t, hub.Options{Cache: cache}).Model(ctx, "hf://org/name")
	if err != nil {
		t.Fatal(err)
	}
	var done int64
	_, err = m.Fetch(ctx, []string{"model.safetensors"}, func(int64) func(int64) {
		return func(n int64) {
			if done += n; done >= 20<<20 {
				cancel(stopped)
			}
		}
	})
	if !errors.Is(err, stopped) {
		t.Fatalf("error %v", err)
	}
	part, err := os.Stat(blobOf(cache, s.files["model.safetensors"]) + ".incomplete")
	if err != nil || part.Size() < 16<<20 {
		t.Fatalf("what is left: %+v, %v", part, err)
	}
	before := s.bytes.Load()
	if _, _, err := s.fetchModel(t, "hf://org/name", hub.Options{Cache: cache}); err != nil {
		t.Fatal(err)
	}
	if again := s.bytes.Load() - before; again > 26<<20 {
		t.Errorf("%d bytes were sent after the stop", again)
	}
	if diff := gocmp.Diff(wantTree(s.files), cacheTree(t, cache)); diff != "" {
		t.Error(diff)
	}
}

// TestSideBySide has four clients fetch one model: each content comes once.
func TestSideBySide(t *testing.T) {
	s, cache := newSite(t, modelFiles()), t.TempDir()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if _, _, err := s.fetchModel(t, "hf://org/name", hub.Options{Cache: cache}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if diff := gocmp.Diff(wantTree(s.files), cacheTree(t, cache)); diff != "" {
		t.Error(diff)
	}
	if bytes := s.bytes.Load(); bytes > 5<<20 {
		t.Errorf("the store sent %d bytes", bytes)
	}
}

// TestDamagedCache: online it is mended, offline it is named.
func TestDamagedCache(t *testing.T) {
	weights, config := modelFiles()["model.safetensors"], modelFiles()["config.json"]
	in := func(cache, name string) string {
		return filepath.Join(cache, "models--org--name", "snapshots", commit, name)
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, cache string) error
		want   []string // offline
	}{
		"flipped bit": {func(t *testing.T, cache string) error {
			b := bytes.Clone(weights)
			b[len(b)/2] ^= 1
			return os.WriteFile(blobOf(cache, weights), b, 0o644)
		}, []string{"model.safetensors", "content is damaged", "remove it"}},
		"flipped bit in a small file": {func(t *testing.T, cache string) error {
			return os.WriteFile(blobOf(cache, config), bytes.ToUpper(config), 0o644)
		}, []string{"config.json", "content is damaged"}},
		"truncated blob": {func(t *testing.T, cache string) error { return os.Truncate(blobOf(cache, weights), 1000) }, []string{"model.safetensors", "content is damaged"}},
		"no blob":        {func(t *testing.T, cache string) error { return os.Remove(blobOf(cache, weights)) }, []string{"model.safetensors is a link to ../../blobs/", "which is missing"}},
		"half a blob": {func(t *testing.T, cache string) error {
			return errors.Join(os.Rename(blobOf(cache, weights), blobOf(cache, weights)+".1a2b3c4d.incomplete"), os.Truncate(blobOf(cache, weights)+".1a2b3c4d.incomplete", 1000))
		}, []string{"model.safetensors", "was not downloaded to its end", ".incomplete"}},
		"loop": {func(t *testing.T, cache string) error {
			return errors.Join(os.Remove(in(cache, "config.json")), os.Symlink("config.json", in(cache, "config.json")))
		}, []string{"config.json is a link that leads to itself"}},
		"loop of blobs": {func(t *testing.T, cache string) error {
			return errors.Join(os.Remove(blobOf(cache, weights)), os.Symlink("../snapshots/"+commit+"/model.safetensors", blobOf(cache, weights)))
		}, []string{"model.safetensors is a link that leads to itself"}},
		"not fetched": {func(t *testing.T, cache string) error { return os.Remove(in(cache, "tokenizer.json")) }, []string{"tokenizer.json is not in the cache"}},
		"a folder": {func(t *testing.T, cache string) error {
			return errors.Join(os.Remove(in(cache, "tokenizer.json")), os.Mkdir(in(cache, "tokenizer.json"), 0o755))
		}, []string{"tokenizer.json is no file"}},
		"no snapshot": {func(t *testing.T, cache string) error { return os.RemoveAll(filepath.Dir(in(cache, "x"))) }, []string{"has no snapshot of commit " + commit}},
		"no revision": {func(t *testing.T, cache string) error { return os.Rename(refOf(cache, "main"), refOf(cache, "v2")) }, []string{"at main", "does not have this revision; it has: v2"}},
		"bad revision": {func(t *testing.T, cache string) error {
			return os.WriteFile(refOf(cache, "main"), []byte("../.."), 0o644)
		}, []string{"holds no commit"}},
		"no model": {func(t *testing.T, cache string) error { return os.RemoveAll(filepath.Join(cache, "models--org--name")) }, []string{"has nothing of it"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, cache := newSite(t, modelFiles()), t.TempDir()
			if _, _, err := s.fetchModel(t, "hf://org/name", hub.Options{Cache: cache}); err != nil {
				t.Fatal(err)
			}
			if err := c.damage(t, cache); err != nil {
				t.Fatal(err)
			}
			_, _, err := s.fetchModel(t, "hf://org/name", hub.Options{Cache: cache, Offline: true})
			if err == nil {
				t.Fatal("offline: no error")
			}
			for _, want := range append(c.want, "HF_HUB_OFFLINE", "org/name") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("offline: error lacks %q: %v", want, err)
				}
			}
			if name == "a folder" { // nobody else put it there
				return
			}
			if _, _, err := s.fetchModel(t, "hf://org/name", hub.Options{Cache: cache}); err != nil {
				t.Fatalf("online: %v", err)
			}
			got := cacheTree(t, cache)
			for path, want := range wantTree(s.files) {
				if got[path] != want {
					t.Errorf("online: %s is %s, want %s", path, got[path], want)
				}
			}
		})
	}
}

func refOf(cache, revision string) string {
	return filepath.Join(cache, "models--org--name", "refs", revision)
}

// TestHostileHub sends what would lead out of the cache, or something else than it says.
func TestHostileHub(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(s *site)
		want string
	}{
		"commit": {func(s *site) { s.commit = "../../../x" }, `answers with commit "../../../x"`},
		"names":  {func(s *site) { s.files["../../x"] = []byte("x") }, `the hub lists ".."`},
		"ids":    {func(s *site) { s.id = "../../../x" }, `the id "../../../x"`},
		"other content": {func(s *site) {
			s.files["model.safetensors"] = noise(2000)
			s.id = fmt.Sprintf("%x", make([]byte, 32))
		}, "the content is damaged"},
		"other size": {func(s *site) { s.longer = 1 }, "its listing says"},
	} {
		s, root := newSite(t, modelFiles()), t.TempDir()
		c.do(s)
		_, _, err := s.fetchModel(t, "hf://org/name", hub.Options{Cache: filepath.Join(root, "a", "cache")})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v", name, err)
		}
		id := cmp.Or(s.id, contentID(s.files["model.safetensors"]))
		for path := range cacheTree(t, root) {
			inside := strings.HasPrefix(path, "a/cache/models--org--name/") || strings.HasPrefix(path, "a/cache/.locks/models--org--name/") && strings.HasSuffix(path, ".lock")
			if !inside || strings.Contains(path, "/blobs/"+id) || strings.HasSuffix(path, "/model.safetensors") {
				t.Errorf("%s: there is %s", name, path)
			}
		}
	}
}

// TestModelErrors are of the place, not of the cache.
func TestModelErrors(t *testing.T) {
	s, cache := newSite(t, modelFiles()), t.TempDir()
	for name, c := range map[string]struct {
		opt  hub.Options
		uri  string
		want string
	}{
		"private":   {hub.Options{Cache: cache}, "hf://org/private", "set HF_TOKEN (for a dataset, write hf://datasets/org/private)"},
		"gated":     {hub.Options{Cache: cache, Token: token}, "hf://org/gated", "accept its terms"},
		"revision":  {hub.Options{Cache: cache}, "hf://org/name@nope", "RevisionNotFound"},
		"dataset":   {hub.Options{Cache: cache}, "hf://datasets/org/name", "is no model: want hf://ORG/NAME[@REVISION]"},
		"file":      {hub.Options{Cache: cache}, "hf://org/name/config.json", "is no model"},
		"one name":  {hub.Options{Cache: cache}, "hf://gpt2", "want hf://ORG/NAME"},
		"space":     {hub.Options{Cache: cache}, "hf://spaces/org/name", "want hf://ORG/NAME"},
		"escape":    {hub.Options{Cache: cache}, "hf://org/name@..%2F..%2Fx", "want hf://ORG/NAME"},
		"dots":      {hub.Options{Cache: cache}, "hf://../name", "want hf://ORG/NAME"},
		"no folder": {hub.Options{}, "hf://org/name", "set HF_HOME"},
		"offline":   {hub.Options{Cache: cache, Offline: true}, "hf://org/name", "has nothing of it; HF_HUB_OFFLINE is set"},
	} {
		_, err := s.client(t, c.opt).Model(t.Context(), c.uri)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if tree := cacheTree(t, cache); len(tree) > 0 {
		t.Errorf("the cache has %v", tree)
	}
	// Without an answer, the copy in the cache is pointed to.
	if _, _, err := s.fetchModel(t, "hf://org/name", hub.Options{Cache: cache}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client(t, hub.Options{Cache: cache, Token: "hf_wrong"}).Model(t.Context(), "hf://org/name"); err == nil || !strings.Contains(err.Error(), "with HF_HUB_OFFLINE=1 the copy in the cache is taken") {
		t.Errorf("error %v", err)
	}
}

// TestReadOnlyCache reads a model from a cache that nobody may write to.
func TestReadOnlyCache(t *testing.T) {
	s, cache := newSite(t, modelFiles()), t.TempDir()
	if _, _, err := s.fetchModel(t, "hf://org/name", hub.Options{Cache: cache}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(refOf(cache, "main")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(cache, "models--org--name", "refs", "main", "in the way"), nil) // root may write anywhere else
	if _, _, err := s.fetchModel(t, "hf://org/name", hub.Options{Cache: cache}); err != nil {
		t.Error(err)
	}
}
