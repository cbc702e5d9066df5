package baseline

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// Pools that are larger than a tile in both directions, and distances at the
// edge of what float32 tells apart.

func largePool() *ofds.Pool {
	return imagePool(gaussian(rand.New(rand.NewPCG(11, 11)), tileColumns+700, 3, 9, 0.2))
}

func TestProbCoverOfManyImages(t *testing.T) {
	pool := largePool()
	const delta = 0.2
	vectors, covered := unit(pool.ImageVectors), make([]bool, len(pool.Images))
	for step, c := range mustSelect(t, ProbCover{Options: ProbCoverOptions{Delta: delta}}, pool, 3, 1).Chosen {
		best, most := -1, 0
		for i := range covered {
			if _, open := ball(vectors, i, delta, covered); open > most {
				best, most = i, open
			}
		}
		if int(c.Image) != best || c.Reason.Size != most {
			t.Errorf("choice %d is image %d that covers %d, want %d with %d", step, c.Image, c.Reason.Size, best, most)
		}
		inside, _ := ball(vectors, int(c.Image), delta, covered)
		for _, i := range inside {
			covered[i] = true
		}
	}
}

func TestTypiClustOfALargeCluster(t *testing.T) {
	pool := largePool()
	vectors := unit(pool.ImageVectors)
	var members []int
	for i := range pool.Images {
		members = append(members, i)
	}
	for step, c := range mustSelect(t, TypiClust{Options: TypiClustOptions{MaxClusters: 1}}, pool, 3, 1).Chosen {
		best, most := -1, 0.0
		for _, i := range members {
			if own := typicality(vectors, members, i, 20); own > most {
				best, most = i, own
			}
		}
		if own := typicality(vectors, members, int(c.Image), 20); !near(own, most) {
			t.Errorf("choice %d is image %d with typicality %g, image %d has %g", step, c.Image, own, best, most)
		}
		members = slices.DeleteFunc(members, func(i int) bool { return i == int(c.Image) })
	}
}

func TestDeltaOfManyImages(t *testing.T) {
	pool := largePool()
	vectors := unit(pool.ImageVectors)
	fit, err := kmeans.Fit(t.Context(), vectors, kmeans.Options{K: 9, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var radius []float64
	for i, c := range fit.Cluster {
		least := math.Inf(1)
		for j, other := range fit.Cluster {
			if other != c {
				least = min(least, plainSquare(vectors.Row(i), vectors.Row(j)))
			}
		}
		radius = append(radius, math.Sqrt(least))
	}
	slices.Sort(radius)
	want := radius[len(radius)-int(math.Ceil(.9*float64(len(radius))))]
	got := mustSelect(t, ProbCover{Options: ProbCoverOptions{Purity: .9, Clusters: 9}}, pool, 1, 1).Chosen[0].Reason.Distance
	if math.Abs(float64(got)-want) > 1e-6 {
		t.Errorf("delta %g, want %g", got, want)
	}
}

// An image at a distance of exactly delta is not covered.
func TestBallsAreOpen(t *testing.T) {
	pool := imagePool(kmeans.Matrix{Dim: 2, Data: []float32{1, 0, -1, 0, -1, 0, 0, 1}})
	s := mustSelect(t, ProbCover{Options: ProbCoverOptions{Delta: 2}}, pool, 2, 1)
	// Image 0 covers itself and 3; 1 covers itself, 2 and 3; 3 covers all.
	if s.Chosen[0].Image != 3 || s.Chosen[0].Reason.Size != 4 || s.Chosen[1].Reason.Kind != ofds.Leftover {
		t.Errorf("delta 2: %+v", s.Chosen)
	}
	pool = imagePool(kmeans.Matrix{Dim: 2, Data: []float32{1, 0, -1, 0, -1, 0, 1, 0, 1, 0}})
	s = mustSelect(t, ProbCover{Options: ProbCoverOptions{Delta: 2}}, pool, 2, 1)
	if s.Chosen[0].Image != 0 || s.Chosen[0].Reason.Size != 3 || s.Chosen[1].Image != 1 || s.Chosen[1].Reason.Size != 2 {
		t.Errorf("delta 2 of opposite images: %+v", s.Chosen)
	}
}

// Distances of patterns are exact, whatever a product says of patterns that are
// nearly the same.
func TestPatternDistancesAreExact(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	vectors := kmeans.NewMatrix(200, 16)
	for i := range vectors.Data {
		vectors.Data[i] = float32(i%16) + float32(1e-6*random.NormFloat64())
	}
	objects := make([][]int, 100)
	for i := range objects {
		objects[i] = []int{0, 0}
	}
	pool := objectPool([]string{"thing"}, objects, vectors)
	r := mustBegin(t, objectD2, needObjectVectors, Common{Product: rough{}}, pool, 10, 1)
	p, err := r.patterns(t.Context(), math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	for image := range int32(10) {
		if err := p.add(t.Context(), r.Common, image); err != nil {
			t.Fatal(err)
		}
	}
	for i, got := range p.distance {
		want := math.Inf(1)
		for j := range 20 {
			want = min(want, cosine(p.vectors.Row(i), p.vectors.Row(j)))
		}
		if i < 20 {
			want = 0
		}
		if got != want {
			t.Errorf("pattern %d: distance %g, want %g", i, got, want)
		}
	}
}
