package lm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/curate-data/curate/scoring/safetensors"
)

// readParams reads a model's tensors.
func readParams(c Config, weights *safetensors.File) ([]Param, error) {
	var params []Param
	err := eachParam(c, weights, func(p Param) error {
		p.Data = slices.Clone(p.Data)
		params = append(params, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return params, nil
}

// eachParam reads a model's tensors, under any of the names that checkpoints of
// its family give them, and hands them over one at a time under the names of
// ParamSpecs. Their data is valid until use returns.
func eachParam(c Config, weights *safetensors.File, use func(Param) error) error {
	f, err := familyOf(c.Family)
	if err != nil {
		return err
	}
	have := weights.Names()
	wanted := ParamSpecs(c)
	stored := f.stored(wanted, have)
	// A tied model's file may hold the head as well.
	spare := f.stored([]ParamSpec{{Name: f.headName(c.Arch), Shape: c.shape(head)}}, have)[0]
	spared := c.Tied && slices.Contains(have, spare.Name)
	ignored := func(name string) bool {
		return spared && name == spare.Name || slices.ContainsFunc(f.ignored, func(end string) bool { return strings.HasSuffix(name, end) })
	}
	if err := weights.Match(stored, ignored); err != nil {
		return err
	}
	i := 0
	return weights.ReadEach(stored, func(p Param) error {
		if spared && i == 0 {
			if err := checkSpare(weights, spare, p); err != nil {
				return err
			}
		}
		p.Name = wanted[i].Name
		i++
		return use(p)
	})
}

// stored returns specs under the names that they have among those of a file.
func (f family) stored(specs []ParamSpec, have []string) []ParamSpec {
	known := map[string]bool{}
	for _, name := range have {
		known[name] = true
	}
	stored := slices.Clone(specs)
	for i, spec := range specs {
		for _, name := range []string{spec.Name, strings.TrimPrefix(spec.Name, f.base), f.older[spec.Name]} {
			if known[name] {
				stored[i].Name = name
				break
			}
		}
	}
	return stored
}

func (f family) headName(a Arch) string {
	for _, t := range f.names(a).after {
		if t.role == head {
			return t.name
		}
	}
	return ""
}

// checkSpare refuses the head of a tied model that is not its embedding.
// Versions of transformers read such a folder differently: 4 drops the head, 5
// unties it.
func checkSpare(weights *safetensors.File, spare ParamSpec, embedding Param) error {
	data, err := weights.Read(spare)
	if err != nil {
		return err
	}
	if !slices.Equal(data, embedding.Data) {
		return fmt.Errorf("tensor %s differs from %s, but config.json ties them: remove the tensor, or set tie_word_embeddings to false", spare.Name, embedding.Name)
	}
	return nil
}
