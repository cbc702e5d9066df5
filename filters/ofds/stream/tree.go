package stream

import (
	"cmp"
	"context"
	"slices"

	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// tree is the hierarchy above the clusters of a class. Nodes are numbered as
// kmeans.Merge says; leaves are the clusters that have objects.
type tree struct {
	clusters []int // of each leaf
	merges   []kmeans.Merge
	parent   []int         // of each node; beyond all for the root
	size     []int64       // of each node
	means    kmeans.Matrix // of each leaf
}

// grow builds the tree of a class on the means of all objects, not of the
// sample's.
func (t *Tally) grow(ctx context.Context, class int) (*tree, error) {
	grown := &tree{means: kmeans.Matrix{Dim: t.book.dim}}
	var sizes []float64
	scale := ldexp(t.book.shift)
	for k, c := range t.classes[class] {
		if c.size == 0 {
			continue
		}
		grown.clusters = append(grown.clusters, k)
		grown.size = append(grown.size, c.size)
		sizes = append(sizes, float64(c.size))
		for _, x := range c.sum {
			grown.means.Data = append(grown.means.Data, float32(float64(x)/scale/float64(c.size)))
		}
	}
	merges, err := kmeans.Ward(ctx, grown.means, sizes, t.opt.Workers)
	if err != nil {
		return nil, err
	}
	leaves := len(sizes)
	grown.merges, grown.parent = merges, make([]int, leaves+len(merges))
	for i := range grown.parent {
		grown.parent[i] = len(grown.parent)
	}
	for i, m := range merges {
		grown.parent[m.A], grown.parent[m.B] = leaves+i, leaves+i
		grown.size = append(grown.size, grown.size[m.A]+grown.size[m.B])
	}
	return grown, nil
}

func (t *tree) leaves() int { return len(t.clusters) }

// cut returns the k nodes into which the tree falls without its last merges.
func (t *tree) cut(k int) []int {
	end := 2*t.leaves() - min(k, t.leaves()) // of the nodes that are there
	nodes := make([]int, 0, k)
	for i := range end {
		if t.parent[i] >= end {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

// below calls f for the leaves below a node until it returns false.
func (t *tree) below(node int, f func(leaf int) bool) {
	stack := []int{node}
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if at >= t.leaves() {
			m := t.merges[at-t.leaves()]
			stack = append(stack, m.B, m.A)
		} else if !f(at) {
			return
		}
	}
}

// fromCentre returns the leaves below a node, the nearest to the node's mean first.
func (t *tree) fromCentre(node int) []int {
	if node < t.leaves() {
		return []int{node}
	}
	var leaves []int
	mean := make([]float64, t.means.Dim)
	t.below(node, func(leaf int) bool {
		leaves = append(leaves, leaf)
		for j, x := range t.means.Row(leaf) {
			mean[j] += float64(x) * float64(t.size[leaf]) / float64(t.size[node])
		}
		return true
	})
	distance := make(map[int]float64, len(leaves))
	for _, leaf := range leaves {
		for j, x := range t.means.Row(leaf) {
			d := float64(x) - mean[j]
			distance[leaf] += float64(d * d)
		}
	}
	slices.SortFunc(leaves, func(a, b int) int { return cmp.Or(cmp.Compare(distance[a], distance[b]), cmp.Compare(a, b)) })
	return leaves
}
