package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/tokenizer"
	"github.com/curate-data/curate/scoring/train"
	"github.com/curate-data/curate/shards"
)

// modelFiles are what a model folder has to have.
var modelFiles = []string{"config.json", "model.safetensors", "tokenizer.json"}

// trainedFiles are what training leaves beside them.
var trainedFiles = []string{train.LogFile, train.ResultFile, trainPage}

// fileKinds are the files of one kind of model folder.
type fileKinds struct {
	required, optional []string
	help               string
}

// languageFiles are those of language models, encoderFiles those of image encoders.
var (
	languageFiles = fileKinds{modelFiles, trainedFiles, modelHelp}
	encoderFiles  = fileKinds{[]string{"config.json", "model.safetensors"}, []string{"preprocessor_config.json", "processor_config.json"},
		"the folder of an image encoder has config.json, model.safetensors and preprocessor_config.json"}
)

const modelHelp = "a model folder has config.json, model.safetensors and tokenizer.json"

// modelDigests identify a model folder without loading it.
type modelDigests struct{ weights, tokenizer string }

// modelFolder is a model where the user has it: on disk or in a remote store.
type modelFolder struct {
	app   *app
	kinds fileKinds
	place string
	store shards.Store
	files map[string]shards.Input // by name; Digest is set where it is known without reading
}

// openModel finds the files of a model folder.
func (a *app) openModel(ctx context.Context, place string, kinds fileKinds) (*modelFolder, error) {
	store, err := a.stores.Folder(ctx, place)
	if err != nil {
		return nil, err
	}
	m := &modelFolder{a, kinds, place, store, map[string]shards.Input{}}
	for _, name := range slices.Concat(kinds.required, kinds.optional) {
		input, err := fileInput(ctx, store, place, name)
		if errors.Is(err, fs.ErrNotExist) && slices.Contains(kinds.optional, name) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open model %s: %w (%s)", place, err, kinds.help)
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
	m, err := s.app.openModel(ctx, place, languageFiles)
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
	folder, err := a.fetchModel(ctx, place, languageFiles)
	if err != nil {
		return nil, err
	}
	return lm.Load(folder)
}

// openWeights opens a model at any place, to be read tensor by tensor.
func (a *app) openWeights(ctx context.Context, place string) (*lm.Folder, error) {
	folder, err := a.fetchModel(ctx, place, languageFiles)
	if err != nil {
		return nil, err
	}
	return lm.OpenFolder(folder)
}

// fetchModel returns a local folder with the model's files: the folder itself,
// or a copy in the cache, whose content was checked just now.
func (a *app) fetchModel(ctx context.Context, place string, kinds fileKinds) (string, error) {
	if folder, ok := localPath(place); ok {
		return folder, nil
	}
	m, err := a.openModel(ctx, place, kinds)
	if err != nil {
		return "", err
	}
	folder, err := cacheFolder("models", m.cacheKey())
	if err != nil {
		return "", err
	}
	if checkCopy(ctx, folder, kinds) == nil {
		return folder, nil
	}
	if err := m.fetch(ctx, folder); err != nil {
		return "", fmt.Errorf("fetch model %s: %w", place, err)
	}
	return folder, nil
}

// cacheKey names the copy of the model by what is known of its content.
func (m *modelFolder) cacheKey() string {
	return copyKey(m.kinds, func(name string) (int64, string, bool) {
		file, ok := m.files[name]
		return file.Size, file.Digest, ok
	})
}

func copyKey(kinds fileKinds, file func(name string) (size int64, digest string, ok bool)) string {
	var parts []string
	for _, name := range slices.Concat(kinds.required, kinds.optional) {
		if size, digest, ok := file(name); ok {
			parts = append(parts, name, fmt.Sprint(size), digest)
		}
	}
	return shards.UnitKey(parts...)
}
