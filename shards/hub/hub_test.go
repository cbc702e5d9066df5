package hub_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/hub"
	"github.com/curate-data/curate/shards/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token  = "hf_secret"
	commit = "0123456789abcdef0123456789abcdef01234567"
)

// site is a hub that speaks the shapes of the real one's interface, and beside
// it, on another host, the store that it redirects large files to.
type site struct {
	files    map[string][]byte // of the repositories org/name; those from 1000 bytes on are at the store
	commit   string            // of all revisions
	hub, cdn *httptest.Server
	busy     atomic.Int64 // requests to answer with 429 first
	expired  atomic.Bool  // the store takes no old signature
	signed   atomic.Int64 // signatures given out
	fetched  atomic.Int64 // requests to the store
	sent     atomic.Int64 // answers with content
	bytes    atomic.Int64 // that the store sent
	id       string       // what the listing says instead of the SHA-256 of a file
	longer   int          // what the listing says too much of it
	moved    atomic.Bool  // the store has other content by now
}

func newSite(t *testing.T, files map[string][]byte) *site {
	s := &site{files: files, commit: commit}
	s.cdn = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetched.Add(1)
		if r.Header.Get("Authorization") != "" {
			t.Errorf("the store sees the token, in %s", r.URL)
		}
		if s.expired.Load() && r.URL.Query().Get("sig") != strconv.FormatInt(s.signed.Load(), 10) {
			http.Error(w, "expired", http.StatusForbidden)
			return
		}
		s.content(countingResponse{w, &s.bytes}, r, strings.TrimPrefix(r.URL.Path, "/"))
	}))
	mux := http.NewServeMux()
	for _, kind := range []string{"datasets", "models"} {
		s.serve(mux, kind)
	}
	s.hub = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.Header.Get("Authorization")
		switch {
		case s.busy.Add(-1) >= 0:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "slow down", http.StatusTooManyRequests)
		case given != "" && given != "Bearer "+token, strings.Contains(r.URL.Path, "org/private") && given == "":
			w.Header().Set("X-Error-Code", "RepoNotFound")
			w.Header().Set("X-Error-Message", "Repository not found")
			http.Error(w, "{}", http.StatusUnauthorized)
		case strings.Contains(r.URL.Path, "org/gated"):
			w.Header().Set("X-Error-Code", "GatedRepo")
			http.Error(w, "{}", http.StatusForbidden)
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.hub.Close)
	t.Cleanup(s.cdn.Close)
	return s
}

// serve answers what is asked about repositories of one kind.
func (s *site) serve(mux *http.ServeMux, kind string) {
	mux.HandleFunc("GET /api/"+kind+"/org/{name}/revision/{revision}", func(w http.ResponseWriter, r *http.Request) {
		if revision := r.PathValue("revision"); revision != "main" && revision != "refs/convert/parquet" && revision != "v1/x" && revision != s.commit {
			w.Header().Set("X-Error-Code", "RevisionNotFound")
			http.Error(w, "{}", http.StatusNotFound)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"id": "org/" + r.PathValue("name"), "sha": s.commit})
	})
	mux.HandleFunc("GET /api/"+kind+"/org/{name}/tree/{commit}", s.tree)
	mux.HandleFunc("GET /api/"+kind+"/org/{name}/tree/{commit}/{path...}", s.tree)
	prefix := "/" + kind
	if kind == "models" {
		prefix = ""
	}
	mux.HandleFunc("GET "+prefix+"/org/{name}/resolve/{commit}/{path...}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("path")
		if b, ok := s.files[name]; ok { // as the hub does, for those who ask by HEAD
			w.Header().Set("X-Repo-Commit", s.commit)
			w.Header().Set("X-Linked-Size", strconv.Itoa(len(b)))
			w.Header().Set("X-Linked-ETag", strconv.Quote(contentID(b)))
		}
		if len(s.files[name]) >= 1000 {
			http.Redirect(w, r, fmt.Sprintf("%s/%s?sig=%d", s.cdn.URL, (&url.URL{Path: name}).EscapedPath(), s.signed.Add(1)), http.StatusFound)
			return
		}
		s.content(w, r, name)
	})
}

// contentID is the id of a content: git's, or the SHA-256 of one at the store.
func contentID(b []byte) string {
	if len(b) >= 1000 {
		return fmt.Sprintf("%x", sha256.Sum256(b))
	}
	return fmt.Sprintf("%x", sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...)))
}

// countingResponse counts the bytes of bodies.
type countingResponse struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w countingResponse) Write(b []byte) (int, error) {
	w.n.Add(int64(len(b)))
	return w.ResponseWriter.Write(b)
}

