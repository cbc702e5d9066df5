package safetensors

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Files of a model folder as Hugging Face has them.
const (
	ConfigFile  = "config.json"
	WeightsFile = "model.safetensors"
	indexFile   = "model.safetensors.index.json"
)

// maxConfig bounds a config.json, which takes a few kilobytes.
const maxConfig = 1 << 20

// ReadConfig reads a model folder's config.json, or another small file of it.
func ReadConfig(folder, name string) ([]byte, error) {
	file, err := os.Open(filepath.Join(folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no model folder, or an unfinished one: %s is missing", name)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err == nil && len(raw) > maxConfig {
		err = fmt.Errorf("%s has more than %d bytes", name, maxConfig)
	}
	return raw, err
}

// InFolder opens the weights of a model folder for as long as read takes. Errors
// say that they are of the weights.
func InFolder(folder string, read func(*File) error) error {
	file, err := os.Open(filepath.Join(folder, WeightsFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, indexed := os.Stat(filepath.Join(folder, indexFile)); indexed == nil {
			return fmt.Errorf("weights in several files (%s) cannot be read: join them into %s", indexFile, WeightsFile)
		}
		return fmt.Errorf("the folder has no weights: %s is missing", WeightsFile)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", WeightsFile)
	}
	weights, err := Open(file, info.Size())
	if err == nil {
		err = read(weights)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", WeightsFile, err)
	}
	return nil
}
