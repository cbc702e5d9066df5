package pipeline

import (
	"math"
	"slices"
)

// Area returns the area of the mask in square pixels: of run lengths the pixels
// inside, of polygons the sum of their areas, so that where two overlap it counts
// twice.
func (m *Mask) Area() float64 {
	if len(m.Counts) > 0 {
		var inside int64
		for i := 1; i < len(m.Counts); i += 2 {
			inside += int64(m.Counts[i])
		}
		return float64(inside)
	}
	var sum float64
	for _, polygon := range m.Polygons {
		sum += polygonArea(polygon)
	}
	return sum
}

// polygonArea is the shoelace formula, around the first point for precision.
func polygonArea(points []float32) float64 {
	var twice float64
	for i := 2; i+3 < len(points); i += 2 {
		x1, y1 := float64(points[i])-float64(points[0]), float64(points[i+1])-float64(points[1])
		x2, y2 := float64(points[i+2])-float64(points[0]), float64(points[i+3])-float64(points[1])
		twice += x1*y2 - x2*y1
	}
	return math.Abs(twice) / 2
}

// Bounds returns the smallest box around the mask, the zero Box for an empty one.
func (m *Mask) Bounds() Box {
	if len(m.Counts) > 0 {
		return m.runBounds()
	}
	inf := float32(math.Inf(1))
	b := Box{inf, inf, -inf, -inf}
	for _, polygon := range m.Polygons {
		for i := 0; i+1 < len(polygon); i += 2 {
			x, y := polygon[i], polygon[i+1]
			b = Box{min(b.X1, x), min(b.Y1, y), max(b.X2, x), max(b.Y2, y)}
		}
	}
	if b.X1 > b.X2 {
		return Box{}
	}
	return b
}

func (m *Mask) runBounds() Box {
	x1, y1, x2, y2 := m.Width, m.Height, 0, 0
	for _, s := range m.runSpans() {
		first, last := s.from/m.Height, (s.to-1)/m.Height
		x1, x2 = min(x1, first), max(x2, last+1)
		if first != last { // the run goes over the end of a column
			y1, y2 = 0, m.Height
			continue
		}
		y1, y2 = min(y1, s.from%m.Height), max(y2, (s.to-1)%m.Height+1)
	}
	if x1 >= x2 {
		return Box{}
	}
	return Box{float32(x1), float32(y1), float32(x2), float32(y2)}
}

// Cover returns the share of each cell of a grid that is inside the mask, from 0
// to 1, gridHeight x gridWidth. The grid divides an image of width x height pixels
// evenly; a pixel that a cell's border cuts counts for both cells by its parts.
// Which pixels a polygon has inside is decided as in pycocotools. Run lengths lie
// on a grid of their own, which is taken for the whole image. A size below 1 gives nil.
func (m *Mask) Cover(width, height, gridWidth, gridHeight int) []float32 {
	if width < 1 || height < 1 || gridWidth < 1 || gridHeight < 1 {
		return nil
	}
	var spans []span
	if len(m.Counts) > 0 {
		spans, width, height = m.runSpans(), m.Width, m.Height
	} else {
		spans = m.polygonSpans(width, height)
	}
	inside := make([]float64, gridWidth*gridHeight)
	cellWidth, cellHeight := float64(width)/float64(gridWidth), float64(height)/float64(gridHeight)
	for _, s := range spans {
		for at := s.from; at < s.to; {
			x, y := at/height, at%height
			end := min(height, y+s.to-at)
			forCells(float64(x), float64(x+1), cellWidth, gridWidth, func(column int, shareX float64) {
				forCells(float64(y), float64(end), cellHeight, gridHeight, func(row int, shareY float64) {
					inside[row*gridWidth+column] += shareX * shareY
				})
			})
			at += end - y
		}
	}
	cover := make([]float32, len(inside))
	for i, share := range inside {
		cover[i] = float32(min(1, share))
	}
	return cover
}

// forCells calls do for each of n cells of a size that from..to overlaps, with
// the share of the cell that it covers.
func forCells(from, to, size float64, n int, do func(cell int, share float64)) {
	for cell := min(n-1, int(from/size)); cell < n; cell++ {
		low, high := float64(cell)*size, float64(cell+1)*size
		if low >= to {
			return
		}
		if covered := min(to, high) - max(from, low); covered > 0 {
			do(cell, covered/size)
		}
	}
}

// span is a run of pixels inside a mask, numbered column by column.
type span struct{ from, to int }

// runSpans returns the runs inside of a mask of run lengths, clipped to its grid.
func (m *Mask) runSpans() []span {
	var spans []span
	at, size := 0, m.Width*m.Height
	for i, count := range m.Counts {
		end := min(size, at+int(count))
		if i%2 == 1 && end > at {
			spans = append(spans, span{at, end})
		}
		at = end
	}
	return spans
}

// polygonSpans returns the runs inside the union of the polygons.
func (m *Mask) polygonSpans(width, height int) []span {
	var spans []span
	for _, polygon := range m.Polygons {
		spans = append(spans, fill(polygon, width, height)...)
	}
	if len(m.Polygons) < 2 {
		return spans
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	merged := spans[:0]
	for _, s := range spans {
		if last := len(merged) - 1; last >= 0 && s.from <= merged[last].to {
			merged[last].to = max(merged[last].to, s.to)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}
