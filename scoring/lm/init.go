package lm

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
)

// cutoff is where the initial normal distribution is cut, in sigmas.
const cutoff = 3.0

// Init returns a model with OLMo's "mitchell" initialisation: normals cut at 3
// sigma; sigma = 1/sqrt(fan-in), and for attn_out and ff_out of layer l another
// 1/sqrt(2(l+1)); weights of norms are 1. Each tensor has its own stream of
// PCG, keyed by seed and name, so the weights depend on nothing else.
func Init(c Config, seed uint64) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("init model: %w", err)
	}
	c, err := c.with("init_fn", "mitchell")
	if err != nil {
		return nil, err
	}
	m := &Model{Config: c}
	for i, spec := range ParamSpecs(c) {
		data := make([]float32, spec.Size())
		if isNorm(spec.Name) {
			for j := range data {
				data[j] = 1
			}
		} else {
			layer := (i - 1) / blockParams
			cutNormal(data, seed, spec.Name, sigma(spec, layer))
		}
		m.Params = append(m.Params, Param{Name: spec.Name, Shape: spec.Shape, Data: data})
	}
	return m, nil
}

// sigma returns the scale of a matrix; layer counts for those that write into
// the residual stream.
func sigma(spec ParamSpec, layer int) float64 {
	s := 1 / math.Sqrt(float64(spec.Shape[1]))
	block := strings.Contains(spec.Name, ".blocks.")
	if block && (strings.HasSuffix(spec.Name, ".attn_out.weight") || strings.HasSuffix(spec.Name, ".ff_out.weight")) {
		s /= math.Sqrt(2 * float64(layer+1))
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
