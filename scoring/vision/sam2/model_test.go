package sam2

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

func embed(t *testing.T, m *Model, r pixels.Request) pixels.Vectors {
	t.Helper()
	found, err := m.Embed(context.Background(), []pixels.Request{r})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || len(found[0].Objects) != len(r.Objects) {
		t.Fatalf("%d answers, %d objects for %d regions", len(found), len(found[0].Objects), len(r.Objects))
	}
	return found[0]
}

func regions(boxes ...pipeline.Box) []pixels.Region {
	var all []pixels.Region
	for _, b := range boxes {
		all = append(all, pixels.Region{Box: b})
	}
	return all
}

func TestObjectsOutsideHaveNoVector(t *testing.T) {
	m := loadModel(t, openBackend(t, backend.Go), "testdata/video", Options{Vector: MaskPool, Batch: 2})
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	r := loadGolden(t, "video")[1].request() // 150 x 97
	r.Objects = regions(
		pipeline.Box{X1: 150, Y1: 10, X2: 170, Y2: 20}, // right of the picture
		pipeline.Box{X1: 10, Y1: 10, X2: 40, Y2: 60},
		pipeline.Box{X1: 10, Y1: -30, X2: 40, Y2: 0},  // above
		pipeline.Box{X1: 40, Y1: 10, X2: 10, Y2: 60},  // inside out
		pipeline.Box{X1: 10, Y1: 10, X2: 10, Y2: 60},  // a line
		pipeline.Box{X1: nan, Y1: 10, X2: 40, Y2: 60}, // no number
		pipeline.Box{X1: 10, Y1: 10, X2: inf, Y2: 60},
		pipeline.Box{X1: -20, Y1: -5, X2: 300, Y2: 50}, // partly outside
		pipeline.Box{X1: 0, Y1: 0, X2: 150, Y2: 50},
		pipeline.Box{X1: 149.5, Y1: 96.5, X2: 149.6, Y2: 96.6}, // a part of a pixel
	)
	found := embed(t, m, r)
	for i, vector := range found.Objects {
		if want := slices.Contains([]int{1, 7, 8, 9}, i); want != (len(vector) == m.Dim()) || !want && vector != nil {
			t.Errorf("object %d has %d values", i, len(vector))
		}
	}
	if !slices.Equal(found.Objects[7], found.Objects[8]) {
		t.Error("a box that reaches over the edge differs from what is left of it")
	}
	if slices.Equal(found.Objects[1], found.Objects[8]) {
		t.Error("two boxes have the same vector")
	}
	r.Objects = nil
	if alone := embed(t, m, r); !slices.Equal(alone.Image, found.Image) || len(alone.Image) != m.Dim() {
		t.Error("an image's vector depends on its objects")
	}
}

func TestPromptsAreCutAtTheEdges(t *testing.T) {
	c := loadModel(t, openBackend(t, backend.Go), "testdata/video", Options{}).config
	at := pixels.Placement{ScaleX: 128.0 / 150, ScaleY: 128.0 / 97, Width: 150, Height: 97}
	p, ok := c.prompt(at, pipeline.Box{X1: -20, Y1: 24.25, X2: 75, Y2: 300})
	if want := (pipeline.Box{X1: 0, Y1: 32, X2: 64, Y2: 128}); !ok || p.box != want {
		t.Errorf("box is %v, want %v", p.box, want)
	}
	for i, share := range p.cells { // 8 x 8 cells of 16 pixels: the box fills four of a row from the third on
		want := 0.0
		if i%8 < 4 && i/8 >= 2 {
			want = 1.0 / 24
		}
		if math.Abs(float64(share)-want) > 1e-6 {
			t.Errorf("cell %d has %v of the box, want %v", i, share, want)
		}
	}
}

