package stream

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"

	"github.com/curate-data/curate/filters/ofds"
)

// Outcome is a selection. Its indexes refer to the lists beside it, which have
// what the selection names, not the pool.
type Outcome struct {
	ofds.Selection
	ClassNames []string      // sorted
	Images     []ofds.Image  // the chosen ones, sorted by ID; First and End are what they were chosen for in Objects
	Objects    []ofds.Object // ID, class and score only
}

// rounds is how often the classes get their turns.
const rounds = 6

// chooser is the rule of package ofds over clusters instead of objects.
type chooser struct {
	t       *Tally
	opt     Options
	trees   []*tree
	cuts    []int     // how many nodes each class's tree was cut into
	covered [][]int64 // chosen objects of each cluster
	taken   map[*held]bool
	groups  map[string]int
	picks   []pick
	out     Outcome
}

type pick struct {
	image  *held
	object candidate // of the image; none for random ones
	why    ofds.Why
}

// Choose selects images after the objects of the whole pool were assigned.
func (t *Tally) Choose(ctx context.Context) (*Outcome, error) {
	t.cutFill()
	if err := t.complete(); err != nil {
		return nil, err
	}
	c := &chooser{t: t, opt: t.opt, taken: make(map[*held]bool), groups: make(map[string]int), cuts: make([]int, len(t.classes))}
	for i, class := range t.classes {
		grown, err := t.grow(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("choose images for class %q: %w", t.book.classes[i].name, err)
		}
		c.trees = append(c.trees, grown)
		c.covered = append(c.covered, make([]int64, len(class)))
		c.out.ClassNames = append(c.out.ClassNames, t.book.classes[i].name)
		c.out.Selection.Classes = append(c.out.Selection.Classes, ofds.ClassOutcome{
			Objects: t.book.classes[i].objects, Images: t.book.classes[i].images, Unreachable: t.book.classes[i].objects == 0})
		if t.book.classes[i].objects > int64(len(class)) {
			c.out.Fits++
		}
	}
	for _, h := range t.preselected() {
		c.take(h, -1, -1)
	}
	c.cover()
	if left := c.left(); left > 0 && c.opt.OFDS.Leftover == "none" {
		return nil, fmt.Errorf("choose images: %w: %d of %d images are left: lower the budget, or take another leftover", ofds.ErrBudgetLeft, left, c.opt.Budget)
	}
	c.leftover()
	return c.outcome(), nil
}

// complete wants every object that the census counted.
func (t *Tally) complete() error {
	if t.seen != t.book.images {
		return fmt.Errorf("choose images: the census saw %d images, the tally %d: is a part missing, or did the pool change?", t.book.images, t.seen)
	}
	for i, class := range t.classes {
		objects := int64(0)
		for _, c := range class {
			objects += c.size
		}
		if want := t.book.classes[i]; objects != want.objects {
			return fmt.Errorf("choose images: the census saw %d objects of class %q, the tally %d: is a part missing, or did the pool change?", want.objects, want.name, objects)
		}
	}
	return nil
}

// preselected returns the preselected images of the pool by ID.
func (t *Tally) preselected() []*held {
	var list []*held
	for id := range t.opt.OFDS.Preselected {
		if h := t.held[id]; h != nil && t.opt.OFDS.Preselected[id] {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b *held) int { return cmp.Compare(a.id, b.id) })
	return list
}

// take counts what an image covers: everything in it, or only the cluster that
// it was chosen for.
func (c *chooser) take(h *held, class, cluster int) {
	c.taken[h] = true
	if h.group != "" {
		c.groups[h.group]++
	}
	for _, l := range h.links {
		if !c.opt.OFDS.IgnoreExisting || int(l.class) == class && int(l.cluster) == cluster {
			c.covered[l.class][l.cluster] += int64(l.objects)
		}
	}
}

func (c *chooser) free(h *held) bool {
	return !c.taken[h] && (c.opt.OFDS.GroupMax == 0 || h.group == "" || c.groups[h.group] < c.opt.OFDS.GroupMax)
}

func (c *chooser) left() int { return c.opt.Budget - len(c.picks) }

// cover gives the classes their turns.
func (c *chooser) cover() {
	order := c.t.book.order(c.opt)
	for round := range rounds {
		before := len(c.picks)
		for j, class := range order {
			if c.left() == 0 {
				break
			}
			quota := max(1, c.left()/(len(order)-j))
			c.out.Selection.Classes[class].Quota += int64(quota)
			c.turn(class, round, quota)
		}
		if len(c.picks) == before {
			break
		}
	}
	for _, class := range order {
		c.out.Selection.Classes[class].Starved = c.opt.Budget < len(order)
	}
}

// turn chooses images for a class: it cuts the tree lower until enough nodes
// have nothing covered, and takes one image from each.
func (c *chooser) turn(class, round, quota int) {
	t := c.trees[class]
	k := min(t.leaves(), max(quota, c.cuts[class]))
	open := c.open(class, k)
	for len(open) < quota && k < t.leaves() {
		k = min(t.leaves(), k+quota-len(open))
		open = c.open(class, k)
	}
	c.cuts[class] = k
	for _, node := range open {
		if quota == 0 {
			return
		}
		if c.touched(class, node) { // by a choice of a moment ago
			continue
		}
		if c.represent(class, node, ofds.Why{Kind: ofds.Coverage, Class: int32(class), Round: round, Cluster: node, K: k, Size: int(t.size[node])}) {
			quota--
		}
	}
}

