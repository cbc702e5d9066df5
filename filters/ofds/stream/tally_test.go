package stream

import (
	"cmp"
	"context"
	"math"
	"slices"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/ofdstest"
)

// TestTallyKeepsTheNearest finds sizes, sums and the nearest images of every
// cluster by looking at all objects.
func TestTallyKeepsTheNearest(t *testing.T) {
	ctx := context.Background()
	config := ofdstest.Default(1.6, 1)
	config.Images, config.Dim = 400, 8
	truth := ofdstest.New(config)
	opt := Options{Budget: 20, Nearest: 3, SampleBytes: 8 * 4 * 300}
	census, err := NewCensus(opt)
	if err != nil {
		t.Fatal(err)
	}
	source := Images{Source: truth, Batch: 30}
	if err := census.Count(ctx, source); err != nil {
		t.Fatal(err)
	}
	book, err := Train(ctx, census, opt)
	if err != nil {
		t.Fatal(err)
	}
	tally, err := NewTally(book, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := tally.Count(ctx, source); err != nil {
		t.Fatal(err)
	}
	pool, err := ofds.NewPool(ctx, truth, ofds.PoolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for class := range book.classes {
		for k := range tally.classes[class] {
			checkCluster(t, pool, book, tally, class, k)
		}
	}
}

func checkCluster(t *testing.T, pool *ofds.Pool, book *Codebook, tally *Tally, class, k int) {
	t.Helper()
	distanceTo := func(o, cluster int) float64 {
		d := 0.0
		for j, x := range book.classes[class].centroids.Row(cluster) {
			d += float64(x-pool.Vectors.Row(o)[j]) * float64(x-pool.Vectors.Row(o)[j])
		}
		return d
	}
	size, sum, least := int64(0), make([]float64, book.dim), make(map[string]float32)
	for o, object := range pool.Objects {
		if int(object.Class) != class {
			continue
		}
		best := 0
		for other := range tally.classes[class] {
			if distanceTo(o, other) < distanceTo(o, best) {
				best = other
			}
		}
		if best != k {
			continue
		}
		size++
		for j, x := range pool.Vectors.Row(o) {
			sum[j] += float64(x)
		}
		id, d := pool.Images[object.Image].ID, float32(math.Sqrt(distanceTo(o, k)))
		if before, ok := least[id]; !ok || d < before {
			least[id] = d
		}
	}
	var ids []string
	for id := range least {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(least[a], least[b]), cmp.Compare(a, b)) })
	got := tally.classes[class][k]
	if got.size != size || len(got.nearest) != min(3, len(ids)) {
		t.Fatalf("cluster %d of class %d has %d objects and keeps %d images, want %d and %d", k, class, got.size, len(got.nearest), size, min(3, len(ids)))
	}
	for i, one := range got.nearest {
		if one.image.id != ids[i] || one.distance != least[ids[i]] {
			t.Errorf("cluster %d of class %d: image %d is %s at %g, want %s at %g", k, class, i, one.image.id, one.distance, ids[i], least[ids[i]])
		}
	}
	for j := range got.sum {
		if math.Abs(float64(got.sum[j])/ldexp(book.shift)-sum[j]) > 1e-6*float64(size) {
			t.Errorf("cluster %d of class %d: sum %d is %g, want %g", k, class, j, float64(got.sum[j])/ldexp(book.shift), sum[j])
		}
	}
}
