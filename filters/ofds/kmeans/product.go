package kmeans

import "context"

// plain is the Product in plain Go. One call uses one goroutine.
type plain struct{}

// tileBytes is how much of b is multiplied with all of a before the next part
// of b: half of a small first-level cache.
const tileBytes = 16 << 10

// Multiply implements Product.
func (plain) Multiply(ctx context.Context, a, b Matrix, out []float32) error {
	rows, columns := a.Rows(), b.Rows()
	tile := max(4, tileBytes/4/max(1, b.Dim)&^3)
	for from := 0; from < columns; from += tile {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		to := min(columns, from+tile)
		for i := 0; i+1 < rows; i += 2 {
			tile2(a.Row(i), a.Row(i+1), b, from, to, out[i*columns:(i+1)*columns], out[(i+1)*columns:(i+2)*columns])
		}
		if rows%2 == 1 {
			last := out[(rows-1)*columns : rows*columns]
			for j := from; j < to; j++ {
				last[j] = dot(a.Row(rows-1), b.Row(j))
			}
		}
	}
	return nil
}

// tile2 multiplies two vectors with some of b, four at a time: eight sums stay
// in registers, and each number that is loaded is used more than once.
func tile2(x, y []float32, b Matrix, from, to int, outX, outY []float32) {
	y = y[:len(x)]
	j := from
	for ; j+3 < to; j += 4 {
		b0, b1, b2, b3 := b.Row(j)[:len(x)], b.Row(j + 1)[:len(x)], b.Row(j + 2)[:len(x)], b.Row(j + 3)[:len(x)]
		var x0, x1, x2, x3, y0, y1, y2, y3 float32
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
			c = b3[k]
			x3 += p * c
			y3 += q * c
		}
		outX[j], outX[j+1], outX[j+2], outX[j+3] = x0, x1, x2, x3
		outY[j], outY[j+1], outY[j+2], outY[j+3] = y0, y1, y2, y3
	}
	for ; j < to; j++ {
		outX[j], outY[j] = dot(x, b.Row(j)), dot(y, b.Row(j))
	}
}

func dot(x, y []float32) float32 {
	y = y[:len(x)]
	var sum float32
	for k, p := range x {
		sum += p * y[k]
	}
	return sum
}
