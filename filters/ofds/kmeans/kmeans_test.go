package kmeans

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// rough is a product as wrong as the contract allows: every sum is off by
// dim/2^24 of the product of the lengths, up or down by a hash of the place.
type rough struct{}

func (rough) Multiply(_ context.Context, a, b Matrix, out []float32) error {
	for i := range a.Rows() {
		for j := range b.Rows() {
			sum := 0.0
			for k, x := range a.Row(i) {
				sum += float64(x) * float64(b.Row(j)[k])
			}
			off := float64(a.Dim) / (1 << 24) * length(a.Row(i)) * length(b.Row(j))
			if (math.Float32bits(a.Row(i)[0])*31+uint32(j)*2654435761)>>7&1 == 0 {
				off = -off
			}
			out[i*b.Rows()+j] = float32(sum + off)
		}
	}
	return nil
}

// mixture draws vectors around a few modes; with a grid many coincide and many
// distances tie.
func mixture(random *rand.Rand, n, dim, modes int, grid bool) Matrix {
	centres, points := NewMatrix(modes, dim), NewMatrix(n, dim)
	for i := range centres.Data {
		centres.Data[i] = float32(random.NormFloat64())
	}
	for i := range n {
		mode := int(float64(modes) * random.Float64() * random.Float64())
		for j := range dim {
			points.Row(i)[j] = centres.Row(mode)[j] + 0.3*float32(random.NormFloat64())
			if grid {
				points.Row(i)[j] = float32(math.Round(float64(points.Row(i)[j])))
			}
		}
	}
	return points
}

func TestFitIsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "data"), 1))
		n := rapid.IntRange(1, 600).Draw(t, "n")
		dim := rapid.SampledFrom([]int{1, 2, 3, 7, 16, 33}).Draw(t, "dim")
		points := mixture(random, n, dim, 5, rapid.Bool().Draw(t, "grid"))
		for i := range points.Data {
			points.Data[i] *= rapid.SampledFrom([]float32{1, 1e-30, 1e25}).Draw(t, "scale")
			break
		}
		opt := Options{K: rapid.IntRange(1, min(n, nearGroups)).Draw(t, "k"), Seed: rapid.Uint64().Draw(t, "seed"),
			MaxIterations: rapid.IntRange(1, 20).Draw(t, "rounds"), Tolerance: rapid.SampledFrom([]float64{-1, 1e-3, 1e-2}).Draw(t, "tolerance")}
		if rapid.Bool().Draw(t, "weighted") {
			opt.Weights = make([]float32, n)
			for i := range opt.Weights {
				opt.Weights[i] = float32(random.IntN(4)) / 2
			}
		}
		if starts := rapid.IntRange(0, opt.K).Draw(t, "starts"); starts > 0 {
			opt.Start = points.Slice(0, starts)
		}
		want := reference(points, opt)
		opt.Workers = rapid.IntRange(1, 5).Draw(t, "workers")
		opt.Product = rapid.SampledFrom([]Product{nil, plain{}, rough{}}).Draw(t, "product")
		got, err := Fit(context.Background(), points, opt)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestFitInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "data"), 2))
		n := rapid.IntRange(1, 1500).Draw(t, "n")
		points := mixture(random, n, 8, 20, rapid.Bool().Draw(t, "grid"))
		opt := Options{K: rapid.IntRange(1, min(n, 200)).Draw(t, "k"), Seed: 3}
		r, err := Fit(context.Background(), points, opt)
		if err != nil {
			t.Fatal(err)
		}
		size, inertia := make([]int, opt.K), 0.0
		for i, c := range r.Cluster {
			size[c]++
			d := square(points.Row(i), r.Centroids.Row(int(c)))
			inertia += d
			if float32(math.Sqrt(d)) != r.Distance[i] {
				t.Fatalf("point %d: distance %g, want %g", i, r.Distance[i], math.Sqrt(d))
			}
		}
		if !slices.Equal(size, r.Size) || slices.Min(size) < 1 {
			t.Fatalf("sizes %v, want %v and none empty", r.Size, size)
		}
		if inertia != r.Inertia {
			t.Fatalf("inertia %v, want %v", r.Inertia, inertia)
		}
		opt.Product, opt.Workers = rough{}, 3
		again, err := Fit(context.Background(), points, opt)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatalf("another product: %s", diff)
		}
	})
}

func TestNearest(t *testing.T) {
	ctx := context.Background()
	random := rand.New(rand.NewPCG(4, 4))
	for _, dim := range []int{1, 5, 64} {
		for _, scale := range []float32{1, 1e-38, 1e-22, 1e18, 1e37} {
			points, centroids := mixture(random, 333, dim, 4, true), mixture(random, 130, dim, 4, true)
			for i := range points.Data {
				points.Data[i] *= scale
			}
			for i := range centroids.Data {
				centroids.Data[i] *= scale
			}
			wantCluster, wantDistance := bruteNearest(points, centroids)
			for _, product := range []Product{nil, rough{}} {
				cluster, distance, err := Nearest(ctx, points, centroids, product, 2)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(cluster, wantCluster) || !slices.Equal(distance, wantDistance) {
					t.Errorf("dim %d, scale %g, product %T: not the nearest", dim, scale, product)
				}
			}
		}
	}
}

// TestManyCentroids crosses the part of centroids that is multiplied at once.
func TestManyCentroids(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	points, centroids := mixture(random, 40, 3, 9, false), mixture(random, columnsAtOnce+77, 3, 9, false)
	copy(points.Row(0), centroids.Row(columnsAtOnce+70))
	cluster, _, err := Nearest(context.Background(), points, centroids, nil, 0)
	if want, _ := bruteNearest(points, centroids); err != nil || !slices.Equal(cluster, want) {
		t.Errorf("%v, %v, want %v", cluster, err, want)
	}
}

