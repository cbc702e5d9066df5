package vision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/curate-data/curate/scoring/safetensors"
)

// family is one model in transformers: the defaults of its configuration, what
// it adds to the block that all share, and what it calls its tensors.
type family struct {
	types    []string // model_type
	defaults keys
	shapeOf  func(k keys) shape
	prefixes []string // of the vision model's tensors in the folders that are published
	flat     bool     // class token and positions have no leading axes of 1
	names    map[string]string
	ignored  []string // beginnings of tensors that play no part: heads, text models
}

// Roles of tensors. %d is the block; those of layers have .weight and .bias.
const (
	roleCLS       = "cls"
	rolePatch     = "patch"
	rolePositions = "positions"
	roleRegisters = "registers"
	rolePre       = "pre"
	roleNorm1     = "block.%d.norm1"
	roleQuery     = "block.%d.query"
	roleKey       = "block.%d.key"
	roleValue     = "block.%d.value"
	roleOut       = "block.%d.out"
	roleScale1    = "block.%d.scale1"
	roleNorm2     = "block.%d.norm2"
	roleFC1       = "block.%d.fc1"
	roleFC2       = "block.%d.fc2"
	roleScale2    = "block.%d.scale2"
	roleFinal     = "final"
	rolePooler    = "pooler"
	roleProject   = "project"
)

func families() []family { return []family{vit(), dinov2(), dinov2Registers(), clip()} }

func modelTypes() []string {
	var all []string
	for _, f := range families() {
		all = append(all, f.types...)
	}
	return all
}

func vit() family {
	return family{
		types: []string{"vit"},
		defaults: keys{Width: 768, Layers: 12, Heads: 12, Hidden: 3072, Activation: "gelu", Eps: 1e-12, Image: 224, Patch: 16, Channels: 3, QKVBias: true,
			PoolerActivation: "tanh"},
		shapeOf: func(k keys) shape {
			s := k.shape()
			s.PatchBias = true
			return s
		},
		prefixes: []string{"", "vit."},
		names: map[string]string{
			roleCLS: "embeddings.cls_token", rolePatch: "embeddings.patch_embeddings.projection", rolePositions: "embeddings.position_embeddings",
			roleNorm1: "encoder.layer.%d.layernorm_before", roleNorm2: "encoder.layer.%d.layernorm_after",
			roleQuery: "encoder.layer.%d.attention.attention.query", roleKey: "encoder.layer.%d.attention.attention.key",
			roleValue: "encoder.layer.%d.attention.attention.value", roleOut: "encoder.layer.%d.attention.output.dense",
			roleFC1: "encoder.layer.%d.intermediate.dense", roleFC2: "encoder.layer.%d.output.dense",
			roleFinal: "layernorm", rolePooler: "pooler.dense",
		},
		ignored: []string{"classifier.", "decoder.", "embeddings.mask_token", "vit.embeddings.mask_token"},
	}
}

func dinov2() family {
	return family{
		types: []string{"dinov2"},
		defaults: keys{Width: 768, Layers: 12, Heads: 12, Ratio: 4, Activation: "gelu", Eps: 1e-6, Image: 224, Patch: 14, Channels: 3,
			QKVBias: true},
		shapeOf: func(k keys) shape {
			s := k.shape()
			s.PatchBias, s.Scaled, s.SwiGLU = true, true, k.SwiGLU
			s.Hidden = int(float64(k.Width) * k.Ratio)
			if s.SwiGLU { // two thirds, rounded up to a multiple of 8
				s.Hidden = (int(float64(s.Hidden)*2/3) + 7) / 8 * 8
			}
			return s
		},
		prefixes: []string{"", "dinov2."},
		names: map[string]string{
			roleCLS: "embeddings.cls_token", rolePatch: "embeddings.patch_embeddings.projection", rolePositions: "embeddings.position_embeddings",
			roleNorm1: "encoder.layer.%d.norm1", roleNorm2: "encoder.layer.%d.norm2",
			roleQuery: "encoder.layer.%d.attention.attention.query", roleKey: "encoder.layer.%d.attention.attention.key",
			roleValue: "encoder.layer.%d.attention.attention.value", roleOut: "encoder.layer.%d.attention.output.dense",
			roleScale1: "encoder.layer.%d.layer_scale1.lambda1", roleScale2: "encoder.layer.%d.layer_scale2.lambda1",
			roleFC1: "encoder.layer.%d.mlp.fc1", roleFC2: "encoder.layer.%d.mlp.fc2", roleFinal: "layernorm",
		},
		ignored: []string{"classifier.", "embeddings.mask_token", "dinov2.embeddings.mask_token"},
	}
}

func dinov2Registers() family {
	f := dinov2()
	plain := f.shapeOf
	f.types = []string{"dinov2_with_registers"}
	f.defaults.Patch, f.defaults.Registers = 16, 4
	f.shapeOf = func(k keys) shape {
		s := plain(k)
		s.Registers, s.Antialias = k.Registers, true
		return s
	}
	f.prefixes = []string{"", "dinov2_with_registers."}
	f.names[roleRegisters] = "embeddings.register_tokens"
	f.ignored = append(f.ignored, "dinov2_with_registers.embeddings.mask_token")
	return f
}

