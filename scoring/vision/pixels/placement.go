package pixels

import (
	"fmt"
	"math"
	"slices"

	"github.com/curate-data/curate/pipeline"
)

// Placement says where a picture's pixels are in the input: at x*ScaleX+OffsetX.
type Placement struct {
	ScaleX, ScaleY   float64
	OffsetX, OffsetY float64
	Width, Height    int // of the picture
}

// Grid is the patches that an encoder cuts its input into, from the upper left
// corner; what is left over at the right and at the bottom belongs to none.
type Grid struct{ Rows, Columns, Patch int }

// span is a part of an axis, in pixels of the input.
type span struct{ from, to float64 }

func (s span) clip(o span) span { return span{max(s.from, o.from), min(s.to, o.to)} }

func (p Placement) across(from, to float64) span {
	return span{from*p.ScaleX + p.OffsetX, to*p.ScaleX + p.OffsetX}
}

func (p Placement) down(from, to float64) span {
	return span{from*p.ScaleY + p.OffsetY, to*p.ScaleY + p.OffsetY}
}

// visible is the part of the grid where the picture is.
func (p Placement) visible(g Grid) (x, y span) {
	x = p.across(0, float64(p.Width)).clip(span{0, float64(g.Columns * g.Patch)})
	y = p.down(0, float64(p.Height)).clip(span{0, float64(g.Rows * g.Patch)})
	return x, y
}

// Box returns the share of each patch, from 0 to 1, that a box covers, row by
// row; nil where it covers none: it has no area, is not finite, or lies outside
// of the picture or of what was cut out.
func (p Placement) Box(box pipeline.Box, g Grid) []float32 {
	for _, v := range []float32{box.X1, box.Y1, box.X2, box.Y2} {
		if v-v != 0 { // NaN or infinite
			return nil
		}
	}
	shown, shownY := p.visible(g)
	cover := newCover(g)
	x, y := p.across(float64(box.X1), float64(box.X2)).clip(shown), p.down(float64(box.Y1), float64(box.Y2)).clip(shownY)
	g.each(y, func(row int, height float64) {
		g.each(x, func(column int, width float64) { cover.area[row*g.Columns+column] += height * width })
	})
	return cover.shares()
}

// Region returns the share of each patch that a region covers: its mask, or its
// box where it has no mask or where the mask is too thin to cover anything. An
// error is for a mask that contradicts itself.
func (p Placement) Region(region Region, g Grid) ([]float32, error) {
	var shares []float32
	switch m := region.Mask; {
	case m == nil:
	case len(m.Polygons) > 0:
		if err := checkPolygons(m.Polygons); err != nil {
			return nil, err
		}
		shares = p.polygons(m.Polygons, g)
	default:
		if err := checkCounts(m); err != nil {
			return nil, err
		}
		shares = p.counts(m, g)
	}
	if shares == nil {
		shares = p.Box(region.Box, g)
	}
	return shares, nil
}

func checkPolygons(polygons [][]float32) error {
	for i, polygon := range polygons {
		if len(polygon)%2 != 0 {
			return fmt.Errorf("read mask: polygon %d has %d numbers: want x and y in turns", i, len(polygon))
		}
		for _, v := range polygon {
			if v-v != 0 {
				return fmt.Errorf("read mask: polygon %d has a coordinate %v", i, v)
			}
		}
	}
	return nil
}

func checkCounts(m *pipeline.Mask) error {
	var sum uint64
	for _, n := range m.Counts {
		sum += uint64(n)
	}
	if m.Width < 0 || m.Height < 0 || len(m.Counts) > 0 && sum != uint64(m.Width)*uint64(m.Height) {
		return fmt.Errorf("read mask: run lengths add up to %d pixels, the mask has %d x %d", sum, m.Width, m.Height)
	}
	if sum > maxPixels {
		return fmt.Errorf("read mask: %d x %d pixels, the limit is %d in all", m.Width, m.Height, maxPixels)
	}
	return nil
}

