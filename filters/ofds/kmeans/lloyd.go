package kmeans

import "context"

// lloyd holds Lloyd's iterations. Of each point it knows how near it is to its
// centroid, exactly, and what no other centroid is nearer than, at least (the
// bounds of Hamerly); while the first is less, the point stays without a search.
type lloyd struct {
	search *search
	found
	weights   []float32
	centroids Matrix
	changed   bool // a point has another cluster than before the last move
}

// begin searches for all points.
func (l *lloyd) begin(ctx context.Context, centroids Matrix) error {
	l.centroids, l.changed = centroids, true
	l.search.among(centroids)
	return l.search.run(ctx, nil, l.found)
}

// move moves the centroids to the means of their points and finds the nearest
// ones again.
func (l *lloyd) move(ctx context.Context) error {
	points, workers := l.search.points, l.search.workers
	after, err := means(ctx, points, l.weights, l.found, l.centroids, workers)
	if err != nil {
		return err
	}
	far, farther := l.drift(after)
	l.centroids = after
	l.search.among(after)
	n := points.Rows()
	unsure := make([]bool, n)
	err = spread(ctx, workers, n, 4096, func(from, to int) error {
		each(to-from, func(i int) (x, y []float32) {
			return points.Row(from + i), after.Row(int(l.cluster[from+i]))
		}, func(i int, square float64) { l.square[from+i] = square })
		for i := from; i < to; i++ {
			if l.cluster[i] == far.cluster {
				l.other[i] -= farther.distance
			} else {
				l.other[i] -= far.distance
			}
			unsure[i] = !(upper(l.square[i]) < l.other[i])
		}
		return nil
	})
	if err != nil {
		return err
	}
	var rows []int32
	for i, u := range unsure {
		if u {
			rows = append(rows, int32(i))
		}
	}
	return l.again(ctx, rows)
}

// again searches for some points.
func (l *lloyd) again(ctx context.Context, rows []int32) error {
	before := make([]int32, len(rows))
	for k, i := range rows {
		before[k] = l.cluster[i]
	}
	l.changed = false
	if len(rows) == 0 {
		return nil
	}
	if err := l.search.run(ctx, rows, l.found); err != nil {
		return err
	}
	for k, i := range rows {
		l.changed = l.changed || l.cluster[i] != before[k]
	}
	return nil
}

// drifted is a centroid and how far it moved, at most.
type drifted struct {
	cluster  int32
	distance float64
}

// drift returns the two centroids that moved farthest.
func (l *lloyd) drift(after Matrix) (far, farther drifted) {
	far, farther = drifted{cluster: -1}, drifted{cluster: -1}
	each(after.Rows(), func(i int) (x, y []float32) { return l.centroids.Row(i), after.Row(i) },
		func(i int, square float64) {
			d := drifted{int32(i), upper(square)}
			switch {
			case d.distance > far.distance:
				far, farther = d, far
			case d.distance > farther.distance:
				farther = d
			}
		})
	return far, farther
}
