package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// mostPoints is as many points as a drawn curve has; more are averaged in
// groups of equal size.
const mostPoints = 500

// stripHeight is the height in pixels of the strips below a curve.
const stripHeight = 34.0

// curveChart is one training run.
type curveChart struct {
	ID             string // unique in the page
	Name, Summary  string
	Description    string
	X, Y           []tick
	XLabel, YLabel string
	Raw, Smooth    string // path data in the nested box
	Held           []heldDot
	HeldLine       string
	Strips         []strip
	Table          []curveRow
	Height, Bottom coord
	Hue            string
}

// strip is a small chart below a curve, of something that begins at zero.
type strip struct {
	ID, Label, Path string
	Height          coord
}

// heldDot is one held-out loss. X is percent.
type heldDot struct {
	X, Y coord
	Tip  string
}

// curveRow is one line of the table that stands for the curve.
type curveRow struct{ Step, Tokens, Loss, Heldout, Rate string }

func newCurveChart(c Curve, hue string) *curveChart {
	points := slices.DeleteFunc(slices.Clone(c.Steps), func(p Point) bool { return !finite(p.Loss) })
	if len(points) == 0 {
		return nil
	}
	out := &curveChart{Name: name(c.Name, "(no name)"), Hue: hue, Height: chartHeight, Bottom: chartHeight + 18}
	xOf, xLabel := func(p Point) float64 { return float64(p.Tokens) }, "tokens seen"
	if points[len(points)-1].Tokens == 0 {
		xOf, xLabel = func(p Point) float64 { return float64(p.Step) }, "step"
	}
	out.XLabel, out.YLabel = xLabel, "loss, nats per token"
	drawn := thin(points, mostPoints)
	smooth := smoothed(drawn, xOf)
	held := heldPoints(c, points)
	low, high := lossRange(drawn, smooth, held)
	x := across(min(0, xOf(points[0])), xOf(points[len(points)-1]))
	y := down(low, high, chartHeight)
	out.X, out.Y = x.ticks(5, func(v, _ float64) string { return compact(v) }), y.ticks(5, real)
	box := axis{x.low, x.high, 0, boxWidth}
	out.Raw = path(drawn, func(p Point) (coord, coord) { return box.at(xOf(p)), y.at(min(p.Loss, high)) })
	out.Smooth = path(smooth, func(p Point) (coord, coord) { return box.at(xOf(p)), y.at(p.Loss) })
	heldY := func(p Point) coord { return y.at(*p.Heldout) }
	out.HeldLine = path(held, func(p Point) (coord, coord) { return box.at(xOf(p)), heldY(p) })
	for _, p := range held {
		out.Held = append(out.Held, heldDot{x.at(xOf(p)), heldY(p),
			fmt.Sprintf("held-out loss %s after %s tokens", fixed(*p.Heldout, 3), count(p.Tokens))})
	}
	boxX := func(p Point) coord { return box.at(xOf(p)) }
	out.addStrip("rate", "learning rate, highest", scientific, drawn, boxX, func(p Point) float64 { return p.LearningRate })
	out.addStrip("norm", "gradient norm before clipping, highest", func(v float64) string { return decimal(v, 3) }, drawn, boxX, func(p Point) float64 { return p.GradNorm })
	out.Summary = summary(points, smooth, held)
	out.Description = "Training loss of the " + out.Name + " model in nats per token. " + out.Summary
	out.Table = curveTable(points)
	if len(held) > 0 && held[0].Step == 0 {
		out.Table = slices.Insert(out.Table, 0, curveRow{Step: "0", Tokens: "0", Heldout: fixed(*held[0].Heldout, 3)})
	}
	return out
}

// heldPoints are the points with a held-out loss, the one before the first step included.
func heldPoints(c Curve, points []Point) []Point {
	measured := func(p Point) bool { return p.Heldout != nil && finite(*p.Heldout) }
	var held []Point
	if start := (Point{Heldout: c.HeldoutFrom}); measured(start) {
		held = append(held, start)
	}
	for _, p := range points {
		if measured(p) {
			held = append(held, p)
		}
	}
	return held
}

// addStrip draws a quantity as a strip under the axis, unless it is zero throughout.
func (c *curveChart) addStrip(id, label string, show func(float64) string, points []Point, x func(Point) coord, of func(Point) float64) {
	value := func(p Point) float64 {
		if v := of(p); finite(v) {
			return max(0, v)
		}
		return 0
	}
	top := 0.0
	for _, p := range points {
		top = max(top, value(p))
	}
	if top == 0 {
		return
	}
	y := down(0, top, stripHeight)
	line := path(points, func(p Point) (coord, coord) { return x(p), y.at(value(p)) })
	line += fmt.Sprintf("L%v %vL%v %vZ", x(points[len(points)-1]), coord(stripHeight), x(points[0]), coord(stripHeight))
	c.Strips = append(c.Strips, strip{id, label + " " + show(top), line, stripHeight})
}

