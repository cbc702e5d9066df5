package baseline

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// ActiveFTOptions are those of ActiveFT.
type ActiveFTOptions struct {
	Temperature float64 `json:"temperature"` // 0 means 0.07
	Balance     float64 `json:"balance"`     // weight of the centres' distances to each other; 0 means 1
	Rate        float64 `json:"rate"`        // of Adam; 0 means 0.001
	Steps       int     `json:"steps"`       // 0 means 100
	Batch       int     `json:"batch"`       // images of a step, drawn anew for each; 0 means 100,000
}

func (o *ActiveFTOptions) defaults() error {
	for _, v := range []*float64{&o.Temperature, &o.Balance, &o.Rate} {
		if *v < 0 || math.IsNaN(*v) || math.IsInf(*v, 0) {
			return fmt.Errorf("temperature, balance and rate are %g, %g and %g: give numbers above 0", o.Temperature, o.Balance, o.Rate)
		}
	}
	if o.Steps < 0 || o.Batch < 0 {
		return fmt.Errorf("%d steps on %d images each: give numbers above 0", o.Steps, o.Batch)
	}
	set := func(v *float64, to float64) {
		if *v == 0 {
			*v = to
		}
	}
	set(&o.Temperature, 0.07)
	set(&o.Balance, 1)
	set(&o.Rate, 0.001)
	if o.Steps == 0 {
		o.Steps = 100
	}
	if o.Batch == 0 {
		o.Batch = 100_000
	}
	return nil
}

// ActiveFT trains as many centres as the budget has images and takes, for each
// centre in turn, the most similar image that is not taken. Image vectors f and
// centres t have length 1. The loss is the mean over images of
//
//	-log( e^(f t*/T) / (e^(f t*/T) + b * sum over centres of e^(t t*/T)) )
//
// where t* is the centre most similar to f, and the sum takes the other side, t,
// as given. Centres begin at random images (the lowest hashes of seed and ID) and
// move by Adam, 0.9 and 0.999.
//
// The published code fails on pools smaller than its batch; here a batch is the
// pool at most. Preselected images are centres that do not move and take no
// image. Time of a step: the nearest of K centres for each image of the batch by
// kmeans.Nearest, so with the product, and K^2 inner products of centres in
// plain Go. Memory: eight numbers per centre and dimension, the batch's
// vectors if it is not the pool, and a copy of the vectors if their lengths are not 1.
type ActiveFT struct {
	Common
	Options ActiveFTOptions
}

// Select implements ofds.Selector. A choice's cluster is the number of its
// centre, its distance the Euclidean one to the centre.
func (m ActiveFT) Select(ctx context.Context, pool *ofds.Pool, budget int, seed uint64) (*ofds.Selection, error) {
	r, err := begin(ctx, activeFT, needImageVectors, m.Common, pool, budget, seed)
	if err != nil {
		return nil, err
	}
	if err := m.Options.defaults(); err != nil {
		return nil, fmt.Errorf("select by %s: %w", activeFT, err)
	}
	if r.all() {
		return r.finish(), nil
	}
	vectors := unit(pool.ImageVectors)
	t := newTrainer(vectors, r.shuffled()[:budget], r.before, m.Options, m.Common)
	if err := t.train(ctx, generator(seed, activeFT)); err != nil {
		return nil, err
	}
	if err := r.nearest(ctx, vectors, t.normal[:budget*vectors.Dim]); err != nil {
		return nil, err
	}
	return r.finish(), nil
}

// nearest takes the image nearest to each centre, the first of equals.
func (r *run) nearest(ctx context.Context, vectors kmeans.Matrix, centres []float64) error {
	k := len(centres) / vectors.Dim
	similar := make([]float64, vectors.Rows())
	for c := range k {
		centre := centres[c*vectors.Dim : (c+1)*vectors.Dim]
		err := ranges(ctx, len(similar), 1024, r.Workers, func(from, to int) error {
			for i := from; i < to; i++ {
				similar[i] = mixed(centre, vectors.Row(i))
			}
			return nil
		})
		if err != nil {
			return err
		}
		best := int32(-1)
		for i, s := range similar {
			if !r.taken[i] && (best < 0 || s > similar[best]) {
				best = int32(i)
			}
		}
		why := r.why()
		why.Cluster, why.K = c, k
		why.Distance = float32(math.Sqrt(max(0, 2-2*similar[best])))
		r.take(best, why)
	}
	return nil
}

// trainer moves centres. All slices of centres have centre after centre; the
// preselected ones are last and have no parameters.
type trainer struct {
	Common
	opt      ActiveFTOptions
	vectors  kmeans.Matrix
	dim      int
	free     int       // centres that move
	theta    []float64 // parameters, of any length
	normal   []float64 // all centres, of length 1
	gradient []float64
	m, v     []float64 // Adam's moments
	step     int
}

func newTrainer(vectors kmeans.Matrix, start, fixed []int32, opt ActiveFTOptions, common Common) *trainer {
	n := len(start) * vectors.Dim
	t := &trainer{
		Common: common, opt: opt, vectors: vectors, dim: vectors.Dim, free: len(start),
		theta: make([]float64, n), gradient: make([]float64, n), m: make([]float64, n), v: make([]float64, n),
		normal: make([]float64, n+len(fixed)*vectors.Dim),
	}
	for c, image := range start {
		for k, x := range vectors.Row(int(image)) {
			t.theta[c*t.dim+k] = float64(x)
		}
	}
	for c, image := range fixed {
		for k, x := range vectors.Row(int(image)) {
			t.normal[n+c*t.dim+k] = float64(x)
		}
	}
	t.normalize()
	return t
}

