package safetensors

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Files of a model folder as Hugging Face has them. Weights are in one file, or
// in several that an index joins.
const (
	ConfigFile  = "config.json"
	WeightsFile = "model.safetensors"
	IndexFile   = "model.safetensors.index.json"
)

// maxConfig bounds a config.json, which takes a few kilobytes.
const maxConfig = 1 << 20

// ReadConfig reads a model folder's config.json, or another small file of it.
func ReadConfig(folder, name string) ([]byte, error) {
	raw, err := readSmall(folder, name, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no model folder, or an unfinished one: %w", err)
	}
	return raw, err
}

// readSmall reads a file of at most limit bytes.
func readSmall(folder, name string, limit int64) ([]byte, error) {
	file, err := open(folder, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return raw, err
}

// missing is a file that is not there, or a link without an end.
type missing struct{ name, target string }

// Error implements error.
func (m missing) Error() string {
	if m.target != "" {
		return fmt.Sprintf("%s is a link to %s, which is missing", m.name, m.target)
	}
	return m.name + " is missing"
}

// Unwrap says that it does not exist.
func (m missing) Unwrap() error { return fs.ErrNotExist }

// open opens a regular file of a folder.
func open(folder, name string) (*os.File, error) {
	path := filepath.Join(folder, name)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		target, _ := os.Readlink(path) // "" where it is no link
		return nil, missing{name, target}
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// InFolder opens the weights of a model folder for as long as read takes: one
// file, or where there is none those of the index. Errors say that they are of
// the weights.
func InFolder(folder string, read func(*File) error) error {
	var opened []io.Closer
	defer func() {
		for _, file := range opened {
			file.Close()
		}
	}()
	one := func(name string) (*File, error) {
		file, err := open(folder, name)
		if err != nil {
			return nil, err
		}
		opened = append(opened, file)
		info, err := file.Stat()
		if err != nil {
			return nil, err
		}
		weights, err := Open(file, info.Size())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return weights, nil
	}
	name := WeightsFile
	weights, err := one(name)
	if gone := (missing{}); errors.As(err, &gone) && gone.target == "" {
		name = IndexFile
		weights, err = fromIndex(folder, one)
	}
	if err != nil {
		return err
	}
	if err := read(weights); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// fromIndex opens all files of an index. It names all at once that are missing or
// cannot be read.
func fromIndex(folder string, one func(name string) (*File, error)) (*File, error) {
	raw, err := readSmall(folder, IndexFile, MaxIndex)
	if gone := (missing{}); errors.As(err, &gone) && gone.target == "" {
		return nil, NoWeights(func(name string) bool {
			_, err := os.Stat(filepath.Join(folder, name))
			return err == nil
		})
	}
	if err != nil {
		return nil, err
	}
	index, err := ParseIndex(raw)
	if err != nil {
		return nil, err
	}
	files := map[string]*File{}
	var faults []error
	for _, name := range index.Files {
		file, err := one(name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		files[name] = file
	}
	weights, err := index.Join(files)
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, fmt.Errorf("%s: %w", IndexFile, err)
	}
	return weights, nil
}

// NoWeights says what to do with a model folder that has neither WeightsFile nor
// IndexFile, by what else it has.
func NoWeights(has func(name string) bool) error {
	for _, name := range []string{"pytorch_model.bin", "pytorch_model.bin.index.json"} {
		if has(name) {
			return fmt.Errorf("the weights are in %s, a pickle, which can run code and is not read: write %s in Python with transformers:"+
				" AutoModel.from_pretrained(FOLDER).save_pretrained(NEW) (for language models AutoModelForCausalLM)", name, WeightsFile)
		}
	}
	return fmt.Errorf("the folder has no weights: %s is missing, and so is %s", WeightsFile, IndexFile)
}