func TestVectorsHaveLengthOne(t *testing.T) {
	be := openBackend(t, backend.Go)
	r := loadGolden(t, "image")[1].request()
	raw := embed(t, loadModel(t, be, "testdata/image", Options{Vector: MaskPool, Raw: true}), r)
	found := embed(t, loadModel(t, be, "testdata/image", Options{Vector: MaskPool}), r)
	for i, vector := range append(found.Objects, found.Image) {
		source := append(raw.Objects, raw.Image)[i]
		square, product, length := 0.0, 0.0, 0.0
		for j, v := range vector {
			square += float64(v) * float64(v)
			product += float64(v) * float64(source[j])
			length += float64(source[j]) * float64(source[j])
		}
		if math.Abs(square-1) > 1e-5 || math.Abs(product-math.Sqrt(length)) > 1e-4 || math.Abs(length-1) < 1e-3 {
			t.Errorf("vector %d has square norm %v, the raw one %v, product %v", i, square, length, product)
		}
	}
}

// The same boxes give the same vectors, whatever their company.
func TestBatchesDoNotChangeVectors(t *testing.T) {
	be := openBackend(t, backend.Go)
	r := loadGolden(t, "image")[0].request()
	r.Objects = append(r.Objects, r.Objects[0])
	var want [][]float32
	for _, batch := range []int{1, 2, 8} {
		m := loadModel(t, be, "testdata/image", Options{Vector: MaskPool, Batch: batch})
		found, again := embed(t, m, r), embed(t, m, r)
		for i := range found.Objects {
			if !slices.Equal(found.Objects[i], again.Objects[i]) {
				t.Errorf("batch of %d: object %d differs from call to call", batch, i)
			}
			if want == nil {
				continue
			}
			for j, v := range found.Objects[i] {
				if math.Abs(float64(v-want[i][j])) > 1e-5 {
					t.Fatalf("batch of %d: object %d has %v at %d, alone %v", batch, i, v, j, want[i][j])
				}
			}
		}
		if want == nil {
			want = found.Objects
		}
	}
	if !slices.Equal(want[0], want[len(want)-1]) {
		t.Error("one box twice has two vectors")
	}
}

// An empty mask leaves the box, whose cells count by their part of it.
func TestPoolOfAnEmptyMask(t *testing.T) {
	be := openBackend(t, backend.Go)
	exec, err := graph.NewExec(be.Backend, func(in []*graph.Node) *graph.Node {
		return pool(features{embedding: in[0]}, in[1], in[2])
	})
	if err != nil {
		t.Fatal(err)
	}
	defer exec.Finalize()
	embedding := [][]float32{{1, 0}, {2, 0}, {3, 10}, {4, 0}} // 2 x 2 cells
	masks := make([][][]float32, 3)
	for i := range masks {
		masks[i] = make([][]float32, 8)
		for y := range masks[i] {
			masks[i][y] = slices.Repeat([]float32{-1}, 8)
		}
	}
	for x := range 4 { // the second mask: a row of the third cell, a pixel of the fourth
		masks[1][6][x] = 3
	}
	masks[1][7][7] = 0.5
	masks[2][0][0] = 0 // a logit of zero is outside
	boxes := [][]float32{{0.25, 0.75, 0, 0}, {1, 0, 0, 0}, {0, 0, 0.5, 0.5}}
	out, err := exec.Call1(tensors.FromValue(embedding), tensors.FromValue(masks), tensors.FromValue(boxes))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float32{1.75, 0, 3.2, 8, 3.5, 5} {
		if got := flat(t, out)[i]; math.Abs(float64(got-want)) > 1e-6 {
			t.Errorf("value %d is %v, want %v", i, got, want)
		}
	}
}

func TestEmbedSaysWhatWentWrong(t *testing.T) {
	m := loadModel(t, openBackend(t, backend.Go), "testdata/video", Options{})
	good := loadGolden(t, "video")[0].request()
	broken := pixels.Request{Picture: &pixels.Picture{Width: 8, Height: 8, RGB: make([]uint8, 10)}}
	for _, bad := range []pixels.Request{broken, {}} {
		_, err := m.Embed(context.Background(), []pixels.Request{good, bad})
		if err == nil || !strings.Contains(err.Error(), "embed image 1 of 2") {
			t.Errorf("error does not name the image: %v", err)
		}
	}
	stopped, stop := context.WithCancelCause(context.Background())
	stop(errors.New("enough"))
	if _, err := m.Embed(stopped, []pixels.Request{good}); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("stopped, and: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Embed(context.Background(), []pixels.Request{good}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("closed, and: %v", err)
	}
}
