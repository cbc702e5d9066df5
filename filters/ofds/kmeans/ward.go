package kmeans

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
)

// Merge joins two nodes of a tree of clusters. Of n leaves, node i is leaf i, and
// node n+i is what merge i made.
type Merge struct {
	A, B   int
	Height float64 // what the union adds to the sum of squared distances; never less than that of a part
}

// mostMerged bounds the distances that Ward holds at once: 64 MB. More leaves
// are merged group by group.
const mostMerged = 4096

// Ward joins clusters, given by centroids and sizes, until one is left: always
// the two whose union adds the least to the sum of squared distances. The n-1
// merges come in the order of their heights, so that leaving out the last k-1 of
// them cuts the tree into k. The result depends on the numbers given and on
// nothing else. More than 4096 clusters are first put into groups by k-means,
// merged inside of these, and then the groups; this holds 64 MB and takes
// seconds for 100,000.
func Ward(ctx context.Context, centroids Matrix, sizes []float64, workers int) ([]Merge, error) {
	if len(sizes) != centroids.Rows() {
		return nil, fmt.Errorf("merge %d clusters: %d sizes", centroids.Rows(), len(sizes))
	}
	w := &ward{workers: workers, leaves: len(sizes)}
	nodes := make([]node, len(sizes))
	for i := range nodes {
		if !(sizes[i] > 0) {
			return nil, fmt.Errorf("merge %d clusters: size of cluster %d is %g: leave empty ones out", len(sizes), i, sizes[i])
		}
		nodes[i] = node{number: i, size: sizes[i], centroid: centroids.Row(i)}
	}
	if len(nodes) > 0 {
		if _, err := w.merge(ctx, nodes); err != nil {
			return nil, fmt.Errorf("merge %d clusters: %w", len(sizes), err)
		}
	}
	return w.sorted(), nil
}

type node struct {
	number   int
	size     float64
	centroid []float32
	height   float64
}

type ward struct {
	workers int
	leaves  int
	merges  []Merge // in the order in which they were found; parts come before wholes
}

// merge merges nodes into one.
func (w *ward) merge(ctx context.Context, nodes []node) (node, error) {
	if len(nodes) <= mostMerged {
		return w.chain(ctx, nodes)
	}
	centroids, weights := NewMatrix(len(nodes), len(nodes[0].centroid)), make([]float32, len(nodes))
	for i, n := range nodes {
		copy(centroids.Row(i), n.centroid)
		weights[i] = float32(n.size)
	}
	k := (len(nodes) + mostMerged/4 - 1) / (mostMerged / 4)
	fitted, err := Fit(ctx, centroids, Options{K: k, MaxIterations: 10, Weights: weights, Workers: w.workers})
	if err != nil {
		return node{}, err
	}
	members := groupBy(fitted.Cluster, k)
	var tops []node
	for c := range k {
		var group []node
		for _, i := range members.of(c) {
			group = append(group, nodes[i])
		}
		if len(group) == len(nodes) { // all alike: any division does
			return w.halves(ctx, nodes)
		}
		top, err := w.merge(ctx, group)
		if err != nil {
			return node{}, err
		}
		tops = append(tops, top)
	}
	return w.merge(ctx, tops)
}

func (w *ward) halves(ctx context.Context, nodes []node) (node, error) {
	a, err := w.merge(ctx, nodes[:len(nodes)/2])
	if err != nil {
		return node{}, err
	}
	b, err := w.merge(ctx, nodes[len(nodes)/2:])
	if err != nil {
		return node{}, err
	}
	return w.chain(ctx, []node{a, b})
}

// join records the union of two nodes.
func (w *ward) join(a, b node, height float64) node {
	both := node{number: w.leaves + len(w.merges), size: a.size + b.size, centroid: make([]float32, len(a.centroid)),
		height: max(height, a.height, b.height)} // rounding must not put a part above the whole
	for j, x := range a.centroid {
		both.centroid[j] = float32((float64(a.size*float64(x)) + float64(b.size*float64(b.centroid[j]))) / both.size)
	}
	w.merges = append(w.merges, Merge{a.number, b.number, both.height})
	return both
}

