package vision

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

// tolerance is for every value, float32 against float32 of transformers.
const tolerance = 1e-4

// golden is what scripts/golden/make_vision.py writes.
type golden struct {
	Runs []struct {
		Batch, Height, Width, Seed int
		LastHiddenState            []float64 `json:"last_hidden_state"`
		PoolerOutput               []float64 `json:"pooler_output"`
		ImageEmbeds                []float64 `json:"image_embeds"`
	}
	Early   []float64
	Picture struct{ Box, Image, Object []float64 }
}

func goldenCases() []string {
	return []string{"vit", "vit_classifier", "dinov2", "dinov2_swiglu", "dinov2_registers", "clip_projected", "clip_plain", "clip_half"}
}

// casesOn leaves out most on XLA, which takes a second or two to compile each.
func casesOn(be *backend.Backend, few ...string) []string {
	if be.Name != backend.Go && os.Getenv("CURATE_FULL") != "1" {
		return few
	}
	return goldenCases()
}

func loadGolden(t testing.TB, name string) (*weights, golden) {
	t.Helper()
	w, err := load(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join("testdata", name, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Runs) == 0 {
		t.Fatal("no runs")
	}
	return w, g
}

// eachBackend runs a test on pure Go and on XLA for CPUs, which is skipped only
// where no plugin is installed and CURATE_REQUIRE_XLA is not 1.
func eachBackend(t *testing.T, test func(t *testing.T, be *backend.Backend)) {
	for _, name := range []string{backend.Go, backend.CPU} {
		t.Run(name, func(t *testing.T) { test(t, openBackend(t, name)) })
	}
}

func openBackend(t testing.TB, name string) *backend.Backend {
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

// numbers are the inputs of the goldens.
func numbers(n, seed int) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(uint32(uint64(i+seed)*2654435761)>>8)/(1<<24)*4 - 2
	}
	return values
}

// runForward builds the graph of a model and runs it once.
func runForward(t *testing.T, be *backend.Backend, w *weights, batch, height, width, seed, layers int) (tokens, pooled, projected []float32) {
	t.Helper()
	s := w.shape
	rows, columns := height/s.Patch, width/s.Patch
	inputs := []any{
		tensors.FromFlatDataAndDimensions(numbers(batch*3*height*width, seed), batch, 3, height, width),
		tensors.FromFlatDataAndDimensions(interpolate(w.get(rolePositions).Data, s, rows, columns), 1+rows*columns, s.Width),
	}
	for _, p := range w.params {
		inputs = append(inputs, tensors.FromFlatDataAndDimensions(p.Data, p.Shape...))
	}
	exec, err := graph.NewExec(be.Backend, func(in []*graph.Node) []*graph.Node {
		p := params{}
		for i, role := range w.roles {
			p[role] = in[2+i]
		}
		out := s.forward(p, in[1], in[0], layers)
		nodes := []*graph.Node{out.tokens, out.pooled}
		if s.Projected > 0 {
			nodes = append(nodes, linear(out.pooled, p[roleProject+".weight"], nil))
		}
		return nodes
	})
	if err != nil {
		t.Fatal(err)
	}
	defer exec.Finalize()
	results, err := exec.Call(inputs...)
	if err != nil {
		t.Fatal(err)
	}
	flat := make([][]float32, 3)
	for i, result := range results {
		if flat[i], err = tensors.CopyFlatData[float32](result); err != nil {
			t.Fatal(err)
		}
	}
	return flat[0], flat[1], flat[2]
}

// furthest returns the largest difference, NaN if there is one.
func furthest(t testing.TB, got []float32, want []float64) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	worst := 0.0
	for i, w := range want {
		worst = max(worst, math.Abs(float64(got[i])-w))
	}
	return worst
}

func TestOutputsEqualTransformers(t *testing.T) {
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		for _, name := range casesOn(be, "vit", "dinov2_swiglu", "dinov2_registers", "clip_projected") {
			w, want := loadGolden(t, name)
			if be.Name != backend.Go && os.Getenv("CURATE_FULL") != "1" {
				want.Runs, want.Early = want.Runs[:1], nil
			}
			for _, run := range want.Runs {
				tokens, pooled, projected := runForward(t, be, w, run.Batch, run.Height, run.Width, run.Seed, w.shape.Layers)
				worst := furthest(t, tokens, run.LastHiddenState)
				if run.PoolerOutput != nil {
					worst = max(worst, furthest(t, pooled, run.PoolerOutput))
				}
				worst = max(worst, furthest(t, projected, run.ImageEmbeds))
				t.Logf("%s at %d x %d: largest difference %.2g", name, run.Height, run.Width, worst)
				if !(worst <= tolerance) {
					t.Errorf("%s at %d x %d: differs from transformers by up to %.2g", name, run.Height, run.Width, worst)
				}
			}
			if want.Early != nil {
				first := want.Runs[0]
				tokens, _, _ := runForward(t, be, w, first.Batch, first.Height, first.Width, first.Seed, 1)
				if worst := furthest(t, tokens, want.Early); !(worst <= tolerance) {
					t.Errorf("%s: the first layer differs from transformers by up to %.2g", name, worst)
				}
			}
		}
	})
}

func photo(t testing.TB) *pixels.Picture {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("pixels", "testdata", "decode", "photo.jpg.rgb.png"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := pixels.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func boxOf(v []float64) pipeline.Box {
	return pipeline.Box{X1: float32(v[0]), Y1: float32(v[1]), X2: float32(v[2]), Y2: float32(v[3])}
}

// From the file to the vectors: decoding, the folder's processor, the model, and
// the mean under a box.
func TestVectorsEqualTransformers(t *testing.T) {
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		for _, name := range casesOn(be, "dinov2") {
			_, want := loadGolden(t, name)
			encoder, err := Open(be, filepath.Join("testdata", name), Options{Fit: pixels.Cropped})
			if err != nil {
				t.Fatal(err)
			}
			defer encoder.Close()
			request := pixels.Request{Picture: photo(t), Objects: []pixels.Region{{Box: boxOf(want.Picture.Box)}}}
			got, err := encoder.Embed(context.Background(), []pixels.Request{request})
			if err != nil {
				t.Fatal(err)
			}
			image, object := furthest(t, got[0].Image, want.Picture.Image), furthest(t, got[0].Objects[0], want.Picture.Object)
			t.Logf("%s: picture %.2g, object %.2g", encoder.Name(), image, object)
			if !(image <= tolerance) || !(object <= tolerance) {
				t.Errorf("%s: the picture's vector differs by %.2g, the object's by %.2g", name, image, object)
			}
		}
	})
}
