package ofds

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// maxRounds is how often the classes are gone through to spend what is left.
const maxRounds = 6

// ErrBudgetLeft is in Select's error when coverage cannot spend the budget and
// Leftover is none.
var ErrBudgetLeft = errors.New("coverage cannot spend the budget")

// Select chooses images of a pool whose objects have vectors. The budget is of
// new images, predicted objects or cost, as Options.BudgetUnit says; 1 or more.
//
// Classes are gone through, the rarest first. Each gets its share of what is left
// of the budget; its objects are clustered until as many clusters as it may have images hold
// no object of a chosen image; and the object in the middle of each, the largest first, gives its image.
// What a class cannot use goes to those after it, and is then shared again.
//
// The answer has exactly as many images as the budget, unless the pool has
// fewer. The same pool, options, budget and seed give the same answer, whatever
// product and workers there are.
func (o OFDS) Select(ctx context.Context, pool *Pool, budget int, seed uint64) (*Selection, error) {
	r, err := newRun(o, pool, budget, seed)
	if err != nil {
		return nil, err
	}
	return r.do(ctx)
}

// run is one selection at work.
type run struct {
	pool    *Pool
	opt     Options
	seed    uint64
	product kmeans.Product
	workers int
	cluster func(context.Context, kmeans.Matrix, kmeans.Options) (*kmeans.Result, error) // kmeans.Fit

	classes []class // one per class of the pool
	order   []int   // classes with objects, in the order of selection
	budget  float64
	left    float64 // of the budget, without what is kept for background
	in      []bool  // images that are chosen or preselected
	before  []bool  // images that are preselected
	forWhom []int32 // the class that an image was chosen for, or -1
	group   map[string]int

	choices    []Choice
	background int // choices that are background
	filled     int // choices that are leftover
	fits       int
	warnings   []string

	gathered struct { // the vectors of the class at work
		class   int
		vectors kmeans.Matrix
	}
	queue     []int32 // images in random order, those without proposals last
	next      int     // index in queue of the next filler
	nextEmpty int     // index in queue of the next background

	gaps   []float64 // of each object, the square of the distance to the nearest covered one of its class
	closed int       // choices that gaps knows of
}

// class is the state of one class.
type class struct {
	objects  []int32 // indexes in Pool.Objects
	images   int     // that have one
	quota    int     // images asked for so far
	chosen   int     // images chosen for it
	achieved int     // objects in chosen and preselected images
	last     *partition
	tree     *tree
	done     bool // nothing is left to cover
}

func newRun(o OFDS, pool *Pool, budget int, seed uint64) (*run, error) {
	if err := o.Options.Validate(); err != nil {
		return nil, err
	}
	if budget < 1 {
		return nil, fmt.Errorf("select images: the budget is %d: give 1 or more", budget)
	}
	if len(pool.Objects) != pool.Vectors.Rows() {
		return nil, fmt.Errorf("select images: the pool has %d objects and %d vectors of objects: embed them first, or choose a method that needs no vectors", len(pool.Objects), pool.Vectors.Rows())
	}
	r := &run{
		pool: pool, opt: o.Options.WithDefaults(), seed: seed, product: o.Product, workers: o.Workers, cluster: kmeans.Fit,
		classes: make([]class, len(pool.Classes)), budget: float64(budget), left: float64(budget),
		in: make([]bool, len(pool.Images)), before: make([]bool, len(pool.Images)), forWhom: make([]int32, len(pool.Images)),
		group: make(map[string]int),
	}
	r.gathered.class = -1
	r.index()
	if err := r.checkClasses(budget); err != nil {
		return nil, err
	}
	r.preselect()
	r.order = r.classOrder()
	return r, nil
}

// index lists the objects of each class.
func (r *run) index() {
	lastImage := make([]int32, len(r.classes))
	for i := range lastImage {
		lastImage[i] = -1
	}
	for i, o := range r.pool.Objects {
		c := &r.classes[o.Class]
		c.objects = append(c.objects, int32(i))
		if lastImage[o.Class] != o.Image {
			lastImage[o.Class] = o.Image
			c.images++
		}
	}
	for i := range r.forWhom {
		r.forWhom[i] = -1
	}
}

// checkClasses wants options to name classes of the pool only, and to ask for no
// more than the budget has.
func (r *run) checkClasses(budget int) error {
	var f faults
	known := make(map[string]bool)
	for _, name := range r.pool.Classes {
		known[name] = true
	}
	for _, name := range r.opt.GivenOrder {
		f.when(!known[name], "given_order has %q, which is no class of the pool", name)
	}
	sum := 0
	for _, name := range sortedKeys(r.opt.Quotas) {
		f.when(!known[name], "quotas has %q, which is no class of the pool", name)
		sum += r.opt.Quotas[name]
	}
	f.when(r.opt.BudgetUnit == "images" && sum > budget, "quotas ask for %d images and the budget is %d: raise it, or lower them", sum, budget)
	return f.err("options of ofds")
}

