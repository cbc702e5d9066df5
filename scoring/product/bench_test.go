package product

import (
	"context"
	"testing"

	"github.com/curate-data/curate/scoring/backend"
)

// BenchmarkMultiply has the shape of a search among 1,000 centroids.
func BenchmarkMultiply(b *testing.B) {
	const n, m, dim = 4096, 1000, 256
	for _, name := range []string{backend.Go, backend.CPU} {
		b.Run(name, func(b *testing.B) {
			be, err := backend.Open(name)
			if err != nil {
				b.Skip(err)
			}
			defer be.Close()
			p, err := New(be)
			if err != nil {
				b.Fatal(err)
			}
			x, y, out := vectors(1, n, dim), vectors(2, m, dim), make([]float32, n*m)
			for b.Loop() {
				if err := p.Multiply(context.Background(), x, y, dim, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(2*n*m*dim*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
