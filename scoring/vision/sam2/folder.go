package sam2

import (
	"errors"
	"fmt"
	"slices"

	"github.com/curate-data/curate/scoring/safetensors"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

// Files of a model folder.
const (
	configFile  = safetensors.ConfigFile
	weightsFile = safetensors.WeightsFile
)

// checkpoint is a model folder, read.
type checkpoint struct {
	config        Config
	input         *pixels.Input
	image, object []safetensors.Tensor // as imageSpecs and objectSpecs list them
}

// readFolder reads a model folder. All missing, misshapen and unknown tensors
// are named at once.
func readFolder(folder string) (*checkpoint, error) {
	raw, err := safetensors.ReadConfig(folder, configFile)
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
	c := &checkpoint{config: config, input: input}
	if err := safetensors.InFolder(folder, c.read); err != nil {
		return nil, err
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

func (c *checkpoint) read(file *safetensors.File) error {
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
