package baseline

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// ProbCoverOptions are those of ProbCover. The choice hangs much on the radius.
type ProbCoverOptions struct {
	// Delta is the radius of the balls, a Euclidean distance of unit vectors;
	// 0 means 0.75, the example of the published code.
	Delta float64 `json:"delta"`
	// Purity, if it is not 0, sets the radius to the largest one at which this
	// share of the balls hold a single cluster of k-means; 0.95 is usual.
	// On pools above 4096 images it is measured on the balls of 4096 of them.
	Purity float64 `json:"purity"`
	// Clusters are the clusters for Purity; 0 means the number of classes.
	Clusters int `json:"clusters"`
}

// ProbCover takes the image whose ball of radius delta (all images nearer than
// that, itself included; image vectors scaled to length 1) holds most images
// that no ball of a chosen or preselected image holds, again and again. The share
// that it covers is at least 1-1/e of the largest possible.
//
// The published code leaves the images of the last, partial batch of 500 without
// a ball, and takes the first image over and over once all are covered. Here
// every image has a ball, and when all are covered the others are random, with a
// warning. Memory: the graph of who covers whom is never held. A ball
// is worked out when its image is taken, and what it newly covers is taken off
// the counts of its neighbours: N^2 distances for the counts, and N more for
// each image that gets covered, so 2 N^2 in all; kept are two numbers per image, a tile
// of products per worker, and copies of at most 2048 vectors; one more of the vectors
// if their lengths are not 1.
type ProbCover struct {
	Common
	Options ProbCoverOptions
}

// Select implements ofds.Selector. A choice's size is the number of images that
// it newly covers, its distance the radius.
func (m ProbCover) Select(ctx context.Context, pool *ofds.Pool, budget int, seed uint64) (*ofds.Selection, error) {
	r, err := begin(ctx, probCover, needImageVectors, m.Common, pool, budget, seed)
	if err != nil {
		return nil, err
	}
	if m.Options.Delta < 0 || m.Options.Purity < 0 || m.Options.Purity > 1 {
		return nil, fmt.Errorf("select by %s: delta is %g and purity %g: give a distance, or a share between 0 and 1", probCover, m.Options.Delta, m.Options.Purity)
	}
	if r.all() {
		return r.finish(), nil
	}
	b := newBalls(unit(pool.ImageVectors), m.Common)
	if b.delta, err = r.delta(ctx, b, m.Options); err != nil {
		return nil, err
	}
	if err := r.coverMost(ctx, b); err != nil {
		return nil, err
	}
	r.fill(fmt.Sprintf("%d chosen images cover all others at a delta of %g: give a smaller one", len(r.out.Chosen), b.delta))
	return r.finish(), nil
}

// coverMost is the greedy choice. It ends early when all images are covered.
func (r *run) coverMost(ctx context.Context, b *balls) error {
	for _, image := range r.before {
		if _, err := b.cover(ctx, image); err != nil {
			return err
		}
	}
	var open []int32
	for i, covered := range b.covered {
		if !covered {
			open = append(open, int32(i))
		}
	}
	if err := b.count(ctx, open, 1); err != nil {
		return err
	}
	for r.left() > 0 {
		best := int32(-1)
		for i, n := range b.degree {
			if n > 0 && !r.taken[i] && (best < 0 || n > b.degree[best]) {
				best = int32(i)
			}
		}
		if best < 0 {
			return nil
		}
		why := r.why()
		why.Size, why.Distance = int(b.degree[best]), float32(b.delta)
		r.take(best, why)
		fresh, err := b.cover(ctx, best)
		if err != nil {
			return err
		}
		if err := b.count(ctx, fresh, -1); err != nil {
			return err
		}
	}
	return nil
}

// balls knows which images are covered, and how many that are not each image
// would cover.
type balls struct {
	Common
	vectors kmeans.Matrix
	length  []float64 // squared
	delta   float64
	covered []bool
	degree  []int32
}

func newBalls(vectors kmeans.Matrix, common Common) *balls {
	n := vectors.Rows()
	return &balls{Common: common, vectors: vectors, length: norms(vectors), covered: make([]bool, n), degree: make([]int32, n)}
}

