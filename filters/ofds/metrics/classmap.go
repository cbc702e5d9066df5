package metrics

import (
	"context"
	"fmt"
	"slices"

	"github.com/curate-data/curate/filters/ofds"
)

// MapPoint is an object of a class in a drawing of two dimensions.
type MapPoint struct {
	Object         int32 // index in Pool.Objects
	X, Y           float64
	Chosen         bool // its image is chosen
	Representative bool // its image was chosen for it
}

// Map lays the objects of a class out in the plane of their largest variance
// (Project, on the sample that is measured): at most the given number of them, chosen
// or not as they come, and as many of those that images were chosen for. The
// share of the variance that the plane shows comes with them. A class without
// objects has no points.
func (e *Evaluator) Map(ctx context.Context, class int32, s *ofds.Selection, most int) ([]MapPoint, Number, error) {
	if e.pool.Vectors.Rows() == 0 {
		return nil, missing(), fmt.Errorf("map class %q: the pool has no vectors", e.pool.Classes[class])
	}
	known := e.classes[class]
	if len(known.objects) == 0 {
		return nil, missing(), ctx.Err()
	}
	p, err := Project(e.pool.Vectors.Gather(thinned(known.sample, 4000)))
	if err != nil {
		return nil, missing(), err
	}
	chosen, representative := make(map[int32]bool), make(map[int32]bool)
	for _, c := range s.Chosen {
		chosen[c.Image] = true
		if c.Reason.Class == class && c.Reason.Object >= 0 && c.Reason.Kind != ofds.Background {
			representative[c.Reason.Object] = true
		}
	}
	var drawn []int
	for o := range representative {
		drawn = append(drawn, int(o))
	}
	slices.Sort(drawn)
	drawn = append(thinned(drawn, most), thinned(known.sample, most)...)
	slices.Sort(drawn)
	var points []MapPoint
	for _, object := range slices.Compact(drawn) {
		x, y := p.Point(e.pool.Vectors.Row(object))
		o := int32(object)
		points = append(points, MapPoint{o, x, y, chosen[e.pool.Objects[object].Image], representative[o]})
	}
	return points, p.Explained[0] + p.Explained[1], ctx.Err()
}

// thinned returns at most the given number of elements, at equal distances.
func thinned(all []int, most int) []int {
	if len(all) <= most {
		return all
	}
	out := make([]int, max(0, most))
	for i := range out {
		out[i] = all[i*len(all)/most]
	}
	return out
}
