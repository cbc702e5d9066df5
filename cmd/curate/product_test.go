package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/product"
)

// TestDevicesClusterAlike wants the same bits of k-means whatever multiplies.
// Some vectors coincide and some centroids tie.
func TestDevicesClusterAlike(t *testing.T) {
	ctx := context.Background()
	random := rand.New(rand.NewPCG(1, 1))
	points := kmeans.NewMatrix(3000, 64)
	for i := range points.Rows() {
		for j := range points.Row(i) {
			points.Row(i)[j] = float32(i%37/8*j%5) + 0.2*float32(random.NormFloat64())
		}
		if i%11 == 10 {
			copy(points.Row(i), points.Row(i-3))
		}
	}
	opt := kmeans.Options{K: 150, Seed: 5}
	want, err := kmeans.Fit(ctx, points, opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{backend.Go, backend.CPU, backend.CUDA} {
		t.Run(name, func(t *testing.T) {
			be, err := backend.Open(name)
			if errors.Is(err, backend.ErrNoPlugin) && (name == backend.CUDA || os.Getenv("CURATE_REQUIRE_XLA") != "1") {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer be.Close()
			p, done, err := newProduct(be)
			if err != nil {
				t.Fatal(err)
			}
			defer done()
			if p == nil { // gomlx in pure Go, which newProduct has a better one for
				slow, err := product.New(be)
				if err != nil {
					t.Fatal(err)
				}
				defer slow.Close()
				p = deviceProduct{slow}
			}
			opt.Product = p
			got, err := kmeans.Fit(ctx, points, opt)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s clusters otherwise than plain Go: %s", name, diff[:min(len(diff), 2000)])
			}
		})
	}
}
