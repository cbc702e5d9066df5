package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/curate-data/curate/scoring/safetensors"
	"github.com/curate-data/curate/scoring/train"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/hub"
)

// modelFiles are what training writes of a model.
var modelFiles = []string{"config.json", safetensors.WeightsFile, "tokenizer.json"}

// trainedFiles are what training leaves beside them.
var trainedFiles = []string{train.LogFile, train.ResultFile, trainPage}

// fileKinds are the files of one kind of model folder, beside the weights.
type fileKinds struct {
	required, optional []string
	help               string
}

// languageFiles are those of language models, encoderFiles those of image encoders.
var (
	languageFiles = fileKinds{[]string{"config.json", "tokenizer.json"}, trainedFiles, modelHelp}
	encoderFiles  = fileKinds{[]string{"config.json"}, []string{"preprocessor_config.json", "processor_config.json"},
		"the folder of an image encoder has config.json, model.safetensors and preprocessor_config.json"}
)

const modelHelp = "a model folder has config.json, model.safetensors and tokenizer.json"

// modelDigests identify a model folder without loading it.
type modelDigests struct{ weights, tokenizer string }

// modelFolder is a model where the user has it: on disk, in a remote store or on
// the Hugging Face Hub.
type modelFolder struct {
	app     *app
	place   string
	store   shards.Store
	files   map[string]shards.Input // by name; Digest is set where it is known without reading
	weights []string                // names: one file, or an index and its files
}

// openModel finds the files of a model folder. It names all at once that are missing.
func (a *app) openModel(ctx context.Context, place string, kinds fileKinds) (*modelFolder, error) {
	store, err := a.stores.ReadFolder(ctx, place)
	if err != nil {
		return nil, err
	}
	m := &modelFolder{a, place, store, map[string]shards.Input{}, nil}
	var faults []error
	fault := func(err error) { faults = append(faults, fmt.Errorf("open model %s: %w (%s)", place, err, kinds.help)) }
	for _, name := range slices.Concat(kinds.required, kinds.optional) {
		found, err := m.find(ctx, name)
		if err == nil && !found && slices.Contains(kinds.required, name) {
			err = m.missing(ctx, name)
		}
		if err != nil {
			fault(err)
		}
	}
	if err := m.findWeights(ctx); err != nil {
		fault(err)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if _, ok := localPath(place); ok {
		return m, nil
	}
	return m, m.recall(ctx)
}

// find looks for one file.
func (m *modelFolder) find(ctx context.Context, name string) (bool, error) {
	input, err := fileInput(ctx, m.store, m.place, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, m.whyMissing(name)
	}
	m.files[name] = input
	return err == nil, err
}

// whyMissing says what is wrong with a file that listings pass over, nil where
// there is none.
func (m *modelFolder) whyMissing(name string) error {
	if folder, ok := localPath(m.place); ok {
		return brokenLink(filepath.Join(folder, filepath.FromSlash(name)))
	}
	return nil
}

// brokenLink is an error for a link that leads nowhere.
func brokenLink(path string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return nil
	}
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is a link to %s, which is missing", filepath.Base(path), target)
	case err != nil:
		return err // too many levels of links, with the path
	}
	return nil
}

// missing is the error for a required file, with what to do about it.
func (m *modelFolder) missing(ctx context.Context, name string) error {
	if remote, ok := m.store.(*hub.Model); ok {
		if err := remote.WhyMissing(name); err != nil {
			return err
		}
	}
	if name != "tokenizer.json" {
		return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	for _, other := range []string{"tokenizer.model", "vocab.json", "merges.txt", "spiece.model"} {
		if there, err := objectExists(ctx, m.store, other); there && err == nil {
			return fmt.Errorf("tokenizer.json is missing, and %s is not read: make one in Python with transformers:"+
				" AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)", other)
		}
	}
	return errors.New("tokenizer.json is missing: copy that of the tokenizer which the model was trained with")
}

// findWeights finds the file of weights, or the index and the files that it names.
func (m *modelFolder) findWeights(ctx context.Context) error {
	for _, name := range []string{safetensors.WeightsFile, safetensors.IndexFile} {
		found, err := m.find(ctx, name)
		if err != nil {
			return err
		}
		if found {
			m.weights = []string{name}
			break
		}
	}
	switch {
	case m.weights == nil:
		if remote, ok := m.store.(*hub.Model); ok {
			if err := remote.WhyMissing(safetensors.WeightsFile); err != nil {
				return err
			}
		}
		return safetensors.NoWeights(func(name string) bool {
			there, err := objectExists(ctx, m.store, name)
			return there && err == nil
		})
	case m.weights[0] == safetensors.WeightsFile:
		return nil
	}
	raw, err := shards.ReadObject(ctx, m.store, safetensors.IndexFile, safetensors.MaxIndex)
	if err != nil {
		return err
	}
	index, err := safetensors.ParseIndex(raw)
	if err != nil {
		return err
	}
	var faults []error
	for _, name := range index.Files {
		found, err := m.find(ctx, name)
		if err == nil && !found {
			err = m.missing(ctx, name)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", safetensors.IndexFile, err))
		}
	}
	m.weights = append(m.weights, index.Files...)
	return errors.Join(faults...)
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
	config, err := cache.Digest(ctx, m.files["config.json"])
	if err != nil {
		return modelDigests{}, err
	}
	parts := []string{config}
	for _, name := range m.weights {
		digest, err := cache.Digest(ctx, m.files[name])
		if err != nil {
			return modelDigests{}, err
		}
		if len(m.weights) > 1 {
			parts = append(parts, name)
		}
		parts = append(parts, digest)
	}
	tokenizer := m.files["tokenizer.json"]
	if !isSHA256(tokenizer.Digest) {
		tokenizer.Digest = "" // by content wherever it is: the digests of two tokenizers are compared
	}
	digest, err := cache.Digest(ctx, tokenizer)
	return modelDigests{shards.UnitKey(parts...), digest}, err
}

// digestModel digests the model at a place without loading it.
func (s *stage) digestModel(ctx context.Context, place string) (modelDigests, error) {
	m, err := s.app.openModel(ctx, place, languageFiles)
	if err != nil {
		return modelDigests{}, err
	}
	return m.digests(ctx, s.cache)
}

// cacheKey names the copy of the model by what is known of its content.
func (m *modelFolder) cacheKey() string {
	contents := map[string]copiedFile{}
	for name, file := range m.files {
		contents[name] = copiedFile{file.Size, file.Digest}
	}
	return copyKey(contents)
}

func copyKey(contents map[string]copiedFile) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		parts = append(parts, name, fmt.Sprint(contents[name].Size), contents[name].SHA256)
	}
	return shards.UnitKey(parts...)
}