// content serves a file, in ranges if asked for.
func (s *site) content(w http.ResponseWriter, r *http.Request, name string) {
	b, ok := s.files[name]
	if !ok {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	s.sent.Add(1)
	w.Header().Set("ETag", fmt.Sprintf(`"%s-%t"`, name, s.moved.Load()))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// tree lists a folder, three entries to a page.
func (s *site) tree(w http.ResponseWriter, r *http.Request) {
	folder := r.PathValue("path")
	if folder != "" {
		folder += "/"
	}
	var entries []map[string]any
	seen := map[string]bool{}
	for name, b := range s.files {
		rest, ok := strings.CutPrefix(name, folder)
		if !ok {
			continue
		}
		if sub, _, deep := strings.Cut(rest, "/"); deep && !seen[sub] {
			seen[sub] = true
			entries = append(entries, map[string]any{"type": "directory", "oid": "d", "size": 0, "path": folder + sub})
		}
		if r.URL.Query().Get("recursive") == "true" || !strings.Contains(rest, "/") {
			e := map[string]any{"type": "file", "oid": contentID(b), "size": len(b), "path": name}
			if len(b) >= 1000 {
				e["oid"] = strings.Repeat("0", 40) // of the pointer, which nobody reads
				e["lfs"] = map[string]any{"oid": cmp.Or(s.id, contentID(b)), "size": len(b), "pointerSize": 134}
				e["size"] = len(b) + s.longer
			}
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		http.Error(w, "{}", http.StatusNotFound)
		return
	}
	slices.SortFunc(entries, func(a, b map[string]any) int { return strings.Compare(a["path"].(string), b["path"].(string)) })
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	to := min(from+3, len(entries))
	if to < len(entries) {
		q := r.URL.Query()
		q.Set("cursor", strconv.Itoa(to))
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, s.hub.URL, r.URL.EscapedPath(), q.Encode()))
	}
	json.NewEncoder(w).Encode(entries[from:to])
}

func (s *site) client(t *testing.T, opt hub.Options) *hub.Client {
	opt.Endpoint = s.hub.URL
	c, err := hub.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{3}).Read(b)
	return b
}

func dataset() map[string][]byte {
	return map[string][]byte{
		"README.md": []byte("# data"), "data/train-0.jsonl": []byte("{\"text\": \"a\"}\n"), "data/train-1.jsonl": bytes.Repeat([]byte("{\"text\": \"b\"}\n"), 100),
		"data/deep/x.jsonl": []byte("{\"text\": \"c\"}\n"), "data/ünï + %.jsonl": noise(2000), "big.parquet": noise(3 << 20), "empty.jsonl": {},
	}
}

