package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/vision"
	"github.com/curate-data/curate/scoring/vision/pixels"
	"github.com/curate-data/curate/scoring/vision/sam2"
	"github.com/curate-data/curate/shards"
)

// encoderConfig says which vectors are made, the `embed` section of a config file.
type encoderConfig struct {
	Encoder    string `yaml:"encoder" json:"-"` // model folder, or random:PRESET[:SEED] for random weights
	Pooling    string `yaml:"pooling" json:"pooling,omitempty"`
	VectorType string `yaml:"vector_type" json:"vector_type,omitempty"`
	Size       int    `yaml:"size" json:"size,omitempty"`
	Layer      int    `yaml:"layer" json:"layer,omitempty"`
	Project    bool   `yaml:"project" json:"project,omitempty"`
	Raw        bool   `yaml:"raw" json:"raw,omitempty"`
	Batch      int    `yaml:"batch" json:"-"`
}

// addEncoderFlags adds the flags of encoders.
func addEncoderFlags(flags *pflag.FlagSet, c *encoderConfig) {
	flags.StringVar(&c.Encoder, "encoder", "", "model folder of SAM2, DINOv2, ViT or CLIP (config.json, model.safetensors, preprocessor_config.json), or random:"+strings.Join(vision.RandomPresets(), "|")+" for random weights")
	flags.StringVar(&c.Pooling, "pooling", "", "vector of an object: box (default), mask or crop; of SAM2: pointer (default) or mask_pool")
	flags.StringVar(&c.VectorType, "vector-type", "f32", "numbers of vectors: f32 or f16")
	flags.IntVar(&c.Size, "image-size", 0, "edge of the model's input in pixels; default: the model's")
	flags.IntVar(&c.Layer, "layer", 0, "blocks of the model to run; default: all")
	flags.BoolVar(&c.Project, "project", false, "CLIP: the projection into the space of texts")
	flags.BoolVar(&c.Raw, "raw", false, "vectors as they come, not of length 1")
	flags.IntVar(&c.Batch, "batch", 0, "pictures at a time; default: by the model's size")
}

// validate finds faults that need no model.
func (c encoderConfig) validate() error {
	if c.Encoder == "" {
		return errors.New("encoder: name a model folder, or random:PRESET")
	}
	if c.VectorType != "" && c.VectorType != "f32" && c.VectorType != "f16" {
		return fmt.Errorf("vector type %q: want f32 or f16", c.VectorType)
	}
	if poolings := []string{"", "box", "mask", "crop", "pointer", "mask_pool"}; !slices.Contains(poolings, c.Pooling) {
		return fmt.Errorf("pooling %q: want one of %s", c.Pooling, strings.Join(poolings[1:], ", "))
	}
	_, _, err := c.random()
	return err
}

// describe says what makes vectors, without where it lies.
func (c encoderConfig) describe() string {
	if strings.HasPrefix(c.Encoder, "random:") {
		return "random weights, " + strings.TrimPrefix(c.Encoder, "random:")
	}
	return fileName(strings.TrimRight(c.Encoder, "/"))
}

// vectors are the settings that make vectors of one model differ.
func (c encoderConfig) vectors() encoderConfig {
	c.Encoder, c.VectorType, c.Batch = "", "", 0
	return c
}

// random returns the preset and the seed of random weights, "" for a model.
func (c encoderConfig) random() (preset string, seed uint64, err error) {
	rest, ok := strings.CutPrefix(c.Encoder, "random:")
	if !ok {
		return "", 0, nil
	}
	preset, text, hasSeed := strings.Cut(rest, ":")
	if !slices.Contains(vision.RandomPresets(), preset) {
		return "", 0, fmt.Errorf("encoder %s: there is no preset %q; there are %s", c.Encoder, preset, strings.Join(vision.RandomPresets(), ", "))
	}
	if hasSeed {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			return "", 0, fmt.Errorf("encoder %s: the seed %q is no number", c.Encoder, text)
		}
	}
	return preset, seed, nil
}

// imageEncoder makes vectors. One goroutine may use it at a time.
type imageEncoder interface {
	Embed(ctx context.Context, requests []pixels.Request) ([]pixels.Vectors, error)
	Dim() int
	Digest() string
	Close() error
}

// encoderFolder returns a local folder with the encoder, and the digest of its
// files.
func (s *stage) encoderFolder(ctx context.Context, c encoderConfig) (folder, digest string, err error) {
	preset, seed, err := c.random()
	if err != nil {
		return "", "", usageError{err}
	}
	if preset != "" {
		folder, err := cacheFolder("encoders", fmt.Sprintf("%s-%d-%s", preset, seed, version))
		if err != nil {
			return "", "", err
		}
		return folder, shards.UnitKey("random", preset, strconv.FormatUint(seed, 10)), writeRandom(folder, preset, seed)
	}
	m, err := s.app.openModel(ctx, c.Encoder, encoderFiles)
	if err != nil {
		return "", "", err
	}
	var parts []string
	for _, name := range slices.Concat(encoderFiles.required, m.weights, encoderFiles.optional) {
		if file, ok := m.files[name]; ok {
			sum, err := s.cache.Digest(ctx, file)
			if err != nil {
				return "", "", err
			}
			parts = append(parts, name, sum)
		}
	}
	folder, err = s.app.fetchModel(ctx, c.Encoder, encoderFiles)
	return folder, shards.UnitKey(parts...), err
}

// writeRandom makes a folder of random weights, unless it is there.
func writeRandom(folder, preset string, seed uint64) error {
	if _, err := os.Stat(filepath.Join(folder, "config.json")); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(folder), copyPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := vision.WriteRandom(work, preset, seed); err != nil {
		return err
	}
	if err := os.Rename(work, folder); err != nil {
		if _, there := os.Stat(filepath.Join(folder, "config.json")); there == nil {
			return nil // another process was faster
		}
		return err
	}
	return nil
}

// openEncoder loads the encoder of a folder onto a device.
func openEncoder(be *backend.Backend, folder string, c encoderConfig) (imageEncoder, error) {
	raw, err := os.ReadFile(filepath.Join(folder, "config.json"))
	if err != nil {
		return nil, err
	}
	var config struct {
		ModelType string `json:"model_type"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, fmt.Errorf("open encoder %s: config.json: %w", folder, err)
	}
	if config.ModelType == "sam2" || config.ModelType == "sam2_video" {
		if c.Size != 0 || c.Layer != 0 || c.Project {
			return nil, usagef("--image-size, --layer and --project are not for SAM2")
		}
		return sam2.Load(be, folder, sam2.Options{Vector: c.Pooling, Raw: c.Raw, Batch: c.Batch})
	}
	return vision.Open(be, folder, vision.Options{
		Pooling: vision.Pooling(c.Pooling), Size: c.Size, Layer: c.Layer, Project: c.Project, Raw: c.Raw, Batch: c.Batch,
	})
}
