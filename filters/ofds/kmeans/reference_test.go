package kmeans

import (
	"math"
	"math/rand/v2"
	"slices"
)

// reference is Fit as a reader would write it: no product, no bounds, one
// goroutine, every distance computed. Fit must give the same bits as long as
// it draws by k-means++ to the letter (K up to nearGroups).
func reference(points Matrix, opt Options) *Result {
	n, k := points.Rows(), opt.K
	random := rand.New(rand.NewPCG(opt.Seed, 0x6b6d65616e73))
	r := &Result{Centroids: NewMatrix(k, points.Dim), Cluster: make([]int32, n)}
	have := min(k, opt.Start.Rows())
	copy(r.Centroids.Data, opt.Start.Data)
	for ; have < k; have++ {
		copy(r.Centroids.Row(have), points.Row(referenceDraw(random, points, r.Centroids.Slice(0, have), opt.Weights)))
	}
	square := make([]float64, n)
	var before []int32
	for {
		for i := range square {
			c, d := nearest(points.Row(i), r.Centroids)
			r.Cluster[i], square[i] = int32(c), d
		}
		last := r.Inertia
		r.Inertia = 0
		for i, d := range square {
			r.Inertia += d * weight(opt.Weights, i)
		}
		if slices.Equal(before, r.Cluster) || r.Iterations > 0 && opt.Tolerance > 0 && last-r.Inertia <= opt.Tolerance*last || r.Iterations == opt.MaxIterations {
			break
		}
		before = slices.Clone(r.Cluster)
		r.referenceMeans(points, square, opt.Weights)
		r.Iterations++
	}
	r.finish(points, square, opt.Weights)
	return r
}

func weight(weights []float32, i int) float64 {
	if weights == nil {
		return 1
	}
	return float64(weights[i])
}

func referenceDraw(random *rand.Rand, points, centroids Matrix, weights []float32) int {
	chance, last := make([]float64, points.Rows()), points.Rows()-1
	total, block := 0.0, 0.0
	for i := range chance {
		chance[i] = weight(weights, i)
		if centroids.Rows() > 0 {
			_, d := nearest(points.Row(i), centroids)
			chance[i] *= d
		}
		if block += chance[i]; i%chances == chances-1 || i == last {
			total, block = total+block, 0
		}
	}
	at := random.Float64() * total
	for from := 0; from < len(chance); from += chances {
		block, part := 0.0, chance[from:min(from+chances, len(chance))]
		for _, c := range part {
			block += c
		}
		if at >= block {
			at -= block
			continue
		}
		for i, c := range part {
			if at -= c; at < 0 {
				return from + i
			}
		}
	}
	return last
}

func (r *Result) referenceMeans(points Matrix, square []float64, weights []float32) {
	square = slices.Clone(square)
	for c := range r.Centroids.Rows() {
		sum, mass := make([]float64, points.Dim), 0.0
		for i, own := range r.Cluster {
			if int(own) != c {
				continue
			}
			mass += weight(weights, i)
			for j, x := range points.Row(i) {
				sum[j] += weight(weights, i) * float64(x)
			}
		}
		for j := range sum {
			r.Centroids.Row(c)[j] = float32(sum[j] / mass)
		}
		if mass == 0 {
			far := 0
			for i, d := range square {
				if d > square[far] {
					far = i
				}
			}
			square[far] = -1
			copy(r.Centroids.Row(c), points.Row(far))
		}
	}
}

// bruteNearest is Nearest with every distance computed.
func bruteNearest(points, centroids Matrix) (cluster []int32, distance []float32) {
	for i := range points.Rows() {
		c, d := nearest(points.Row(i), centroids)
		cluster, distance = append(cluster, int32(c)), append(distance, float32(math.Sqrt(d)))
	}
	return cluster, distance
}
