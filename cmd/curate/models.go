package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/tokenizer"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/hub"
)

func isSHA256(digest string) bool {
	raw, err := hex.DecodeString(digest)
	return err == nil && len(raw) == sha256.Size
}

// loadTokenizer reads a tokenizer.json at any place, or that of a model folder.
func (a *app) loadTokenizer(ctx context.Context, place string) (*tokenizer.Tokenizer, error) {
	store, name, err := a.stores.Locate(ctx, place)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer: %w", err)
	}
	if name == "" {
		name = "tokenizer.json"
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
// or a copy in a cache, whose content was checked just now.
func (a *app) fetchModel(ctx context.Context, place string, kinds fileKinds) (string, error) {
	if folder, ok := localPath(place); ok {
		return folder, nil
	}
	m, err := a.openModel(ctx, place, kinds)
	if err != nil {
		return "", err
	}
	names := slices.Sorted(maps.Keys(m.files))
	if remote, ok := m.store.(*hub.Model); ok {
		var task *progress.Task
		folder, err := remote.Fetch(ctx, names, func(bytes int64) func(int64) {
			task = a.progress.Start("fetch model", "B", bytes)
			return task.Add
		})
		if task != nil {
			task.Done()
		}
		return folder, err
	}
	folder, err := cacheFolder("models", m.cacheKey())
	if err != nil {
		return "", err
	}
	if checkCopy(ctx, folder, names) == nil {
		return folder, nil
	}
	if err := m.fetch(ctx, folder); err != nil {
		return "", fmt.Errorf("fetch model %s: %w", place, err)
	}
	return folder, nil
}
