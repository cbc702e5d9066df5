package vision

import (
	"errors"
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/safetensors"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

// batchTokens is how many tokens make a batch where the options leave it open.
const batchTokens = 2048

// transformer is a vision transformer on a device.
type transformer struct {
	be      *backend.Backend
	shape   shape
	options Options
	input   *pixels.Input
	grid    pixels.Grid
	digest  string
	exec    *graph.Exec
	inputs  []*tensors.Tensor // positions, then the weights
}

// newTransformer puts a model on the device. Its code is compiled when the
// first batch runs, for one shape: Batch pictures.
func newTransformer(be *backend.Backend, w *weights, processor *pixels.Processor, options Options) (*transformer, error) {
	if err := options.validate(w.shape); err != nil {
		return nil, err
	}
	input, err := processor.Input(options.Fit, options.Size)
	if err != nil {
		return nil, err
	}
	patch := w.shape.Patch
	grid := pixels.Grid{Rows: input.Height / patch, Columns: input.Width / patch, Patch: patch}
	if grid.Rows < 1 || grid.Columns < 1 {
		return nil, fmt.Errorf("an input of %d x %d pixels has no patch of %d", input.Width, input.Height, patch)
	}
	if options.Layer == 0 {
		options.Layer = w.shape.Layers
	}
	if tokens := 1 + w.shape.Registers + grid.Rows*grid.Columns; options.Batch == 0 {
		options.Batch = max(1, (batchTokens+tokens/2)/tokens)
	}
	t := &transformer{be: be, shape: w.shape, options: options, input: input, grid: grid}
	decisive := options
	decisive.Batch = 0
	t.digest = w.digest(input, decisive)
	if err := backend.Catch("put model on "+be.Name, func() error { return t.place(w) }); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// place moves positions and weights to the device.
func (t *transformer) place(w *weights) error {
	exec, err := graph.NewExec(t.be.Backend, func(in []*graph.Node) []*graph.Node {
		p := params{}
		for i, role := range w.roles {
			p[role] = in[2+i]
		}
		return t.graph(p, in[1], in[0])
	})
	if err != nil {
		return err
	}
	t.exec = exec
	positions := interpolate(w.get(rolePositions).Data, w.shape, t.grid.Rows, t.grid.Columns)
	all := []safetensors.Tensor{{Name: rolePositions, Shape: []int{1 + t.grid.Rows*t.grid.Columns, w.shape.Width}, Data: positions}}
	for _, p := range append(all, w.params...) {
		tensor := tensors.FromFlatDataAndDimensions(p.Data, p.Shape...)
		t.inputs = append(t.inputs, tensor)
		if err := tensor.ToDevice(t.be.Backend, 0); err != nil {
			return fmt.Errorf("tensor %s: %w", p.Name, err)
		}
	}
	return nil
}

// graph makes the vectors of pictures [B,D] and, unless objects are cropped,
// those of patches [B,N,D]. CLIP's last norm, which transformers applies to the
// class token only, goes over patches too, so that both lie in one space.
func (t *transformer) graph(p params, positions, pictures *graph.Node) []*graph.Node {
	out := t.shape.forward(p, positions, pictures, t.options.Layer)
	project := func(x *graph.Node) *graph.Node {
		if !t.options.Project {
			return x
		}
		return linear(x, p[roleProject+".weight"], nil)
	}
	vectors := []*graph.Node{project(out.pooled)}
	if t.options.Pooling != Crop {
		patches := graph.SliceAxis(out.tokens, 1, graph.AxisRangeToEnd(1+t.shape.Registers))
		if t.shape.NormCLS {
			patches = t.shape.final(p, patches)
		}
		vectors = append(vectors, project(patches))
	}
	return vectors
}

// run runs a full batch of pictures and returns the vectors of pictures and of
// patches (nil for Crop), flat.
func (t *transformer) run(values []float32) (images, patches []float32, err error) {
	err = backend.Catch(fmt.Sprintf("run encoder on %d pictures", t.options.Batch), func() error {
		pictures := tensors.FromFlatDataAndDimensions(values, t.options.Batch, 3, t.input.Height, t.input.Width)
		defer pictures.FinalizeAll()
		arguments := []any{pictures}
		for _, tensor := range t.inputs {
			arguments = append(arguments, tensor)
		}
		results, err := t.exec.Call(arguments...)
		if err != nil {
			return err
		}
		var flat [2][]float32
		for i, result := range results {
			if flat[i], err = tensors.CopyFlatData[float32](result); err != nil {
				return err
			}
			if err := result.FinalizeAll(); err != nil {
				return err
			}
		}
		images, patches = flat[0], flat[1]
		return nil
	})
	return images, patches, err
}

// Dim returns the length of vectors, of pictures and of objects.
func (t *transformer) Dim() int {
	if t.options.Project {
		return t.shape.Projected
	}
	return t.shape.Width
}

// Digest returns the hex SHA-256 of everything that decides vectors.
func (t *transformer) Digest() string { return t.digest }

// Close frees the model. It can be closed twice.
func (t *transformer) Close() error {
	return backend.Catch("free encoder", func() error {
		var faults []error
		for _, tensor := range t.inputs {
			faults = append(faults, tensor.FinalizeAll())
		}
		if t.exec != nil {
			t.exec.Finalize()
		}
		t.inputs, t.exec = nil, nil
		return errors.Join(faults...)
	})
}
