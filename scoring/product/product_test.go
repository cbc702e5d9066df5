package product

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/curate-data/curate/scoring/backend"
)

// onEach runs a test on every backend that this machine has.
func onEach(t *testing.T, run func(t *testing.T, p *Product)) {
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
			p, err := New(be)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}()
			run(t, p)
		})
	}
}

func vectors(seed uint64, n, dim int) []float32 {
	random := rand.New(rand.NewPCG(seed, uint64(dim)))
	v := make([]float32, n*dim)
	for i := range v {
		v[i] = float32(random.NormFloat64())
	}
	return v
}

// check wants each inner product within the error of float32 sums in any order,
// which is what k-means relies on. Products in TF32 or bfloat16 are far beyond.
func check(a, b []float32, dim int, out []float32) error {
	m := len(b) / dim
	for i := range len(a) / dim {
		for j := range m {
			exact, x, y := 0.0, 0.0, 0.0
			for k := range dim {
				p, q := float64(a[i*dim+k]), float64(b[j*dim+k])
				exact, x, y = exact+p*q, x+p*p, y+q*q
			}
			if off := math.Abs(float64(out[i*m+j]) - exact); !(off <= float64(dim)/(1<<24)*math.Sqrt(x*y)) {
				return fmt.Errorf("product of %d and %d is %g, want %g", i, j, out[i*m+j], exact)
			}
		}
	}
	return nil
}

func TestMultiply(t *testing.T) {
	onEach(t, func(t *testing.T, p *Product) {
		for _, shape := range []struct{ n, m, dim int }{{1, 1, 1}, {1, 9, 3}, {17, 8, 256}, {100, 33, 64}, {3, mostColumns + 5, 2}, {mostRows + 5, 3, 2}} {
			a, b := vectors(1, shape.n, shape.dim), vectors(2, shape.m, shape.dim)
			out := make([]float32, shape.n*shape.m)
			if err := p.Multiply(context.Background(), a, b, shape.dim, out); err != nil {
				t.Fatal(err)
			}
			if err := check(a, b, shape.dim, out); err != nil {
				t.Errorf("%v: %v", shape, err)
			}
		}
		if err := p.Multiply(context.Background(), nil, vectors(1, 2, 3), 3, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestManyGoroutines(t *testing.T) {
	onEach(t, func(t *testing.T, p *Product) {
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for turn := range 4 {
					a, b := vectors(uint64(g), 10*g+turn+1, 16), vectors(uint64(turn), 20+g%3, 16)
					out := make([]float32, len(a)/16*(len(b)/16))
					if err := errors.Join(p.Multiply(context.Background(), a, b, 16, out), check(a, b, 16, out)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestMultiplyRefuses(t *testing.T) {
	be, err := backend.Open(backend.Go)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	p, err := New(be)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, err := range []error{
		p.Multiply(ctx, make([]float32, 4), make([]float32, 4), 0, nil),
		p.Multiply(ctx, make([]float32, 5), make([]float32, 4), 2, make([]float32, 4)),
		p.Multiply(ctx, make([]float32, 4), make([]float32, 5), 2, make([]float32, 4)),
		p.Multiply(ctx, make([]float32, 4), make([]float32, 4), 2, make([]float32, 3)),
	} {
		if err == nil || !strings.Contains(err.Error(), "do not fit") {
			t.Error(err)
		}
	}
	stopped, stop := context.WithCancelCause(ctx)
	stop(errors.New("enough"))
	if err := p.Multiply(stopped, make([]float32, 4), make([]float32, 4), 2, make([]float32, 4)); err == nil || err.Error() != "enough" {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Multiply(ctx, make([]float32, 4), make([]float32, 4), 2, make([]float32, 4)); err == nil {
		t.Error("a closed product multiplies")
	}
}

func TestBuckets(t *testing.T) {
	shapes := map[int]bool{}
	for rows := 1; rows <= mostRows; rows++ {
		b := bucketOf(rows)
		if b < rows || rows >= 8 && 5*(b-rows) >= b || rows > 8 && bucketOf(b) != b {
			t.Errorf("bucket of %d is %d", rows, b)
		}
		shapes[b] = true
	}
	if len(shapes) > 41 || bucketOf(mostRows) != mostRows || bucketOf(500) != 512 {
		t.Errorf("%d shapes", len(shapes))
	}
	if rowBucket(1) != 64 || rowBucket(64) != 64 || rowBucket(65) != 128 || rowBucket(mostRows) != mostRows {
		t.Error("rows")
	}
}
