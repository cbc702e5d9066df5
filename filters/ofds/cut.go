package ofds

import (
	"cmp"
	"context"
	"slices"

	"github.com/curate-data/curate/filters/ofds/kmeans"
)

const (
	// overcluster is how many leaves a tree has for each image that is asked for,
	// and by how much it grows when all its leaves are covered.
	overcluster = 4
	// nestedLeaves is how many leaves the first tree of a class has where the
	// answer must not depend on the budget.
	nestedLeaves = 32
	// mostMerged bounds the leaves that are merged into a tree, which takes the
	// square of their number; more stay side by side.
	mostMerged = 4096
)

// tree is a hierarchy of clusters. Node i is leaf i, or, from the number of
// leaves on, what merge i-leaves made. Merges are in the order of rising height,
// so a cut of the tree into k clusters undoes the last k-1 of them.
type tree struct {
	asked     int // leaves that were asked for; those that would be empty are left out
	leaves    *partition
	merges    []merge
	centroids kmeans.Matrix // of all nodes
}

type merge struct {
	a, b   int
	height float64
}

// cut clusters a class once, into more clusters than are asked for, and goes
// down their tree until enough nodes have nothing covered. Only when all leaves
// are used up it clusters again, more finely.
func (r *run) cut(ctx context.Context, c, images int) (*partition, error) {
	s := &r.classes[c]
	leaves := overcluster * images
	if r.opt.Nested {
		leaves = nestedLeaves
	}
	for {
		if s.tree == nil || s.tree.asked < leaves && !s.tree.leaves.single {
			if err := r.grow(ctx, c, leaves); err != nil {
				return nil, err
			}
		}
		p := r.down(c, images)
		if len(r.usable(c, p)) >= images || s.tree.leaves.single {
			return p, nil
		}
		leaves = overcluster * s.tree.asked
	}
}

// grow clusters a class into leaves and builds the tree above them.
func (r *run) grow(ctx context.Context, c, leaves int) error {
	p, err := r.fit(ctx, c, leaves)
	if err != nil {
		return err
	}
	r.classes[c].tree = newTree(p)
	r.classes[c].tree.asked = leaves
	return nil
}

// down undoes merges, the highest first, until as many nodes as wanted may give
// an image.
func (r *run) down(c, wanted int) *partition {
	t := r.classes[c].tree
	leaves := len(t.leaves.members)
	usable := r.usableNodes(c, t)
	nodes := make(map[int]bool)
	have := 0
	put := func(node int) {
		nodes[node] = true
		if usable[node] {
			have++
		}
	}
	if len(t.merges) == 0 {
		for i := range leaves {
			put(i)
		}
		return t.partition(nodes)
	}
	put(leaves + len(t.merges) - 1)
	for i := len(t.merges) - 1; i >= 0 && have < wanted; i-- {
		delete(nodes, leaves+i)
		if usable[leaves+i] {
			have--
		}
		put(t.merges[i].a)
		put(t.merges[i].b)
	}
	return t.partition(nodes)
}

// usableNodes says of every node what usable says of a cluster.
func (r *run) usableNodes(c int, t *tree) []bool {
	leaves := len(t.leaves.members)
	n := leaves + len(t.merges)
	size, covered, affordable := make([]int, n), make([]bool, n), make([]bool, n)
	for i, members := range t.leaves.members {
		size[i], covered[i], affordable[i] = len(members), r.covered(c, members), r.anyAffordable(c, members)
	}
	for i, m := range t.merges {
		size[leaves+i] = size[m.a] + size[m.b]
		covered[leaves+i] = covered[m.a] || covered[m.b]
		affordable[leaves+i] = affordable[m.a] || affordable[m.b]
	}
	usable := make([]bool, n)
	for i := range usable {
		usable[i] = (size[i] >= r.opt.MinClusterSize || t.leaves.single && i < leaves) && !covered[i] && affordable[i]
	}
	return usable
}

// partition makes clusters of nodes, numbered as their first members are.
func (t *tree) partition(nodes map[int]bool) *partition {
	type cluster struct {
		node    int
		members []int32
	}
	var list []cluster
	for node := range nodes {
		if members := t.members(node); len(members) > 0 {
			list = append(list, cluster{node, members})
		}
	}
	slices.SortFunc(list, func(x, y cluster) int { return cmp.Compare(x.members[0], y.members[0]) })
	p := &partition{centroids: kmeans.NewMatrix(len(list), t.centroids.Dim), single: t.leaves.single && len(list) == len(t.leaves.members)}
	for k, c := range list {
		p.members = append(p.members, c.members)
		copy(p.centroids.Row(k), t.centroids.Row(c.node))
	}
	return p
}

