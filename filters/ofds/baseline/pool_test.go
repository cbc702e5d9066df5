package baseline

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/curate-data/curate/filters/ofds/ofdstest"
	"github.com/curate-data/curate/pipeline"
)

func id(i int) string { return fmt.Sprintf("image-%04d", i) }

// imagePool has one image per vector.
func imagePool(vectors kmeans.Matrix) *ofds.Pool {
	return &ofds.Pool{Images: images(vectors.Rows()), ImageVectors: vectors}
}

func images(n int) []ofds.Image {
	list := make([]ofds.Image, n)
	for i := range list {
		list[i].ID = id(i)
	}
	return list
}

// objectPool gives image i objects of the classes objects[i]. Vectors are those
// of the objects one after the other.
func objectPool(classes []string, objects [][]int, vectors kmeans.Matrix) *ofds.Pool {
	p := &ofds.Pool{Images: images(len(objects)), Classes: classes, Vectors: vectors}
	for i, list := range objects {
		p.Images[i].First = int32(len(p.Objects))
		for _, c := range list {
			p.Objects = append(p.Objects, ofds.Object{Image: int32(i), Class: int32(c), Score: 1, ID: fmt.Sprintf("%03d", len(p.Objects))})
		}
		p.Images[i].End = int32(len(p.Objects))
	}
	return p
}

func preselected(list []int) map[string]bool {
	m := make(map[string]bool)
	for _, i := range list {
		m[id(i)] = true
	}
	return m
}

// gaussian returns vectors around a few modes, some of them equal.
func gaussian(random *rand.Rand, n, dim, modes int, spread float64) kmeans.Matrix {
	centres, m := kmeans.NewMatrix(modes, dim), kmeans.NewMatrix(n, dim)
	for i := range centres.Data {
		centres.Data[i] = float32(random.NormFloat64())
	}
	for i := range n {
		if i > 0 && random.IntN(8) == 0 {
			copy(m.Row(i), m.Row(random.IntN(i)))
			continue
		}
		for k, x := range centres.Row(random.IntN(modes)) {
			m.Row(i)[k] = x + float32(spread*random.NormFloat64())
		}
	}
	return m
}

// source makes a few images with vectors, some without objects.
func source(random *rand.Rand, n, dim int) ofdstest.Slice {
	scenes, things := gaussian(random, n, dim, 5, 0.3), gaussian(random, 8*n, dim, 7, 0.3)
	var list ofdstest.Slice
	for i := range n {
		image := &pipeline.Image{RowID: pipeline.RowID{Shard: "a", Row: int64(i)}, ID: id(i), Vector: scenes.Row(i)}
		for o := range random.IntN(8) {
			x := float32(100 * o)
			image.Objects = append(image.Objects, pipeline.Object{
				ID: fmt.Sprint(o), Class: []string{"car", "dog", "bus"}[min(2, int(random.ExpFloat64()))], Score: 1,
				Box: pipeline.Box{X1: x, X2: x + 50, Y2: 50}, Vector: things.Row(8*i + o),
			})
		}
		list = append(list, image)
	}
	return list
}

func newPool(t interface{ Fatal(...any) }, list pipeline.ImageSource) *ofds.Pool {
	pool, err := ofds.NewPool(context.Background(), list, ofds.PoolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// chosen returns the images of a selection in order.
func chosen(s *ofds.Selection) []int {
	list := make([]int, len(s.Chosen))
	for i, c := range s.Chosen {
		list[i] = int(c.Image)
	}
	return list
}

func mustSelect(t *testing.T, m ofds.Selector, pool *ofds.Pool, budget int, seed uint64) *ofds.Selection {
	t.Helper()
	s, err := m.Select(t.Context(), pool, budget, seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rough is a product that is as far off as slack allows, up for one pair and
// down for the next.
type rough struct{}

func (rough) Multiply(ctx context.Context, a, b kmeans.Matrix, out []float32) error {
	if err := kmeans.Plain().Multiply(ctx, a, b, out); err != nil {
		return err
	}
	for i := range out {
		x, y := a.Row(i/b.Rows()), b.Row(i%b.Rows())
		off := float32(float64(a.Dim) * 0x1p-25 * math.Sqrt(inner(x, x)*inner(y, y)))
		if (i/b.Rows()+i%b.Rows())%2 == 0 {
			off = -off
		}
		out[i] += off
	}
	return nil
}

func names() []string {
	var list []string
	for _, n := range Names() {
		list = append(list, n.Name)
	}
	return list
}