// open returns the nodes of a cut that have nothing covered, in the order of
// their use.
func (c *chooser) open(class, k int) []int {
	t := c.trees[class]
	covered := make([]bool, len(t.size))
	for leaf, cluster := range t.clusters {
		covered[leaf] = c.covered[class][cluster] > 0
	}
	for i, m := range t.merges {
		covered[t.leaves()+i] = covered[m.A] || covered[m.B]
	}
	nodes := slices.DeleteFunc(t.cut(k), func(node int) bool {
		return covered[node] || t.size[node] < int64(c.opt.OFDS.MinClusterSize)
	})
	slices.SortStableFunc(nodes, func(a, b int) int {
		if c.opt.OFDS.ClusterOrder == "size_asc" {
			a, b = b, a
		}
		return cmp.Compare(t.size[b], t.size[a])
	})
	return nodes
}

func (c *chooser) touched(class, node int) bool {
	t, touched := c.trees[class], false
	t.below(node, func(leaf int) bool {
		touched = c.covered[class][t.clusters[leaf]] > 0
		return !touched
	})
	return touched
}

// represent chooses the free image that is nearest to the middle of a node: from
// the leaf in its middle, the nearest of those that the leaf has kept.
func (c *chooser) represent(class, node int, why ofds.Why) bool {
	t := c.trees[class]
	for _, leaf := range t.fromCentre(node) {
		cluster := t.clusters[leaf]
		for _, one := range c.t.classes[class][cluster].nearest {
			if c.free(one.image) {
				why.Distance = one.distance
				c.picks = append(c.picks, pick{one.image, one, why})
				c.out.Selection.Classes[class].Chosen++
				c.take(one.image, class, cluster)
				return true
			}
		}
	}
	return false
}

// leftover spends what coverage could not: on the clusters with the fewest chosen
// objects for their size, then at random.
func (c *chooser) leftover() {
	if c.opt.OFDS.Leftover == "repeat" {
		c.repeat()
	}
	for _, h := range c.t.fill {
		if c.left() > 0 && c.free(h) {
			c.picks = append(c.picks, pick{image: h, why: ofds.Why{Kind: ofds.Leftover, Class: -1, Round: -1, Cluster: -1, K: -1, Size: -1, Distance: -1}})
			c.take(h, -1, -1)
		}
	}
	if left := c.left(); left > 0 {
		c.out.Warnings = append(c.out.Warnings, fmt.Sprintf("%d images of the budget of %d could not be spent", left, c.opt.Budget))
	}
}

func (c *chooser) repeat() {
	var queue queue
	for class, t := range c.trees {
		for leaf, cluster := range t.clusters {
			queue = append(queue, turn{class, leaf, c.need(class, cluster)})
		}
	}
	heap.Init(&queue)
	for c.left() > 0 && len(queue) > 0 {
		first := queue[0]
		t := c.trees[first.class]
		cluster := t.clusters[first.leaf]
		if need := c.need(first.class, cluster); need < first.need { // other choices covered more of it
			queue[0].need = need
			heap.Fix(&queue, 0)
			continue
		}
		why := ofds.Why{Kind: ofds.Leftover, Class: int32(first.class), Round: rounds, Cluster: first.leaf, K: t.leaves(), Size: int(t.size[first.leaf])}
		before := c.covered[first.class][cluster]
		if !c.represent(first.class, first.leaf, why) {
			heap.Pop(&queue)
		} else if c.covered[first.class][cluster] == before {
			c.covered[first.class][cluster]++ // what is ignored elsewhere counts here, or one cluster gives all
		}
	}
}

// need is the number of objects of a cluster for each that is chosen.
func (c *chooser) need(class, cluster int) float64 {
	return float64(c.t.classes[class][cluster].size) / float64(1+c.covered[class][cluster])
}

// turn waits in a queue: the highest need first.
type turn struct {
	class, leaf int
	need        float64
}

type queue []turn

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[j].need, q[i].need), cmp.Compare(q[i].class, q[j].class), cmp.Compare(q[i].leaf, q[j].leaf)) < 0
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push is never used: a turn only leaves.
func (q *queue) Push(x any) { *q = append(*q, x.(turn)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// outcome lists what was chosen.
func (c *chooser) outcome() *Outcome {
	out := &c.out
	order := make([]int, len(c.picks))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(c.picks[i].image.id, c.picks[j].image.id) })
	out.Chosen = make([]ofds.Choice, len(c.picks))
	for at, i := range order {
		p := c.picks[i]
		image := ofds.Image{RowID: p.image.row, ID: p.image.id, Group: p.image.group, First: int32(len(out.Objects))}
		p.why.Object = -1
		if p.object.image != nil {
			p.why.Object = int32(len(out.Objects))
			out.Objects = append(out.Objects, ofds.Object{Image: int32(at), Class: p.why.Class, Score: p.object.score, ID: p.object.object})
		}
		image.End = int32(len(out.Objects))
		out.Images = append(out.Images, image)
		out.Chosen[i] = ofds.Choice{Image: int32(at), Reason: p.why}
		for _, l := range p.image.links {
			out.Selection.Classes[l.class].Achieved += int64(l.objects)
		}
	}
	for i, class := range out.Selection.Classes {
		switch {
		case class.Unreachable:
			out.Warnings = append(out.Warnings, fmt.Sprintf("class %q has no proposals", out.ClassNames[i]))
		case class.Starved && class.Achieved == 0:
			out.Warnings = append(out.Warnings, fmt.Sprintf("class %q got no image: the budget of %d is smaller than the number of classes", out.ClassNames[i], c.opt.Budget))
		}
	}
	return out
}
