package lm

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/curate-data/curate/scoring/safetensors"
)

// Param is one named weight tensor, row-major float32.
type Param = safetensors.Tensor

// ParamSpec is the name and shape of one weight tensor.
type ParamSpec = safetensors.Spec

// Model is a configuration with its weights, in the order of ParamSpecs.
type Model struct {
	Config Config
	Params []Param
}

// Indices of a block's tensors in the order of ParamSpecs, and their number.
const (
	attnNorm = iota
	qNorm
	kNorm
	attProj
	attnOut
	ffNorm
	ffProj
	ffOut
	blockParams
)

// ParamSpecs returns the tensors of a model in the fixed order that Losses
// takes them: wte [V,d]; per block attn_norm, q_norm, k_norm [d], att_proj
// [3d,d], attn_out [d,d], ff_norm [d], ff_proj [h,d], ff_out [d,h]; ln_f [d];
// the head [V,d]. Names are those of hf_olmo.
func ParamSpecs(c Config) []ParamSpec {
	d, hidden, vocab := c.DModel, c.Hidden(), c.Embeddings()
	spec := func(name string, shape ...int) ParamSpec { return ParamSpec{Name: name, Shape: shape} }
	specs := []ParamSpec{spec("model.transformer.wte.weight", vocab, d)}
	for layer := range c.NumLayers {
		prefix := "model.transformer.blocks." + strconv.Itoa(layer) + "."
		specs = append(specs,
			spec(prefix+"attn_norm.weight", d),
			spec(prefix+"q_norm.weight", d),
			spec(prefix+"k_norm.weight", d),
			spec(prefix+"att_proj.weight", 3*d, d),
			spec(prefix+"attn_out.weight", d, d),
			spec(prefix+"ff_norm.weight", d),
			spec(prefix+"ff_proj.weight", hidden, d),
			spec(prefix+"ff_out.weight", d, hidden),
		)
	}
	return append(specs,
		spec("model.transformer.ln_f.weight", d),
		spec("model.transformer.ff_out.weight", vocab, d),
	)
}

// NumParams returns the number of weights of a model of this configuration.
func (c Config) NumParams() int64 {
	var n int64
	for _, spec := range ParamSpecs(c) {
		n += int64(spec.Size())
	}
	return n
}

// Validate lists every fault of the model: its configuration's, tensors whose
// name, order, shape or size is not that of ParamSpecs, and weights that are
// not finite.
func (m *Model) Validate() error {
	if err := m.Config.Validate(); err != nil {
		return err
	}
	specs := ParamSpecs(m.Config)
	if len(m.Params) != len(specs) {
		return fmt.Errorf("model: %d tensors, want %d", len(m.Params), len(specs))
	}
	var faults []error
	for i, spec := range specs {
		p := m.Params[i]
		switch bad := safetensors.NotFinite(p.Data); {
		case p.Name != spec.Name:
			faults = append(faults, fmt.Errorf("tensor %d is %s, want %s", i, p.Name, spec.Name))
		case !slices.Equal(p.Shape, spec.Shape):
			faults = append(faults, fmt.Errorf("tensor %s has shape %v, want %v", p.Name, p.Shape, spec.Shape))
		case len(p.Data) != spec.Size():
			faults = append(faults, fmt.Errorf("tensor %s has %d values, want %d", p.Name, len(p.Data), spec.Size()))
		case bad > 0:
			faults = append(faults, fmt.Errorf("tensor %s has %d values that are NaN or infinite", p.Name, bad))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	return nil
}

// Digest returns the hex SHA-256 of everything that decides the model's losses:
// the sizes and constants of the graph, and all weights, bit for bit.
func (m *Model) Digest() string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%+v\n", m.Config.maths())
	for _, p := range m.Params {
		p.Digest(hash, p.Name)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// isNorm says whether a tensor is the weight of a LayerNorm.
func isNorm(name string) bool {
	return strings.HasSuffix(name, "_norm.weight") || strings.HasSuffix(name, "ln_f.weight")
}