// cover covers the ball of an image and returns what was not covered before.
func (b *balls) cover(ctx context.Context, image int32) (fresh []int32, err error) {
	const stretch = 4096
	centre, limit := b.vectors.Row(int(image)), b.delta*b.delta
	found := make([][]int32, len(b.covered)/stretch+1)
	err = ranges(ctx, len(b.covered), stretch, b.Workers, func(from, to int) error {
		for i := from; i < to; i++ {
			if !b.covered[i] && squared(b.vectors.Row(i), centre) < limit {
				b.covered[i] = true
				found[from/stretch] = append(found[from/stretch], int32(i))
			}
		}
		return nil
	})
	return slices.Concat(found...), err
}

// count adds sign to the degree of an image for each of the targets in its ball.
func (b *balls) count(ctx context.Context, targets []int32, sign int32) error {
	limit := b.delta * b.delta
	for len(targets) > 0 {
		rows := make([]int, min(len(targets), tileColumns))
		for i := range rows {
			rows[i] = int(targets[i])
		}
		targets = targets[len(rows):]
		points := b.vectors.Gather(rows)
		err := b.tiles(ctx, b.vectors, points, func(row, column, columns int, tile []float32) {
			for at, p := range tile {
				i, j := row+at/columns, column+at%columns
				d := b.length[i] + b.length[rows[j]] - 2*float64(p)
				if math.Abs(d-limit) <= 2*slack(points.Dim, b.length[i], b.length[rows[j]]) {
					d = squared(b.vectors.Row(i), points.Row(j))
				}
				if d < limit {
					b.degree[i] += sign
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// delta returns the radius. A ball is pure up to the distance of the nearest
// image of another cluster, so the largest radius at which a share of the balls
// are pure is a quantile of those distances.
func (r *run) delta(ctx context.Context, b *balls, opt ProbCoverOptions) (float64, error) {
	if opt.Purity == 0 {
		if opt.Delta == 0 {
			return 0.75, nil
		}
		return opt.Delta, nil
	}
	k := opt.Clusters
	if k == 0 {
		k = len(r.pool.Classes)
	}
	if k < 2 || k > len(r.taken) {
		return 0, fmt.Errorf("find delta for purity %g: %d clusters of %d images: set the number of clusters, from 2 on", opt.Purity, k, len(r.taken))
	}
	fit, err := r.fit(ctx, b.vectors, k)
	if err != nil {
		return 0, err
	}
	sample := r.sample(4096)
	distance, err := b.others(ctx, sample, fit.Cluster)
	if err != nil {
		return 0, err
	}
	delta := quantile(distance, opt.Purity)
	if math.IsInf(delta, 1) || delta == 0 {
		return 0, fmt.Errorf("find delta for purity %g: it is %g, because the %d clusters hold all images in one, or equal images apart: set delta instead", opt.Purity, delta, k)
	}
	r.out.Warnings = append(r.out.Warnings, fmt.Sprintf("%s: delta is %g, for a purity of %g of %d balls over %d clusters", r.name, delta, opt.Purity, len(sample), k))
	return delta, nil
}

// sample returns up to n images of all, those with the lowest hashes.
func (r *run) sample(n int) []int {
	type keyed struct {
		key   uint64
		image int
	}
	all := make([]keyed, len(r.taken))
	for i := range all {
		all[i] = keyed{hash(r.seed, "", r.pool.Images[i].ID), i}
	}
	slices.SortStableFunc(all, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })
	var out []int
	for _, a := range all[:min(n, len(all))] {
		out = append(out, a.image)
	}
	slices.Sort(out)
	return out
}

// others returns the distance from each image of the sample to the nearest image
// of another cluster.
func (b *balls) others(ctx context.Context, sample []int, cluster []int32) ([]float64, error) {
	points := b.vectors.Gather(sample)
	out := make([]float64, len(sample))
	for i := range out {
		out[i] = math.Inf(1)
	}
	err := b.tiles(ctx, points, b.vectors, func(row, column, columns int, tile []float32) {
		for at, p := range tile {
			i, j := row+at/columns, column+at%columns
			if cluster[sample[i]] == cluster[j] {
				continue
			}
			own := b.length[sample[i]]
			if own+b.length[j]-2*float64(p)-2*slack(points.Dim, own, b.length[j]) < out[i] {
				out[i] = min(out[i], squared(points.Row(i), b.vectors.Row(j)))
			}
		}
	})
	for i, d := range out {
		out[i] = math.Sqrt(d)
	}
	return out, err
}

// quantile returns the largest number that at least this share of the numbers
// reach.
func quantile(numbers []float64, share float64) float64 {
	slices.Sort(numbers)
	need := int(math.Ceil(share*float64(len(numbers)) - 1e-9))
	return numbers[len(numbers)-max(1, need)]
}
