package kmeans

import "context"

// groups lists the points of each cluster, in their order.
type groups struct {
	points []int32 // cluster after cluster
	from   []int   // where each begins; one more at the end
}

func groupBy(cluster []int32, k int) groups {
	g := groups{points: make([]int32, len(cluster)), from: make([]int, k+1)}
	for _, c := range cluster {
		g.from[c+1]++
	}
	for c := range k {
		g.from[c+1] += g.from[c]
	}
	at := append([]int(nil), g.from...)
	for i, c := range cluster {
		g.points[at[c]] = int32(i)
		at[c]++
	}
	return g
}

func (g groups) of(cluster int) []int32 { return g.points[g.from[cluster]:g.from[cluster+1]] }

// means returns centroids in the middle of their points. Each is added up by one
// goroutine in the order of the points, so the bits do not depend on how many
// work. A cluster without points, or whose points have no weight, gets the
// point that is farthest from its centroid and not yet taken, the first of equals.
func means(ctx context.Context, points Matrix, weights []float32, f found, before Matrix, workers int) (Matrix, error) {
	k := before.Rows()
	after, empty := NewMatrix(k, points.Dim), make([]bool, k)
	members := groupBy(f.cluster, k)
	err := spread(ctx, workers, k, 8, func(from, to int) error {
		sum := make([]float64, points.Dim)
		for c := from; c < to; c++ {
			mass := addUp(sum, points, weights, members.of(c))
			empty[c] = mass == 0
			for j, s := range sum {
				after.Row(c)[j] = float32(s / mass)
			}
		}
		return nil
	})
	if err != nil {
		return Matrix{}, err
	}
	taken := make(map[int]bool)
	for c := range k {
		if empty[c] {
			far := farthest(f.square, taken)
			taken[far] = true
			copy(after.Row(c), points.Row(far))
		}
	}
	return after, nil
}

// addUp sets sum to the weighted sum of some points, and returns their weight.
func addUp(sum []float64, points Matrix, weights []float32, members []int32) float64 {
	clear(sum)
	if weights == nil {
		for _, i := range members {
			for j, x := range points.Row(int(i))[:len(sum)] {
				sum[j] += float64(x)
			}
		}
		return float64(len(members))
	}
	mass := 0.0
	for _, i := range members {
		w := float64(weights[i])
		mass += w
		for j, x := range points.Row(int(i))[:len(sum)] {
			sum[j] += w * float64(x)
		}
	}
	return mass
}

func farthest(square []float64, taken map[int]bool) int {
	far, most := 0, -1.0
	for i, d := range square {
		if d > most && !taken[i] {
			far, most = i, d
		}
	}
	return far
}