func clip() family {
	return family{
		types: []string{"clip_vision_model", "clip"},
		defaults: keys{Width: 768, Layers: 12, Heads: 12, Hidden: 3072, Activation: "quick_gelu", Eps: 1e-5, Image: 224, Patch: 32, Channels: 3,
			QKVBias: true, Projected: 512},
		shapeOf: func(k keys) shape {
			s := k.shape()
			s.PreNorm, s.NormCLS, s.Projected = true, true, k.Projected
			return s
		},
		prefixes: []string{"vision_model.", ""},
		flat:     true,
		names: map[string]string{
			roleCLS: "embeddings.class_embedding", rolePatch: "embeddings.patch_embedding", rolePositions: "embeddings.position_embedding.weight",
			rolePre: "pre_layrnorm", roleNorm1: "encoder.layers.%d.layer_norm1", roleNorm2: "encoder.layers.%d.layer_norm2",
			roleQuery: "encoder.layers.%d.self_attn.q_proj", roleKey: "encoder.layers.%d.self_attn.k_proj",
			roleValue: "encoder.layers.%d.self_attn.v_proj", roleOut: "encoder.layers.%d.self_attn.out_proj",
			roleFC1: "encoder.layers.%d.mlp.fc1", roleFC2: "encoder.layers.%d.mlp.fc2", roleFinal: "post_layernorm", roleProject: "visual_projection",
		},
		ignored: []string{"text_model.", "text_projection.", "logit_scale", "classifier.", "vision_model.embeddings.position_ids", "embeddings.position_ids"},
	}
}

// shape is the part that all families share.
func (k keys) shape() shape {
	return shape{
		Width: k.Width, Heads: k.Heads, Layers: k.Layers, Hidden: k.Hidden, Image: int(k.Image), Patch: int(k.Patch), Eps: k.Eps,
		Activation: k.Activation, QKVBias: k.QKVBias,
	}
}

// slot is a tensor with its role.
type slot struct {
	role string
	spec safetensors.Spec
}

// slots returns the tensors of a model, named with a prefix.
func (f family) slots(s shape, prefix string) []slot {
	var all []slot
	add := func(role, suffix string, dims ...int) {
		name, from := f.names[role], prefix
		if role == roleProject {
			from = ""
		}
		all = append(all, slot{role + suffix, safetensors.Spec{Name: from + name + suffix, Shape: dims}})
	}
	layer := func(role string, bias bool, out int, in ...int) {
		add(role, ".weight", append([]int{out}, in...)...)
		if bias {
			add(role, ".bias", out)
		}
	}
	d, n := s.Width, s.positions()*s.positions()+1
	if f.flat {
		add(roleCLS, "", d)
		add(rolePositions, "", n, d)
	} else {
		add(roleCLS, "", 1, 1, d)
		add(rolePositions, "", 1, n, d)
	}
	layer(rolePatch, s.PatchBias, d, 3, s.Patch, s.Patch)
	if s.Registers > 0 {
		add(roleRegisters, "", 1, s.Registers, d)
	}
	if s.PreNorm {
		layer(rolePre, true, d)
	}
	for i := range s.Layers {
		all = append(all, f.block(s, prefix, i)...)
	}
	layer(roleFinal, true, d)
	if s.Pooled {
		layer(rolePooler, true, d, d)
	}
	if s.Projected > 0 {
		layer(roleProject, false, s.Projected, d)
	}
	return all
}

// block returns the tensors of one block.
func (f family) block(s shape, prefix string, block int) []slot {
	var all []slot
	add := func(role, suffix string, dims ...int) {
		name := f.names[role]
		if s.SwiGLU {
			name = strings.NewReplacer("fc1", "weights_in", "fc2", "weights_out").Replace(name)
		}
		spec := safetensors.Spec{Name: prefix + fmt.Sprintf(name, block) + suffix, Shape: dims}
		all = append(all, slot{fmt.Sprintf(role, block) + suffix, spec})
	}
	layer := func(role string, bias bool, out int, in ...int) {
		add(role, ".weight", append([]int{out}, in...)...)
		if bias {
			add(role, ".bias", out)
		}
	}
	d, gated := s.Width, s.Hidden
	if s.SwiGLU {
		gated *= 2 // the gate, then what it gates
	}
	layer(roleNorm1, true, d)
	for _, role := range []string{roleQuery, roleKey, roleValue} {
		layer(role, s.QKVBias, d, d)
	}
	layer(roleOut, true, d, d)
	if s.Scaled {
		add(roleScale1, "", d)
	}
	layer(roleNorm2, true, d)
	layer(roleFC1, true, gated, d)
	layer(roleFC2, true, d, s.Hidden)
	if s.Scaled {
		add(roleScale2, "", d)
	}
	return all
}

// prefix finds out what the names of a file's tensors begin with.
func (f family) prefix(names []string) string {
	for _, prefix := range f.prefixes {
		if slices.Contains(names, prefix+f.names[rolePatch]+".weight") {
			return prefix
		}
	}
	return f.prefixes[0]
}

// isIgnored says whether a tensor plays no part in embedding.
func (f family) isIgnored(name string) bool {
	return slices.ContainsFunc(f.ignored, func(start string) bool { return strings.HasPrefix(name, start) })
}
