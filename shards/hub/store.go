package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/curate-data/curate/shards"
)

// tailBytes is how much of an object's end comes with opening it.
const tailBytes = 512 << 10

// ErrReadOnly is the error of writing to the hub.
var ErrReadOnly = errors.New("hf:// is read only")

// Store is a folder of a repository at one commit.
type Store struct {
	client   *Client
	repo     repo
	revision string // as the URI names it
	commit   string
	prefix   string // ends in a slash, or is empty
}

var _ shards.Store = (*Store)(nil)

// Locate is the shards.Locate of hf:// URIs. What is in a repository of models is
// read through the cache.
func (c *Client) Locate(ctx context.Context, uri string) (shards.Store, string, error) {
	p, err := parse(uri)
	if err != nil {
		return nil, "", err
	}
	if p.kind == kindModel {
		m, err := c.model(ctx, p)
		return m, strings.TrimSuffix(p.name, "/"), err
	}
	commit, err := c.commit(ctx, p.repo, p.revision)
	if err != nil {
		return nil, "", err
	}
	name := p.name
	at := func(prefix string) *Store { return &Store{c, p.repo, p.revision, commit, prefix} }
	if name == "" || strings.HasSuffix(name, "/") {
		return at(name), "", nil
	}
	isFile := false
	_, err = c.page(ctx, at("").treeURL(name, false), func(e treeEntry) error {
		isFile = isFile || e.Path == name
		return nil
	})
	if err == nil && !isFile {
		return at(name + "/"), "", nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("look up %s: %w", uri, err)
	}
	folder, base := path.Split(name)
	return at(folder), base, nil
}

// isCommit accepts what can be a commit, and the name of a folder.
var isCommit = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`).MatchString

// commit looks up what a revision is now, once.
func (c *Client) commit(ctx context.Context, r repo, revision string) (string, error) {
	key := r.path() + "@" + revision
	c.mu.Lock()
	known := c.commits[key]
	c.mu.Unlock()
	if known != "" {
		return known, nil
	}
	var answer struct {
		SHA string `json:"sha"`
	}
	_, err := c.getJSON(ctx, c.opt.Endpoint+"/api/"+r.kind+"/"+r.id+"/revision/"+url.PathEscape(revision), &answer)
	if err == nil && !isCommit(answer.SHA) {
		err = fmt.Errorf("the hub answers with commit %q", answer.SHA)
	}
	if err != nil {
		err = fmt.Errorf("look up %s at %s: %w", r, revision, err)
		var status *statusError
		if r.kind == kindModel && errors.As(err, &status) && status.status < 500 {
			err = fmt.Errorf("%w (for a dataset, write hf://datasets/%s)", err, r.id)
		}
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commits[key] = answer.SHA
	return answer.SHA, nil
}

// URI names an object as the user would.
func (s *Store) URI(name string) string {
	return "hf://" + s.repo.path() + "@" + s.revision + "/" + s.prefix + name
}

// treeEntry is an element of the hub's answer to a listing.
type treeEntry struct {
	Type string `json:"type"`
	OID  string `json:"oid"`
	Size int64  `json:"size"`
	Path string `json:"path"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	} `json:"lfs"`
}

func (s *Store) treeURL(folder string, recursive bool) string {
	address := s.client.opt.Endpoint + "/api/" + s.repo.kind + "/" + s.repo.id + "/tree/" + s.commit
	if folder != "" {
		address += "/" + escape(folder)
	}
	return fmt.Sprintf("%s?recursive=%t", address, recursive)
}

// escape encodes a path but for its slashes.
func escape(name string) string { return strings.ReplaceAll(url.PathEscape(name), "%2F", "/") }

// nextPage finds the next page in a Link header.
var nextPage = regexp.MustCompile(`<([^>]+)>\s*;\s*rel="?next"?`)

// page reads one page of a listing and returns the address of the next one.
func (c *Client) page(ctx context.Context, address string, each func(treeEntry) error) (next string, err error) {
	var entries []treeEntry
	header, err := c.getJSON(ctx, address, &entries)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if err := each(e); err != nil {
			return "", err
		}
	}
	if link := nextPage.FindStringSubmatch(strings.Join(header.Values("Link"), ",")); link != nil {
		to, err := url.Parse(link[1])
		if err != nil || to.Host != c.host {
			return "", errors.New("the next page of the listing is on another host")
		}
		return link[1], nil
	}
	return "", nil
}

// List implements shards.Store. A missing folder has no objects.
func (s *Store) List(ctx context.Context, prefix string) ([]shards.ObjectInfo, error) {
	return s.list(ctx, prefix, true, func(name string) bool { return strings.HasPrefix(name, prefix) })
}

// Glob returns the objects whose names match a doublestar pattern. It lists the
// folder above the first wildcard, and only that one when no slash follows.
func (s *Store) Glob(ctx context.Context, pattern string) ([]shards.ObjectInfo, error) {
	fixed, recursive, err := shards.GlobPrefix(pattern)
	if err != nil {
		return nil, fmt.Errorf("match %s in %s: %w", pattern, s.URI(""), err)
	}
	return s.list(ctx, fixed, recursive, func(name string) bool { return doublestar.MatchUnvalidated(pattern, name) })
}

