package lm

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// cutoff is where the initial normal distribution is cut, in sigmas.
const cutoff = 3.0

// Init returns a model with OLMo's "mitchell" initialisation: normals cut at 3
// sigma; sigma = 1/sqrt(fan-in), and for those of layer l that write into the residual stream another
// 1/sqrt(2(l+1)); weights of norms are 1, biases 0. Each tensor has its own stream of
// PCG, keyed by seed and name, so the weights depend on nothing else.
func Init(c Config, seed uint64) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("init model: %w", err)
	}
	m := &Model{Config: c}
	for _, p := range c.params() {
		data := make([]float32, p.spec.Size())
		switch {
		case p.role.isBias():
		case p.role.isNorm():
			for j := range data {
				data[j] = 1
			}
		default:
			cutNormal(data, seed, p.spec.Name, c.sigma(p))
		}
		m.Params = append(m.Params, Param{Name: p.spec.Name, Shape: p.spec.Shape, Data: data})
	}
	return m, nil
}

// sigma returns the scale of a matrix; the layer counts for those that write
// into the residual stream.
func (a Arch) sigma(p param) float64 {
	fanIn := p.spec.Shape[1]
	if a.Transpose && p.layer >= 0 {
		fanIn = p.spec.Shape[0]
	}
	s := 1 / math.Sqrt(float64(fanIn))
	if p.role == attnOut || p.role == down {
		s /= math.Sqrt(2 * float64(p.layer+1))
	}
	return s
}

func cutNormal(data []float32, seed uint64, name string, sigma float64) {
	hash := fnv.New64a()
	hash.Write([]byte(name))
	random := rand.New(rand.NewPCG(seed, hash.Sum64()))
	for i := range data {
		x := random.NormFloat64()
		for math.Abs(x) > cutoff {
			x = random.NormFloat64()
		}
		data[i] = float32(x * sigma)
	}
}
