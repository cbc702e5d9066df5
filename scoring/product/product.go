// Package product multiplies matrices of vectors on a device: the inner products
// of every vector of one with every vector of another, which is what finding
// nearest neighbours costs.
package product

import (
	"context"
	"errors"
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/scoring/backend"
)

// Device code is compiled for each shape, so there are few: matrices are cut
// into parts of at most these numbers of vectors, and the last part is filled
// up with zeros to the next shape.
const (
	mostRows    = 8192
	mostColumns = 8192
)

// Product multiplies on one device. Any number of goroutines may use it.
type Product struct {
	be   *backend.Backend
	exec *graph.Exec
}

// New returns the product of a device. Nothing is compiled before it is needed.
func New(be *backend.Backend) (*Product, error) {
	p := &Product{be: be}
	err := backend.Catch("set up matrix product on "+be.Name, func() (err error) {
		p.exec, err = graph.NewExec(be.Backend, func(a, b *graph.Node) *graph.Node {
			return graph.DotGeneral(a, []int{1}, nil, b, []int{1}, nil)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	p.exec.SetMaxCache(-1) // the shapes are bounded here
	return p, nil
}

// Close frees the compiled code. The device stays open.
func (p *Product) Close() error {
	return backend.Catch("free matrix product", func() error {
		p.exec.Finalize()
		return nil
	})
}

// Multiply sets out[i*m+j] to the inner product of vector i of a and vector j of
// b, in float32 throughout. Both hold vectors of dim numbers, one after the
// other; m is the number of b's, and out has room for all.
func (p *Product) Multiply(ctx context.Context, a, b []float32, dim int, out []float32) error {
	if dim < 1 || len(a)%dim != 0 || len(b)%dim != 0 || len(out) != len(a)/dim*(len(b)/dim) {
		return fmt.Errorf("multiply %d by %d numbers as vectors of %d into %d: the lengths do not fit", len(a), len(b), dim, len(out))
	}
	n, m := len(a)/dim, len(b)/dim
	for j := 0; j < m; j += mostColumns {
		right := part{b, dim, j, min(m, j+mostColumns)}
		for i := 0; i < n; i += mostRows {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			left := part{a, dim, i, min(n, i+mostRows)}
			err := backend.Catch(fmt.Sprintf("multiply %d by %d vectors of %d on %s", left.rows(), right.rows(), dim, p.be.Name),
				func() error { return p.multiply(left, right, out, m) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// part is some vectors of a matrix.
type part struct {
	data     []float32
	dim      int
	from, to int
}

func (p part) rows() int { return p.to - p.from }

// multiply sets the part of out, which has m columns, that a and b give.
func (p *Product) multiply(a, b part, out []float32, m int) error {
	width := bucketOf(b.rows())
	x, y := p.tensor(a, rowBucket(a.rows())), p.tensor(b, width)
	z, err := p.exec.Call1(x, y)
	if err == nil {
		err = tensors.ConstFlatData(z, func(flat []float32) {
			for i := range a.rows() {
				copy(out[(a.from+i)*m+b.from:(a.from+i)*m+b.to], flat[i*width:])
			}
		})
		err = errors.Join(err, z.FinalizeAll())
	}
	return errors.Join(err, x.FinalizeAll(), y.FinalizeAll())
}

// tensor returns a part filled up with zeros to so many rows.
func (p *Product) tensor(a part, rows int) *tensors.Tensor {
	have := a.data[a.from*a.dim : a.to*a.dim]
	if rows == a.rows() {
		return tensors.FromFlatDataAndDimensions(have, rows, a.dim) // copies
	}
	filled := make([]float32, rows*a.dim)
	copy(filled, have)
	return tensors.FromFlatDataAndDimensions(filled, rows, a.dim)
}

// bucketOf returns the shape for a number of b's vectors: the next of 8, 10, 12,
// 14, 16, 20, 24, 28, 32, 40... Less than a fifth of it is filling from 8 on.
func bucketOf(columns int) int {
	step := 2
	for columns > 8*step {
		step *= 2
	}
	return max(8, (columns+step-1)/step*step)
}

// rowBucket returns the shape for a number of a's vectors, the next power of two:
// callers give whole blocks but for the last, so that it fills up seldom.
func rowBucket(rows int) int {
	b := 64
	for b < rows {
		b *= 2
	}
	return b
}
