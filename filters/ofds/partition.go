package ofds

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// maxFits bounds how often one visit of a class may cluster again.
const maxFits = 10

// partition divides the objects of a class. Members are indexes in the class's
// objects. Clusters may be empty.
type partition struct {
	centroids kmeans.Matrix
	members   [][]int32
	few       bool // no more objects than images are asked for: MinClusterSize has nothing to go by
}

// partition clusters a class for so many images, as KPolicy says.
func (r *run) partition(ctx context.Context, c, images int) (*partition, error) {
	n := len(r.classes[c].objects)
	if n <= images {
		p := r.singles(c)
		p.few = true
		return p, nil
	}
	switch r.opt.KPolicy {
	case "fixed_quota":
		return r.fit(ctx, c, images)
	case "ratio":
		return r.fit(ctx, c, int(math.Ceil(r.opt.KRatio*float64(n))))
	case "bisect_cut":
		return r.cut(ctx, c, images)
	}
	return r.adaptive(ctx, c, images)
}

// adaptive raises the number of clusters until enough of them have nothing
// covered. A later round goes on with the clusters that the class has.
func (r *run) adaptive(ctx context.Context, c, images int) (*partition, error) {
	s := &r.classes[c]
	k := images
	if s.last != nil {
		k = max(k, len(s.last.members))
	}
	for try := 1; ; try++ {
		p, err := r.fit(ctx, c, k)
		if err != nil {
			return nil, err
		}
		have := len(r.usable(c, p))
		if have >= images || k >= len(s.objects) || try == maxFits {
			return p, nil
		}
		k = min(len(s.objects), k+images-have)
	}
}

// fit clusters a class into k, beginning with the centroids it had.
func (r *run) fit(ctx context.Context, c, k int) (*partition, error) {
	s := &r.classes[c]
	if s.last != nil && len(s.last.members) == k {
		return s.last, nil
	}
	if k >= len(s.objects) {
		s.last = r.singles(c)
		return s.last, nil
	}
	var start kmeans.Matrix
	if s.last != nil && len(s.last.members) < k {
		start = s.last.centroids
	}
	p, err := r.kmeans(ctx, c, k, start)
	s.last = p
	return p, err
}

func (r *run) kmeans(ctx context.Context, c, k int, start kmeans.Matrix) (*partition, error) {
	r.fits++
	result, err := r.cluster(ctx, r.vectors(c), kmeans.Options{
		K: k, Seed: hash(r.seed, "class", r.pool.Classes[c]), Weights: r.weights(c), Start: start, Product: r.product, Workers: r.workers,
	})
	if err != nil {
		return nil, err
	}
	p := &partition{centroids: result.Centroids, members: make([][]int32, k)}
	for i, cluster := range result.Cluster {
		p.members[cluster] = append(p.members[cluster], int32(i))
	}
	return p, nil
}

// singles makes every object of a class a cluster.
func (r *run) singles(c int) *partition {
	p := &partition{centroids: r.vectors(c), members: make([][]int32, len(r.classes[c].objects))}
	for i := range p.members {
		p.members[i] = []int32{int32(i)}
	}
	return p
}

// vectors returns the vectors of a class's objects. Those of one class at a time
// are held beside the pool.
func (r *run) vectors(c int) kmeans.Matrix {
	objects := r.classes[c].objects
	if len(objects) == r.pool.Vectors.Rows() {
		return r.pool.Vectors
	}
	if r.gathered.class != c {
		r.gathered.vectors = kmeans.NewMatrix(len(objects), r.pool.Vectors.Dim)
		for i, o := range objects {
			copy(r.gathered.vectors.Row(i), r.pool.Vectors.Row(int(o)))
		}
		r.gathered.class = c
	}
	return r.gathered.vectors
}

// weights are score^gamma, or nil for all the same.
func (r *run) weights(c int) []float32 {
	if r.opt.ScoreGamma == 0 {
		return nil
	}
	w := make([]float32, len(r.classes[c].objects))
	for i, o := range r.classes[c].objects {
		w[i] = float32(math.Pow(max(1e-3, float64(r.pool.Objects[o].Score)), r.opt.ScoreGamma))
	}
	return w
}

// usable lists the clusters that may give an image, in the order of their use:
// nothing covered, enough objects, and one whose image can be had.
func (r *run) usable(c int, p *partition) []int {
	var list []int
	for k, members := range p.members {
		if (len(members) >= r.opt.MinClusterSize || p.few) && !r.covered(c, members) && r.anyAffordable(c, members) {
			list = append(list, k)
		}
	}
	var spread []float64
	if r.opt.ClusterOrder == "tightness" {
		spread = make([]float64, len(p.members))
		for _, k := range list {
			spread[k] = r.spread(c, p, k)
		}
	}
	slices.SortStableFunc(list, func(x, y int) int {
		switch size := cmp.Compare(len(p.members[x]), len(p.members[y])); r.opt.ClusterOrder {
		case "size_asc":
			return size
		case "tightness":
			return cmp.Or(cmp.Compare(spread[x], spread[y]), -size)
		default:
			return -size
		}
	})
	return list
}

// covers says whether an image that is chosen or preselected covers objects of a
// class.
func (r *run) covers(image int32, c int) bool {
	return r.in[image] && (!r.opt.IgnoreExisting || r.before[image] || r.forWhom[image] == int32(c))
}

func (r *run) covered(c int, members []int32) bool {
	for _, i := range members {
		if r.covers(r.pool.Objects[r.classes[c].objects[i]].Image, c) {
			return true
		}
	}
	return false
}

func (r *run) anyAffordable(c int, members []int32) bool {
	for _, i := range members {
		if r.affordable(r.pool.Objects[r.classes[c].objects[i]].Image) {
			return true
		}
	}
	return false
}

// coverable says whether a class has an object that is not covered and whose
// image can be had: without one, there is no need to cluster.
func (r *run) coverable(c int) bool {
	for _, o := range r.classes[c].objects {
		if image := r.pool.Objects[o].Image; !r.covers(image, c) && r.affordable(image) {
			return true
		}
	}
	return false
}
