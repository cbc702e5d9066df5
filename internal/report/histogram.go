package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// mostBins is as many bars as a page shows; more are joined.
const mostBins = 120

// scoreChart is the histogram of the scores: kept rows stand on the axis,
// dropped ones on top of them.
type scoreChart struct {
	Label, YLabel  string
	Description    string
	Bars           []bar
	X, Y           []tick
	Cut            *cutMark
	Note           string
	Table          []binRow
	HasKept        bool
	HasDropped     bool
	Height, Bottom coord
}

// bar is one bin. X and W are percent, the rest pixels.
type bar struct {
	X, W             coord
	KeptY, KeptH     coord
	DropY, DropH     coord
	HoverY, HoverH   coord
	Tip              string
	HasKept, HasDrop bool
}

// cutMark is the line at the cut with its label.
type cutMark struct {
	X     coord
	Left  bool // the label stands left of the line
	Label string
}

// binRow is one line of the table that holds the same numbers.
type binRow struct{ Range, Kept, Dropped string }

func newScoreChart(s Scores, kept int64, unit string) *scoreChart {
	bins := tidy(s.Bins)
	if len(bins) == 0 {
		return nil
	}
	c := &scoreChart{Label: s.Label, YLabel: unit, Height: chartHeight, Bottom: chartHeight + 18}
	if c.Label == "" {
		c.Label = "score = prior loss " + minus + " conditional loss, nats per token"
	}
	x := across(bins[0].Low, bins[len(bins)-1].High)
	cut := float64(s.Cut)
	hasCut := !math.IsNaN(cut) && !math.IsInf(cut, 0)
	if hasCut { // the line belongs to the picture, wherever the bins end
		x.low, x.high = min(x.low, cut), max(x.high, cut)
	}
	y := down(0, float64(tallest(bins)), chartHeight)
	c.X, c.Y = x.ticks(7, real), y.ticks(4, whole)
	digits := decimalsOf(niceStep(bins[0].High-bins[0].Low, 10))
	for _, b := range bins {
		c.Bars = append(c.Bars, newBar(b, x, y, digits, unit))
		c.HasKept = c.HasKept || b.Kept > 0
		c.HasDropped = c.HasDropped || b.Dropped > 0
		if b.Kept+b.Dropped > 0 {
			c.Table = append(c.Table, binRow{span(b, digits), count(b.Kept), count(b.Dropped)})
		}
	}
	c.Description = fmt.Sprintf("Histogram of %s in %d bins from %s to %s; the tallest bin holds %s %s.",
		c.Label, len(bins), fixed(bins[0].Low, digits), fixed(bins[len(bins)-1].High, digits), count(tallest(bins)), unit)
	if hasCut {
		c.Cut = &cutMark{X: x.at(cut), Label: "cut " + signed(cut, 4) + ", " + count(kept) + " kept"}
		c.Cut.Left = c.Cut.X > 50
		c.Description += fmt.Sprintf(" The cut is at %s.", signed(cut, 4))
	}
	c.Note = outside(s, bins, digits, unit)
	return c
}

func newBar(b Bin, x, y axis, digits int, unit string) bar {
	left, right := x.at(b.Low), x.at(b.High)
	kept, all := y.at(float64(b.Kept)), y.at(float64(b.Kept+b.Dropped))
	out := bar{
		X: left, W: (right - left) * 0.92, // a hair of air between bars
		KeptY: kept, KeptH: chartHeight - kept,
		DropY: all, DropH: kept - all,
		HasKept: b.Kept > 0, HasDrop: b.Dropped > 0,
		Tip: fmt.Sprintf("%s: %s %s kept, %s dropped", span(b, digits), count(b.Kept), unit, count(b.Dropped)),
	}
	const least = 1.5 // a bin that is not empty is seen
	if out.HasKept && out.KeptH < least {
		out.KeptY, out.KeptH = chartHeight-least, least
	}
	if out.HasDrop && out.DropH < least {
		out.DropY, out.DropH = out.KeptY-least, least
	}
	out.HoverH = chartHeight
	return out
}

// outside says what lies beyond the first and the last bin.
func outside(s Scores, bins []Bin, digits int, unit string) string {
	var parts []string
	if s.Underflow > 0 {
		parts = append(parts, fmt.Sprintf("%s below %s", count(s.Underflow), fixed(bins[0].Low, digits)))
	}
	if s.Overflow > 0 {
		parts = append(parts, fmt.Sprintf("%s above %s", count(s.Overflow), fixed(bins[len(bins)-1].High, digits)))
	}
	if len(parts) == 0 {
		return ""
	}
	return "Not drawn: " + strings.Join(parts, ", ") + " (" + unit + ")."
}

