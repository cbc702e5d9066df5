package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// cacheFolder is a folder for what can be made again: below CURATE_CACHE, or
// the user's cache folder.
func cacheFolder(elements ...string) (string, error) {
	root := os.Getenv("CURATE_CACHE")
	if root == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a folder for copies of models: %w; set CURATE_CACHE to one", err)
		}
		root = filepath.Join(cache, "curate")
	}
	return filepath.Join(append([]string{root}, elements...)...), nil
}

// contentsName is the file of a cached copy that says what its files are; it
// makes the copy complete.
const contentsName = ".contents.json"

// copiedFile is what a cached file has to be.
type copiedFile struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// checkCopy reads a cached copy and compares it with its contents file, which has
// to have the names.
func checkCopy(ctx context.Context, folder string, names []string) error {
	raw, err := os.ReadFile(filepath.Join(folder, contentsName))
	if err != nil {
		return err
	}
	var contents map[string]copiedFile
	if err := json.Unmarshal(raw, &contents); err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := contents[name]; !ok {
			return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
	}
	for name, want := range contents {
		got, err := digestFile(ctx, filepath.Join(folder, filepath.Base(name)))
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s in the cache is damaged", name)
		}
	}
	return nil
}

// localFile is the store of the folder that a path is in.
func localFile(path string) *local.Store { return local.New(filepath.Dir(path)) }

func digestFile(ctx context.Context, path string) (copiedFile, error) {
	object, err := localFile(path).Open(ctx, filepath.Base(path))
	if err != nil {
		return copiedFile{}, err
	}
	defer object.Close()
	sum := sha256.New()
	if err := copyObject(ctx, sum, object, nil); err != nil {
		return copiedFile{}, err
	}
	return copiedFile{object.Size(), hex.EncodeToString(sum.Sum(nil))}, nil
}

// fetch copies the model's files and gives the folder its name when all are
// there and as the manifest says.
func (m *modelFolder) fetch(ctx context.Context, folder string) error {
	parent := filepath.Dir(folder)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	removeStaleCopies(parent)
	work := filepath.Join(parent, copyPrefix+rand.Text())
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(work) // nothing is there after the rename
	var total int64
	for _, file := range m.files {
		total += file.Size
	}
	task := m.app.progress.Start("fetch model", "B", total)
	defer task.Done()
	contents := map[string]copiedFile{}
	for name, file := range m.files {
		got, err := fetchFile(ctx, file, filepath.Join(work, name), task.Add)
		if err != nil {
			return err
		}
		if isSHA256(file.Digest) && got.SHA256 != file.Digest {
			return fmt.Errorf("%s has SHA-256 %s, the model's manifest says %s: it changed since, or was damaged", file.URI, got.SHA256, file.Digest)
		}
		contents[name] = got
	}
	return publishCopy(ctx, work, folder, contents)
}

// publishCopy gives a complete folder its name in the cache.
func publishCopy(ctx context.Context, work, folder string, contents map[string]copiedFile) error {
	raw, err := json.MarshalIndent(contents, "", "  ")
	if err != nil {
		return err
	}
	if err := shards.WriteObject(ctx, local.New(work), contentsName, raw); err != nil {
		return err
	}
	if checkCopy(ctx, folder, slices.Collect(maps.Keys(contents))) == nil { // another process was faster, and may be reading it
		return os.RemoveAll(work)
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.Rename(work, folder); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// copyPrefix begins the names of copies that are being made.
const copyPrefix = ".copying-"

// removeStaleCopies removes what killed processes left long ago. What cannot be
// removed only takes space.
func removeStaleCopies(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && strings.HasPrefix(entry.Name(), copyPrefix) && time.Since(info.ModTime()) > 24*time.Hour {
			os.RemoveAll(filepath.Join(parent, entry.Name()))
		}
	}
}

// fetchFile copies one object to a path and digests it on the way.
func fetchFile(ctx context.Context, from shards.Input, path string, progress func(int64)) (copiedFile, error) {
	object, err := from.Store.Open(ctx, from.Path)
	if err != nil {
		return copiedFile{}, err
	}
	defer object.Close()
	pending, err := localFile(path).Create(ctx, filepath.Base(path))
	if err != nil {
		return copiedFile{}, err
	}
	out := newDigesting(pending)
	if err := copyObject(ctx, out, object, progress); err != nil {
		pending.Abort()
		return copiedFile{}, err
	}
	if err := pending.Finish(ctx); err != nil {
		return copiedFile{}, err
	}
	return copiedFile{out.size, hex.EncodeToString(out.sum.Sum(nil))}, nil
}
