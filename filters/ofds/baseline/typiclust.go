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

// TypiClustOptions are those of TypiClust.
type TypiClustOptions struct {
	MaxClusters  int `json:"max_clusters"`  // 0 means 500
	SmallCluster int `json:"small_cluster"` // clusters of this size or less come last; 0 means 5, -1 none
	Neighbours   int `json:"neighbours"`    // 0 means 20
}

func (o *TypiClustOptions) defaults() error {
	if o.MaxClusters < 0 || o.SmallCluster < -1 || o.Neighbours < 0 {
		return fmt.Errorf("max_clusters, small_cluster and neighbours are %d, %d and %d: give numbers above 0, or 0 for the default", o.MaxClusters, o.SmallCluster, o.Neighbours)
	}
	if o.MaxClusters == 0 {
		o.MaxClusters = 500
	}
	if o.SmallCluster == 0 {
		o.SmallCluster = 5
	}
	if o.Neighbours == 0 {
		o.Neighbours = 20
	}
	return nil
}

// TypiClust clusters the image vectors, scaled to length 1, into min(L+B, 500)
// clusters, where L images are preselected, and goes round the clusters: those
// with fewer preselected images first, then the larger ones, then by number. At
// each turn it takes the most typical image: the one with the smallest mean of
// the squared distances to its min(20, half of m) nearest neighbours among the m
// images of the cluster that are not taken. A chosen image leaves its cluster.
//
// Like the published code, but for three things. It runs Lloyd's k-means at any
// K, where that one changes to mini-batches above 50. Clusters of 5 images or
// less are dropped there; here they follow when all others are empty, with a
// warning, so that the budget is spent. There an empty cluster is an error; here
// its turn is skipped. Time: the squares of the clusters' sizes, once;
// then only images that lost a neighbour are looked at again. Memory: a copy
// of the vectors if their lengths are not 1, one of the cluster at work, two
// numbers per image.
type TypiClust struct {
	Common
	Options TypiClustOptions
}

// Select implements ofds.Selector. A choice's distance is the mean of the squares.
func (m TypiClust) Select(ctx context.Context, pool *ofds.Pool, budget int, seed uint64) (*ofds.Selection, error) {
	r, err := begin(ctx, typiClust, needImageVectors, m.Common, pool, budget, seed)
	if err != nil {
		return nil, err
	}
	if err := m.Options.defaults(); err != nil {
		return nil, fmt.Errorf("select by %s: %w", typiClust, err)
	}
	if r.all() {
		return r.finish(), nil
	}
	vectors := unit(pool.ImageVectors)
	fit, err := r.fit(ctx, vectors, min(len(r.before)+budget, m.Options.MaxClusters))
	if err != nil {
		return nil, err
	}
	if err := r.typical(ctx, vectors, fit.Cluster, m.Options); err != nil {
		return nil, err
	}
	r.fill("every cluster is empty")
	return r.finish(), nil
}

// typical goes round the clusters, the small ones last.
func (r *run) typical(ctx context.Context, vectors kmeans.Matrix, cluster []int32, opt TypiClustOptions) error {
	groups := r.groups(cluster, opt.SmallCluster)
	k := len(groups)
	small := slices.IndexFunc(groups, func(g *group) bool { return g.size <= opt.SmallCluster })
	if small < 0 {
		small = k
	}
	for _, part := range [][]*group{groups[:small], groups[small:]} {
		chosen := len(r.out.Chosen)
		for round, progress := 0, true; progress && r.left() > 0; round++ {
			progress = false
			for _, g := range part {
				if r.left() == 0 || len(g.members) == 0 {
					continue
				}
				at, err := g.typical(ctx, r.Common, vectors, opt.Neighbours)
				if err != nil {
					return err
				}
				why := r.why()
				why.Cluster, why.K, why.Size, why.Round, why.Distance = int(g.cluster), k, g.size, round, float32(g.mean[at])
				r.take(g.members[at], why)
				if err := g.remove(ctx, r.Common, vectors, at, opt.Neighbours); err != nil {
					return err
				}
				progress = true
			}
		}
		if n := len(r.out.Chosen) - chosen; n > 0 && len(part) > 0 && part[0].size <= opt.SmallCluster {
			r.warn("%d images are from clusters of %d images or less, because the larger ones are used up", n, opt.SmallCluster)
		}
	}
	return nil
}

// group is a cluster and what is not taken of it.
type group struct {
	cluster      int32
	size         int // with what was taken before
	before       int // preselected
	members      []int32
	neighbours   int       // that mean and radius are of
	mean, radius []float64 // of each member: squared distances to its neighbours, the mean and the largest; nil before the first look
}

