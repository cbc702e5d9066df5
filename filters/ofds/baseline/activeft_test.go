package baseline

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestGradient compares the gradient with differences of the loss. The other
// side of the sum over centres is held still for them, as the gradient takes it.
func TestGradient(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	vectors := unit(gaussian(random, 40, 5, 6, 0.4))
	for _, fixed := range [][]int32{nil, {7, 20}} {
		opt := ActiveFTOptions{Temperature: 0.2, Balance: 1.7}
		if err := opt.defaults(); err != nil {
			t.Fatal(err)
		}
		trainer := newTrainer(vectors, []int32{0, 3, 11, 19}, fixed, opt, Common{Workers: 1})
		for i := range trainer.theta {
			trainer.theta[i] += 0.1 * random.NormFloat64() // lengths other than 1
		}
		trainer.normalize()
		if _, err := trainer.loss(t.Context(), vectors); err != nil {
			t.Fatal(err)
		}
		still := append([]float64(nil), trainer.normal...)
		for i, want := range trainer.gradient {
			const step = 1e-5
			at := func(offset float64) float64 {
				own := *trainer
				own.theta, own.normal = append([]float64(nil), trainer.theta...), append([]float64(nil), trainer.normal...)
				own.theta[i] += offset
				own.normalize()
				return plainLoss(&own, still)
			}
			if got := (at(step) - at(-step)) / (2 * step); math.Abs(got-want) > 1e-6*(1+math.Abs(want)) {
				t.Errorf("gradient of parameter %d is %g, by differences %g", i, want, got)
			}
		}
	}
}

// plainLoss is the formula of ActiveFT's comment, with the other side given.
func plainLoss(t *trainer, still []float64) float64 {
	sum := 0.0
	for i := range t.vectors.Rows() {
		f := t.vectors.Row(i)
		best, most := 0, math.Inf(-1)
		for c := 0; c*t.dim < len(t.normal); c++ {
			if s := mixed(t.normal[c*t.dim:(c+1)*t.dim], f); s > most {
				best, most = c, s
			}
		}
		total := 0.0
		for c := 0; c*t.dim < len(t.normal); c++ {
			total += math.Exp(dot(still[c*t.dim:(c+1)*t.dim], t.normal[best*t.dim:(best+1)*t.dim]) / t.opt.Temperature)
		}
		positive := math.Exp(most / t.opt.Temperature)
		sum -= math.Log(positive / (positive + t.opt.Balance*total))
	}
	return sum / float64(t.vectors.Rows())
}

// TestActiveFTStaysFinite runs a temperature at which exponents overflow, and
// vectors of zeros and doubles.
func TestActiveFTStaysFinite(t *testing.T) {
	vectors := gaussian(rand.New(rand.NewPCG(5, 5)), 30, 4, 3, 0.2)
	for i := range 6 {
		clear(vectors.Row(5 * i))
	}
	m := ActiveFT{Options: ActiveFTOptions{Temperature: 1e-4, Rate: 0.1, Steps: 20}}
	for _, c := range mustSelect(t, m, imagePool(vectors), 8, 1).Chosen {
		if d := float64(c.Reason.Distance); math.IsNaN(d) || math.IsInf(d, 0) {
			t.Errorf("%+v", c)
		}
	}
}
