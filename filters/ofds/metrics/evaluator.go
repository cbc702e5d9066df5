package metrics

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"slices"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// Evaluator measures selections of one pool. What does not depend on the
// selection (bins, samples, clusters) is made once, so that all selections are
// measured alike. Several goroutines may use it at once.
type Evaluator struct {
	pool    *ofds.Pool
	opt     Options
	rule    string
	longest float64
	classes []classOf
	truth   *Evaluator
	inTruth []int32 // of each image, its index in the truth's pool; -1 for none

	poolFalse Number // share of false positives in the pool
}

// classOf is what is known of a class beforehand.
type classOf struct {
	objects []int32 // indexes in Pool.Objects
	images  int64
	bin     Bin
	sample  []int         // rows of Pool.Vectors
	centers kmeans.Matrix // of the clusters
	modes   map[int32]bool
}

// New prepares measurements. It clusters the objects of every class, unless
// modes are given or the pool has no vectors.
func New(ctx context.Context, pool *ofds.Pool, opt Options) (*Evaluator, error) {
	if n := pool.Vectors.Rows(); n != 0 && n != len(pool.Objects) {
		return nil, fmt.Errorf("measure a pool of %d objects with %d vectors: want one for each", len(pool.Objects), n)
	}
	e := &Evaluator{pool: pool, longest: longest(pool.Vectors)}
	var err error
	if e.opt, err = opt.withDefaults(pool, e.longest); err != nil {
		return nil, fmt.Errorf("options of metrics: %w", err)
	}
	e.count()
	e.rule = binned(e.classes, e.opt.Bins)
	for c := range e.classes {
		if err := e.cluster(ctx, c); err != nil {
			return nil, fmt.Errorf("cluster class %q for metrics: %w", pool.Classes[c], err)
		}
	}
	if opt.Truth == nil {
		return e, nil
	}
	truth := opt
	truth.Truth, truth.Modes, truth.TruthModes = nil, opt.TruthModes, nil
	if e.truth, err = New(ctx, opt.Truth, truth); err != nil {
		return nil, fmt.Errorf("true objects: %w", err)
	}
	index := make(map[string]int32, len(opt.Truth.Images))
	for i, image := range opt.Truth.Images {
		index[image.ID] = int32(i)
	}
	e.inTruth = make([]int32, len(pool.Images))
	for i, image := range pool.Images {
		at, ok := index[image.ID]
		if !ok {
			at = -1
		}
		e.inTruth[i] = at
	}
	e.poolFalse = e.falseShare()
	return e, nil
}

// count lists the objects of each class and counts its images.
func (e *Evaluator) count() {
	e.classes = make([]classOf, len(e.pool.Classes))
	last := make([]int32, len(e.classes)) // image that was counted last, plus 1
	for i, o := range e.pool.Objects {
		c := &e.classes[o.Class]
		c.objects = append(c.objects, int32(i))
		if last[o.Class] != o.Image+1 {
			last[o.Class] = o.Image + 1
			c.images++
		}
	}
}

// binned puts the reachable classes in bins and returns the rule by which.
func binned(classes []classOf, rule string) string {
	var order []int
	for c := range classes {
		if len(classes[c].objects) > 0 {
			order = append(order, c)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(classes[a].images, classes[b].images) })
	if rule == "" {
		rule = LVIS
		if len(order) == 0 || lvisBin(classes[order[0]].images) != Rare || lvisBin(classes[order[len(order)-1]].images) != Frequent {
			rule = Terciles
		}
	}
	for i, c := range order {
		if rule == LVIS {
			classes[c].bin = lvisBin(classes[c].images)
			continue
		}
		classes[c].bin = []Bin{Rare, Common, Frequent}[i*3/len(order)]
	}
	return rule
}

func lvisBin(images int64) Bin {
	switch {
	case images < 10:
		return Rare
	case images < 100:
		return Common
	}
	return Frequent
}

// cluster samples a class and finds its clusters.
func (e *Evaluator) cluster(ctx context.Context, class int) error {
	c := &e.classes[class]
	if e.opt.Modes != nil {
		c.modes = make(map[int32]bool)
		for _, o := range c.objects {
			if mode := e.opt.Modes[o]; mode >= 0 {
				c.modes[mode] = true
			}
		}
	}
	if e.pool.Vectors.Rows() == 0 || len(c.objects) == 0 {
		return ctx.Err()
	}
	c.sample = e.sample(c.objects)
	if e.opt.Modes != nil {
		return ctx.Err()
	}
	points := e.pool.Vectors.Gather(c.sample)
	k := min(e.opt.Clusters, max(1, int(math.Round(math.Sqrt(float64(len(c.sample))/2)))))
	seed := hash(e.opt.Seed, "clusters of metrics", e.pool.Classes[class])
	fit, err := kmeans.Fit(ctx, points, kmeans.Options{K: k, Seed: seed, Product: e.opt.Product, Workers: e.opt.Workers})
	if err != nil {
		return err
	}
	c.centers = fit.Centroids
	// Fit may stop before the centroids are at rest. What is in a cluster is
	// decided by the final ones, for the pool as for selections.
	cluster, _, err := kmeans.Nearest(ctx, points, c.centers, e.opt.Product, e.opt.Workers)
	if err != nil {
		return err
	}
	c.modes = make(map[int32]bool)
	for _, m := range cluster {
		c.modes[m] = true
	}
	return nil
}

// sample returns the objects that are measured, all of them or those with the
// lowest hashes, in the order of the pool.
func (e *Evaluator) sample(objects []int32) []int {
	rows := make([]int, len(objects))
	for i, o := range objects {
		rows[i] = int(o)
	}
	most := e.opt.Sample
	if most < 0 || len(rows) <= most {
		return rows
	}
	key := make(map[int]uint64, len(rows))
	for _, row := range rows {
		o := &e.pool.Objects[row]
		key[row] = hash(e.opt.Seed, e.pool.Images[o.Image].ID, o.ID)
	}
	slices.SortFunc(rows, func(a, b int) int { return cmp.Or(cmp.Compare(key[a], key[b]), cmp.Compare(a, b)) })
	rows = rows[:most]
	slices.Sort(rows)
	return rows
}

// hash mixes a seed and texts.
func hash(seed uint64, texts ...string) uint64 {
	h := fnv.New64a()
	for _, t := range texts {
		io.WriteString(h, t)
		h.Write([]byte{0})
	}
	x := h.Sum64() ^ seed*0x9E3779B97F4A7C15 // FNV alone leaves the high bits of short texts alike
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// longest returns the length of the longest vector, NaN without vectors.
func longest(m kmeans.Matrix) float64 {
	if m.Rows() == 0 {
		return math.NaN()
	}
	most := 0.0
	for i := range m.Rows() {
		sum := 0.0
		for _, x := range m.Row(i) {
			sum += float64(x) * float64(x)
		}
		most = max(most, sum)
	}
	return math.Sqrt(most)
}