func (t *tree) members(node int) []int32 {
	var members []int32
	stack := []int{node}
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if i := at - len(t.leaves.members); i >= 0 {
			stack = append(stack, t.merges[i].a, t.merges[i].b)
		} else {
			members = append(members, t.leaves.members[at]...)
		}
	}
	slices.Sort(members)
	return members
}

// newTree merges clusters by Ward's rule: always the two whose union adds the
// least to the sum of squares. Chains of nearest neighbours find the same tree in
// the square of the number of leaves.
func newTree(leaves *partition) *tree {
	leaves = withoutEmpty(leaves)
	k, dim := len(leaves.members), leaves.centroids.Dim
	t := &tree{leaves: leaves}
	if k > mostMerged {
		t.centroids = leaves.centroids
		return t
	}
	w := &ward{dim: dim, node: make([]int, k), size: make([]float64, k), centroid: make([]float64, k*dim), height: make([]float64, k)}
	for i, members := range leaves.members {
		w.node[i], w.size[i] = i, float64(len(members))
		w.active = append(w.active, i)
	}
	for i, x := range leaves.centroids.Data {
		w.centroid[i] = float64(x)
	}
	merges, centroids := w.run()
	order := make([]int, len(merges))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(merges[x].height, merges[y].height) })
	number := make([]int, k+len(merges))
	for i := range k {
		number[i] = i
	}
	t.centroids = kmeans.NewMatrix(k+len(merges), dim)
	copy(t.centroids.Data, leaves.centroids.Data)
	for i, from := range order {
		m := merges[from]
		number[k+from] = k + i
		t.merges = append(t.merges, merge{number[m.a], number[m.b], m.height})
		copy(t.centroids.Row(k+i), centroids.Row(from))
	}
	return t
}

func withoutEmpty(p *partition) *partition {
	if !slices.ContainsFunc(p.members, func(m []int32) bool { return len(m) == 0 }) {
		return p
	}
	out := &partition{centroids: kmeans.Matrix{Dim: p.centroids.Dim}, single: p.single}
	for i, members := range p.members {
		if len(members) > 0 {
			out.members = append(out.members, members)
			out.centroids.Data = append(out.centroids.Data, p.centroids.Row(i)...)
		}
	}
	return out
}

// ward is the state of merging. A merged cluster takes the slot of the first of
// the two.
type ward struct {
	dim      int
	active   []int // slots in use, ascending
	node     []int
	size     []float64
	centroid []float64
	height   []float64 // of the node in a slot
}

func (w *ward) run() ([]merge, kmeans.Matrix) {
	leaves := len(w.node)
	centroids := kmeans.NewMatrix(max(0, leaves-1), w.dim)
	var merges []merge
	var chain []int
	for len(w.active) > 1 {
		if len(chain) == 0 {
			chain = append(chain, w.active[0])
		}
		a, before := chain[len(chain)-1], -1
		if len(chain) > 1 {
			before = chain[len(chain)-2]
		}
		b, height := w.nearest(a, before)
		if b != before {
			chain = append(chain, b)
			continue
		}
		chain = chain[:len(chain)-2]
		a, b = min(a, b), max(a, b)
		height = max(height, w.height[a], w.height[b]) // rounding must not put a part above the whole
		merges = append(merges, merge{w.node[a], w.node[b], height})
		w.merge(a, b, leaves+len(merges)-1, height)
		for j := range w.dim {
			centroids.Row(len(merges) - 1)[j] = float32(w.centroid[a*w.dim+j])
		}
	}
	return merges, centroids
}

func (w *ward) merge(a, b, node int, height float64) {
	total := w.size[a] + w.size[b]
	for j := range w.dim {
		w.centroid[a*w.dim+j] = (w.size[a]*w.centroid[a*w.dim+j] + w.size[b]*w.centroid[b*w.dim+j]) / total
	}
	w.size[a], w.node[a], w.height[a] = total, node, height
	at, _ := slices.BinarySearch(w.active, b)
	w.active = slices.Delete(w.active, at, at+1)
}

// nearest returns the slot that is cheapest to merge with. Of equals it takes
// the one that the chain came from, without which chains could go in circles, and
// then the first.
func (w *ward) nearest(a, before int) (int, float64) {
	best, least := -1, 0.0
	for _, b := range w.active {
		if b == a {
			continue
		}
		d := 0.0
		for j := range w.dim {
			x := w.centroid[a*w.dim+j] - w.centroid[b*w.dim+j]
			d += x * x
		}
		d *= w.size[a] * w.size[b] / (w.size[a] + w.size[b])
		if best < 0 || d < least || d == least && b == before {
			best, least = b, d
		}
	}
	return best, least
}