// groups returns the clusters in the order of their turns, the small ones after
// all others.
func (r *run) groups(cluster []int32, small int) []*group {
	byNumber := make(map[int32]*group)
	var groups []*group
	for i, c := range cluster {
		g := byNumber[c]
		if g == nil {
			g = &group{cluster: c}
			byNumber[c] = g
			groups = append(groups, g)
		}
		if g.size++; r.taken[i] {
			g.before++
		} else {
			g.members = append(g.members, int32(i))
		}
	}
	late := func(g *group) int {
		if g.size <= small {
			return 1
		}
		return 0
	}
	slices.SortFunc(groups, func(a, b *group) int {
		return cmp.Or(late(a)-late(b), cmp.Compare(a.before, b.before), cmp.Compare(b.size, a.size), cmp.Compare(a.cluster, b.cluster))
	})
	return groups
}

// typical returns the place of the most typical member, the first of equals.
func (g *group) typical(ctx context.Context, common Common, vectors kmeans.Matrix, neighbours int) (int, error) {
	if k := min(neighbours, len(g.members)/2); g.mean == nil || g.neighbours != k {
		g.neighbours, g.mean, g.radius = k, make([]float64, len(g.members)), make([]float64, len(g.members))
		if err := g.measure(ctx, common, vectors); err != nil {
			return 0, err
		}
	}
	best := 0
	for i, d := range g.mean {
		if d < g.mean[best] {
			best = i
		}
	}
	return best, nil
}

// measure finds the nearest neighbours of all members. A product finds those
// that may be among them, float64 sums decide.
func (g *group) measure(ctx context.Context, common Common, vectors kmeans.Matrix) error {
	k := g.neighbours
	if k == 0 {
		return nil
	}
	rows := make([]int, len(g.members))
	for i, member := range g.members {
		rows[i] = int(member)
	}
	points := vectors.Gather(rows)
	length := norms(points)
	longest := slices.Max(length)
	nearest := make([]shortlist, len(rows))
	err := common.tiles(ctx, points, points, func(row, column, columns int, tile []float32) {
		for i := range len(tile) / columns {
			at := row + i
			list := &nearest[at]
			if list.k == 0 {
				*list = newShortlist(k, 4*slack(points.Dim, length[at], longest))
			}
			for j, p := range tile[i*columns : (i+1)*columns] {
				if column+j != at {
					list.add(int32(column+j), length[at]+length[column+j]-2*float64(p))
				}
			}
			if column+columns == len(rows) {
				g.mean[at], g.radius[at] = list.decide(points, at)
				*list = shortlist{}
			}
		}
	})
	return err
}

// remove takes a member out and measures again those whose neighbour it was.
func (g *group) remove(ctx context.Context, common Common, vectors kmeans.Matrix, at, neighbours int) error {
	gone := vectors.Row(int(g.members[at]))
	g.members = slices.Delete(g.members, at, at+1)
	g.mean, g.radius = slices.Delete(g.mean, at, at+1), slices.Delete(g.radius, at, at+1)
	if k := min(neighbours, len(g.members)/2); k != g.neighbours || k == 0 {
		return ctx.Err() // the next look measures all of them
	}
	return ranges(ctx, len(g.members), 64, common.Workers, func(from, to int) error {
		var distances []float64
		for i := from; i < to; i++ {
			own := vectors.Row(int(g.members[i]))
			if squared(own, gone) > g.radius[i] {
				continue
			}
			distances = distances[:0]
			for j, other := range g.members {
				if j != i {
					distances = append(distances, squared(own, vectors.Row(int(other))))
				}
			}
			g.mean[i], g.radius[i] = smallest(distances, g.neighbours)
		}
		return nil
	})
}

// smallest returns the mean and the largest of the k smallest numbers.
func smallest(numbers []float64, k int) (mean, largest float64) {
	slices.Sort(numbers)
	for _, x := range numbers[:k] {
		mean += x
	}
	return mean / float64(k), numbers[k-1]
}

// shortlist holds the points that may be among the k nearest, when distances may
// be off by half of slack.
type shortlist struct {
	k       int
	slack   float64
	limit   float64 // of the distances that still matter
	full    int     // number of entries at which to prune
	entries []entry
}

type entry struct {
	point    int32
	distance float64
}

func newShortlist(k int, slack float64) shortlist {
	return shortlist{k: k, slack: slack, limit: math.Inf(1), full: 4*k + 16}
}

func (l *shortlist) add(point int32, distance float64) {
	if distance > l.limit {
		return
	}
	if l.entries = append(l.entries, entry{point, distance}); len(l.entries) >= l.full {
		l.prune()
		l.full = max(l.full, 2*len(l.entries)) // many may be at one distance
	}
}

func (l *shortlist) prune() {
	slices.SortFunc(l.entries, func(a, b entry) int { return cmp.Compare(a.distance, b.distance) })
	l.limit = l.entries[l.k-1].distance + l.slack
	end := len(l.entries)
	for l.entries[end-1].distance > l.limit {
		end--
	}
	l.entries = l.entries[:end]
}

// decide returns the mean and the largest of the squared distances to the k
// nearest points.
func (l *shortlist) decide(points kmeans.Matrix, at int) (mean, largest float64) {
	l.prune()
	distances := make([]float64, len(l.entries))
	for i, e := range l.entries {
		distances[i] = squared(points.Row(at), points.Row(int(e.point)))
	}
	return smallest(distances, l.k)
}
