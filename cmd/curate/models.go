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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/tokenizer"
	"github.com/curate-data/curate/scoring/train"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// modelFiles are what a model folder has to have.
var modelFiles = []string{"config.json", "model.safetensors", "tokenizer.json"}

// trainedFiles are what training leaves beside them.
var trainedFiles = []string{train.LogFile, train.ResultFile}

const modelHelp = "a model folder has config.json, model.safetensors and tokenizer.json"

// modelDigests identify a model folder without loading it.
type modelDigests struct{ weights, tokenizer string }

// modelFolder is a model where the user has it: on disk or in a remote store.
type modelFolder struct {
	app   *app
	place string
	store shards.Store
	files map[string]shards.Input // by name; Digest is set where it is known without reading
}

// openModel finds the files of a model folder.
func (a *app) openModel(ctx context.Context, place string) (*modelFolder, error) {
	store, err := a.stores.Folder(ctx, place)
	if err != nil {
		return nil, err
	}
	m := &modelFolder{a, place, store, map[string]shards.Input{}}
	for _, name := range slices.Concat(modelFiles, trainedFiles) {
		input, err := fileInput(ctx, store, place, name)
		if errors.Is(err, fs.ErrNotExist) && slices.Contains(trainedFiles, name) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open model %s: %w (%s)", place, err, modelHelp)
		}
		m.files[name] = input
	}
	if _, ok := localPath(place); ok {
		return m, nil
	}
	return m, m.recall(ctx)
}

// recall takes digests from the manifest of a model that curate trained, so
// that the model is known by its content, as on disk. The content is checked
// against them when it is fetched.
func (m *modelFolder) recall(ctx context.Context) error {
	manifest, err := shards.ReadManifest(ctx, m.store, manifestName)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, shards.ErrManifest) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open model %s: %w", m.place, err)
	}
	for _, unit := range manifest.Units {
		if file, ok := m.files[unit.File]; ok && file.Size == unit.Size {
			file.Digest = unit.SHA256
			m.files[unit.File] = file
		}
	}
	return nil
}

// digests digests config and weights together, and the tokenizer.
func (m *modelFolder) digests(ctx context.Context, cache *shards.DigestCache) (modelDigests, error) {
	parts := map[string]string{}
	for _, name := range modelFiles {
		file := m.files[name]
		if name == "tokenizer.json" && !isSHA256(file.Digest) {
			file.Digest = "" // by content wherever it is: the digests of two tokenizers are compared
		}
		var err error
		if parts[name], err = cache.Digest(ctx, file); err != nil {
			return modelDigests{}, err
		}
	}
	return modelDigests{shards.UnitKey(parts["config.json"], parts["model.safetensors"]), parts["tokenizer.json"]}, nil
}

// digestModel digests the model at a place without loading it.
func (s *stage) digestModel(ctx context.Context, place string) (modelDigests, error) {
	m, err := s.app.openModel(ctx, place)
	if err != nil {
		return modelDigests{}, err
	}
	return m.digests(ctx, s.cache)
}

func isSHA256(digest string) bool {
	raw, err := hex.DecodeString(digest)
	return err == nil && len(raw) == sha256.Size
}

// loadTokenizer reads a tokenizer.json at any place.
func (a *app) loadTokenizer(ctx context.Context, place string) (*tokenizer.Tokenizer, error) {
	store, name, err := a.stores.Locate(ctx, place)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer: %w", err)
	}
	if name == "" {
		return nil, fmt.Errorf("load tokenizer %s: it is a folder", place)
	}
	data, err := shards.ReadObject(ctx, store, name, maxTokenizer)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer %s: %w", place, err)
	}
	tok, err := tokenizer.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer %s: %w", place, err)
	}
	return tok, nil
}

// maxTokenizer bounds a tokenizer.json; that of a vocabulary of 256,000 has 30 MB.
const maxTokenizer = 1 << 30

// loadModel loads the weights of a model at any place.
func (a *app) loadModel(ctx context.Context, place string) (*lm.Model, error) {
	folder, err := a.fetchModel(ctx, place)
	if err != nil {
		return nil, err
	}
	return lm.Load(folder)
}

// fetchModel returns a local folder with the model's files: the folder itself,
// or a copy in the cache, whose content was checked just now.
func (a *app) fetchModel(ctx context.Context, place string) (string, error) {
	if folder, ok := localPath(place); ok {
		return folder, nil
	}
	m, err := a.openModel(ctx, place)
	if err != nil {
		return "", err
	}
	folder, err := cacheFolder("models", m.cacheKey())
	if err != nil {
		return "", err
	}
	if checkCopy(ctx, folder) == nil {
		return folder, nil
	}
	if err := m.fetch(ctx, folder); err != nil {
		return "", fmt.Errorf("fetch model %s: %w", place, err)
	}
	return folder, nil
}

// cacheKey names the copy of the model by what is known of its content.
func (m *modelFolder) cacheKey() string {
	return copyKey(func(name string) (int64, string, bool) {
		file, ok := m.files[name]
		return file.Size, file.Digest, ok
	})
}

func copyKey(file func(name string) (size int64, digest string, ok bool)) string {
	var parts []string
	for _, name := range slices.Concat(modelFiles, trainedFiles) {
		if size, digest, ok := file(name); ok {
			parts = append(parts, name, fmt.Sprint(size), digest)
		}
	}
	return shards.UnitKey(parts...)
}

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

// checkCopy reads a cached copy and compares it with its contents file.
func checkCopy(ctx context.Context, folder string) error {
	raw, err := os.ReadFile(filepath.Join(folder, contentsName))
	if err != nil {
		return err
	}
	var contents map[string]copiedFile
	if err := json.Unmarshal(raw, &contents); err != nil {
		return err
	}
	for _, name := range modelFiles {
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
	if checkCopy(ctx, folder) == nil { // another process was faster, and may be reading it
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
