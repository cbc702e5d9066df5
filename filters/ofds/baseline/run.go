package baseline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/curate-data/curate/pipeline"
)

// need is what a method works on.
type need int

const (
	needNothing need = iota
	needClasses
	needImageVectors
	needObjectVectors
)

// run is one selection at work.
type run struct {
	Common
	name   string
	need   need
	pool   *ofds.Pool
	budget int
	seed   uint64
	taken  []bool  // per image: chosen or preselected
	before []int32 // preselected images that the pool has, ascending
	out    *ofds.Selection
}

// begin checks what a method gets.
func begin(ctx context.Context, name string, need need, common Common, pool *ofds.Pool, budget int, seed uint64) (*run, error) {
	r := &run{
		Common: common, name: name, need: need, pool: pool, budget: budget, seed: seed,
		taken: make([]bool, len(pool.Images)), out: &ofds.Selection{},
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("select by %s: %w", name, err)
	}
	for i, image := range pool.Images {
		if common.Preselected[image.ID] {
			r.taken[i] = true
			r.before = append(r.before, int32(i))
		}
	}
	if missing := len(common.Preselected) - len(r.before); missing > 0 {
		r.warn("%d of %d preselected images are not in the pool", missing, len(common.Preselected))
	}
	return r, ctx.Err()
}

func (r *run) check() error {
	pool := r.pool
	if r.budget < 0 {
		return fmt.Errorf("the budget is %d: give 0 or more images", r.budget)
	}
	for i := 1; i < len(pool.Images); i++ {
		if a, b := pool.Images[i-1].ID, pool.Images[i].ID; a >= b {
			return fmt.Errorf("image %d of the pool is %q, after %q: a pool is sorted by ID and has each once", i, b, a)
		}
	}
	switch {
	case r.need == needImageVectors && len(pool.Images) > 0:
		if pool.ImageVectors.Rows() == 0 {
			return withFaults(ErrNoImageVectors, pool.ImageFaults)
		}
		return finite("image", pool.ImageVectors, len(pool.Images), func(i int) string { return fmt.Sprintf("image %q", pool.Images[i].ID) })
	case r.need == needObjectVectors && len(pool.Objects) > 0:
		if pool.Vectors.Rows() == 0 {
			return ErrNoObjectVectors
		}
		return finite("object", pool.Vectors, len(pool.Objects), func(i int) string {
			o := pool.Objects[i]
			return fmt.Sprintf("object %q of image %q", o.ID, pool.Images[o.Image].ID)
		})
	}
	return nil
}

// withFaults adds why a pool left image vectors out.
func withFaults(err error, faults map[ofds.Filter]int64) error {
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		err = fmt.Errorf("%w (%s: %d images)", err, fault, faults[fault])
	}
	return err
}

// finite wants one vector per thing, and numbers in them.
func finite(kind string, vectors kmeans.Matrix, things int, name func(int) string) error {
	if len(vectors.Data) != things*vectors.Dim {
		return fmt.Errorf("the pool has %d %s vectors for %d %ss: each has to have one", vectors.Rows(), kind, things, kind)
	}
	for at, x := range vectors.Data {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			i := at / vectors.Dim
			return fmt.Errorf("the vector of %s (number %d) has %g in dimension %d: make its vector again, or leave it out", name(i), i, x, at%vectors.Dim)
		}
	}
	return nil
}

func (r *run) warn(format string, args ...any) {
	r.out.Warnings = append(r.out.Warnings, r.name+": "+fmt.Sprintf(format, args...))
}

// left is the budget that is not spent.
func (r *run) left() int { return r.budget - len(r.out.Chosen) }

// free is the number of images that can be chosen.
func (r *run) free() int { return len(r.taken) - len(r.before) - len(r.out.Chosen) }

// all says that the budget is enough for every image, and takes them. Budgets
// of 0 are spent as well.
func (r *run) all() bool {
	if r.budget >= r.free() {
		if r.budget > r.free() {
			r.warn("a budget of %d and only %d images to choose from: all are chosen", r.budget, r.free())
		}
		for i, taken := range r.taken {
			if !taken {
				r.take(int32(i), r.why())
			}
		}
		return true
	}
	return r.budget == 0
}

// why is a reason that says nothing but the method.
func (r *run) why() ofds.Why {
	return ofds.Why{Kind: ofds.Method, Class: -1, Cluster: -1, K: -1, Size: -1, Distance: -1, Object: -1}
}

func (r *run) take(image int32, why ofds.Why) {
	r.taken[image] = true
	r.out.Chosen = append(r.out.Chosen, ofds.Choice{Image: image, Reason: why})
}

// fill spends what is left on random images, and says why it had to.
func (r *run) fill(reason string) {
	if n := min(r.left(), r.free()); n > 0 {
		r.warn("%d of %d images are random ones, because %s", n, r.budget, reason)
		for _, image := range r.shuffled()[:n] {
			why := r.why()
			why.Kind = ofds.Leftover
			r.take(image, why)
		}
	}
}

// shuffled returns the images that can be chosen in the order of their hashes.
func (r *run) shuffled() []int32 {
	key := make([]uint64, len(r.taken))
	var order []int32
	for i, taken := range r.taken {
		if !taken {
			key[i] = hash(r.seed, "", r.pool.Images[i].ID)
			order = append(order, int32(i))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(key[a], key[b]) })
	return order
}

// finish states why images are not chosen, if there is more than one reason.
func (r *run) finish() *ofds.Selection {
	looks := r.need == needClasses || r.need == needObjectVectors
	if len(r.before) == 0 && !looks {
		return r.out
	}
	r.out.Dropped = make(map[int32]pipeline.Reason, len(r.taken)-len(r.out.Chosen))
	for i, image := range r.pool.Images {
		switch {
		case r.Preselected[image.ID]:
			r.out.Dropped[int32(i)] = ofds.Preselected
		case r.taken[i]:
		case looks && image.First == image.End:
			r.out.Dropped[int32(i)] = ofds.NoProposals
		default:
			r.out.Dropped[int32(i)] = ofds.NotChosen
		}
	}
	return r.out
}
