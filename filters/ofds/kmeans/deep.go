package kmeans

import (
	"context"
	"math"
)

// deepFrom is the number of clusters from which on Fit, with no centroids to
// start with, draws them in two levels.
const deepFrom = 256

// Deep returns K centroids by k-means in two levels: √K coarse clusters, and in each as
// many as its share of the inertia is, as k-means++ would draw them. It costs
// about n*d*√K an iteration, not n*d*K, and the inertia is a few percent more
// than Fit's. Options are those of Fit; Start is not used. The result depends on
// the same things as Fit's.
func Deep(ctx context.Context, points Matrix, opt Options) (Matrix, error) {
	if err := opt.check(points); err != nil {
		return Matrix{}, err
	}
	k := opt.K
	opt.Start = Matrix{}
	opt.K = int(math.Ceil(math.Sqrt(float64(k))))
	coarse, err := Fit(ctx, points, opt)
	if err != nil {
		return Matrix{}, err
	}
	inertias := make([]float64, opt.K)
	for i, c := range coarse.Cluster {
		d := float64(coarse.Distance[i])
		if opt.Weights != nil {
			d *= math.Sqrt(float64(opt.Weights[i]))
		}
		inertias[c] += float64(d * d)
	}
	shares, members := share(k, inertias, coarse.Size), groupBy(coarse.Cluster, opt.K)
	centroids := Matrix{Dim: points.Dim, Data: make([]float32, 0, k*points.Dim)}
	for c, n := range shares {
		rows := members.of(c)
		inside := opt
		inside.K, inside.Seed, inside.Weights = n, opt.Seed+uint64(c)+1, nil
		part := NewMatrix(len(rows), points.Dim)
		for i, row := range rows {
			copy(part.Row(i), points.Row(int(row)))
			if opt.Weights != nil {
				inside.Weights = append(inside.Weights, opt.Weights[row])
			}
		}
		fitted, err := Fit(ctx, part, inside)
		if err != nil {
			return Matrix{}, err
		}
		centroids.Data = append(centroids.Data, fitted.Centroids.Data...)
	}
	return centroids, nil
}

// share divides k by need: each gets 1 at least, room at most. The room of all
// is k or more. One after the other goes to the highest need for each that it
// has, the first of equals.
func share(k int, need []float64, room []int) []int {
	shares := make([]int, len(need))
	total, left := 0.0, k
	for _, n := range need {
		total += n
	}
	for i := range shares { // the whole parts at once
		shares[i] = 1
		if total > 0 {
			shares[i] = max(1, min(room[i], int(float64(k-len(need))*need[i]/total)))
		}
		left -= shares[i]
	}
	for ; left > 0; left-- {
		best := -1
		for i := range shares {
			if shares[i] < room[i] && (best < 0 || need[i]*float64(shares[best]) > need[best]*float64(shares[i])) {
				best = i
			}
		}
		shares[best]++
	}
	return shares
}
