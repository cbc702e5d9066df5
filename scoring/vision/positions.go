package vision

import (
	"math"

	"github.com/curate-data/curate/scoring/vision/pixels"
)

// interpolate returns the learned positions for rows x columns patches: those of
// the class token first, then the patches'. They stay as they are where the grid
// is the learned one, and are resized as the family does it in transformers where not.
func interpolate(learned []float32, s shape, rows, columns int) []float32 {
	n, d := s.positions(), s.Width
	if rows == n && columns == n {
		return learned
	}
	down, across := kernel(s, n, rows), kernel(s, n, columns)
	out := make([]float32, (1+rows*columns)*d)
	copy(out, learned[:d])
	patches := learned[d:]
	// Along rows first, as torch does where it makes two passes.
	wide := make([]float64, n*columns*d)
	for y := range n {
		for x, taps := range across {
			to := wide[(y*columns+x)*d:][:d]
			for j, w := range taps.Weights {
				from := patches[(y*n+tap(taps, j, n))*d:][:d]
				for i, v := range from {
					to[i] += float64(w * float64(v))
				}
			}
		}
	}
	sums := make([]float64, d)
	for y, taps := range down {
		for x := range columns {
			clear(sums)
			for j, w := range taps.Weights {
				from := wide[(tap(taps, j, n)*columns+x)*d:][:d]
				for i, v := range from {
					sums[i] += float64(w * v)
				}
			}
			to := out[(1+y*columns+x)*d:][:d]
			for i, v := range sums {
				to[i] = float32(v)
			}
		}
	}
	return out
}

// tap is the index that a weight belongs to; the border is repeated outwards.
func tap(taps pixels.Taps, j, n int) int { return max(0, min(n-1, taps.First+j)) }

// kernel is torch's bicubic interpolation along an axis. With antialias it is
// Pillow's; without, four points with another constant, whatever the scale.
func kernel(s shape, in, out int) []pixels.Taps {
	if s.Antialias {
		return pixels.TapsOf(in, out, pixels.Bicubic)
	}
	const a = -0.75
	near := func(x float64) float64 { return ((a+2)*x-(a+3))*x*x + 1 }
	far := func(x float64) float64 { return ((a*x-5*a)*x+8*a)*x - 4*a }
	all := make([]pixels.Taps, out)
	for i := range all {
		at := (float64(i)+0.5)*float64(in)/float64(out) - 0.5
		first := math.Floor(at)
		t := at - first
		all[i] = pixels.Taps{First: int(first) - 1, Weights: []float64{far(t + 1), near(t), near(1 - t), far(2 - t)}}
	}
	return all
}