// TestSeedingOfManyIsGood: beyond nearGroups centroids draws look at near groups only,
// and must be about as good as k-means++.
func TestSeedingOfManyIsGood(t *testing.T) {
	points := mixture(rand.New(rand.NewPCG(6, 6)), 4000, 16, 120, false)
	ours, full := 0.0, 0.0
	for seed := range uint64(3) {
		opt := Options{K: 150, Seed: seed, MaxIterations: 10, Tolerance: -1}
		want := reference(points, opt)
		got, err := Fit(context.Background(), points, opt)
		if err != nil {
			t.Fatal(err)
		}
		ours, full = ours+got.Inertia, full+want.Inertia
	}
	if ours > 1.02*full {
		t.Errorf("inertia %.4f of that of k-means++", ours/full)
	}
	t.Logf("inertia %.4f of that of k-means++", ours/full)
}

// TestDeepIsGood compares two levels with one.
func TestDeepIsGood(t *testing.T) {
	ctx := context.Background()
	points := mixture(rand.New(rand.NewPCG(10, 10)), 5000, 12, 150, false)
	for _, k := range []int{30, 400} {
		deep, err := Deep(ctx, points, Options{K: k, Seed: 1})
		if err != nil || deep.Rows() != k {
			t.Fatal(deep.Rows(), err)
		}
		again, err := Deep(ctx, points, Options{K: k, Seed: 1, Product: rough{}, Workers: 3})
		if err != nil || !slices.Equal(deep.Data, again.Data) {
			t.Error("another product or number of workers, other centroids", err)
		}
		_, distance, err := Nearest(ctx, points, deep, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		inertia := 0.0
		for _, d := range distance {
			inertia += float64(d) * float64(d)
		}
		flat, err := Fit(ctx, points, Options{K: k, Seed: 1, Start: points.Slice(0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("k %d: inertia %.4f of that in one level", k, inertia/flat.Inertia)
		if inertia > 1.06*flat.Inertia {
			t.Errorf("k %d: inertia %.4f of that in one level", k, inertia/flat.Inertia)
		}
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		k    int
		need []float64
		room []int
		want []int
	}{
		{6, []float64{2, 1}, []int{9, 9}, []int{4, 2}},
		{6, []float64{2, 1}, []int{3, 9}, []int{3, 3}},
		{5, []float64{0, 0, 0}, []int{1, 9, 9}, []int{1, 3, 1}},
		{3, []float64{100, 0, 0}, []int{100, 1, 1}, []int{1, 1, 1}},
		{7, []float64{1, 1, 1}, []int{3, 3, 3}, []int{3, 2, 2}},
	} {
		if got := share(c.k, c.need, c.room); !slices.Equal(got, c.want) {
			t.Errorf("%d by %v into %v: %v, want %v", c.k, c.need, c.room, got, c.want)
		}
	}
}

func TestIdenticalPoints(t *testing.T) {
	points := NewMatrix(9, 4)
	for i := range points.Data {
		points.Data[i] = float32(i % 4)
	}
	r, err := Fit(context.Background(), points, Options{K: 5})
	if err != nil {
		t.Fatal(err)
	}
	if r.Inertia != 0 || slices.Min(r.Size) < 1 {
		t.Errorf("inertia %g, sizes %v", r.Inertia, r.Size)
	}
}

func TestFitRefuses(t *testing.T) {
	ctx := context.Background()
	points := mixture(rand.New(rand.NewPCG(7, 7)), 6, 3, 2, false)
	bad := mixture(rand.New(rand.NewPCG(7, 7)), 6, 3, 2, false)
	bad.Row(4)[1] = float32(math.NaN())
	for want, try := range map[string]func() error{
		"fewer points than clusters: 7": func() error { _, err := Fit(ctx, points, Options{K: 7}); return err },
		"0 clusters":                    func() error { _, err := Fit(ctx, points, Options{}); return err },
		"vector 4 has a NaN":            func() error { _, err := Fit(ctx, bad, Options{K: 2}); return err },
		"vector 4 has":                  func() error { _, _, err := Nearest(ctx, bad, points, nil, 0); return err },
		"weight 1 is -1": func() error {
			_, err := Fit(ctx, points, Options{K: 2, Weights: []float32{1, -1, 1, 1, 1, 1}})
			return err
		},
		"2 weights":        func() error { _, err := Fit(ctx, points, Options{K: 2, Weights: []float32{1, 1}}); return err },
		"for vectors of 4": func() error { _, _, err := Nearest(ctx, NewMatrix(1, 4), points, nil, 0); return err },
		"start with 4":     func() error { _, err := Fit(ctx, points, Options{K: 2, Start: NewMatrix(1, 4)}); return err },
		"broken":           func() error { _, err := Fit(ctx, points, Options{K: 2, Product: broken{}}); return err },
		"start with 0 has a NaN": func() error {
			_, err := Fit(ctx, points, Options{K: 2, Start: Matrix{3, []float32{1, 2, float32(math.Inf(1))}}})
			return err
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := Fit(ctx, points, Options{K: 7}); !errors.Is(err, ErrTooFewPoints) {
		t.Error(err)
	}
	stopped, stop := context.WithCancelCause(ctx)
	stop(errors.New("enough"))
	if _, err := Fit(stopped, points, Options{K: 2}); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Error(err)
	}
}

type broken struct{}

func (broken) Multiply(context.Context, Matrix, Matrix, []float32) error { return errors.New("broken") }
