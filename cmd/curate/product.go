package main

import (
	"context"

	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/product"
)

// deviceProduct lends k-means a device for its matrix products.
type deviceProduct struct{ *product.Product }

// worthDevice is the number of multiplications from which on a device pays:
// about 3 ms in plain Go, where compiling a shape takes 20.
const worthDevice = 1 << 24

// Multiply implements kmeans.Product.
func (p deviceProduct) Multiply(ctx context.Context, a, b kmeans.Matrix, out []float32) error {
	if len(out)*a.Dim < worthDevice {
		return kmeans.Plain().Multiply(ctx, a, b, out)
	}
	return p.Product.Multiply(ctx, a.Data, b.Data, a.Dim, out)
}

// newProduct returns the product of a backend for k-means, and what closes it. On
// backend go it is nil, plain Go: that is faster than gomlx's graphs.
func newProduct(be *backend.Backend) (kmeans.Product, func() error, error) {
	if be.Name == backend.Go {
		return nil, func() error { return nil }, nil
	}
	p, err := product.New(be)
	if err != nil {
		return nil, nil, err
	}
	return deviceProduct{p}, p.Close, nil
}