// counts adds up the pixels of a mask, each as the rectangle that it is in the
// input. The mask may have another resolution than the picture.
func (p Placement) counts(m *pipeline.Mask, g Grid) []float32 {
	if len(m.Counts) == 0 || m.Width == 0 || m.Height == 0 {
		return nil
	}
	shown, shownY := p.visible(g)
	stepX, stepY := float64(p.Width)/float64(m.Width), float64(p.Height)/float64(m.Height)
	cover, rows := newCover(g), make([]float64, g.Rows)
	flush := func(column int) { // spreads what rows holds of the mask's column over the patches
		x := p.across(float64(column)*stepX, float64(column+1)*stepX).clip(shown)
		g.each(x, func(at int, width float64) {
			for row, height := range rows {
				cover.area[row*g.Columns+at] += height * width
			}
		})
		clear(rows)
	}
	at, last := 0, 0 // pixel, column by column; the column that rows is about
	for i, n := range m.Counts {
		end := at + int(n)
		for i%2 == 1 && at < end {
			column, top := at/m.Height, at%m.Height
			if column != last {
				flush(last)
				last = column
			}
			bottom := min(m.Height, top+end-at)
			g.each(p.down(float64(top)*stepY, float64(bottom)*stepY).clip(shownY), func(row int, height float64) { rows[row] += height })
			at += bottom - top
		}
		at = end
	}
	flush(last)
	return cover.shares()
}

// scanlines are the lines of a patch along which polygons are measured: exact
// across, and to 1/32 of a patch down.
const scanlines = 32

// polygons measures the union of polygons; a polygon that crosses itself covers
// what an odd number of its edges goes around.
func (p Placement) polygons(polygons [][]float32, g Grid) []float32 {
	shown, shownY := p.visible(g)
	cover := newCover(g)
	step := float64(g.Patch) / scanlines
	for line := range g.Rows * scanlines {
		y := (float64(line) + 0.5) * step
		if y < shownY.from || y > shownY.to {
			continue
		}
		var inside []span
		for _, polygon := range polygons {
			inside = append(inside, p.crossings(polygon, y)...)
		}
		slices.SortFunc(inside, func(a, b span) int { return int(math.Copysign(1, a.from-b.from)) })
		done := math.Inf(-1)
		for _, s := range inside {
			s = span{max(s.from, done), s.to}.clip(shown)
			g.each(s, func(column int, width float64) { cover.area[line/scanlines*g.Columns+column] += width * step })
			done = max(done, s.to)
		}
	}
	return cover.shares()
}

// crossings returns the parts of the line at y that are inside of a polygon.
func (p Placement) crossings(polygon []float32, y float64) []span {
	var at []float64
	n := len(polygon) / 2
	corner := func(i int) (x, y float64) {
		i %= n
		return float64(polygon[2*i])*p.ScaleX + p.OffsetX, float64(polygon[2*i+1])*p.ScaleY + p.OffsetY
	}
	for i := range n {
		x1, y1 := corner(i)
		x2, y2 := corner(i + 1)
		if (y1 <= y) != (y2 <= y) {
			at = append(at, x1+(y-y1)/(y2-y1)*(x2-x1))
		}
	}
	slices.Sort(at)
	var spans []span
	for i := 0; i+1 < len(at); i += 2 {
		spans = append(spans, span{at[i], at[i+1]})
	}
	return spans
}

// each calls f for the patches along an axis that a span has a part in.
func (g Grid) each(s span, f func(at int, length float64)) {
	patch := float64(g.Patch)
	for at := int(s.from / patch); float64(at)*patch < s.to; at++ {
		if part := s.clip(span{float64(at) * patch, float64(at+1) * patch}); part.to > part.from {
			f(at, part.to-part.from)
		}
	}
}

// cover is the area of each patch that is covered, in pixels of the input.
type cover struct {
	grid Grid
	area []float64
}

func newCover(g Grid) *cover { return &cover{g, make([]float64, g.Rows*g.Columns)} }

// shares returns the areas as shares, nil where all are zero.
func (c *cover) shares() []float32 {
	shares, any := make([]float32, len(c.area)), false
	for i, area := range c.area {
		shares[i] = float32(min(1, area/float64(c.grid.Patch*c.grid.Patch)))
		any = any || shares[i] > 0
	}
	if !any {
		return nil
	}
	return shares
}