func (r *run) preselect() {
	found := 0
	for i, image := range r.pool.Images {
		if r.opt.Preselected[image.ID] {
			r.before[i] = true
			r.add(int32(i))
			found++
		}
	}
	wanted := 0
	for _, yes := range r.opt.Preselected {
		if yes {
			wanted++
		}
	}
	if found < wanted {
		r.warn("%d of %d preselected images are not in the pool", wanted-found, wanted)
	}
}

func (r *run) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

func (r *run) do(ctx context.Context) (*Selection, error) {
	work := r.spend
	if r.opt.Nested {
		work = r.sequence
	}
	if err := work(ctx); err != nil {
		return nil, fmt.Errorf("select images: %w", err)
	}
	return r.selection(), nil
}

// spend goes through the classes until the budget is spent, then fills it.
func (r *run) spend(ctx context.Context) error {
	kept := r.keepForBackground()
	rounds := 1
	if r.opt.Leftover == "repeat" {
		rounds = maxRounds
	}
	for round := 0; round < rounds && r.left > 0; round++ {
		if err := r.round(ctx, round); err != nil {
			return err
		}
	}
	if err := r.fill(ctx, true); err != nil {
		return err
	}
	r.left += kept
	r.addBackground(kept)
	r.next = 0 // what could not be paid before may be now
	if err := r.fill(ctx, true); err != nil {
		return err
	}
	return r.fill(ctx, false)
}

func (r *run) round(ctx context.Context, round int) error {
	plan := r.plan()
	for j, c := range r.order {
		if r.left <= 0 {
			return nil
		}
		images, share := plan(j)
		if images < 1 {
			continue
		}
		if err := r.visit(ctx, c, images, share, round); err != nil {
			return fmt.Errorf("cover class %q: %w", r.pool.Classes[c], err)
		}
	}
	return nil
}

// visit chooses up to so many images for a class, for so much of the budget.
func (r *run) visit(ctx context.Context, c, images int, share float64, round int) error {
	s := &r.classes[c]
	s.quota = max(s.quota, s.chosen+images)
	if !r.coverable(c) {
		return nil
	}
	p, err := r.partition(ctx, c, images)
	if err != nil {
		return err
	}
	chosen, spent := 0, 0.0
	for _, cluster := range r.usable(c, p) {
		if chosen == images {
			break
		}
		if r.covered(c, p.members[cluster]) { // by an image that was chosen a moment ago
			continue
		}
		most := math.Inf(1)
		if chosen > 0 { // the first image of a class may cost more than its share
			most = share - spent
		}
		object, distance := r.representative(c, p, cluster, most)
		if object < 0 {
			continue
		}
		image := r.pool.Objects[object].Image
		spent += r.price(image)
		chosen++
		r.choose(image, Why{
			Kind: Coverage, Class: int32(c), Round: round, Cluster: cluster, K: len(p.members),
			Size: len(p.members[cluster]), Distance: distance, Object: object,
		})
	}
	return nil
}

// choose puts an image into the answer.
func (r *run) choose(image int32, why Why) {
	if why.Class >= 0 {
		r.classes[why.Class].chosen++
		r.forWhom[image] = why.Class
	}
	switch why.Kind {
	case Background:
		r.background++
	case Leftover:
		r.filled++
	}
	r.left -= r.price(image)
	r.choices = append(r.choices, Choice{image, why})
	r.add(image)
}

// add counts what an image covers.
func (r *run) add(image int32) {
	r.in[image] = true
	i := &r.pool.Images[image]
	if i.Group != "" {
		r.group[i.Group]++
	}
	for _, o := range r.pool.Objects[i.First:i.End] {
		r.classes[o.Class].achieved++
	}
}

// price is what an image takes of the budget.
func (r *run) price(image int32) float64 {
	i := &r.pool.Images[image]
	objects := float64(i.End - i.First)
	switch r.opt.BudgetUnit {
	case "objects":
		return objects
	case "cost":
		return r.opt.ImageCost + r.opt.ObjectCost*objects
	}
	return 1
}

// free says whether an image may be chosen, price aside.
func (r *run) free(image int32) bool { return !r.in[image] && !r.groupFull(image) }

func (r *run) groupFull(image int32) bool {
	group := r.pool.Images[image].Group
	return r.opt.GroupMax > 0 && group != "" && r.group[group] >= r.opt.GroupMax
}

// affordable says whether an image may be chosen with what is left. A nested
// answer ends at the first image that it cannot pay.
func (r *run) affordable(image int32) bool {
	return r.free(image) && (r.opt.Nested || r.price(image) <= r.left)
}
