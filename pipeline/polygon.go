package pipeline

import (
	"math"
	"slices"
)

// oversampling is the grid on which the border of a polygon is drawn, in steps
// per pixel, and center the step that lies in a pixel's middle: those of
// pycocotools' rleFrPoly, which fill follows so that masks have the same pixels.
const (
	oversampling = 5
	center       = oversampling / 2
)

// fill returns the runs of pixels inside a polygon, by the even-odd rule.
func fill(polygon []float32, width, height int) []span {
	points := clipped(polygon, width, height)
	if len(points) == 0 {
		return nil
	}
	b := border{width: width, height: height}
	corner := func(i int) (x, y int) {
		p := points[i%len(points)]
		return int(oversampling*p[0] + .5), int(oversampling*p[1] + .5)
	}
	for i := range points {
		x1, y1 := corner(i)
		x2, y2 := corner(i + 1)
		b.line(x1, y1, x2, y2)
	}
	slices.Sort(b.crossings)
	var spans []span
	for i := 0; i < len(b.crossings); i += 2 {
		end := width * height
		if i+1 < len(b.crossings) {
			end = b.crossings[i+1]
		}
		if end > b.crossings[i] {
			spans = append(spans, span{b.crossings[i], end})
		}
	}
	return spans
}

// border collects where the border of a polygon crosses the middle of a column
// of pixels: there the numbering of pixels goes into the polygon or out of it.
type border struct {
	width, height int
	drawn         bool
	u, v          int // last point drawn
	crossings     []int
}

// line draws an edge, its longer side step by step.
func (b *border) line(x1, y1, x2, y2 int) {
	dx, dy := abs(x2-x1), abs(y2-y1)
	steep := dx < dy
	flip := (!steep && x1 > x2) || (steep && y1 > y2)
	if flip {
		x1, y1, x2, y2 = x2, y2, x1, y1
	}
	steps, slope := dx, 0.0
	switch {
	case steep:
		steps, slope = dy, float64(x2-x1)/float64(dy)
	case dx > 0:
		slope = float64(y2-y1) / float64(dx)
	}
	for d := 0; d <= steps; d++ {
		t := d
		if flip {
			t = steps - d
		}
		if steep {
			b.point(int(float64(x1)+slope*float64(t)+.5), y1+t)
		} else {
			b.point(x1+t, int(float64(y1)+slope*float64(t)+.5))
		}
	}
}

func (b *border) point(u, v int) {
	lastU, lastV, first := b.u, b.v, !b.drawn
	b.u, b.v, b.drawn = u, v, true
	if first || u == lastU {
		return
	}
	column, row := u-1, lastV
	if u < lastU {
		column = u
	}
	if v < lastV {
		row = v
	}
	if column < 0 || column%oversampling != center {
		return
	}
	x := column / oversampling
	if x > b.width-1 {
		return
	}
	y := 0
	if row > center {
		y = min(b.height, (row-center+oversampling-1)/oversampling)
	}
	b.crossings = append(b.crossings, x*b.height+y)
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

// clipped returns the points of a polygon. One that reaches farther out of the
// image than the image is large is cut there, so that drawing its border takes no
// more steps than the image has; points that are not finite are left out.
func clipped(polygon []float32, width, height int) [][2]float64 {
	points := make([][2]float64, 0, len(polygon)/2)
	far := false
	limits := [2]float64{float64(width), float64(height)}
	for i := 0; i+1 < len(polygon); i += 2 {
		p := [2]float64{float64(polygon[i]), float64(polygon[i+1])}
		if finite(p[0]) && finite(p[1]) {
			points = append(points, p)
			far = far || p[0] < -limits[0] || p[0] > 2*limits[0] || p[1] < -limits[1] || p[1] > 2*limits[1]
		}
	}
	if !far {
		return points
	}
	for axis, size := range limits {
		points = cut(points, axis, -size, 1)
		points = cut(points, axis, 2*size, -1)
	}
	return points
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// cut keeps of a polygon what lies beyond a limit on an axis, in the direction of
// side (Sutherland and Hodgman's step).
func cut(points [][2]float64, axis int, limit, side float64) [][2]float64 {
	var kept [][2]float64
	for i, p := range points {
		last := points[(i+len(points)-1)%len(points)]
		in, wasIn := side*(p[axis]-limit) >= 0, side*(last[axis]-limit) >= 0
		if in != wasIn {
			share := (limit - last[axis]) / (p[axis] - last[axis])
			border := [2]float64{last[0] + share*(p[0]-last[0]), last[1] + share*(p[1]-last[1])}
			border[axis] = limit
			kept = append(kept, border)
		}
		if in {
			kept = append(kept, p)
		}
	}
	return kept
}