func TestListAndRead(t *testing.T) {
	s := newSite(t, dataset())
	c := s.client(t, hub.Options{Token: token})
	for arg, want := range map[string]string{
		"hf://datasets/org/name/data":                                 "deep/x.jsonl train-0.jsonl train-1.jsonl ünï + %.jsonl",
		"hf://datasets/org/name@main/data/":                           "deep/x.jsonl train-0.jsonl train-1.jsonl ünï + %.jsonl",
		"hf://datasets/org/name@v1%2Fx/data/train-*.jsonl":            "train-0.jsonl train-1.jsonl",
		"hf://datasets/org/name@~parquet/data/train-1.jsonl":          "train-1.jsonl",
		"hf://datasets/org/name@refs/convert/parquet/**/[xt]*0.jsonl": "data/train-0.jsonl",
		"hf://datasets/org/private/data/*/*":                          "deep/x.jsonl",
	} {
		inputs, err := shards.ListInputs(t.Context(), c.Locate, []string{arg})
		var got []string
		for _, in := range inputs {
			got = append(got, in.Shard)
			if in.Digest == "" || in.Version == "" {
				t.Errorf("%s: %+v", arg, in)
			}
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, error %v", arg, got, err)
		}
	}
	root, _, err := c.Locate(t.Context(), "hf://datasets/org/name")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range s.files {
		if got := storetest.Get(t, root, name); got != string(want) {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
	infos, err := root.List(t.Context(), "data/train")
	if err != nil || len(infos) != 2 || infos[1].Size != 1400 || infos[1].Digest != "etag:"+contentID(s.files["data/train-1.jsonl"])+"-1400" {
		t.Errorf("List: %+v, error %v", infos, err)
	}
	if infos, err = root.List(t.Context(), "nope/"); err != nil || len(infos) > 0 {
		t.Errorf("List of a missing folder: %+v, error %v", infos, err)
	}
	if _, err := root.Open(t.Context(), "data/nope"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: error %v", err)
	}
	if _, err := root.Create(t.Context(), "x"); !errors.Is(err, hub.ErrReadOnly) {
		t.Errorf("Create: error %v", err)
	}
	if err := root.Remove(t.Context(), "README.md"); !errors.Is(err, hub.ErrReadOnly) {
		t.Errorf("Remove: error %v", err)
	}
}

// TestRedirects reads a large file in pieces: its place is asked for once, and
// again when the signature is too old.
func TestRedirects(t *testing.T) {
	s := newSite(t, dataset())
	root, _, err := s.client(t, hub.Options{Token: token}).Locate(t.Context(), "hf://datasets/org/name")
	if err != nil {
		t.Fatal(err)
	}
	obj, err := root.Open(t.Context(), "big.parquet")
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Close()
	want := s.files["big.parquet"]
	expect := func(off int64) {
		t.Helper()
		b := make([]byte, 1000)
		if _, err := obj.ReadAt(b, off); err != nil || !bytes.Equal(b, want[off:off+1000]) {
			t.Errorf("at %d: error %v", off, err)
		}
	}
	expect(0)
	expect(1 << 20)
	if n := s.signed.Load(); n != 1 {
		t.Errorf("the place was asked for %d times", n)
	}
	s.signed.Add(1)
	s.expired.Store(true)
	expect(2 << 20)
	if n := s.signed.Load(); n != 3 {
		t.Errorf("%d signatures", n)
	}
	s.moved.Store(true)
	if _, err := obj.ReadAt(make([]byte, 1000), 1<<19); err == nil || !strings.Contains(err.Error(), "hf://datasets/org/name@main/big.parquet") || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("other content: error %v", err)
	}
}

func TestErrors(t *testing.T) {
	s := newSite(t, dataset())
	for name, test := range map[string]struct {
		opt  hub.Options
		uri  string
		want string
	}{
		"private":     {hub.Options{}, "hf://datasets/org/private/data", "set HF_TOKEN"},
		"wrong token": {hub.Options{Token: "hf_wrong"}, "hf://datasets/org/name/data", "HF_TOKEN is not valid"},
		"gated":       {hub.Options{Token: token}, "hf://datasets/org/gated/data", "accept its terms"},
		"revision":    {hub.Options{}, "hf://datasets/org/name@nope/data", "HTTP 404 Not Found RevisionNotFound"},
		"offline":     {hub.Options{Offline: true}, "hf://datasets/org/name/data", "HF_HUB_OFFLINE"},
		"no dataset":  {hub.Options{}, "hf://datasets/name", "or hf://datasets/ORG/NAME"},
		"dots":        {hub.Options{}, "hf://datasets/org/name/../x", "or hf://datasets/ORG/NAME"},
		"escape":      {hub.Options{}, "hf://datasets/org/../x", "or hf://datasets/ORG/NAME"},
	} {
		_, _, err := s.client(t, test.opt).Locate(t.Context(), test.uri)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hf_") || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, endpoint := range []string{"huggingface.co", "http://user:secret@host"} {
		if _, err := hub.New(hub.Options{Endpoint: endpoint}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v", endpoint, err)
		}
	}
}

// TestBusy is told to wait, and does.
func TestBusy(t *testing.T) {
	s := newSite(t, dataset())
	s.busy.Store(1)
	began := time.Now()
	if _, _, err := s.client(t, hub.Options{}).Locate(t.Context(), "hf://datasets/org/name/data"); err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(began); waited < time.Second {
		t.Errorf("waited for %v", waited)
	}
	s.busy.Store(1 << 40)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped by the user")
	time.AfterFunc(50*time.Millisecond, func() { cancel(stopped) })
	if _, _, err := s.client(t, hub.Options{}).Locate(ctx, "hf://datasets/org/name/data"); !errors.Is(err, stopped) {
		t.Errorf("error %v", err)
	}
}

// TestOptionsFromEnv reads the hub's usual variables.
func TestOptionsFromEnv(t *testing.T) {
	t.Setenv("HF_ENDPOINT", "http://mirror")
	t.Setenv("HF_TOKEN", token)
	t.Setenv("HF_HUB_OFFLINE", "1")
	want := hub.Options{Endpoint: "http://mirror", Token: token, Offline: true}
	for _, name := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", "/home/u")
	for _, set := range [][3]string{
		{"", "", "/home/u/.cache/huggingface/hub"}, {"XDG_CACHE_HOME", "/x", "/x/huggingface/hub"}, {"HF_HOME", "~/hf", "/home/u/hf/hub"}, {"HF_HUB_CACHE", "/c", "/c"},
	} {
		if set[0] != "" {
			t.Setenv(set[0], set[1])
		}
		want.Cache = set[2]
		if got := hub.OptionsFromEnv(); got != want {
			t.Errorf("%s: got %+v", set[0], got)
		}
	}
}
