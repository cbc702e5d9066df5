//go:build !goexperiment.simd || !amd64

package kmeans

// tile multiplies some vectors of b with all of a.
type tile struct{ width int }

func newTile(dim int) *tile {
	const cache = 16 << 10 // bytes: half of a small first-level cache
	return &tile{max(1, cache/4/dim/3) * 3}
}

func (t *tile) columns() int { return t.width }

// multiply takes two vectors of a and three of b at a time: six sums stay in
// registers, which with their products fill the sixteen that the compiler has
// for them; every number that is loaded is used more than once.
func (t *tile) multiply(a, b Matrix, from int, out []float32) {
	columns := b.Rows()
	to := min(columns, from+t.width)
	for i := 0; i < a.Rows(); i += 2 {
		k := min(i+1, a.Rows()-1)
		x, y := a.Row(i), a.Row(k)
		outX, outY := out[i*columns:(i+1)*columns], out[k*columns:(k+1)*columns]
		j := from
		for ; j+2 < to; j += 3 {
			outX[j], outX[j+1], outX[j+2], outY[j], outY[j+1], outY[j+2] = dots(x, y, b.Row(j), b.Row(j+1), b.Row(j+2))
		}
		for ; j < to; j++ {
			outX[j], _, _, outY[j], _, _ = dots(x, y, b.Row(j), b.Row(j), b.Row(j))
		}
	}
}

func dots(x, y, b0, b1, b2 []float32) (x0, x1, x2, y0, y1, y2 float32) {
	y, b0, b1, b2 = y[:len(x)], b0[:len(x)], b1[:len(x)], b2[:len(x)]
	for k, p := range x {
		q := y[k]
		c := b0[k]
		x0 += p * c
		y0 += q * c
		c = b1[k]
		x1 += p * c
		y1 += q * c
		c = b2[k]
		x2 += p * c
		y2 += q * c
	}
	return
}