// tidy drops bins that are malformed, orders the rest, cuts empty ends off and
// joins neighbours until few enough are left.
func tidy(bins []Bin) []Bin {
	good := slices.DeleteFunc(slices.Clone(bins), func(b Bin) bool {
		return !(b.Low < b.High) || math.IsInf(b.Low, 0) || math.IsInf(b.High, 0) || b.Kept < 0 || b.Dropped < 0
	})
	slices.SortStableFunc(good, func(a, b Bin) int {
		switch {
		case a.Low < b.Low:
			return -1
		case a.Low > b.Low:
			return 1
		}
		return 0
	})
	filled := func(b Bin) bool { return b.Kept+b.Dropped > 0 }
	first := slices.IndexFunc(good, filled)
	if first < 0 {
		return nil
	}
	last := len(good)
	for !filled(good[last-1]) {
		last--
	}
	good = good[first:last]
	group := (len(good) + mostBins - 1) / mostBins
	var joined []Bin
	for part := range slices.Chunk(good, group) {
		sum := Bin{Low: part[0].Low, High: part[len(part)-1].High}
		for _, b := range part {
			sum.Kept += b.Kept
			sum.Dropped += b.Dropped
		}
		joined = append(joined, sum)
	}
	return joined
}

func tallest(bins []Bin) int64 {
	most := int64(1)
	for _, b := range bins {
		most = max(most, b.Kept+b.Dropped)
	}
	return most
}

func span(b Bin, digits int) string {
	return fixed(b.Low, digits) + " to " + fixed(b.High, digits)
}

// lossChart lays the loss histograms of both models over each other.
type lossChart struct {
	Description    string
	YLabel         string
	X, Y           []tick
	Series         []lossSeries
	Height, Bottom coord
}

// lossSeries is one model's histogram as a filled outline.
type lossSeries struct {
	Name, Class string
	Area, Line  string // path data in the nested box
	Median      coord
	MedianLabel string
	LabelY      coord
	LabelLeft   bool // the label stands left of the line
	Table       []binRow
}

func newLossChart(l Losses, unit string) *lossChart {
	prior, conditional := tidy(l.Prior), tidy(l.Conditional)
	if len(prior)+len(conditional) == 0 {
		return nil
	}
	c := &lossChart{YLabel: unit, Height: chartHeight, Bottom: chartHeight + 18}
	x, top := across(math.Inf(1), math.Inf(-1)), int64(1)
	for _, bins := range [][]Bin{prior, conditional} {
		if len(bins) > 0 {
			x.low, x.high = min(x.low, bins[0].Low), max(x.high, bins[len(bins)-1].High)
			top = max(top, tallest(bins))
		}
	}
	y := down(0, float64(top)*1.06, chartHeight)
	c.X, c.Y = x.ticks(7, real), y.ticks(4, whole)
	c.Description = "Histograms of the mean loss per token of all " + unit + "."
	for _, s := range []struct {
		name string
		bins []Bin
	}{{"prior", prior}, {"conditional", conditional}} {
		if len(s.bins) == 0 {
			continue
		}
		series := newLossSeries(s.name, s.bins, x, y)
		c.Description += fmt.Sprintf(" %s: %s.", strings.ToUpper(s.name[:1])+s.name[1:], series.MedianLabel)
		c.Series = append(c.Series, series)
	}
	for i := range c.Series { // one label above the other, on the outer sides where they fit
		s, other := &c.Series[i], c.Series[len(c.Series)-1-i]
		outer := s.Median < other.Median || (s.Median == other.Median && i == 0)
		s.LabelY, s.LabelLeft = coord(-26+16*i), s.Median > 80 || s.Median > 20 && outer
	}
	return c
}

func newLossSeries(name string, bins []Bin, x, y axis) lossSeries {
	s := lossSeries{Name: name, Class: name}
	box := axis{x.low, x.high, 0, boxWidth}
	digits := decimalsOf(niceStep(bins[0].High-bins[0].Low, 10))
	var line strings.Builder
	for i, b := range bins {
		left, right, up := box.at(b.Low), box.at(b.High), y.at(float64(b.Kept+b.Dropped))
		if i == 0 {
			fmt.Fprintf(&line, "M%v %v", left, coord(chartHeight))
		}
		fmt.Fprintf(&line, "L%v %vL%v %v", left, up, right, up)
		if i == len(bins)-1 {
			fmt.Fprintf(&line, "L%v %v", right, coord(chartHeight))
		}
		s.Table = append(s.Table, binRow{Range: span(b, digits), Kept: count(b.Kept + b.Dropped)})
	}
	s.Line = line.String()
	s.Area = s.Line + "Z"
	middle := median(bins)
	s.Median = x.at(middle)
	s.MedianLabel = "median \u2248 " + fixed(middle, 2)
	return s
}

// median estimates the median of a histogram that has rows: linear inside the
// bin that holds it.
func median(bins []Bin) float64 {
	var all int64
	for _, b := range bins {
		all += b.Kept + b.Dropped
	}
	half, below := float64(all)/2, 0.0
	for _, b := range bins {
		n := float64(b.Kept + b.Dropped)
		if below+n >= half && n > 0 {
			return b.Low + (half-below)/n*(b.High-b.Low)
		}
		below += n
	}
	return bins[len(bins)-1].High
}
