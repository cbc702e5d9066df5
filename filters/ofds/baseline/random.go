package baseline

import (
	"cmp"
	"context"
	"slices"

	"github.com/curate-data/curate/filters/ofds"
)

// Random chooses the images with the lowest hashes of (seed, ID): a uniform draw
// without replacement that does not depend on order. A larger budget's answer
// begins with a smaller one's.
type Random struct{ Common }

// Select implements ofds.Selector.
func (m Random) Select(ctx context.Context, pool *ofds.Pool, budget int, seed uint64) (*ofds.Selection, error) {
	r, err := begin(ctx, random, needNothing, m.Common, pool, budget, seed)
	if err != nil {
		return nil, err
	}
	if !r.all() {
		for _, image := range r.shuffled()[:budget] {
			r.take(image, r.why())
		}
	}
	return r.finish(), nil
}

// ClassBalancedRandom goes round the classes, from the one with the fewest
// proposals to the one with the most (ties by name), and takes a random image
// that contains the class: of those that are not taken the one with the lowest
// hash of (seed, class, ID). A class whose images are all taken is skipped. It
// shows how far balance alone goes, without a look at vectors. What is
// preselected is not chosen again; it is no turn of its classes.
type ClassBalancedRandom struct{ Common }

// Select implements ofds.Selector. A class's quota is its share of the turns.
func (m ClassBalancedRandom) Select(ctx context.Context, pool *ofds.Pool, budget int, seed uint64) (*ofds.Selection, error) {
	r, err := begin(ctx, classBalanced, needClasses, m.Common, pool, budget, seed)
	if err != nil {
		return nil, err
	}
	classes := r.classes()
	r.out.Classes = make([]ofds.ClassOutcome, len(classes))
	var turns []int // classes with proposals, rarest first
	for c, class := range classes {
		r.out.Classes[c] = ofds.ClassOutcome{Objects: class.objects, Images: int64(len(class.queue)), Unreachable: class.objects == 0}
		if class.objects == 0 {
			r.warn("class %q has no proposals", pool.Classes[c])
			continue
		}
		turns = append(turns, c)
	}
	slices.SortStableFunc(turns, func(a, b int) int { return cmp.Compare(classes[a].objects, classes[b].objects) })
	for place, c := range turns {
		outcome := &r.out.Classes[c]
		outcome.Quota = int64(budget / len(turns))
		if place < budget%len(turns) {
			outcome.Quota++
		}
		if outcome.Starved = budget < len(turns); outcome.Starved && outcome.Quota == 0 {
			r.warn("class %q gets no image of its own: a budget of %d for %d classes", pool.Classes[c], budget, len(turns))
		}
	}
	if !r.all() {
		if err := r.roundRobin(ctx, classes, turns); err != nil {
			return nil, err
		}
		r.fill("no other image has a proposal of a target class")
	}
	r.count()
	return r.finish(), nil
}

// candidates are what can be chosen for a class.
type candidates struct {
	objects int64
	queue   []int32 // images, by hash
	object  []int32 // of each image of queue, its first object of the class
	next    int
}

// classes lists the images of each class in the order of their hashes.
func (r *run) classes() []candidates {
	classes := make([]candidates, len(r.pool.Classes))
	type entry struct {
		key           uint64
		image, object int32
	}
	lists := make([][]entry, len(classes))
	for at, o := range r.pool.Objects {
		list := lists[o.Class]
		if classes[o.Class].objects++; len(list) == 0 || list[len(list)-1].image != o.Image {
			lists[o.Class] = append(list, entry{hash(r.seed, r.pool.Classes[o.Class], r.pool.Images[o.Image].ID), o.Image, int32(at)})
		}
	}
	for c, list := range lists {
		slices.SortStableFunc(list, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
		for _, e := range list {
			classes[c].queue, classes[c].object = append(classes[c].queue, e.image), append(classes[c].object, e.object)
		}
	}
	return classes
}

// roundRobin gives each class an image in turn until the budget is spent or no
// class has one.
func (r *run) roundRobin(ctx context.Context, classes []candidates, turns []int) error {
	for round, progress := 0, true; progress; round++ {
		progress = false
		for _, c := range turns {
			if r.left() == 0 {
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			class := &classes[c]
			for class.next < len(class.queue) && r.taken[class.queue[class.next]] {
				class.next++
			}
			if class.next == len(class.queue) {
				continue
			}
			why := r.why()
			why.Class, why.Round, why.Object = int32(c), round, class.object[class.next]
			r.take(class.queue[class.next], why)
			r.out.Classes[c].Chosen++
			progress = true
		}
	}
	return nil
}

// count states how many proposals of each class the chosen images hold.
func (r *run) count() {
	for _, choice := range r.out.Chosen {
		image := r.pool.Images[choice.Image]
		for _, o := range r.pool.Objects[image.First:image.End] {
			r.out.Classes[o.Class].Achieved++
		}
	}
}