// train runs all steps.
func (t *trainer) train(ctx context.Context, random *rand.Rand) error {
	for range t.opt.Steps {
		batch := t.vectors
		if n := batch.Rows(); t.opt.Batch < n {
			batch = batch.Gather(random.Perm(n)[:t.opt.Batch])
		}
		if _, err := t.loss(ctx, batch); err != nil {
			return err
		}
		t.adam()
		t.normalize()
	}
	return nil
}

// normalize sets the moving centres to the parameters, with length 1.
func (t *trainer) normalize() {
	for c := range t.free {
		theta, normal := t.theta[c*t.dim:(c+1)*t.dim], t.normal[c*t.dim:(c+1)*t.dim]
		length := math.Sqrt(max(dot(theta, theta), 1e-24))
		for k, x := range theta {
			normal[k] = x / length
		}
	}
}

// loss returns the loss of a batch and sets the gradient by the parameters.
func (t *trainer) loss(ctx context.Context, batch kmeans.Matrix) (float64, error) {
	clear(t.gradient)
	spread, pull, err := t.spread(ctx)
	if err != nil {
		return 0, err
	}
	centres := kmeans.NewMatrix(len(t.normal)/t.dim, t.dim)
	for i, x := range t.normal {
		centres.Data[i] = float32(x)
	}
	cluster, _, err := kmeans.Nearest(ctx, batch, centres, t.Product, t.Workers)
	if err != nil {
		return 0, fmt.Errorf("find the nearest of %d centres: %w", centres.Rows(), err)
	}
	loss, n, b, temperature := 0.0, float64(batch.Rows()), t.opt.Balance, t.opt.Temperature
	push := make([]float64, t.free) // weight of pull, by centre
	for i, c := range cluster {
		f := batch.Row(i)
		// log(1+e^x), in a form in which no e^x overflows: 1/T may be large.
		x := math.Log(b) + spread[c] - mixed(t.normal[int(c)*t.dim:(int(c)+1)*t.dim], f)/temperature
		loss += (max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))) / n
		if int(c) >= t.free {
			continue
		}
		share := 1 / (1 + math.Exp(-x))
		push[c] += share / n
		gradient := t.gradient[int(c)*t.dim : (int(c)+1)*t.dim]
		for k, x := range f {
			gradient[k] -= share / temperature / n * float64(x)
		}
	}
	for c, w := range push {
		gradient, normal := t.gradient[c*t.dim:(c+1)*t.dim], t.normal[c*t.dim:(c+1)*t.dim]
		for k := range gradient {
			gradient[k] += w * pull[c*t.dim+k]
		}
		// Through the scaling to length 1: what points along the centre is lost.
		along := dot(gradient, normal)
		theta := t.theta[c*t.dim : (c+1)*t.dim]
		length := math.Sqrt(max(dot(theta, theta), 1e-24))
		for k := range gradient {
			gradient[k] = (gradient[k] - along*normal[k]) / length
		}
	}
	return loss, nil
}

// spread returns, for each centre, the logarithm of the sum of exponents over
// all centres, and its gradient by the centre, with the other side as given.
func (t *trainer) spread(ctx context.Context) (spread, pull []float64, err error) {
	k := len(t.normal) / t.dim
	spread, pull = make([]float64, k), make([]float64, t.free*t.dim)
	err = ranges(ctx, k, 16, t.Workers, func(from, to int) error {
		weight := make([]float64, k)
		for c := from; c < to; c++ {
			own, sum, most := t.normal[c*t.dim:(c+1)*t.dim], 0.0, math.Inf(-1)
			for o := range weight {
				weight[o] = dot(own, t.normal[o*t.dim:(o+1)*t.dim]) / t.opt.Temperature
				most = max(most, weight[o])
			}
			for o, w := range weight {
				weight[o] = math.Exp(w - most)
				sum += weight[o]
			}
			spread[c] = most + math.Log(sum)
			if c >= t.free {
				continue
			}
			to := pull[c*t.dim : (c+1)*t.dim]
			for o, w := range weight {
				for i, x := range t.normal[o*t.dim : (o+1)*t.dim] {
					to[i] += w / sum / t.opt.Temperature * x
				}
			}
		}
		return ctx.Err()
	})
	return spread, pull, err
}

// adam moves the parameters against the gradient.
func (t *trainer) adam() {
	const beta1, beta2, epsilon = 0.9, 0.999, 1e-8
	t.step++
	c1, c2 := 1-math.Pow(beta1, float64(t.step)), 1-math.Pow(beta2, float64(t.step))
	for i, g := range t.gradient {
		t.m[i] = beta1*t.m[i] + (1-beta1)*g
		t.v[i] = beta2*t.v[i] + (1-beta2)*g*g
		t.theta[i] -= t.opt.Rate * (t.m[i] / c1) / (math.Sqrt(t.v[i]/c2) + epsilon)
	}
}
