package sam2

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/safetensors"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

// What stands for an object.
const (
	Pointer  = "pointer"   // the object pointer: the best mask's token, projected
	MaskPool = "mask_pool" // the image embedding's mean over the best mask
)

// Options say which vectors a model makes, and in what batches.
type Options struct {
	Vector string // Pointer, which "" means, or MaskPool
	// Raw leaves vectors as they come; otherwise their L2 norm is 1.
	Raw bool
	// Batch is how many boxes of an image the mask decoder takes at a time. 0
	// means 8: with 1024 pixels about 0.5 GB of activations.
	Batch int
}

// Model is SAM2 on a device. It holds the weights there, and beside them the
// activations of one image. One goroutine may use it at a time.
type Model struct {
	be      *backend.Backend
	config  Config
	options Options
	input   *pixels.Input
	buffer  []float32 // of the input's values
	corners []float32 // random Fourier features of corners, [2,C/2]
	digest  string
	image   stage
	object  stage
}

// stage is a graph and those of its inputs that never change.
type stage struct {
	exec    *graph.Exec
	names   []string // of the weights
	weights []*tensors.Tensor
}

// Load reads a model folder as transformers publishes it, a checkpoint of
// Sam2Model or Sam2VideoModel, and puts it on the device. Only the latter has
// object pointers. Code is compiled when it is first needed.
func Load(be *backend.Backend, folder string, options Options) (*Model, error) {
	m, err := load(be, folder, options)
	if err != nil {
		return nil, fmt.Errorf("load model %s: %w", folder, err)
	}
	return m, nil
}

func load(be *backend.Backend, folder string, options Options) (*Model, error) {
	if options.Vector == "" {
		options.Vector = Pointer
	}
	if options.Batch == 0 {
		options.Batch = 8
	}
	if options.Vector != Pointer && options.Vector != MaskPool {
		return nil, fmt.Errorf("vector %q: want %s or %s", options.Vector, Pointer, MaskPool)
	}
	if options.Batch < 0 {
		return nil, fmt.Errorf("batch of %d boxes: want at least 1", options.Batch)
	}
	c, err := readFolder(folder)
	if err != nil {
		return nil, err
	}
	if options.Vector == Pointer && c.config.ModelType != videoModel {
		return nil, fmt.Errorf("a checkpoint of model_type %s has no object pointers: take one of %s, or the vector %s", c.config.ModelType, videoModel, MaskPool)
	}
	return newModel(be, c, options)
}

func newModel(be *backend.Backend, c *checkpoint, options Options) (*Model, error) {
	m := &Model{be: be, config: c.config, options: options, input: c.input, digest: digest(c, options)}
	m.buffer = make([]float32, m.input.Len())
	if err := backend.Catch("put it on "+be.Name, func() error { return m.place(c) }); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// place computes the positional embeddings and sends all weights to the device.
func (m *Model) place(c *checkpoint) error {
	whole, _ := find(c.image, positionName)
	window, _ := find(c.image, windowPositionName)
	features, _ := find(c.object, imageFourierName)
	m.corners = features.Data
	if own, ok := find(c.object, promptFourierName); ok {
		m.corners = own.Data
	}
	image := replace(c.image, m.config.positions(whole, window), windowPositionName)
	object := replace(c.object, m.config.cellPositions(features), promptFourierName)
	if err := m.image.load(m.be, image, m.encoder); err != nil {
		return err
	}
	return m.object.load(m.be, object, m.decoder)
}

// replace puts a computed tensor in the place of the one with its name, and
// leaves another out.
func replace(all []safetensors.Tensor, computed safetensors.Tensor, without string) []safetensors.Tensor {
	var out []safetensors.Tensor
	for _, t := range all {
		switch t.Name {
		case computed.Name:
			out = append(out, computed)
		case without:
		default:
			out = append(out, t)
		}
	}
	return out
}

// load sends weights to the device and prepares a graph.
func (s *stage) load(be *backend.Backend, all []safetensors.Tensor, build graphOf) error {
	for _, t := range all {
		s.names = append(s.names, t.Name)
		weight := tensors.FromFlatDataAndDimensions(t.Data, t.Shape...)
		s.weights = append(s.weights, weight)
		if err := weight.ToDevice(be.Backend, 0); err != nil {
			return fmt.Errorf("tensor %s: %w", t.Name, err)
		}
	}
	return s.compile(be, build)
}

// graphOf builds a graph of inputs that are new in each call, and weights.
type graphOf func(inputs []*graph.Node, w weights) []*graph.Node

// compile prepares a graph: its code is made when it is first called.
func (s *stage) compile(be *backend.Backend, build graphOf) (err error) {
	s.exec, err = graph.NewExec(be.Backend, func(inputs []*graph.Node) []*graph.Node {
		w, free := weights{}, len(inputs)-len(s.names)
		for i, name := range s.names {
			w[name] = inputs[free+i]
		}
		return build(inputs[:free], w)
	})
	return err
}

// call runs the graph on inputs, before the weights.
func (s *stage) call(inputs ...*tensors.Tensor) ([]*tensors.Tensor, error) {
	var all []any
	for _, t := range slices.Concat(inputs, s.weights) {
		all = append(all, t)
	}
	return s.exec.Call(all...)
}

func (s *stage) free() error {
	if s.exec != nil {
		s.exec.Finalize()
	}
	err := free(s.weights)
	*s = stage{}
	return err
}

// Close frees the model.
func (m *Model) Close() error {
	return backend.Catch("free model", func() error { return errors.Join(m.image.free(), m.object.free()) })
}

// Dim returns the length of the vectors, of objects and of images: 256 in the
// published models.
func (m *Model) Dim() int { return m.config.Decoder.Width }

// Digest returns the hex SHA-256 of everything that decides the vectors: the
// configuration, how pictures become pixels, all weights bit for bit, which
// vector it is and whether it is raw.
func (m *Model) Digest() string { return m.digest }

func digest(c *checkpoint, options Options) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%+v %s %s raw=%t\n", c.config, c.input, options.Vector, options.Raw)
	for _, t := range slices.Concat(c.image, c.object) {
		t.Digest(hash, t.Name)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// encoder builds the first graph: an image [3,S,S] -> the image's
// vector and what the decoder needs of it.
func (m *Model) encoder(inputs []*graph.Node, w weights) []*graph.Node {
	f := encode(m.config, w, inputs[0], w[positionName])
	if m.options.Vector == Pointer {
		return []*graph.Node{f.image, f.embedding}
	}
	return []*graph.Node{f.image, f.embedding, f.fine, f.middle}
}

// decoder builds the second graph: corners and cells of a batch of boxes, and
// what the encoder made of the image -> vectors [P,C].
func (m *Model) decoder(inputs []*graph.Node, w weights) []*graph.Node {
	f := features{embedding: inputs[2]}
	in := prompts{corners: inputs[0], boxCells: inputs[1], position: w[imageFourierName]}
	o := decode(m.config, w, f, in)
	if m.options.Vector == Pointer {
		return []*graph.Node{o.pointer(w)}
	}
	f.fine, f.middle = inputs[3], inputs[4]
	return []*graph.Node{pool(f, o.mask(w, f), in.boxCells)}
}
