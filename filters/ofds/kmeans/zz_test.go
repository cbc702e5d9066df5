package kmeans

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

func BenchmarkPlain(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	x, c := NewMatrix(128, 256), NewMatrix(1024, 256)
	for i := range x.Data {
		x.Data[i] = r.Float32() - .5
	}
	for i := range c.Data {
		c.Data[i] = r.Float32() - .5
	}
	out := make([]float32, 128*1024)
	for b.Loop() {
		plain{}.Multiply(context.Background(), x, c, out)
	}
	b.ReportMetric(float64(b.N)*128*1024*512/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
func TestZZ(t *testing.T) {
	pts := mixture(rand.New(rand.NewPCG(6, 6)), 50000, 256, 120, false)
	for i := range pts.Rows() {
		l := float32(length(pts.Row(i)))
		for j := range pts.Row(i) {
			pts.Row(i)[j] /= l
		}
	}
	s, _ := newSearch(context.Background(), pts, nil, 0)
	t0 := time.Now()
	cs, _ := seed(context.Background(), s, Options{K: 500})
	t.Log("seed", time.Since(t0))
	t0 = time.Now()
	Nearest(context.Background(), pts, cs, nil, 0)
	t.Log("nearest", time.Since(t0))
	t0 = time.Now()
	res, _ := Fit(context.Background(), pts, Options{K: 500})
	t.Log("fit", time.Since(t0), res.Iterations, res.Inertia)
}
