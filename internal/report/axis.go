package report

import (
	"math"
	"strconv"
)

// Charts are drawn in two units: across in percent of the width, which the
// browser knows, and down in pixels. So text keeps its size on any screen.
// Curves lie in a nested box of boxWidth units that stretches to the width.
const (
	chartHeight = 220.0
	boxWidth    = 1000.0
)

// coord is a coordinate; it prints with up to two decimals.
type coord float64

func (c coord) String() string {
	return strconv.FormatFloat(math.Round(float64(c)*100)/100, 'f', -1, 64)
}

// tick is one labelled position of an axis.
type tick struct {
	At    coord
	Label string
}

// axis maps values to positions.
type axis struct{ low, high, from, to float64 }

func (a axis) at(x float64) coord {
	if a.high == a.low {
		return coord((a.from + a.to) / 2)
	}
	return coord(a.from + (x-a.low)/(a.high-a.low)*(a.to-a.from))
}

// across is an axis from the left edge to the right, in percent.
func across(low, high float64) axis { return axis{low, high, 0, 100} }

// down is an axis from the bottom of a plot of this height to its top.
func down(low, high, height float64) axis { return axis{low, high, height, 0} }

// niceStep returns a step of 1, 2, 2.5 or 5 times a power of ten that cuts
// span into at most n parts.
func niceStep(span float64, n int) float64 {
	if !(span > 0) || math.IsInf(span, 0) {
		return 1
	}
	rough := span / float64(n)
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*power >= rough*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// ticks labels the round values of an axis, at most n+1 of them.
func (a axis) ticks(n int, label func(x, step float64) string) []tick {
	step := niceStep(a.high-a.low, n)
	var all []tick
	first := math.Ceil(a.low/step - 1e-9)
	for i := 0.0; i <= float64(n); i++ {
		x := (first + i) * step
		if x > a.high+step*1e-9 {
			break
		}
		all = append(all, tick{a.at(x), label(x, step)})
	}
	return all
}

// whole labels counts, and leaves fractions of one unlabelled.
func whole(x, _ float64) string {
	if x != math.Trunc(x) {
		return ""
	}
	return compact(x)
}

// real labels values with as many decimals as the step has.
func real(x, step float64) string {
	return fixed(x, decimalsOf(step))
}

// decimalsOf returns how many decimals tell multiples of step apart.
func decimalsOf(step float64) int {
	for d := range 9 {
		scaled := step * math.Pow(10, float64(d))
		if math.Abs(scaled-math.Round(scaled)) < 1e-6*scaled && math.Round(scaled) >= 1 {
			return d
		}
	}
	return 9
}