// list returns the wanted objects of the folder that a prefix names, by name.
func (s *Store) list(ctx context.Context, prefix string, recursive bool, wanted func(string) bool) ([]shards.ObjectInfo, error) {
	folder, _ := path.Split(s.prefix + prefix)
	var infos []shards.ObjectInfo
	address := s.treeURL(strings.TrimSuffix(folder, "/"), recursive)
	for seen := map[string]bool{}; address != "" && !seen[address]; {
		seen[address] = true
		next, err := s.client.page(ctx, address, func(e treeEntry) error {
			name, ok := strings.CutPrefix(e.Path, s.prefix)
			if !ok || !fs.ValidPath(name) || e.Size < 0 {
				return fmt.Errorf("the hub lists %q", e.Path)
			}
			if e.Type == "file" && wanted(name) {
				infos = append(infos, info(name, e))
			}
			return nil
		})
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", s.URI(prefix), err)
		}
		address = next
	}
	slices.SortFunc(infos, func(a, b shards.ObjectInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

// info describes a file. Its id is of its content: the SHA-256 of large files,
// git's of small ones.
func info(name string, e treeEntry) shards.ObjectInfo {
	id := e.OID
	if e.LFS != nil && e.LFS.OID != "" {
		id = e.LFS.OID
	}
	i := shards.ObjectInfo{Name: name, Size: e.Size, Version: id}
	if id != "" {
		i.Digest = fmt.Sprintf("etag:%s-%d", id, e.Size)
	}
	return i
}

// Open implements shards.Store.
func (s *Store) Open(ctx context.Context, name string) (shards.Object, error) {
	if !fs.ValidPath(name) || name == "." {
		return nil, fmt.Errorf("object name %q: want a relative path without . and .. elements", name)
	}
	f := &file{store: s, name: name}
	answer, err := f.ask(ctx, fmt.Sprintf("bytes=-%d", tailBytes))
	if status := new(statusError); errors.As(err, &status) && status.status == http.StatusRequestedRangeNotSatisfiable {
		return shards.NewRanged(ctx, s.URI(name), 0, nil, f.fetch), nil // only an empty file has no end
	}
	if err != nil {
		return nil, fmt.Errorf("open object %s: %w", s.URI(name), err)
	}
	defer answer.Body.Close()
	size, tail, err := shards.ReadTail(answer.Body, answer.ContentLength, answer.Header.Get("Content-Range"), tailBytes)
	if err != nil {
		return nil, fmt.Errorf("open object %s: %w", s.URI(name), err)
	}
	f.etag, f.size = answer.Header.Get("ETag"), size
	return shards.NewRanged(ctx, s.URI(name), size, tail, f.fetch), nil
}

// Create fails: the hub is for reading.
func (s *Store) Create(_ context.Context, name string) (shards.Pending, error) {
	return nil, fmt.Errorf("create object %s: %w", s.URI(name), ErrReadOnly)
}

// Remove fails: the hub is for reading.
func (s *Store) Remove(_ context.Context, name string) error {
	return fmt.Errorf("remove object %s: %w", s.URI(name), ErrReadOnly)
}

// file is an opened object: where the hub has it, and what it was then.
type file struct {
	store *Store
	name  string
	etag  string
	size  int64

	mu     sync.Mutex
	target string // where the last request was redirected to
	since  time.Time
}

// ask asks for a range, where the last answer came from or by the hub.
func (f *file) ask(ctx context.Context, bytes string) (*http.Response, error) {
	header := http.Header{"Range": {bytes}, "Accept-Encoding": {"identity"}}
	f.mu.Lock()
	target := f.target
	if time.Since(f.since) > targetLife {
		target = ""
	}
	f.mu.Unlock()
	if target != "" {
		answer, _, err := f.store.client.get(ctx, target, header)
		var status *statusError
		if !errors.As(err, &status) { // the signature may be too old for it
			return answer, err
		}
	}
	s := f.store
	address := s.client.opt.Endpoint + "/" + s.repo.path() + "/resolve/" + s.commit + "/" + escape(s.prefix+f.name)
	answer, at, err := s.client.get(ctx, address, header)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target, f.since = at, time.Now()
	return answer, nil
}

// fetch is the shards.Fetch of the file.
func (f *file) fetch(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	answer, err := f.ask(ctx, fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	if err != nil {
		return nil, err
	}
	err = shards.CheckRange(answer.ContentLength, answer.Header.Get("Content-Range"), offset, length)
	if etag := answer.Header.Get("ETag"); err == nil && etag != f.etag {
		err = errors.New("the object was replaced while it was read")
	}
	if err != nil {
		answer.Body.Close()
		return nil, err
	}
	return answer.Body, nil
}
