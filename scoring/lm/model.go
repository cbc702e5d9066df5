package lm

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

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

// ParamSpecs returns the tensors of a model as its family stores them, in the
// fixed order that Losses takes them.
func ParamSpecs(c Config) []ParamSpec {
	var specs []ParamSpec
	for _, p := range c.params() {
		specs = append(specs, p.spec)
	}
	return specs
}

// LinearWeights says of each of ParamSpecs whether it is the matrix of a linear
// layer, the head included unless it is the embedding. Weight decay acts on these alone
// (olmo.optim.get_param_groups), and training in bfloat16 rounds these alone: what
// norms, biases and embeddings add up over a batch wants float32.
func LinearWeights(c Config) []bool {
	var linear []bool
	for _, p := range c.params() {
		linear = append(linear, len(p.spec.Shape) == 2 && p.role != embedding && p.role != positionRows)
	}
	return linear
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
	fmt.Fprintf(hash, "%+v\n", m.Config.Arch)
	for _, p := range m.Params {
		p.Digest(hash, p.Name)
	}
	return hex.EncodeToString(hash.Sum(nil))
}
