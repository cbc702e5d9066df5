package sam2

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/curate-data/curate/scoring/safetensors"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

// Files of a model folder.
const (
	configFile  = "config.json"
	weightsFile = "model.safetensors"
	indexFile   = "model.safetensors.index.json"
)

// maxConfig bounds config.json; published ones have about 5 kB.
const maxConfig = 1 << 20

// checkpoint is a model folder, read.
type checkpoint struct {
	config        Config
	input         *pixels.Input
	image, object []safetensors.Tensor // as imageSpecs and objectSpecs list them
}

// readFolder reads a model folder. All missing, misshapen and unknown tensors
// are named at once.
func readFolder(folder string) (*checkpoint, error) {
	raw, err := readConfig(filepath.Join(folder, configFile))
	if err != nil {
		return nil, err
	}
	config, err := parseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	input, err := readInput(folder, int(config.Prompt.ImageSize))
	if err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(folder, weightsFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, indexed := os.Stat(filepath.Join(folder, indexFile)); indexed == nil {
			return nil, fmt.Errorf("weights in several files (%s) cannot be read: join them into %s", indexFile, weightsFile)
		}
		return nil, fmt.Errorf("the folder has no weights: %s is missing", weightsFile)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", weightsFile)
	}
	c := &checkpoint{config: config, input: input}
	if err := c.read(file, info.Size()); err != nil {
		return nil, fmt.Errorf("%s: %w", weightsFile, err)
	}
	return c, nil
}

// readInput reads the image processor, which must make what the model takes.
func readInput(folder string, side int) (*pixels.Input, error) {
	processor, err := pixels.ReadProcessor(folder)
	if err != nil {
		return nil, err
	}
	input, err := processor.Input(pixels.Cropped, 0)
	if err != nil {
		return nil, err
	}
	if input.Height != side || input.Width != side || processor.CropHeight != 0 {
		return nil, fmt.Errorf("the image processor makes %d x %d pixels, cut or not; config.json wants whole pictures of %d x %d", input.Height, input.Width, side, side)
	}
	return input, nil
}

func readConfig(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no model folder: %s is missing", configFile)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxConfig {
		return nil, fmt.Errorf("%s has more than %d bytes", configFile, maxConfig)
	}
	return raw, nil
}

func (c *checkpoint) read(data io.ReaderAt, size int64) error {
	file, err := safetensors.Open(data, size)
	if err != nil {
		return err
	}
	image, object := imageSpecs(c.config), objectSpecs(c.config)
	if !slices.Contains(file.Names(), promptFourierName) {
		// The two are one matrix in the published model. Files of older versions of
		// transformers hold it once.
		object = slices.DeleteFunc(object, func(s safetensors.Spec) bool { return s.Name == promptFourierName })
	}
	if err := file.Match(slices.Concat(image, object), unused); err != nil {
		return err
	}
	var faults [2]error
	c.image, faults[0] = file.ReadAll(image)
	c.object, faults[1] = file.ReadAll(object)
	return errors.Join(faults[:]...)
}

// find returns a tensor by name.
func find(all []safetensors.Tensor, name string) (safetensors.Tensor, bool) {
	i := slices.IndexFunc(all, func(t safetensors.Tensor) bool { return t.Name == name })
	if i < 0 {
		return safetensors.Tensor{}, false
	}
	return all[i], true
}
