package kmeans

import (
	"context"
	"math"
)

// search finds the nearest centroids of points. A product of matrices tells
// approximately how near each centroid is; centroids that its rounding cannot
// tell apart are compared again, exactly.
type search struct {
	points  Matrix
	length  []float64 // of each point
	product Product
	workers int

	centroids Matrix
	half      []float32 // half the square of each centroid's length
	longest   float64   // length of the longest centroid
}

// found is what a search says about the points.
type found struct {
	cluster []int32
	square  []float64 // of the distance to the cluster's centroid
	other   []float64 // no other centroid is nearer than this; nil if nobody asks
}

func newFound(n int, other bool) found {
	f := found{cluster: make([]int32, n), square: make([]float64, n)}
	if other {
		f.other = make([]float64, n)
	}
	return f
}

func newSearch(ctx context.Context, points Matrix, product Product, workers int) (*search, error) {
	s := &search{points: points, length: make([]float64, points.Rows()), product: product, workers: workers}
	if product == nil {
		s.product = plain{}
	}
	err := spread(ctx, workers, len(s.length), 4096, func(from, to int) error {
		for i := from; i < to; i++ {
			s.length[i] = length(points.Row(i))
			if !finite(s.length[i]) {
				return notFinite("vector", i)
			}
		}
		return nil
	})
	return s, err
}

func (s *search) among(centroids Matrix) {
	s.centroids, s.longest = centroids, 0
	s.half = make([]float32, centroids.Rows())
	for c := range s.half {
		l := length(centroids.Row(c))
		s.longest = max(s.longest, l)
		s.half[c] = float32(l * l / 2)
	}
}

// Sizes of what is multiplied at a time. Plain Go keeps its results in a
// second-level cache; another product is called with more, since a call costs.
const (
	plainResults  = 1 << 19
	deviceResults = 1 << 22
	columnsAtOnce = 1 << 13
)

// run searches for the given points, or all if rows is nil. f has a place for
// every point of the matrix; those that are not searched for keep theirs.
func (s *search) run(ctx context.Context, rows []int32, f found) error {
	n, columns := len(rows), min(columnsAtOnce, s.centroids.Rows())
	if rows == nil {
		n = s.points.Rows()
	}
	results := deviceResults
	if _, ok := s.product.(plain); ok {
		results = plainResults
	}
	block := 16
	for block < 8192 && block*2*columns <= results {
		block *= 2
	}
	return spread(ctx, s.workers, n, block, func(from, to int) error {
		b := s.block(rows, from, to)
		for at := 0; at < s.centroids.Rows(); at += columnsAtOnce {
			part := s.centroids.Slice(at, min(s.centroids.Rows(), at+columnsAtOnce))
			out := make([]float32, (to-from)*part.Rows())
			if err := s.product.Multiply(ctx, b.points, part, out); err != nil {
				return err
			}
			for i := range b.race {
				b.race[i].run(out[i*part.Rows():(i+1)*part.Rows()], s.half[at:at+part.Rows()], int32(at))
			}
		}
		s.decide(b, f)
		return nil
	})
}

// block is some points on their way through a search.
type block struct {
	points Matrix
	row    func(i int) int // of the whole matrix
	race   []race
}

func (s *search) block(rows []int32, from, to int) block {
	b := block{race: make([]race, to-from)}
	if rows == nil {
		b.points = s.points.Slice(from, to)
		b.row = func(i int) int { return from + i }
	} else {
		b.points = NewMatrix(to-from, s.points.Dim)
		for i, row := range rows[from:to] {
			copy(b.points.Row(i), s.points.Row(int(row)))
		}
		b.row = func(i int) int { return int(rows[from+i]) }
	}
	low := float32(math.Inf(-1))
	const expected = 24 // about twice the logarithm of the number of centroids
	arena := make([]runner, len(b.race)*expected)
	for i := range b.race {
		b.race[i] = race{runners: arena[i*expected : i*expected : (i+1)*expected], best: low, second: low, low: low, margin: float32(2.001 * s.rounding(b.row(i)))}
	}
	return b
}

