package baseline

import (
	"context"
	"math"

	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// All distances of this package come from here. Those that decide something are
// float64 sums in one fixed order (squared, inner). Products of large matrices,
// in float32 by whoever is given for it, only say which pairs are worth it:
// slack bounds how far off they may be.

// squared returns the square of the Euclidean distance.
func squared(a, b []float32) float64 {
	var s [4]float64
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		for k := range 4 {
			d := float64(a[i+k]) - float64(b[i+k])
			s[k] += float64(d * d) // the conversion keeps processors from fusing both operations
		}
	}
	for ; i < len(a); i++ {
		d := float64(a[i]) - float64(b[i])
		s[0] += float64(d * d)
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

// inner returns the inner product.
func inner(a, b []float32) float64 {
	var s [4]float64
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		for k := range 4 {
			s[k] += float64(a[i+k]) * float64(b[i+k]) // exact before the sum: 24 and 24 bits fit in 53
		}
	}
	for ; i < len(a); i++ {
		s[0] += float64(a[i]) * float64(b[i])
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

// cosine returns the cosine distance of unit vectors, never below 0.
func cosine(a, b []float32) float64 { return max(0, 1-inner(a, b)) }

// norms returns the squares of the vectors' lengths.
func norms(m kmeans.Matrix) []float64 {
	out := make([]float64, m.Rows())
	for i := range out {
		out[i] = inner(m.Row(i), m.Row(i))
	}
	return out
}

// slack bounds the error of a product's inner product of two vectors with
// these squared lengths: twice that of a float32 sum in the worst order.
func slack(dim int, a, b float64) float64 {
	return float64(dim+8) * 0x1p-23 * math.Sqrt(a*b)
}

// unit returns the vectors with length 1: m itself if they have it already, a
// copy otherwise. A vector of zeros stays.
func unit(m kmeans.Matrix) kmeans.Matrix {
	out, copied := m, false
	for i := range m.Rows() {
		length := math.Sqrt(inner(m.Row(i), m.Row(i)))
		if length == 0 || math.Abs(length-1) < 1e-6 {
			continue
		}
		if !copied {
			out, copied = kmeans.NewMatrix(m.Rows(), m.Dim), true
			copy(out.Data, m.Data)
		}
		for k, x := range m.Row(i) {
			out.Row(i)[k] = float32(float64(x) / length)
		}
	}
	return out
}

// Tiles are as large as fits in a processor's cache: 1 MB of products.
const tileRows, tileColumns = 128, 2048

// tiles multiplies all vectors of a with all of b, a tile at a time. One
// goroutine visits all tiles of a row, from left to right; tile holds the inner
// products of a's vectors from row on with b's from column on, columns to a row.
// Memory: a tile per worker.
func (c Common) tiles(ctx context.Context, a, b kmeans.Matrix, visit func(row, column, columns int, tile []float32)) error {
	product := c.Product
	if product == nil {
		product = kmeans.Plain()
	}
	return ranges(ctx, a.Rows(), tileRows, c.Workers, func(from, to int) error {
		buffer := make([]float32, (to-from)*min(tileColumns, b.Rows()))
		for start := 0; start < b.Rows(); start += tileColumns {
			if err := ctx.Err(); err != nil {
				return err
			}
			end := min(start+tileColumns, b.Rows())
			tile := buffer[:(to-from)*(end-start)]
			if err := product.Multiply(ctx, a.Slice(from, to), b.Slice(start, end), tile); err != nil {
				return err
			}
			visit(from, start, end-start, tile)
		}
		return nil
	})
}

// dot and mixed are inner products of parameters that are trained in float64.
func dot(a, b []float64) float64 {
	s := 0.0
	for i, x := range a {
		s += float64(x * b[i])
	}
	return s
}

func mixed(a []float64, b []float32) float64 {
	s := 0.0
	for i, x := range a {
		s += float64(x * float64(b[i]))
	}
	return s
}
