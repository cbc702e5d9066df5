package hub

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// cacheFromEnv returns the folder that huggingface_hub would take, "" without a home.
func cacheFromEnv() string {
	home, err := os.UserHomeDir()
	inHome := func(folder string) string {
		if rest, ok := strings.CutPrefix(folder, "~/"); ok {
			return filepath.Join(home, rest)
		}
		return folder
	}
	if folder := cmp.Or(os.Getenv("HF_HUB_CACHE"), os.Getenv("HUGGINGFACE_HUB_CACHE")); folder != "" {
		return inHome(folder)
	}
	if folder := os.Getenv("HF_HOME"); folder != "" {
		return filepath.Join(inHome(folder), "hub")
	}
	if folder := os.Getenv("XDG_CACHE_HOME"); folder != "" {
		return filepath.Join(inHome(folder), "huggingface", "hub")
	}
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".cache", "huggingface", "hub")
}

// cache is the part of a cache folder that one repository of models has, in the
// layout of Python's huggingface_hub:
//
//	models--ORG--NAME/refs/REVISION           the commit that it was last
//	models--ORG--NAME/snapshots/COMMIT/FILE   link to a blob
//	models--ORG--NAME/blobs/ID                content; ID is its SHA-256, or git's SHA-1 of a small file
//	models--ORG--NAME/blobs/ID.incomplete     the beginning of it
//	.locks/models--ORG--NAME/ID.lock          locked by who writes the blob
type cache struct{ root, repo string }

func (c cache) folder(elements ...string) string {
	return filepath.Join(append([]string{c.root, c.repo}, elements...)...)
}

func cacheOf(root string, r repo) cache {
	return cache{root, r.kind + "--" + strings.ReplaceAll(r.id, "/", "--")}
}

// isContentID accepts the ids of contents. Anything else is no name for a file.
var isContentID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`).MatchString

// commit returns what a revision was when it was last looked up.
func (c cache) commit(revision string) (string, error) {
	raw, err := os.ReadFile(c.folder("refs", filepath.FromSlash(revision)))
	if err == nil {
		commit := strings.TrimSpace(string(raw))
		if !isCommit(commit) {
			return "", fmt.Errorf("%s holds no commit", c.folder("refs", revision))
		}
		return commit, nil
	}
	if isCommit(revision) {
		if _, err := os.Stat(c.folder("snapshots", revision)); err == nil {
			return revision, nil
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if _, err := os.Stat(c.folder()); err != nil {
		return "", fmt.Errorf("the cache %s has nothing of it", c.root)
	}
	var known []string
	refs := c.folder("refs")
	_ = filepath.WalkDir(refs, func(path string, e fs.DirEntry, err error) error { // for the message only
		if err == nil && !e.IsDir() {
			known = append(known, filepath.ToSlash(strings.TrimPrefix(path, refs+string(filepath.Separator))))
		}
		return nil
	})
	return "", fmt.Errorf("the cache %s does not have this revision; it has: %s", c.folder(), cmp.Or(strings.Join(known, ", "), "none"))
}

// remember notes what a revision is.
func (c cache) remember(revision, commit string) error {
	if revision == commit {
		return nil
	}
	path := c.folder("refs", filepath.FromSlash(revision))
	if raw, err := os.ReadFile(path); err == nil && string(raw) == commit {
		return nil
	}
	return replace(path, func(temporary string) error { return os.WriteFile(temporary, []byte(commit), 0o666) })
}

// replace makes a file or link under another name and gives it its own.
func replace(path string, create func(temporary string) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	temporary := path + "." + rand.Text()
	if err := create(temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}

// link makes a snapshot's file: a relative link, as the cache may be moved.
func (c cache) link(path, id string) error {
	target, err := filepath.Rel(filepath.Dir(path), c.folder("blobs", id))
	if err != nil {
		return err
	}
	return replace(path, func(temporary string) error { return os.Symlink(target, temporary) })
}

// brokenFile says what is wrong with a file that cannot be opened: it is
// missing, or a link that leads nowhere. nil: nothing is.
func (c cache) brokenFile(path string) error {
	info, err := os.Stat(path)
	if err == nil {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no file", path)
		}
		return nil
	}
	target, noLink := os.Readlink(path)
	switch {
	case noLink != nil && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is not in the cache: %w", path, fs.ErrNotExist)
	case noLink != nil:
		return err
	case errors.Is(err, syscall.ELOOP):
		return fmt.Errorf("%s is a link that leads to itself: remove it", path)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	begun, _ := filepath.Glob(c.folder("blobs", filepath.Base(target)) + "*.incomplete") // the pattern is hex digits
	if len(begun) > 0 {
		return fmt.Errorf("%s was not downloaded to its end: %s is a part of it", path, begun[0])
	}
	return fmt.Errorf("%s is a link to %s, which is missing", path, target)
}

// idOf returns the id of a snapshot's file by its link, "" where it has none.
func idOf(path string) string {
	target, err := os.Readlink(path)
	if id := filepath.Base(target); err == nil && isContentID(id) {
		return id
	}
	return ""
}

// newHash is the hash that makes the id of a content: SHA-256, or that of git.
func newHash(id string, size int64) hash.Hash {
	if len(id) == hex.EncodedLen(sha256.Size) {
		return sha256.New()
	}
	sum := sha1.New()
	fmt.Fprintf(sum, "blob %d\x00", size)
	return sum
}

// errDamaged says that a content is not what its id says.
var errDamaged = errors.New("the content is damaged")

// checkContent reads a file and compares it with its id.
func checkContent(ctx context.Context, path, id string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	sum := newHash(id, info.Size())
	if err := copyAll(ctx, sum, file, nil); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != id {
		return fmt.Errorf("%s: %w: its digest is %s", path, errDamaged, got)
	}
	return nil
}

// copyAll copies until the end, or until ctx ends.
func copyAll(ctx context.Context, to io.Writer, from io.Reader, progress func(int64)) error {
	piece := make([]byte, 4<<20)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(from, piece)
		if _, err := to.Write(piece[:n]); err != nil {
			return err
		}
		if progress != nil {
			progress(int64(n))
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// lock waits until nobody else writes the blob.
func (c cache) lock(ctx context.Context, id string) (release func() error, err error) {
	path := filepath.Join(c.root, ".locks", c.repo, id+".lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	file := flock.New(path)
	if _, err := file.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, cmp.Or(context.Cause(ctx), err))
	}
	return file.Unlock, nil
}

// listed returns the files of a snapshot, those that are links to nothing
// included, sorted.
func (c cache) listed(commit string) ([]string, error) {
	root := c.folder("snapshots", commit)
	var names []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the cache %s has no snapshot of commit %s", c.folder(), commit)
	}
	slices.Sort(names)
	return names, err
}