// scientific writes 0.002 as 2e-3, as configurations of training do.
func scientific(x float64) string {
	if !finite(x) {
		return fixed(x, 0)
	}
	s := fmt.Sprintf("%.2e", x)
	mantissa, exponent, _ := strings.Cut(s, "e")
	if strings.Contains(mantissa, ".") {
		mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
	}
	sign := exponent[:1]
	exponent = strings.TrimLeft(exponent[1:], "0")
	if exponent == "" {
		return mantissa
	}
	return mantissa + "e" + strings.TrimPrefix(sign, "+") + exponent
}

// lossRange leaves room for everything but raw spikes more than a third above
// the smoothed curve.
func lossRange(raw, smooth, all []Point) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, p := range smooth {
		low, high = min(low, p.Loss), max(high, p.Loss)
	}
	for _, p := range all {
		if p.Heldout != nil && finite(*p.Heldout) {
			low, high = min(low, *p.Heldout), max(high, *p.Heldout)
		}
	}
	limit := high + max((high-low)/3, 0.05)
	for _, p := range raw {
		low, high = min(low, p.Loss), max(high, min(p.Loss, limit))
	}
	air := max((high-low)*0.04, 1e-3)
	return low - air, high + air
}

// smoothed fits a line to the neighbourhood of each point, a tenth of the run,
// near points weighing more, and takes its value there (LOESS of degree one:
// Cleveland 1979). Unlike a mean it does not flatten the steep start.
func smoothed(points []Point, x func(Point) float64) []Point {
	half := max(3, len(points)/20)
	out := slices.Clone(points)
	for i := range out {
		first, last := max(0, i-half), min(len(points)-1, i+half)
		at := x(points[i])
		reach := max(at-x(points[first]), x(points[last])-at) * 1.0001
		var w, wx, wy, wxx, wxy float64
		for _, p := range points[first : last+1] {
			dx := x(p) - at
			near := 1 - math.Pow(math.Abs(dx)/max(reach, 1e-300), 3)
			weight := near * near * near
			w += weight
			wx += weight * dx
			wy += weight * p.Loss
			wxx += weight * dx * dx
			wxy += weight * dx * p.Loss
		}
		out[i].Loss = wy / w
		if spread := w*wxx - wx*wx; spread > 1e-9*w*wxx {
			out[i].Loss = (wxx*wy - wx*wxy) / spread
		}
	}
	return out
}

// thin averages the losses of equal groups of neighbours; the group's last
// point gives the rest. The first point always stays.
func thin(points []Point, most int) []Point {
	if len(points) <= most {
		return points
	}
	out := []Point{points[0]}
	for group := range slices.Chunk(points[1:], (len(points)+most-1)/most) {
		sum := 0.0
		for _, p := range group {
			sum += p.Loss
		}
		p := group[len(group)-1]
		p.Loss = sum / float64(len(group))
		out = append(out, p)
	}
	return out
}

func path(points []Point, at func(Point) (x, y coord)) string {
	var b strings.Builder
	for i, p := range points {
		x, y := at(p)
		b.WriteByte("ML"[min(i, 1)])
		fmt.Fprintf(&b, "%v %v", x, y)
	}
	return b.String()
}

// summary tells the run in a sentence.
func summary(points, smooth, held []Point) string {
	last := points[len(points)-1]
	s := fmt.Sprintf("Loss %s to %s in %s steps", fixed(smooth[0].Loss, 2), fixed(smooth[len(smooth)-1].Loss, 2), count(last.Step))
	if last.Tokens > 0 {
		s += fmt.Sprintf(" (%s tokens)", count(last.Tokens))
	}
	switch len(held) {
	case 0:
	case 1:
		s += fmt.Sprintf("; held-out %s", fixed(*held[0].Heldout, 2))
	default:
		s += fmt.Sprintf("; held-out %s to %s", fixed(*held[0].Heldout, 2), fixed(*held[len(held)-1].Heldout, 2))
	}
	return s + "."
}

// curveTable picks about twelve steps, the first and the last and all between
// at equal distances, and every step with a held-out loss while they are few.
func curveTable(points []Point) []curveRow {
	const most = 12
	stride := max(1, (len(points)+most-2)/(most-1))
	var rows []curveRow
	for i, p := range points {
		measured := p.Heldout != nil && finite(*p.Heldout)
		if i%stride != 0 && i != len(points)-1 && !(measured && len(rows) < 4*most) {
			continue
		}
		row := curveRow{Step: count(p.Step), Tokens: count(p.Tokens), Loss: fixed(p.Loss, 3), Rate: scientific(p.LearningRate)}
		if measured {
			row.Heldout = fixed(*p.Heldout, 3)
		}
		rows = append(rows, row)
	}
	return rows
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
