package sam2

import (
	"math"

	"github.com/curate-data/curate/scoring/safetensors"
)

// Positional embeddings depend on nothing but the weights, so they are computed
// once, when a model is loaded.

// positions returns the embeddings of the backbone's patches, [s,s,c]: a map of
// the whole image, brought to s patches by bicubic interpolation, and one of a
// window, repeated.
func (c Config) positions(whole, window safetensors.Tensor) safetensors.Tensor {
	side, width := c.firstSide(), c.Vision.Backbone.Width
	from, tile := whole.Shape[2], window.Shape[2]
	taps := bicubic(from, side)
	out := make([]float32, side*side*width)
	rows := make([]float64, from*side) // interpolated along the rows
	for ch := range width {
		source := whole.Data[ch*from*from:]
		for y := range from {
			for x, tap := range taps {
				sum := 0.0
				for i, weight := range tap.weights {
					sum += weight * float64(source[y*from+tap.at[i]])
				}
				rows[y*side+x] = sum
			}
		}
		for y, tap := range taps {
			for x := range side {
				sum := float64(window.Data[ch*tile*tile+y%tile*tile+x%tile])
				for i, weight := range tap.weights {
					sum += weight * rows[tap.at[i]*side+x]
				}
				out[(y*side+x)*width+ch] = float32(sum)
			}
		}
	}
	return safetensors.Tensor{Name: positionName, Shape: []int{side, side, width}, Data: out}
}

// tap is what an interpolated value is made of: four values, those beyond the
// edge replaced by the edge's.
type tap struct {
	at      [4]int
	weights [4]float64
}

// bicubic returns the taps of the interpolation from n to m values as torch does
// it, with corners not aligned and a = -0.75.
func bicubic(n, m int) []tap {
	const a = -0.75
	near := func(x float64) float64 { return ((a+2)*x-(a+3))*x*x + 1 }  // up to 1
	far := func(x float64) float64 { return ((a*x-5*a)*x+8*a)*x - 4*a } // from 1 to 2
	taps := make([]tap, m)
	for i := range taps {
		at := (float64(i)+0.5)*float64(n)/float64(m) - 0.5
		floor := math.Floor(at)
		t := at - floor
		taps[i].weights = [4]float64{far(t + 1), near(t), near(1 - t), far(2 - t)}
		for j := range 4 {
			taps[i].at[j] = min(max(int(floor)+j-1, 0), n-1)
		}
	}
	return taps
}

// fourier returns the embedding of a point, x and y from 0 to 1, by random
// Fourier features [2,C/2]: C/2 sines, C/2 cosines.
func fourier(matrix []float32, x, y float64, out []float32) {
	half := len(out) / 2
	for i := range half {
		sin, cos := math.Sincos(2 * math.Pi * ((2*x-1)*float64(matrix[i]) + (2*y-1)*float64(matrix[half+i])))
		out[i], out[half+i] = float32(sin), float32(cos)
	}
}

// cellPositions returns the embeddings of the centres of the image embedding's
// cells, [g*g,C].
func (c Config) cellPositions(matrix safetensors.Tensor) safetensors.Tensor {
	g, width := c.cells(), c.Decoder.Width
	out := make([]float32, g*g*width)
	for y := range g {
		for x := range g {
			at := (y*g + x) * width
			fourier(matrix.Data, (float64(x)+0.5)/float64(g), (float64(y)+0.5)/float64(g), out[at:at+width])
		}
	}
	return safetensors.Tensor{Name: imageFourierName, Shape: []int{g * g, width}, Data: out}
}