// rounding returns how far the score of a centroid, which is the inner product
// with the point less half the square of the centroid's length, may be off. The
// terms: float32 sums in any order; the float32 differences of square; numbers
// too small for float32, which some processors take for zero.
func (s *search) rounding(point int) float64 {
	const unit = 1.0 / (1 << 24)
	x, c, dim := s.length[point], s.longest, float64(s.points.Dim)
	if x*c > 1e37 || c*c > 1e37 {
		return math.Inf(1) // beyond float32: everything is compared exactly
	}
	return 1.01*unit*((dim+8)*(x*c+c*c)+4*(x*x+c*c)) + dim*math.Ldexp(1+x+c, -125)
}

// race keeps the centroids that may be the nearest of a point.
type race struct {
	best, second float32 // scores
	low          float32 // a score at or below which a centroid is out, and not the second either
	margin       float32 // within it of the best, a centroid may be the nearest
	runners      []runner
}

type runner struct {
	score    float32
	centroid int32
}

// run takes part of the centroids: inner products, half squares of lengths.
func (r *race) run(product, half []float32, first int32) {
	product = product[:len(half)]
	low := r.low
	for j, h := range half {
		if score := product[j] - h; score > low {
			r.enter(score, first+int32(j))
			low = r.low
		}
	}
}

func (r *race) enter(score float32, centroid int32) {
	r.runners = append(r.runners, runner{score, centroid})
	switch {
	case score > r.best:
		r.best, r.second = score, r.best
	case score > r.second:
		r.second = score
	}
	// Just below, so that what is within the margin is never left out.
	r.low = min(r.second, math.Nextafter32(r.best-r.margin, float32(math.Inf(-1))))
}

// decide compares exactly where the product left several.
func (s *search) decide(b block, f found) {
	for i := range b.race {
		r, row := &b.race[i], b.row(i)
		first, alone := int32(-1), true
		bound := r.best - r.margin
		for _, one := range r.runners {
			if !(one.score < bound) {
				alone = alone && first < 0
				if first < 0 {
					first = one.centroid
				}
			}
		}
		switch {
		case first < 0 || r.margin > math.MaxFloat32: // nothing to go by
			c, _ := nearest(b.points.Row(i), s.centroids)
			f.cluster[row], alone = int32(c), false
		case alone:
			f.cluster[row] = first
		default:
			f.cluster[row] = s.exactly(b.points.Row(i), r.runners, bound)
		}
		if f.other != nil {
			f.other[row] = s.secondBound(r, row, alone)
		}
	}
	each(len(b.race), func(i int) (x, y []float32) {
		return b.points.Row(i), s.centroids.Row(int(f.cluster[b.row(i)]))
	}, func(i int, square float64) { f.square[b.row(i)] = square })
}

func (s *search) exactly(point []float32, runners []runner, bound float32) int32 {
	best, least := int32(0), math.Inf(1)
	for _, one := range runners {
		if one.score < bound {
			continue
		}
		if d := square(point, s.centroids.Row(int(one.centroid))); d < least {
			best, least = one.centroid, d
		}
	}
	return best
}

// secondBound returns a distance that no centroid but the nearest is below.
func (s *search) secondBound(r *race, point int, alone bool) float64 {
	if !alone {
		return 0
	}
	x := s.length[point]
	return (1 - 1e-6) * math.Sqrt(max(0, x*x-2*(float64(r.second)+s.rounding(point))))
}

// nearest returns the nearest centroid, the first of equals, and the square of
// the distance.
func nearest(point []float32, centroids Matrix) (int, float64) {
	best, least := 0, math.Inf(1)
	for c := range centroids.Rows() {
		if d := square(point, centroids.Row(c)); d < least {
			best, least = c, d
		}
	}
	return best, least
}

func finite(x float64) bool { return x-x == 0 }
