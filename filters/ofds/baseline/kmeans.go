package baseline

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// KMeansImage runs k-means on the image vectors as they are and takes the image
// nearest to each centroid (ties by index), from the largest cluster to the
// smallest. With L preselected images of the pool and a budget of B there are
// L+B clusters; those that hold a preselected image are passed over, and the B
// largest of the others count. Memory and time are those of kmeans.Fit.
type KMeansImage struct{ Common }

// Select implements ofds.Selector. A choice's distance is the one to its centroid.
func (m KMeansImage) Select(ctx context.Context, pool *ofds.Pool, budget int, seed uint64) (*ofds.Selection, error) {
	r, err := begin(ctx, kmeansImage, needImageVectors, m.Common, pool, budget, seed)
	if err != nil {
		return nil, err
	}
	if r.all() {
		return r.finish(), nil
	}
	fit, err := r.fit(ctx, pool.ImageVectors, len(r.before)+budget)
	if err != nil {
		return nil, err
	}
	r.centroids(fit)
	r.fill("k-means found fewer clusters than it was asked for")
	return r.finish(), nil
}

// fit clusters image vectors.
func (r *run) fit(ctx context.Context, vectors kmeans.Matrix, k int) (*kmeans.Result, error) {
	r.out.Fits++
	fit, err := kmeans.Fit(ctx, vectors, kmeans.Options{K: k, Seed: r.seed, Product: r.Product, Workers: r.Workers})
	if err != nil {
		return nil, fmt.Errorf("cluster %d image vectors into %d: %w", vectors.Rows(), k, err)
	}
	return fit, nil
}

// centroids takes the image nearest to the centroid of each cluster that has
// nothing preselected.
func (r *run) centroids(fit *kmeans.Result) {
	k := fit.Centroids.Rows()
	nearest, covered := make([]int32, k), make([]bool, k)
	for c := range nearest {
		nearest[c] = -1
	}
	for i, c := range fit.Cluster {
		if r.taken[i] {
			covered[c] = true
		}
		if nearest[c] < 0 || fit.Distance[i] < fit.Distance[nearest[c]] {
			nearest[c] = int32(i)
		}
	}
	var clusters []int
	for c := range k {
		if nearest[c] >= 0 && !covered[c] {
			clusters = append(clusters, c)
		}
	}
	slices.SortStableFunc(clusters, func(a, b int) int { return cmp.Compare(fit.Size[b], fit.Size[a]) })
	for _, c := range clusters[:min(len(clusters), r.left())] {
		why := r.why()
		why.Cluster, why.K, why.Size, why.Distance = c, k, fit.Size[c], fit.Distance[nearest[c]]
		r.take(nearest[c], why)
	}
}
