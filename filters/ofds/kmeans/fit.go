package kmeans

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
)

// Product multiplies matrices. Its results may be off by rounding: what decides
// between close distances is computed again, so that all products give the same
// clusters.
type Product interface {
	// Multiply sets out[i*b.Rows()+j] to the inner product of a's vector i and
	// b's vector j. It may be called by several goroutines at once.
	Multiply(ctx context.Context, a, b Matrix, out []float32) error
}

// Options are those of Fit.
type Options struct {
	K             int
	Seed          uint64
	MaxIterations int       // 0 means 25
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
	Iterations int
}

// ErrTooFewPoints is Fit's answer to K larger than the number of points.
var ErrTooFewPoints = errors.New("fewer points than clusters")

// Fit clusters points by Euclidean distance. Ties go to the cluster with the
// lower number, and so to the point with the lower index. The result depends on the points,
// their order, and the options but Product and Workers, and on nothing else.
func Fit(ctx context.Context, points Matrix, opt Options) (*Result, error) {
	n, k := points.Rows(), opt.K
	if k > n {
		return nil, ErrTooFewPoints
	}
	random := rand.New(rand.NewPCG(opt.Seed, 0x6b6d65616e73))
	r := &Result{Centroids: NewMatrix(k, points.Dim)}
	have := copy(r.Centroids.Data, opt.Start.Data) / max(1, points.Dim)
	for ; have < k; have++ {
		copy(r.Centroids.Row(have), points.Row(draw(random, points, r.Centroids.Slice(0, have), opt.Weights)))
	}
	rounds := opt.MaxIterations
	if rounds == 0 {
		rounds = 25
	}
	var before []int32
	for r.Iterations = 0; r.Iterations < rounds; r.Iterations++ {
		var err error
		if r.Cluster, r.Distance, err = Nearest(ctx, points, r.Centroids, opt.Product, opt.Workers); err != nil {
			return nil, err
		}
		if slices.Equal(before, r.Cluster) {
			break
		}
		before = r.Cluster
		r.means(points, opt.Weights)
	}
	r.Size = make([]int, k)
	for _, c := range r.Cluster {
		r.Size[c]++
	}
	return r, nil
}

// draw picks a point with a chance that rises with its weight and the square of
// its distance to the nearest centroid.
func draw(random *rand.Rand, points, centroids Matrix, weights []float32) int {
	chance := make([]float64, points.Rows())
	total := 0.0
	for i := range chance {
		chance[i] = 1
		if centroids.Rows() > 0 {
			_, chance[i] = nearest(points.Row(i), centroids)
		}
		if weights != nil {
			chance[i] *= float64(weights[i])
		}
		total += chance[i]
	}
	at := random.Float64() * total
	for i, c := range chance {
		if at -= c; at < 0 {
			return i
		}
	}
	return len(chance) - 1
}

// means moves the centroids; one without points takes the point that is
// farthest from its centroid.
func (r *Result) means(points Matrix, weights []float32) {
	k := r.Centroids.Rows()
	sum, mass := make([]float64, k*points.Dim), make([]float64, k)
	for i, c := range r.Cluster {
		w := 1.0
		if weights != nil {
			w = float64(weights[i])
		}
		mass[c] += w
		for j, x := range points.Row(i) {
			sum[int(c)*points.Dim+j] += w * float64(x)
		}
	}
	distance := slices.Clone(r.Distance)
	for c := range k {
		if mass[c] == 0 {
			far := 0
			for i, d := range distance {
				if d > distance[far] {
					far = i
				}
			}
			distance[far] = -1
			copy(r.Centroids.Row(c), points.Row(far))
			continue
		}
		for j := range points.Dim {
			r.Centroids.Data[c*points.Dim+j] = float32(sum[c*points.Dim+j] / mass[c])
		}
	}
}

// Nearest returns, for each point, the nearest centroid (the first of equals)
// and the Euclidean distance to it.
func Nearest(ctx context.Context, points, centroids Matrix, product Product, workers int) (cluster []int32, distance []float32, err error) {
	cluster, distance = make([]int32, points.Rows()), make([]float32, points.Rows())
	for i := range cluster {
		c, d := nearest(points.Row(i), centroids)
		cluster[i], distance[i] = int32(c), float32(math.Sqrt(d))
	}
	return cluster, distance, ctx.Err()
}

// nearest returns the nearest centroid and the square of the distance.
func nearest(point []float32, centroids Matrix) (int, float64) {
	best, least := 0, math.Inf(1)
	for c := range centroids.Rows() {
		d := 0.0
		for j, x := range centroids.Row(c) {
			d += float64(x-point[j]) * float64(x-point[j])
		}
		if d < least {
			best, least = c, d
		}
	}
	return best, least
}
