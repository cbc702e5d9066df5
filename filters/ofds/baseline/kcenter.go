package baseline

import (
	"context"
	"math"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// KCenter takes the image that is farthest from all chosen and preselected ones,
// again and again (farthest-first traversal, "coreset"; Euclidean distances of
// image vectors as they are). Where nothing is preselected it begins with a
// random image: the one with the lowest hash of (seed, ID). The largest distance
// of an image to a chosen one is at most twice the smallest that is possible.
//
// The published code can pick an image twice once all distances are 0; here
// such images follow by index. Time: N distances per choice at most; an
// image is skipped when the triangle inequality shows that the new centre can't
// be nearer. Memory: a distance and a centre per image.
type KCenter struct{ Common }

// Select implements ofds.Selector. A choice's distance is the one to the nearest
// image that was chosen before, -1 for the first.
func (m KCenter) Select(ctx context.Context, pool *ofds.Pool, budget int, seed uint64) (*ofds.Selection, error) {
	r, err := begin(ctx, kCenter, needImageVectors, m.Common, pool, budget, seed)
	if err != nil {
		return nil, err
	}
	if r.all() {
		return r.finish(), nil
	}
	c := newCover(pool.ImageVectors, m.Workers)
	for _, image := range r.before {
		if err := c.add(ctx, image); err != nil {
			return nil, err
		}
	}
	for r.left() > 0 {
		image, why := int32(-1), r.why()
		if len(c.centres) == 0 {
			image = r.shuffled()[0]
		} else {
			image = c.farthest(r.taken)
			why.Distance = float32(math.Sqrt(c.distance[image]))
		}
		r.take(image, why)
		if err := c.add(ctx, image); err != nil {
			return nil, err
		}
	}
	return r.finish(), nil
}

// cover knows how far all points are from the nearest of some centres.
type cover struct {
	points   kmeans.Matrix
	workers  int
	centres  []int32   // points
	distance []float64 // of each point, squared
	owner    []int32   // of each point, index in centres of the nearest one
}

func newCover(points kmeans.Matrix, workers int) *cover {
	c := &cover{points: points, workers: workers, distance: make([]float64, points.Rows()), owner: make([]int32, points.Rows())}
	for i := range c.distance {
		c.distance[i] = math.Inf(1)
	}
	return c
}

// add makes a point a centre.
func (c *cover) add(ctx context.Context, centre int32) error {
	at := c.points.Row(int(centre))
	// A centre at distance x from a point's own, which is nearer than x/2, can't
	// be nearer than that; the margin is for rounding.
	reach := make([]float64, len(c.centres))
	for i, other := range c.centres {
		reach[i] = squared(at, c.points.Row(int(other))) / 4 * (1 - 1e-9)
	}
	number := int32(len(c.centres))
	c.centres = append(c.centres, centre)
	return ranges(ctx, len(c.distance), 4096, c.workers, func(from, to int) error {
		for i := from; i < to; i++ {
			if number > 0 && c.distance[i] <= reach[c.owner[i]] {
				continue
			}
			if d := squared(c.points.Row(i), at); d < c.distance[i] {
				c.distance[i], c.owner[i] = d, number
			}
		}
		return nil
	})
}

// farthest returns the point with the largest distance, the first of equals.
func (c *cover) farthest(taken []bool) int32 {
	best := int32(-1)
	for i, d := range c.distance {
		if !taken[i] && (best < 0 || d > c.distance[best]) {
			best = int32(i)
		}
	}
	return best
}
