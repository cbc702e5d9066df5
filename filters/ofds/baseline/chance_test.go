package baseline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// Draws have the chances that they should have. Seeds are fixed, so these tests
// always give the same figure; the bounds are what 1 of 1000 lists of seeds
// would exceed.

// chiSquare compares counts with chances that add up to 1.
func chiSquare(t *testing.T, counts, chance map[string]float64) float64 {
	t.Helper()
	n, sum := 0.0, 0.0
	for what, c := range counts {
		if chance[what] == 0 {
			t.Errorf("%s came %g times and has no chance", what, c)
		}
		n += c
	}
	for what, p := range chance {
		sum += (counts[what] - n*p) * (counts[what] - n*p) / (n * p)
	}
	return sum
}

func TestRandomIsUniform(t *testing.T) {
	pool := &ofds.Pool{Images: images(5)}
	counts, chance := make(map[string]float64), make(map[string]float64)
	for seed := range uint64(6000) {
		counts[fmt.Sprint(chosen(mustSelect(t, Random{}, pool, 2, seed)))]++
	}
	for a := range 5 {
		for b := range 5 {
			if a != b {
				chance[fmt.Sprint([]int{a, b})] = 1. / 20
			}
		}
	}
	if x := chiSquare(t, counts, chance); x > 43.8 { // 19 degrees of freedom
		t.Errorf("chi-square of pairs is %g", x)
	}
}

func TestClassBalancedRandomIsUniformInAClass(t *testing.T) {
	// The rare class first: 3 images with it. Then the frequent one: each of its
	// 7 images that is left, whatever the first draw was.
	objects := [][]int{{0}, {0}, {0}, {0}, {0, 1}, {0, 1}, {0, 1}, {}}
	pool := objectPool([]string{"car", "tram"}, objects, kmeans.Matrix{})
	counts, chance := make(map[string]float64), make(map[string]float64)
	for seed := range uint64(6000) {
		counts[fmt.Sprint(chosen(mustSelect(t, ClassBalancedRandom{}, pool, 2, seed)))]++
	}
	for a := 4; a < 7; a++ {
		for b := range 7 {
			if a != b {
				chance[fmt.Sprint([]int{a, b})] = 1. / 3 / 6
			}
		}
	}
	if x := chiSquare(t, counts, chance); x > 40.8 { // 17 degrees of freedom
		t.Errorf("chi-square of pairs is %g", x)
	}
}

func TestD2Chances(t *testing.T) {
	objects := [][]int{{0, 0}, {0}, {0, 0, 0}, {}, {0}, {0, 0}}
	vectors := gaussian(rand.New(rand.NewPCG(9, 9)), 9, 4, 9, 0.5)
	pool := objectPool([]string{"thing"}, objects, vectors)
	for _, name := range []string{objectD2, freeSel} {
		m, _ := ByName(name, Options{Common: Common{Preselected: preselected([]int{1})}})
		counts := make(map[string]float64)
		for seed := range uint64(6000) {
			counts[fmt.Sprint(chosen(mustSelect(t, m, pool, 2, seed)))]++
		}
		chance := make(map[string]float64)
		for a, p := range d2Chances(pool, []int{1}) {
			for b, q := range d2Chances(pool, []int{1, a}) {
				if p*q > 0 {
					chance[fmt.Sprint([]int{a, b})] = p * q
				}
			}
		}
		if x := chiSquare(t, counts, chance); len(chance) != 12 || x > 31.3 { // 11 degrees of freedom
			t.Errorf("%s: chi-square of %d pairs is %g", name, len(chance), x)
		}
	}
}

// d2Chances returns the chance of each image to be drawn next.
func d2Chances(pool *ofds.Pool, have []int) []float64 {
	chance, total := make([]float64, len(pool.Images)), 0.0
	length := func(v []float32) float64 { return math.Sqrt(plainSquare(v, make([]float32, len(v)))) }
	for at, o := range pool.Objects {
		least := 2.0
		for other, h := range pool.Objects {
			for _, image := range have {
				if h.Image == int32(image) {
					a, b, sum := pool.Vectors.Row(at), pool.Vectors.Row(other), 0.0
					for k := range a {
						sum += float64(a[k]) * float64(b[k])
					}
					least = min(least, 1-sum/length(a)/length(b))
				}
			}
		}
		for _, image := range have {
			if o.Image == int32(image) {
				least = 0
			}
		}
		chance[o.Image] += least * least
		total += least * least
	}
	for i := range chance {
		chance[i] /= total
	}
	return chance
}
