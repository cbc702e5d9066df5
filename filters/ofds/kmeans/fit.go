package kmeans

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Product multiplies matrices. Its results may be off by the rounding of float32
// sums in any order, not by more (no TF32, no bfloat16): what decides between
// close distances is computed again, so that all products give the same
// clusters.
type Product interface {
	// Multiply sets out[i*b.Rows()+j] to the inner product of a's vector i and
	// b's vector j. It may be called by several goroutines at once, and keeps
	// nothing of what it is given.
	Multiply(ctx context.Context, a, b Matrix, out []float32) error
}

// Options are those of Fit.
type Options struct {
	K             int
	Seed          uint64
	MaxIterations int       // 0 means 25
	Tolerance     float64   // stop when an iteration lowers the inertia by less than this part of it; 0 means 0.001, below 0 goes on until no point moves
	Weights       []float32 // of the points; nil means 1 each
	Start         Matrix    // centroids to begin with; k-means++ draws the missing ones
	Product       Product   // nil means plain Go
	Workers       int       // goroutines; 0 means one per processor; does not change the result
}

// Result is a clustering. Clusters are numbered from 0 to K-1; none is empty.
type Result struct {
	Centroids  Matrix
	Cluster    []int32   // of each point
	Distance   []float32 // Euclidean, of each point to its centroid
	Size       []int     // points in each cluster
	Inertia    float64   // weighted sum of the squares of the distances
	Iterations int       // how many times the centroids moved
}

// ErrTooFewPoints is Fit's answer to K larger than the number of points.
var ErrTooFewPoints = errors.New("fewer points than clusters")

// Fit clusters points by Euclidean distance. Ties go to the cluster with the
// lower number. The result depends on the points, their order, and the options
// but Product and Workers, and on nothing else.
//
// Centroids to begin with are drawn by k-means++. Beyond 16 a new one looks for
// its points near it only, and 256 or more come from Deep.
//
// Where points coincide so that a cluster would have none, it takes the point
// farthest from its centroid, or one of the largest cluster if all are on theirs.
func Fit(ctx context.Context, points Matrix, opt Options) (*Result, error) {
	if err := opt.check(points); err != nil {
		return nil, fmt.Errorf("cluster %d vectors: %w", points.Rows(), err)
	}
	r, err := fit(ctx, points, opt)
	if err != nil {
		return nil, fmt.Errorf("cluster %d vectors: %w", points.Rows(), err)
	}
	return r, nil
}

func (o *Options) check(points Matrix) error {
	switch n := points.Rows(); {
	case o.K < 1:
		return fmt.Errorf("%d clusters: want at least 1", o.K)
	case o.K > n:
		return fmt.Errorf("%w: %d clusters", ErrTooFewPoints, o.K)
	case n > math.MaxInt32:
		return fmt.Errorf("want at most %d", math.MaxInt32)
	case o.Weights != nil && len(o.Weights) != n:
		return fmt.Errorf("%d weights: want one for each", len(o.Weights))
	case len(o.Start.Data) > 0 && o.Start.Dim != points.Dim:
		return fmt.Errorf("they have %d dimensions, the centroids to start with %d", points.Dim, o.Start.Dim)
	}
	if err := finiteRows("centroid to start with", o.Start); err != nil {
		return err
	}
	for i, w := range o.Weights {
		if !(w >= 0 && w <= math.MaxFloat32) {
			return fmt.Errorf("weight %d is %g: want a finite one that is not negative", i, w)
		}
	}
	return nil
}

func (o *Options) rounds() int {
	if o.MaxIterations == 0 {
		return 25
	}
	return o.MaxIterations
}

func finiteRows(what string, m Matrix) error {
	for i := range m.Rows() {
		if !finite(length(m.Row(i))) {
			return notFinite(what, i)
		}
	}
	return nil
}

func notFinite(what string, i int) error {
	return fmt.Errorf("%s %d has a NaN or an infinity", what, i)
}

func fit(ctx context.Context, points Matrix, opt Options) (*Result, error) {
	s, err := newSearch(ctx, points, opt.Product, opt.Workers)
	if err != nil {
		return nil, err
	}
	rounds, tolerance := opt.rounds(), opt.Tolerance
	if tolerance == 0 {
		tolerance = 1e-3
	}
	centroids, err := seed(ctx, s, opt)
	if err != nil {
		return nil, err
	}
	l := lloyd{search: s, weights: opt.Weights, found: newFound(points.Rows(), true)}
	r := &Result{}
	for err = l.begin(ctx, centroids); err == nil; err = l.move(ctx) {
		before := r.Inertia
		r.Inertia = inertia(l.square, opt.Weights)
		if r.Iterations > 0 && (!l.changed || before-r.Inertia <= tolerance*before && tolerance > 0) || r.Iterations >= rounds {
			break
		}
		r.Iterations++
	}
	if err != nil {
		return nil, err
	}
	r.Centroids, r.Cluster = l.centroids, l.cluster
	r.finish(points, l.square, opt.Weights)
	return r, nil
}

func inertia(square []float64, weights []float32) float64 {
	sum := 0.0
	for i, d := range square {
		if weights != nil {
			d = float64(d * float64(weights[i]))
		}
		sum += d
	}
	return sum
}

// finish sees to it that no cluster is empty, and sets distances and sizes.
func (r *Result) finish(points Matrix, square []float64, weights []float32) {
	r.Size = make([]int, r.Centroids.Rows())
	for _, c := range r.Cluster {
		r.Size[c]++
	}
	for c := range r.Size {
		if r.Size[c] > 0 {
			continue
		}
		far := -1
		for i, d := range square {
			if from := r.Cluster[i]; r.Size[from] > 1 && (far < 0 || d > square[far] || d == square[far] && r.Size[from] > r.Size[r.Cluster[far]]) {
				far = i
			}
		}
		r.Size[r.Cluster[far]]--
		r.Cluster[far], r.Size[c], square[far] = int32(c), 1, 0
		copy(r.Centroids.Row(c), points.Row(far))
		r.Inertia = inertia(square, weights)
	}
	r.Distance = make([]float32, len(square))
	for i, d := range square {
		r.Distance[i] = float32(math.Sqrt(d))
	}
}

// Nearest returns, for each point, the nearest centroid (the first of equals)
// and the Euclidean distance to it. It is as exact as Fit, whatever the product.
func Nearest(ctx context.Context, points, centroids Matrix, product Product, workers int) (cluster []int32, distance []float32, err error) {
	if points.Rows() == 0 {
		return nil, nil, nil
	}
	if centroids.Rows() == 0 || centroids.Dim != points.Dim {
		return nil, nil, fmt.Errorf("find nearest: %d centroids of %d dimensions for vectors of %d", centroids.Rows(), centroids.Dim, points.Dim)
	}
	s, err := newSearch(ctx, points, product, workers)
	if err == nil {
		err = finiteRows("centroid", centroids)
	}
	if err == nil {
		f := newFound(points.Rows(), false)
		s.among(centroids)
		if err = s.run(ctx, nil, f); err == nil {
			distance = make([]float32, len(f.square))
			for i, d := range f.square {
				distance[i] = float32(math.Sqrt(d))
			}
			return f.cluster, distance, nil
		}
	}
	return nil, nil, fmt.Errorf("find nearest of %d centroids: %w", centroids.Rows(), err)
}
