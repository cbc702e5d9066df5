package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Maps are drawn on a grid of this size, which scales to the width that there is.
const (
	mapWidth  = 1000.0
	mapHeight = 760.0
	mapAir    = 40.0 // at the edges, for rings
)

// mapView is the map of one class.
type mapView struct {
	ID, Name, Summary, Description string
	Rest, Chosen                   string // path data: a dot is a line of no length
	Rings                          []ring
	W, H                           coord
}

// ring marks an object that its image was chosen for.
type ring struct {
	X, Y coord
	Tip  string
}

func newMapView(m ClassMap, id string) mapView {
	points := slices.DeleteFunc(slices.Clone(m.Points), func(p MapPoint) bool {
		return !finite(p.X) || !finite(p.Y) || math.Abs(p.X) > 1e15 || math.Abs(p.Y) > 1e15
	})
	v := mapView{ID: id, Name: name(m.Class, "(no class)"), W: mapWidth, H: mapHeight}
	x, y := mapAxes(points)
	var rest, chosen strings.Builder
	n := 0
	for _, p := range points {
		dots := &rest
		if p.Chosen {
			dots = &chosen
			n++
		}
		fmt.Fprintf(dots, "M%v %vh0", tenth(x.at(p.X)), tenth(y.at(p.Y)))
		if p.Representative {
			v.Rings = append(v.Rings, ring{tenth(x.at(p.X)), tenth(y.at(p.Y)), name(p.Label, "chosen for this object")})
		}
	}
	v.Rest, v.Chosen = rest.String(), chosen.String()
	v.Summary = fmt.Sprintf("%s drawn, %s in chosen images, %s", objects(int64(len(points))), count(int64(n)),
		plural(int64(len(v.Rings)), "image chosen for one", "images chosen for one"))
	if finite(m.Shown) {
		v.Summary += fmt.Sprintf("; the plane shows %s of the variance", share(min(1, max(0, m.Shown))))
	}
	v.Summary += "."
	v.Description = "Objects of the class " + v.Name + " in the plane of their largest variance. " + v.Summary
	return v
}

// mapAxes fits the points into the drawing, with the same scale both ways.
func mapAxes(points []MapPoint) (x, y axis) {
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, p := range points {
		for a, value := range []float64{p.X, p.Y} {
			low[a], high[a] = min(low[a], value), max(high[a], value)
		}
	}
	if len(points) == 0 {
		return axis{0, 1, 0, mapWidth}, axis{0, 1, mapHeight, 0}
	}
	width, height := mapWidth-2*mapAir, mapHeight-2*mapAir
	scale := max((high[0]-low[0])/width, (high[1]-low[1])/height)
	if scale == 0 {
		scale = 1
	}
	middle := func(a int) float64 { return (low[a] + high[a]) / 2 }
	fit := func(a int, from, to, size float64) axis {
		return axis{middle(a) - scale*size/2, middle(a) + scale*size/2, from, to}
	}
	return fit(0, mapAir, mapAir+width, width), fit(1, mapAir+height, mapAir, height)
}

// tenth rounds a coordinate to a tenth: there are thousands of them.
func tenth(c coord) coord { return coord(math.Round(float64(c)*10) / 10) }
