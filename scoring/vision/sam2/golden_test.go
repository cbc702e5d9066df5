package sam2

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

const (
	tolerance      = 1e-4 // absolute, of everything that the model computes
	pixelTolerance = 1e-2 // of the values that the image processor makes
)

// golden is a picture of what scripts/golden/make_sam2.py writes.
type golden struct {
	Width, Height int
	Boxes         [][4]float32
	Pixels        []float64 // every 97th
	Embedding     []float64 // every 3rd of [C,g,g]
	Image         []float64
	IoU           [][]float64
	Score         []float64
	Mask          [][]float64 // every 11th of [4g,4g]
	Pool          [][]float64
	Pointer       [][]float64
}

func loadGolden(t *testing.T, name string) []golden {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var pictures []golden
	if err := json.Unmarshal(raw, &pictures); err != nil {
		t.Fatal(err)
	}
	return pictures
}

// request returns the picture that the script made, with its boxes.
func (g golden) request() pixels.Request {
	p := &pixels.Picture{Width: g.Width, Height: g.Height}
	for y := range g.Height {
		for x := range g.Width {
			for c := range 3 {
				p.RGB = append(p.RGB, uint8(x*5+y*3+c*41+(x/9)*(y/7)*(c+11)+x*y%13*4))
			}
		}
	}
	request := pixels.Request{Picture: p}
	for _, b := range g.Boxes {
		request.Objects = append(request.Objects, pixels.Region{Box: pipeline.Box{X1: b[0], Y1: b[1], X2: b[2], Y2: b[3]}})
	}
	return request
}

// eachBackend runs a test on pure Go and on XLA for CPUs, which is skipped only
// where no plugin is installed and CURATE_REQUIRE_XLA is not 1.
func eachBackend(t *testing.T, test func(t *testing.T, be *backend.Backend)) {
	for _, name := range []string{backend.Go, backend.CPU} {
		t.Run(name, func(t *testing.T) { test(t, openBackend(t, name)) })
	}
}

func openBackend(t *testing.T, name string) *backend.Backend {
	t.Helper()
	be, err := backend.Open(name)
	if errors.Is(err, backend.ErrNoPlugin) && os.Getenv("CURATE_REQUIRE_XLA") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := be.Close(); err != nil {
			t.Error(err)
		}
	})
	return be
}

func loadModel(t *testing.T, be *backend.Backend, folder string, o Options) *Model {
	t.Helper()
	m, err := Load(be, folder, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// near wants got[step*i] to be want[i], within a tolerance.
func near(t *testing.T, what string, got []float32, want []float64, step int, within float64) float64 {
	t.Helper()
	if n := (len(got) + step - 1) / step; n != len(want) {
		t.Fatalf("%s has %d values, transformers has %d", what, n, len(want))
	}
	worst := 0.0
	for i, w := range want {
		d := math.Abs(float64(got[i*step]) - w)
		if !(d <= within) {
			t.Errorf("%s at %d is %v, transformers has %v", what, i*step, got[i*step], w)
			return d
		}
		worst = max(worst, d)
	}
	return worst
}

func TestEmbedEqualsTransformers(t *testing.T) {
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		for _, c := range []struct {
			folder  string
			options Options
			want    func(golden) [][]float64
		}{
			{"video", Options{Raw: true, Batch: 3}, func(g golden) [][]float64 { return g.Pointer }},
			{"image", Options{Vector: MaskPool, Raw: true}, func(g golden) [][]float64 { return g.Pool }},
			{"video", Options{Vector: MaskPool, Raw: true, Batch: 1}, func(g golden) [][]float64 { return g.Pool }},
		} {
			if be.Name != backend.Go && c.options.Batch == 1 {
				continue // XLA takes seconds to compile a graph, and these differ in sizes alone
			}
			m := loadModel(t, be, filepath.Join("testdata", c.folder), c.options)
			pictures, worst := loadGolden(t, c.folder), 0.0
			var requests []pixels.Request
			for _, g := range pictures {
				requests = append(requests, g.request())
			}
			found, err := m.Embed(context.Background(), requests)
			if err != nil {
				t.Fatal(err)
			}
			for i, g := range pictures {
				worst = max(worst, near(t, "image", found[i].Image, g.Image, 1, tolerance))
				for j, want := range c.want(g) {
					worst = max(worst, near(t, "object", found[i].Objects[j], want, 1, tolerance))
				}
			}
			t.Logf("%s %s: largest difference %.2g", c.folder, m.options.Vector, worst)
		}
	})
}

// TestGraphsEqualTransformers looks at what Embed does not show: qualities,
// scores and logits of masks, and the embedding cell by cell.
func TestGraphsEqualTransformers(t *testing.T) {
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		for _, folder := range []string{"video", "image"} {
			if be.Name != backend.Go && folder == "image" {
				continue // as above
			}
			m := loadModel(t, be, filepath.Join("testdata", folder), Options{Vector: MaskPool, Batch: 4})
			heads := stage{names: m.object.names, weights: m.object.weights}
			err := heads.compile(be, func(in []*graph.Node, w weights) []*graph.Node {
				f := features{embedding: in[2], fine: in[3], middle: in[4]}
				o := decode(m.config, w, f, prompts{corners: in[0], boxCells: in[1], position: w[imageFourierName]})
				return []*graph.Node{o.iou, o.score, o.mask(w, f)}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer heads.exec.Finalize()
			for _, g := range loadGolden(t, folder) {
				compareStates(t, m, &heads, g)
			}
		}
	})
}

func compareStates(t *testing.T, m *Model, heads *stage, g golden) {
	t.Helper()
	request, c := g.request(), m.config
	values := make([]float32, m.input.Len())
	at, err := m.input.Fill(request.Picture, values)
	if err != nil {
		t.Fatal(err)
	}
	side := m.input.Height
	near(t, "pixels", values, g.Pixels, 97, pixelTolerance)
	seen := call(t, &m.image, tensors.FromFlatDataAndDimensions(values, 3, side, side))
	embedding, cells, width := flat(t, seen[1]), c.cells()*c.cells(), m.Dim()
	transposed := make([]float32, 0, len(embedding))
	for i := range embedding {
		transposed = append(transposed, embedding[i%cells*width+i/cells])
	}
	worst := near(t, "embedding", transposed, g.Embedding, 3, tolerance)
	var all []prompt
	for _, object := range request.Objects {
		p, _ := c.prompt(at, object.Box)
		all = append(all, p)
	}
	out := call(t, heads, append(m.prompts(all), seen[1:]...)...)
	masks, area := c.Decoder.NumMasks, 16*cells
	for i := range g.Boxes {
		worst = max(worst, near(t, "iou", flat(t, out[0])[i*masks:(i+1)*masks], g.IoU[i], 1, tolerance))
		worst = max(worst, near(t, "score", flat(t, out[1])[i:i+1], g.Score[i:i+1], 1, tolerance))
		worst = max(worst, near(t, "mask", flat(t, out[2])[i*area:(i+1)*area], g.Mask[i], 11, tolerance))
	}
	t.Logf("%s, %d x %d: largest difference %.2g", c.ModelType, g.Width, g.Height, worst)
}

func call(t *testing.T, s *stage, inputs ...*tensors.Tensor) []*tensors.Tensor {
	t.Helper()
	out, err := s.call(inputs...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func flat(t *testing.T, tensor *tensors.Tensor) []float32 {
	t.Helper()
	values, err := tensors.CopyFlatData[float32](tensor)
	if err != nil {
		t.Fatal(err)
	}
	return values
}
