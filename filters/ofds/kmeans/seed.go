package kmeans

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
)

// nearGroups bounds the work of a draw: from the point on that there are more
// groups, a new centroid looks for points in the groups of the nearGroups
// centroids nearest to it. A point elsewhere keeps its old distance, which is
// almost always right. So up to nearGroups centroids this is k-means++ to the
// letter, and K of them cost n*d*nearGroups*(1+log(K/nearGroups)), not n*d*K.
const nearGroups = 16

// chances is how many points have their chances added up together.
const chances = 256

// seeder draws centroids by k-means++: the first by weight, the next by weight
// times the square of the distance to the nearest so far. All of it is plain Go
// in a fixed order, whatever the product.
type seeder struct {
	points  Matrix
	weights []float32
	workers int
	random  *rand.Rand

	square  []float64 // of the distance to the nearest centroid; 1 while there is none
	group   []int32   // that centroid
	members [][]int32 // of each group
	total   []float64 // chances of chances points
	stale   []bool    // totals to add up again
}

// start begins with centroids that are there already, and what a search among
// them said; with none, f is empty.
func (s *seeder) start(centroids int, f found) {
	n := s.points.Rows()
	s.square, s.group, s.members = f.square, f.cluster, make([][]int32, max(1, centroids))
	if centroids == 0 {
		s.square, s.group = make([]float64, n), make([]int32, n)
		for i := range s.square {
			s.square[i] = 1
		}
	}
	for i, g := range s.group {
		s.members[g] = append(s.members[g], int32(i))
	}
	s.total = make([]float64, (n+chances-1)/chances)
	s.stale = make([]bool, len(s.total))
	for b := range s.stale {
		s.stale[b] = true
	}
}

func (s *seeder) chance(i int) float64 {
	if s.weights == nil {
		return s.square[i]
	}
	return float64(s.square[i] * float64(s.weights[i])) // the conversion keeps it from being fused with a sum
}

// draw returns a point; where rounding leads beyond a block of them, its last
// that has a chance. If all are on centroids, or without weight, it is the
// last.
func (s *seeder) draw() int {
	n, sum := s.points.Rows(), 0.0
	for b := range s.total {
		if s.stale[b] {
			s.stale[b], s.total[b] = false, 0
			for i := b * chances; i < min(n, (b+1)*chances); i++ {
				s.total[b] += s.chance(i)
			}
		}
		sum += s.total[b]
	}
	at := s.random.Float64() * sum
	for b, total := range s.total {
		if at >= total {
			at -= total
			continue
		}
		last := b * chances
		for i := b * chances; i < min(n, (b+1)*chances); i++ {
			if c := s.chance(i); c > 0 {
				last = i
				if at -= c; at < 0 {
					break
				}
			}
		}
		return last
	}
	for i := n - 1; i >= 0; i-- { // rounding led beyond the last
		if s.chance(i) > 0 {
			return i
		}
	}
	return n - 1
}

// add tells of a new centroid, the last of those given.
func (s *seeder) add(ctx context.Context, centroids Matrix) error {
	added := centroids.Rows() - 1
	if added == 0 {
		return s.first(ctx, centroids.Row(0))
	}
	groups, apart := s.near(centroids)
	s.members = append(s.members, nil)
	for k, g := range groups {
		if err := s.take(ctx, int(g), added, apart[k], centroids.Row(added)); err != nil {
			return err
		}
	}
	return nil
}

func (s *seeder) first(ctx context.Context, centroid []float32) error {
	for b := range s.stale {
		s.stale[b] = true
	}
	return spread(ctx, s.workers, len(s.square), 2048, func(from, to int) error {
		each(to-from, func(i int) (x, y []float32) { return s.points.Row(from + i), centroid },
			func(i int, square float64) { s.square[from+i] = square })
		return nil
	})
}

// near returns the groups whose points may be nearer to the last centroid, and
// the squares of their centroids' distances to it.
func (s *seeder) near(centroids Matrix) (groups []int32, apart []float64) {
	added := centroids.Rows() - 1
	all := make([]float64, added)
	each(added, func(i int) (x, y []float32) { return centroids.Row(i), centroids.Row(added) },
		func(i int, square float64) { all[i] = square })
	groups = make([]int32, added)
	for i := range groups {
		groups[i] = int32(i)
	}
	if added > nearGroups {
		slices.SortFunc(groups, func(a, b int32) int { return cmp.Or(cmp.Compare(all[a], all[b]), cmp.Compare(a, b)) })
		groups = groups[:nearGroups]
	}
	for _, g := range groups {
		apart = append(apart, all[g])
	}
	return groups, apart
}

// take moves the points of a group that are nearer to the added centroid.
func (s *seeder) take(ctx context.Context, group, added int, apart float64, centroid []float32) error {
	var asked []int32
	for _, i := range s.members[group] {
		// Less than half as far from its centroid as the two are apart: by the
		// triangle inequality the new one is not nearer.
		if 4*(1+1e-5)*s.square[i] > apart {
			asked = append(asked, i)
		}
	}
	square := make([]float64, len(asked))
	err := spread(ctx, s.workers, len(asked), 1024, func(from, to int) error {
		each(to-from, func(i int) (x, y []float32) { return s.points.Row(int(asked[from+i])), centroid },
			func(i int, d float64) { square[from+i] = d })
		return nil
	})
	if err != nil {
		return err
	}
	moved := false
	for k, i := range asked {
		if square[k] < s.square[i] {
			s.square[i], s.group[i], moved = square[k], int32(added), true
			s.stale[i/chances] = true
			s.members[added] = append(s.members[added], i)
		}
	}
	if moved {
		s.members[group] = slices.DeleteFunc(s.members[group], func(i int32) bool { return s.group[i] != int32(group) })
	}
	return nil
}

// seed returns k centroids: those to start with, and points drawn.
func seed(ctx context.Context, s *search, opt Options) (Matrix, error) {
	if opt.K >= deepFrom && opt.Start.Rows() == 0 && s.points.Rows() >= 8*opt.K {
		opt.MaxIterations = min(5, opt.rounds())
		return Deep(ctx, s.points, opt)
	}
	centroids := NewMatrix(opt.K, s.points.Dim)
	have := min(opt.K, opt.Start.Rows())
	copy(centroids.Data, opt.Start.Data)
	if have == opt.K {
		return centroids, nil
	}
	var f found
	if have > 0 {
		f = newFound(s.points.Rows(), false)
		s.among(centroids.Slice(0, have))
		if err := s.run(ctx, nil, f); err != nil {
			return Matrix{}, err
		}
	}
	draws := seeder{points: s.points, weights: opt.Weights, workers: s.workers, random: rand.New(rand.NewPCG(opt.Seed, 0x6b6d65616e73))}
	draws.start(have, f)
	for ; have < opt.K; have++ {
		copy(centroids.Row(have), s.points.Row(draws.draw()))
		if err := draws.add(ctx, centroids.Slice(0, have+1)); err != nil {
			return Matrix{}, err
		}
	}
	return centroids, nil
}

// margin is what float32 differences may change of a distance, many times over.
const margin = 1e-6

// upper returns a distance that is certainly not less.
func upper(square float64) float64 { return math.Sqrt(square) * (1 + margin) }
