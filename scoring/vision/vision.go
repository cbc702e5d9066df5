// Package vision turns pictures, and the objects in them, into vectors by image
// encoders in the folders that Hugging Face publishes: ViT, DINOv2 (with
// registers, with SwiGLU) and the vision side of CLIP.
//
// A picture goes through the model once. The vector of an object is the mean of
// the patch tokens under its box or mask, each weighted by the share of the patch
// that is covered; or, with Crop, the vector of the picture around it alone.
package vision

import (
	"context"
	"errors"
	"fmt"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

// Pooling says where the vector of an object comes from.
type Pooling string

const (
	// Box takes the patches under the object's box.
	Box Pooling = "box"
	// Mask takes the patches under its mask, or its box where it has none.
	Mask Pooling = "mask"
	// Crop runs the model on the object alone, with a tenth of its size around it
	// on each side: one more run for each object.
	Crop Pooling = "crop"
)

// Options say what vectors are made of. The zero value works.
type Options struct {
	Pooling Pooling // Box by default
	// Fit is pixels.Whole by default, for which Size may be another edge of the
	// input than the processor's, in pixels: positions are interpolated.
	Fit  pixels.Fit
	Size int
	// Layer is how many blocks run, with the last norm after them; 0 means all.
	Layer int
	// Project applies CLIP's projection into the space that it shares with texts.
	Project bool
	// Raw leaves vectors as they come; otherwise their L2 norm is 1.
	Raw bool
	// Batch is the pictures that run together; 0 means as many as make 2,048
	// tokens, enough for full-speed matrix products on a CPU.
	Batch int
}

// defaults fills in what is not set.
func (o Options) defaults() Options {
	if o.Pooling == "" {
		o.Pooling = Box
	}
	if o.Fit == "" {
		o.Fit = pixels.Whole
	}
	return o
}

func (o Options) validate(s shape) error {
	var faults []error
	if o.Pooling != Box && o.Pooling != Mask && o.Pooling != Crop {
		faults = append(faults, fmt.Errorf("pooling %q: want %s, %s or %s", o.Pooling, Box, Mask, Crop))
	}
	if o.Layer < 0 || o.Layer > s.Layers {
		faults = append(faults, fmt.Errorf("layer %d: the model has %d", o.Layer, s.Layers))
	}
	if o.Batch < 0 {
		faults = append(faults, fmt.Errorf("batch of %d pictures: want at least 1", o.Batch))
	}
	if o.Project && s.Projected == 0 {
		faults = append(faults, errors.New("project: the model has no projection"))
	}
	return errors.Join(faults...)
}

// model is an encoder of one kind. One goroutine may use it at a time.
type model interface {
	// Embed answers each request, in order. It stops between batches when ctx ends.
	Embed(ctx context.Context, requests []pixels.Request) ([]pixels.Vectors, error)
	// Dim returns the length of vectors.
	Dim() int
	// Digest returns the hex SHA-256 of everything that decides vectors but the backend.
	Digest() string
	// Close frees the model.
	Close() error
}

// Encoder is an open image encoder.
type Encoder struct {
	model
	name   string
	random bool
}

// Name says for people what makes the vectors, such as "dinov2 384 x 12, patches
// of 14 in 224 x 224 pixels, box". Digest is what tells encoders apart.
func (e *Encoder) Name() string { return e.name }

// Random says whether the weights are those of WriteRandom, which have learned
// nothing.
func (e *Encoder) Random() bool { return e.random }

// Open loads the encoder in a model folder (config.json, model.safetensors and
// preprocessor_config.json) onto a device. The device must stay open as long as
// the encoder. An error wraps ErrModelType where config.json names another family.
func Open(be *backend.Backend, folder string, options Options) (*Encoder, error) {
	w, err := load(folder)
	if err != nil {
		return nil, fmt.Errorf("open encoder %s: %w", folder, err)
	}
	processor, err := pixels.ReadProcessor(folder)
	if err != nil {
		return nil, fmt.Errorf("open encoder: %w", err)
	}
	t, err := newTransformer(be, w, processor, options.defaults())
	if err != nil {
		return nil, fmt.Errorf("open encoder %s: %w", folder, err)
	}
	s := w.shape
	name := fmt.Sprintf("%s %d x %d, patches of %d in %d x %d pixels, %s", s.Family, s.Width, s.Layers, s.Patch, t.input.Width, t.input.Height, t.options.Pooling)
	if w.random {
		name += ", random weights"
	}
	return &Encoder{t, name, w.random}, nil
}
