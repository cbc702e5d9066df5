package baseline

import (
	"context"
	"fmt"
	"math"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// FreeSelOptions are those of FreeSel.
type FreeSelOptions struct {
	Patterns int  `json:"patterns"` // of an image at most; 0 means 5
	Farthest bool `json:"farthest"` // take the farthest pattern (the FDS variant) instead of a draw
}

// FreeSel draws images by their patterns. It begins with the preselected images
// that have patterns, or with a random one: the one with the lowest hash of
// (seed, ID). Then it draws a pattern with a chance that rises with the square of D,
// its smallest cosine distance to a pattern of a chosen image, and takes the
// image of the pattern.
//
// The published method makes patterns from the attention maps of one vision
// transformer. Here they come from the vectors that the pool has per image, its
// Pool.Vectors: up to 5 vectors of an image are its patterns as they are, and of
// more the patterns are the 5 centroids of Euclidean k-means. So with patch
// vectors as objects (those with half of the attention) this is the published method; with
// vectors of detected objects it is ObjectD2 but for images with many objects.
// Images without vectors can't be drawn; they fill what is left, with a
// warning, once all others are taken or all distances are 0. The patterns
// of a chosen image have distance 0, whatever rounding says, so that none is
// drawn twice. Time: a distance of each pattern to each pattern of a chosen
// image. Memory: a number per pattern, and the patterns if some image has more than 5
// vectors or lengths are not 1.
type FreeSel struct {
	Common
	Options FreeSelOptions
}

// Select implements ofds.Selector. A choice's distance is D, and its object the
// one that was drawn, -1 where the pattern is a centroid.
func (m FreeSel) Select(ctx context.Context, pool *ofds.Pool, budget int, seed uint64) (*ofds.Selection, error) {
	limit := m.Options.Patterns
	if limit == 0 {
		limit = 5
	}
	if limit < 0 {
		return nil, fmt.Errorf("select by %s: %d patterns of an image: give 1 or more", freeSel, limit)
	}
	return selectD2(ctx, freeSel, m.Common, pool, budget, seed, limit, m.Options.Farthest)
}

// ObjectD2Options are those of ObjectD2.
type ObjectD2Options struct {
	Farthest bool `json:"farthest"` // take the farthest object instead of a draw
}

// ObjectD2 draws images as FreeSel does, with all object vectors of an image as
// its patterns: a control that looks at objects, but not at their classes.
type ObjectD2 struct {
	Common
	Options ObjectD2Options
}

// Select implements ofds.Selector. A choice's object is the one that was drawn,
// and its distance D.
func (m ObjectD2) Select(ctx context.Context, pool *ofds.Pool, budget int, seed uint64) (*ofds.Selection, error) {
	return selectD2(ctx, objectD2, m.Common, pool, budget, seed, math.MaxInt, m.Options.Farthest)
}

func selectD2(ctx context.Context, name string, common Common, pool *ofds.Pool, budget int, seed uint64, limit int, farthest bool) (*ofds.Selection, error) {
	r, err := begin(ctx, name, needObjectVectors, common, pool, budget, seed)
	if err != nil {
		return nil, err
	}
	if r.all() {
		return r.finish(), nil
	}
	p, err := r.patterns(ctx, limit)
	if err != nil {
		return nil, err
	}
	draw := p.farthest
	if !farthest {
		uniform := generator(seed, name)
		draw = func() int32 { return p.draw(uniform.Float64()) }
	}
	if err := r.drawD2(ctx, p, draw); err != nil {
		return nil, err
	}
	r.fill("all others have no object, or one that is the same as in a chosen image")
	return r.finish(), nil
}

// patterns are the vectors that images are drawn by, of length 1.
type patterns struct {
	vectors  kmeans.Matrix
	image    []int32   // of each pattern; ascending
	object   []int32   // of each pattern; -1 for a centroid
	first    []int32   // of each image, its first pattern; one more at the end
	distance []float64 // of each pattern, D; infinite before anything is chosen
	length   []float64 // of each pattern, squared
}

// patterns makes the patterns of all images.
func (r *run) patterns(ctx context.Context, limit int) (*patterns, error) {
	p := &patterns{}
	var data []float32 // stays empty while objects are patterns one by one
	for i, image := range r.pool.Images {
		p.first = append(p.first, int32(len(p.image)))
		n := int(image.End - image.First)
		if n > limit && data == nil {
			data = append(make([]float32, 0, len(r.pool.Vectors.Data)), r.pool.Vectors.Data[:len(p.image)*r.pool.Vectors.Dim]...)
		}
		if n > limit {
			fit, err := r.cluster(ctx, i, limit)
			if err != nil {
				return nil, err
			}
			data = append(data, fit.Centroids.Data...)
			for range limit {
				p.image, p.object = append(p.image, int32(i)), append(p.object, -1)
			}
			continue
		}
		if data != nil {
			data = append(data, r.pool.Vectors.Slice(int(image.First), int(image.End)).Data...)
		}
		for o := image.First; o < image.End; o++ {
			p.image, p.object = append(p.image, int32(i)), append(p.object, o)
		}
	}
	p.first = append(p.first, int32(len(p.image)))
	if p.vectors = r.pool.Vectors; data != nil {
		p.vectors.Data = data
	}
	p.prepare()
	return p, nil
}

func (p *patterns) prepare() {
	p.vectors = unit(p.vectors)
	p.length = norms(p.vectors)
	p.distance = make([]float64, len(p.image))
	for i := range p.distance {
		p.distance[i] = math.Inf(1)
	}
}

// cluster runs k-means on the vectors of one image.
func (r *run) cluster(ctx context.Context, image, k int) (*kmeans.Result, error) {
	i := r.pool.Images[image]
	r.out.Fits++
	fit, err := kmeans.Fit(ctx, r.pool.Vectors.Slice(int(i.First), int(i.End)), kmeans.Options{K: k, Seed: hash(r.seed, "", i.ID), Workers: 1})
	if err != nil {
		return nil, fmt.Errorf("cluster the vectors of image %q: %w", i.ID, err)
	}
	return fit, nil
}

// drawD2 takes images until the budget is spent or draw returns -1.
func (r *run) drawD2(ctx context.Context, p *patterns, draw func() int32) error {
	began := false
	for _, image := range r.before {
		if p.first[image] == p.first[image+1] {
			continue
		}
		began = true
		if err := p.add(ctx, r.Common, image); err != nil {
			return err
		}
	}
	for r.left() > 0 {
		why, image := r.why(), int32(-1)
		if began {
			at := draw()
			if at < 0 {
				return nil
			}
			image, why.Object, why.Distance = p.image[at], p.object[at], float32(p.distance[at])
		} else {
			for _, i := range r.shuffled() {
				if p.first[i] < p.first[i+1] {
					image = i
					break
				}
			}
			if image < 0 {
				return nil
			}
			began = true
		}
		r.take(image, why)
		if err := p.add(ctx, r.Common, image); err != nil {
			return err
		}
	}
	return nil
}

// draw returns the pattern at a point of the line on which each pattern has a
// length of D squared, at from 0 to 1; -1 if all are 0.
func (p *patterns) draw(at float64) int32 {
	total, last := 0.0, int32(-1)
	for i, d := range p.distance {
		if d > 0 {
			total += float64(d * d)
			last = int32(i)
		}
	}
	at *= total
	sum := 0.0
	for i, d := range p.distance {
		if sum += float64(d * d); sum > at {
			return int32(i)
		}
	}
	return last
}

// farthest returns the pattern with the largest D, the first of equals; -1 if
// all are 0.
func (p *patterns) farthest() int32 {
	best := int32(-1)
	for i, d := range p.distance {
		if d > 0 && (best < 0 || d > p.distance[best]) {
			best = int32(i)
		}
	}
	return best
}

// add lowers all D for a chosen image. A product finds the patterns that may
// come nearer, float64 sums decide.
func (p *patterns) add(ctx context.Context, common Common, image int32) error {
	from, to := int(p.first[image]), int(p.first[image+1])
	chosen := p.vectors.Slice(from, to)
	err := common.tiles(ctx, p.vectors, chosen, func(row, column, columns int, tile []float32) {
		for at, product := range tile {
			i, j := row+at/columns, column+at%columns
			if d := p.distance[i]; d > 0 && 1-float64(product)-slack(chosen.Dim, p.length[i], p.length[from+j]) < d {
				p.distance[i] = min(d, cosine(p.vectors.Row(i), chosen.Row(j)))
			}
		}
	})
	for i := from; i < to; i++ {
		p.distance[i] = 0
	}
	return err
}
