package ofds

import (
	"cmp"
	"math"
	"slices"
)

// medoidMost bounds how many members of a cluster are compared with each other.
const medoidMost = 1024

// candidate is an object that may stand for a cluster.
type candidate struct {
	member   int32   // index in the class's objects
	distance float64 // to the centroid
}

// representative returns the object that stands for a cluster, an index in
// Pool.Objects, and its distance to the centroid; -1 if no image can be had at
// that price.
func (r *run) representative(c int, p *partition, cluster int, most float64) (object int32, distance float32) {
	s := &r.classes[c]
	var list []candidate
	for _, i := range p.members[cluster] {
		image := r.pool.Objects[s.objects[i]].Image
		if r.affordable(image) && r.price(image) <= most {
			list = append(list, candidate{i, r.distance(c, p, cluster, i)})
		}
	}
	if len(list) == 0 {
		return -1, -1
	}
	worth := r.worth(c, p, cluster)
	best := slices.MinFunc(list, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(worth(y), worth(x)), cmp.Compare(x.distance, y.distance), cmp.Compare(x.member, y.member))
	})
	if r.opt.Representative == "nearest_centroid" {
		best = firstNear(list, best.distance)
	}
	return s.objects[best.member], float32(best.distance)
}

// nearEnough is how much farther than the nearest, relatively, counts as equally
// near. The two members of a cluster of two are equally far from its middle, and
// rounding, which differs between devices and batch sizes, must not decide.
const nearEnough = 1e-4

// firstNear returns the first member that is as near as the nearest one.
func firstNear(list []candidate, nearest float64) candidate {
	i := slices.IndexFunc(list, func(x candidate) bool { return x.distance <= nearest*(1+nearEnough) })
	return list[i]
}

// worth returns how good a candidate is, as Representative says; equals go by
// distance.
func (r *run) worth(c int, p *partition, cluster int) func(candidate) float64 {
	s := &r.classes[c]
	object := func(x candidate) *Object { return &r.pool.Objects[s.objects[x.member]] }
	switch r.opt.Representative {
	case "max_score":
		return func(x candidate) float64 { return float64(object(x).Score) }
	case "medoid":
		sum := r.sums(c, p, cluster)
		return func(x candidate) float64 {
			if d, ok := sum[x.member]; ok {
				return -d
			}
			return math.Inf(-1)
		}
	case "score_centrality":
		radius := math.Sqrt(r.spread(c, p, cluster))
		return func(x candidate) float64 {
			if radius == 0 {
				return float64(object(x).Score)
			}
			return float64(object(x).Score) / (1 + x.distance/radius)
		}
	case "random":
		return func(x candidate) float64 {
			o := object(x)
			return float64(hash(r.seed, "representative", r.pool.Images[o.Image].ID, o.ID) >> 11)
		}
	}
	return func(x candidate) float64 { return -x.distance }
}

// sums holds for the members of a cluster the sum of the distances to the
// others. Of large clusters only the members nearest to the centroid are compared,
// since the work is the square of their number.
func (r *run) sums(c int, p *partition, cluster int) map[int32]float64 {
	list := make([]candidate, 0, len(p.members[cluster]))
	for _, i := range p.members[cluster] {
		list = append(list, candidate{i, r.distance(c, p, cluster, i)})
	}
	slices.SortFunc(list, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(x.distance, y.distance), cmp.Compare(x.member, y.member))
	})
	list = list[:min(len(list), medoidMost)]
	sum := make(map[int32]float64, len(list))
	for _, x := range list {
		for _, y := range list {
			sum[x.member] += math.Sqrt(square(r.vector(c, x.member), r.vector(c, y.member)))
		}
	}
	return sum
}

// vector returns that of one object of a class, without gathering those of all.
func (r *run) vector(c int, member int32) []float32 {
	return r.pool.Vectors.Row(int(r.classes[c].objects[member]))
}

func (r *run) distance(c int, p *partition, cluster int, member int32) float64 {
	return math.Sqrt(square(r.vector(c, member), p.centroids.Row(cluster)))
}

// spread is the mean square of the distances to the centroid.
func (r *run) spread(c int, p *partition, cluster int) float64 {
	sum := 0.0
	for _, i := range p.members[cluster] {
		sum += square(r.vector(c, i), p.centroids.Row(cluster))
	}
	return sum / float64(max(1, len(p.members[cluster])))
}

// square is the square of the Euclidean distance of two vectors.
func square(a, b []float32) float64 {
	sum := 0.0
	for j, x := range a {
		d := float64(x) - float64(b[j])
		sum += d * d
	}
	return sum
}