// chain merges by chains of nearest neighbours: from any node to its nearest, on
// to that one's nearest, until two are each other's. They can be merged at once,
// and the tree is that of merging the nearest two of all, in the square of the
// number of nodes.
func (w *ward) chain(ctx context.Context, nodes []node) (node, error) {
	costs, err := w.costs(ctx, nodes)
	if err != nil {
		return node{}, err
	}
	nodes = slices.Clone(nodes)
	var chain []int
	first := 0 // the first node that is left
	gone := make([]bool, len(nodes))
	for left := len(nodes); left > 1; {
		if ctx.Err() != nil {
			return node{}, context.Cause(ctx)
		}
		if len(chain) == 0 {
			for gone[first] {
				first++
			}
			chain = append(chain, first)
		}
		a, before := chain[len(chain)-1], -1
		if len(chain) > 1 {
			before = chain[len(chain)-2]
		}
		b := costs.nearest(a, before)
		if b != before {
			chain = append(chain, b)
			continue
		}
		chain = chain[:len(chain)-2]
		a, b = min(a, b), max(a, b)
		costs.merge(nodes, a, b)
		nodes[a] = w.join(nodes[a], nodes[b], float64(costs.row(a)[b]))
		costs.remove(b)
		gone[b] = true
		left--
	}
	for i := range gone {
		if !gone[i] {
			first = i
		}
	}
	return nodes[first], nil
}

// costs holds what each union costs, as a square; the diagonal and nodes that
// are gone cost infinitely much.
type costs struct {
	n    int
	cost []float32
}

func (c costs) row(i int) []float32 { return c.cost[i*c.n : (i+1)*c.n] }

func (w *ward) costs(ctx context.Context, nodes []node) (costs, error) {
	n := len(nodes)
	c := costs{n, make([]float32, n*n)}
	err := spread(ctx, w.workers, n, 8, func(from, to int) error {
		for i := from; i < to; i++ {
			row := c.row(i)
			each(i, func(j int) (x, y []float32) { return nodes[i].centroid, nodes[j].centroid },
				func(j int, square float64) {
					row[j] = cost32(square * nodes[i].size * nodes[j].size / (nodes[i].size + nodes[j].size))
				})
			row[i] = float32(math.Inf(1))
		}
		return nil
	})
	for i := range n {
		for j := range i {
			c.row(j)[i] = c.row(i)[j]
		}
	}
	return c, err
}

// nearest returns the cheapest to merge a with. Of equals it takes the one that
// the chain came from, without which chains could go in circles, then the first.
func (c costs) nearest(a, before int) int {
	best, least := -1, float32(math.Inf(1))
	if before >= 0 {
		best, least = before, c.row(a)[before]
	}
	for b, cost := range c.row(a) {
		if cost < least {
			best, least = b, cost
		}
	}
	return best
}

// merge sets the costs of a to those of its union with b, by the formula of
// Lance and Williams, but for that of b itself.
func (c costs) merge(nodes []node, a, b int) {
	between := float64(c.row(a)[b])
	x, y := nodes[a].size, nodes[b].size
	for j := range c.n {
		if j == a || j == b || math.IsInf(float64(c.row(a)[j]), 1) {
			continue
		}
		z := nodes[j].size
		cost := cost32(((x+z)*float64(c.row(a)[j]) + (y+z)*float64(c.row(b)[j]) - z*between) / (x + y + z))
		c.row(a)[j], c.row(j)[a] = cost, cost
	}
}

// cost32 keeps costs apart from the infinity of nodes that are gone.
func cost32(cost float64) float32 { return float32(min(max(0, cost), math.MaxFloat32)) }

func (c costs) remove(b int) {
	for j := range c.n {
		c.row(j)[b], c.row(b)[j] = float32(math.Inf(1)), float32(math.Inf(1))
	}
}

// sorted orders merges by height, parts before wholes, and numbers nodes anew.
func (w *ward) sorted() []Merge {
	order := make([]int, len(w.merges))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(w.merges[x].Height, w.merges[y].Height) })
	number := make([]int, w.leaves+len(w.merges))
	for i := range w.leaves {
		number[i] = i
	}
	sorted := make([]Merge, 0, len(w.merges))
	for i, from := range order {
		m := w.merges[from]
		number[w.leaves+from] = w.leaves + i
		sorted = append(sorted, Merge{number[m.A], number[m.B], m.Height})
	}
	return sorted
}
