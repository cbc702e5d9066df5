package lm

import (
	"fmt"
	"slices"
	"strings"
)

// family describes the models of one model_type: how their config.json reads
// and what their tensors are called. All share the graph in graph.go.
type family struct {
	modelType string
	// read takes the keys that it knows and returns the configuration without
	// Family. What it cannot do are faults of keys.
	read func(k *keys) Config
	// names returns the tensors of a model in the order of ParamSpecs, with
	// the head, which a tied model does not have.
	names func(a Arch) tensorNames
	// base is the beginning of names that checkpoints without a head leave out.
	base string
	// older are other names in use, by the one that names returns.
	older map[string]string
	// ignored are endings of names that checkpoints hold beside the weights.
	ignored []string
}

// tensorNames are the names of a model's tensors.
type tensorNames struct {
	before []tensorName
	prefix string // of a layer, with %d for its number
	layer  []tensorName
	after  []tensorName
}

// families returns all families.
func families() []family {
	return []family{hfOLMo(), olmo(), olmo2(), llama(), mistral(), gptNeoX(), gpt2(), qwen2(), qwen3()}
}

// Families returns the model types that can be loaded.
func Families() []string {
	var names []string
	for _, f := range families() {
		names = append(names, f.modelType)
	}
	return names
}

func familyOf(modelType string) (family, error) {
	all := families()
	i := slices.IndexFunc(all, func(f family) bool { return f.modelType == modelType })
	if i < 0 {
		return family{}, fmt.Errorf("model_type = %q is not implemented, only %s", modelType, strings.Join(Families(), ", "))
	}
	return all[i], nil
}

// param is one tensor of a model: what it is for, in which layer (-1: in
// none), and how it is stored.
type param struct {
	role  role
	layer int
	spec  ParamSpec
}

// params returns the tensors in the order of ParamSpecs; a family that Validate
// refuses has none.
func (a Arch) params() []param {
	f, err := familyOf(a.Family)
	if err != nil {
		return nil
	}
	names := f.names(a)
	var all []param
	add := func(list []tensorName, prefix string, layer int) {
		for _, t := range list {
			if t.role == head && a.Tied {
				continue
			}
			all = append(all, param{t.role, layer, ParamSpec{Name: prefix + t.name, Shape: a.shape(t.role)}})
		}
	}
	add(names.before, "", -1)
	for layer := range a.Layers {
		add(names.layer, fmt.Sprintf(names.prefix, layer), layer)
	}
	add(names.after, "", -1)
	return all
}
