package metrics

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// cover measures how far objects are from the nearest chosen one.
func (e *Evaluator) cover(ctx context.Context, c *Class, known *classOf, chosen []int) error {
	n := len(known.sample)
	if n == 0 {
		return ctx.Err()
	}
	distance := make([]float32, n)
	if len(chosen) == 0 {
		for i := range distance {
			distance[i] = float32(2 * e.longest)
		}
	} else {
		var err error
		vectors := e.pool.Vectors
		_, distance, err = kmeans.Nearest(ctx, vectors.Gather(known.sample), vectors.Gather(chosen), e.opt.Product, e.opt.Workers)
		if err != nil {
			return err
		}
	}
	slices.Sort(distance)
	sum := 0.0
	for _, d := range distance {
		sum += float64(d)
	}
	c.CoverMax = Number(distance[n-1])
	c.CoverP95 = Number(distance[(95*n+99)/100-1])
	c.CoverMean = Number(sum / float64(n))
	for _, delta := range e.opt.Deltas {
		within, _ := slices.BinarySearchFunc(distance, delta, func(d float32, delta float64) int {
			if float64(d) < delta {
				return -1
			}
			return 1
		})
		c.CoverAt = append(c.CoverAt, Number(float64(within)/float64(n)))
	}
	return nil
}

// modes counts the clusters that are hit.
func (e *Evaluator) modes(ctx context.Context, c *Class, known *classOf, chosen []int) error {
	c.Modes = len(known.modes)
	if c.Modes == 0 {
		return ctx.Err()
	}
	hit := make(map[int32]bool)
	switch {
	case e.opt.Modes != nil:
		for _, o := range chosen {
			hit[e.opt.Modes[o]] = true
		}
	case len(chosen) > 0:
		cluster, _, err := kmeans.Nearest(ctx, e.pool.Vectors.Gather(chosen), known.centers, e.opt.Product, e.opt.Workers)
		if err != nil {
			return err
		}
		for _, m := range cluster {
			hit[m] = true
		}
	}
	for m := range hit {
		c.ModesHit += one(known.modes[m])
	}
	c.ModeRecall = ratio(float64(c.ModesHit), float64(c.Modes))
	return nil
}

// redundancy measures how much the chosen objects of a class are alike, on a
// sample of them where they are many.
func (e *Evaluator) redundancy(ctx context.Context, c *Class, chosen []int) error {
	if e.pool.Vectors.Rows() == 0 || len(chosen) < 2 {
		return ctx.Err()
	}
	rows := make([]int32, len(chosen))
	for i, o := range chosen {
		rows[i] = int32(o)
	}
	points := e.pool.Vectors.Gather(e.sample(rows))
	n := points.Rows()
	nearest, pairs, err := e.alike(ctx, points)
	if err != nil {
		return err
	}
	sum := 0.0
	for _, d := range nearest {
		sum += d
	}
	c.NearestMean, c.NearDuplicates = Number(sum/float64(n)), pairs
	return nil
}

// alike returns the distance of each point to the nearest other one, and the
// number of near-duplicate pairs. A product of matrices tells the distances
// approximately; where its rounding could decide, they are computed exactly.
func (e *Evaluator) alike(ctx context.Context, points kmeans.Matrix) ([]float64, int64, error) {
	product := e.opt.Product
	if product == nil {
		product = kmeans.Plain()
	}
	n, square := points.Rows(), make([]float64, points.Rows())
	for i := range square {
		square[i] = squared(points.Row(i), make([]float32, points.Dim))
	}
	longest := slices.Max(square)
	// Sums of float32 in any order, and of their rounding into float32.
	margin := float64(points.Dim+16) * longest * 4 / (1 << 24)
	near := e.opt.NearDuplicate * e.opt.NearDuplicate
	nearest := make([]float64, n)
	var pairs atomic.Int64
	const block = 128
	blocks := (n + block - 1) / block
	failed := make([]error, blocks)
	parallel(blocks, e.opt.Workers, func(at int) {
		from, to := at*block, min(n, (at+1)*block)
		out := make([]float32, (to-from)*n)
		if failed[at] = product.Multiply(ctx, points.Slice(from, to), points, out); failed[at] != nil {
			return
		}
		for i := from; i < to; i++ {
			inner := out[(i-from)*n : (i-from+1)*n]
			rough := func(j int) float64 { return square[i] + square[j] - 2*float64(inner[j]) }
			least := math.Inf(1)
			for j := range n {
				if j != i {
					least = min(least, rough(j))
				}
			}
			nearest[i] = math.Inf(1)
			for j := range n {
				r := rough(j)
				if j == i || r > max(near, least+margin)+margin {
					continue
				}
				d := squared(points.Row(i), points.Row(j))
				nearest[i] = min(nearest[i], d)
				if j > i && d < near {
					pairs.Add(1)
				}
			}
			nearest[i] = math.Sqrt(nearest[i])
		}
	})
	return nearest, pairs.Load(), cmp.Or(ctx.Err(), first(failed))
}

// first returns the first error that is one.
func first(all []error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// squared returns the square of the Euclidean distance.
func squared(a, b []float32) float64 {
	sum := 0.0
	for i, x := range a {
		d := float64(x - b[i])
		sum += d * d
	}
	return sum
}

// parallel calls work for 0 to n-1 on several goroutines and waits for them.
func parallel(n, workers int, work func(i int)) {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(workers, n) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				work(i)
			}
		})
	}
	group.Wait()
}
