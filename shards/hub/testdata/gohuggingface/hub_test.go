// Package gohuggingface shows why the hub of github.com/gomlx/go-huggingface
// v0.4.0 is not used (docs/DESIGN.md, section 7). The tests pass while it has
// these faults: when a newer version makes them fail, look at it again.
package gohuggingface

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gomlx/go-huggingface/hub"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// site answers as the hub does for org/name with one file, weights, which is at
// another address. broken ends its body early.
type site struct {
	server *httptest.Server
	etag   string // of the other address
	broken bool
}

func newSite(t *testing.T) *site {
	s := &site{etag: "d41d8cd98f00b204-3"}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/models/org/name/revision/main", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(`{"id":"org/name","sha":"` + commit + `","siblings":[{"rfilename":"weights"}]}`))
	})
	mux.HandleFunc("/org/name/resolve/"+commit+"/weights", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Repo-Commit", commit)
		w.Header().Set("X-Linked-ETag", `"`+strings.Repeat("a", 64)+`"`) // the SHA-256
		http.Redirect(w, r, "/store", http.StatusFound)
	})
	mux.HandleFunc("/store", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", strconv.Quote(s.etag))
		w.Header().Set("Content-Length", "1000")
		if r.Method == http.MethodHead {
			return
		}
		if s.broken {
			w.Write(make([]byte, 500))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Write(make([]byte, 1000))
	})
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.server.Close)
	return s
}

func (s *site) repo(cache string) *hub.Repo {
	repo := hub.New("org/name").WithEndpoint(s.server.URL).WithCacheDir(cache)
	repo.Verbosity = 0
	return repo
}

// A download that breaks off is reported as done: the path is a link to nothing.
func TestBrokenDownloadIsNoError(t *testing.T) {
	s := newSite(t)
	s.broken = true
	path, err := s.repo(t.TempDir()).DownloadFile("weights")
	if err != nil {
		t.Fatalf("it says so now: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there")
	}
}

// Without network nothing is found, and the note of what was there is removed.
func TestNothingWorksOffline(t *testing.T) {
	s, cache := newSite(t), t.TempDir()
	if _, err := s.repo(cache).DownloadFile("weights"); err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(cache, "models--org--name", "info", "main")
	if _, err := os.Stat(note); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HF_HUB_OFFLINE", "1")
	s.server.Close()
	if _, err := s.repo(cache).DownloadFile("weights"); err == nil {
		t.Fatal("it works offline now")
	}
	if _, err := os.Stat(note); err == nil {
		t.Error("the note is still there")
	}
}

// Blobs have the name that the store gives them, not the digest by which Python
// knows them, and no refs are written: the caches are not shared.
func TestCacheIsNotPythons(t *testing.T) {
	s, cache := newSite(t), t.TempDir()
	if _, err := s.repo(cache).DownloadFile("weights"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cache, "models--org--name", "blobs", strings.Repeat("a", 64))); err == nil {
		t.Error("blobs have Python's names now")
	}
	if _, err := os.Stat(filepath.Join(cache, "models--org--name", "refs", "main")); err == nil {
		t.Error("there are refs now")
	}
}

// The name comes from the answer as it is: it may lead out of the cache.
func TestServerChoosesThePath(t *testing.T) {
	s, root := newSite(t), t.TempDir()
	s.etag = "../../../outside"
	if _, err := s.repo(filepath.Join(root, "cache")).DownloadFile("weights"); err != nil {
		t.Fatalf("it is refused now: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "outside")); err != nil {
		t.Error("nothing was written outside")
	}
}

// HF_HOME and HF_HUB_CACHE are not looked at.
func TestEnvironmentIsNotRead(t *testing.T) {
	t.Setenv("HF_HOME", "/elsewhere")
	t.Setenv("HF_HUB_CACHE", "/elsewhere/hub")
	if strings.HasPrefix(hub.DefaultCacheDir(), "/elsewhere") {
		t.Error("they are now")
	}
}
