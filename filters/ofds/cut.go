package ofds

import (
	"cmp"
	"context"
	"maps"
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
)

// tree is a hierarchy of clusters. Node i is leaf i, or, from the number of
// leaves on, what merge i-leaves made. Merges are in the order of rising height,
// so a cut of the tree into k clusters undoes the last k-1 of them.
type tree struct {
	asked     int // leaves that were asked for; those that would be empty are left out
	leaves    *partition
	merges    []kmeans.Merge
	centroids kmeans.Matrix // of all nodes
	members   [][]int32     // of all nodes; they share memory, since every node is a run of one list of leaves
	first     []int32       // of all nodes, the lowest member
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
		if s.tree == nil || s.tree.asked < min(leaves, len(s.objects)) {
			if err := r.grow(ctx, c, leaves); err != nil {
				return nil, err
			}
		}
		p := r.down(c, images)
		if len(r.usable(c, p)) >= images || s.tree.asked >= len(s.objects) {
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
	t, err := newTree(ctx, p, r.workers)
	if err != nil {
		return err
	}
	t.asked = leaves
	r.classes[c].tree = t
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
	put(leaves + len(t.merges) - 1)
	for i := len(t.merges) - 1; i >= 0 && have < wanted; i-- {
		delete(nodes, leaves+i)
		if usable[leaves+i] {
			have--
		}
		put(t.merges[i].A)
		put(t.merges[i].B)
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
		size[leaves+i] = size[m.A] + size[m.B]
		covered[leaves+i] = covered[m.A] || covered[m.B]
		affordable[leaves+i] = affordable[m.A] || affordable[m.B]
	}
	usable := make([]bool, n)
	for i := range usable {
		usable[i] = size[i] >= r.opt.MinClusterSize && !covered[i] && affordable[i]
	}
	return usable
}

// partition makes clusters of nodes, numbered as their first members are.
func (t *tree) partition(nodes map[int]bool) *partition {
	list := slices.SortedFunc(maps.Keys(nodes), func(x, y int) int { return cmp.Compare(t.first[x], t.first[y]) })
	p := &partition{centroids: kmeans.NewMatrix(len(list), t.centroids.Dim)}
	for k, node := range list {
		p.members = append(p.members, t.members[node])
		copy(p.centroids.Row(k), t.centroids.Row(node))
	}
	return p
}

// newTree merges clusters by Ward's rule: always the two whose union adds the
// least to the sum of squares.
func newTree(ctx context.Context, leaves *partition, workers int) (*tree, error) {
	leaves = withoutEmpty(leaves)
	k, dim := len(leaves.members), leaves.centroids.Dim
	sizes := make([]float64, k, 2*k)
	for i, members := range leaves.members {
		sizes[i] = float64(len(members))
	}
	merges, err := kmeans.Ward(ctx, leaves.centroids, sizes, workers)
	if err != nil {
		return nil, err
	}
	t := &tree{leaves: leaves, merges: merges, centroids: kmeans.NewMatrix(k+len(merges), dim)}
	copy(t.centroids.Data, leaves.centroids.Data)
	for i, m := range merges {
		a, b, both := t.centroids.Row(m.A), t.centroids.Row(m.B), t.centroids.Row(k+i)
		sizes = append(sizes, sizes[m.A]+sizes[m.B])
		for j := range both {
			both[j] = float32((sizes[m.A]*float64(a[j]) + sizes[m.B]*float64(b[j])) / sizes[k+i])
		}
	}
	t.lay(sizes)
	return t, nil
}

// lay puts the members of all leaves in one list, so that those of every node are
// next to each other: from the root down, the second part after the first.
func (t *tree) lay(sizes []float64) {
	leaves, nodes := len(t.leaves.members), len(sizes)
	list := make([]int32, int(sizes[nodes-1]))
	from := make([]int, nodes)
	t.members, t.first = make([][]int32, nodes), make([]int32, nodes)
	for node := nodes - 1; node >= 0; node-- {
		t.members[node] = list[from[node] : from[node]+int(sizes[node])]
		if i := node - leaves; i >= 0 {
			from[t.merges[i].A], from[t.merges[i].B] = from[node], from[node]+int(sizes[t.merges[i].A])
		} else {
			copy(t.members[node], t.leaves.members[node])
		}
	}
	for node := range nodes {
		if i := node - leaves; i >= 0 {
			t.first[node] = min(t.first[t.merges[i].A], t.first[t.merges[i].B])
		} else {
			t.first[node] = t.members[node][0]
		}
	}
}

func withoutEmpty(p *partition) *partition {
	if !slices.ContainsFunc(p.members, func(m []int32) bool { return len(m) == 0 }) {
		return p
	}
	out := &partition{centroids: kmeans.Matrix{Dim: p.centroids.Dim}}
	for i, members := range p.members {
		if len(members) > 0 {
			out.members = append(out.members, members)
			out.centroids.Data = append(out.centroids.Data, p.centroids.Row(i)...)
		}
	}
	return out
}
