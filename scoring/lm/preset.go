package lm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// preset is the shape of a named model.
type preset struct {
	name                     string
	d, heads, layers, hidden int
}

// presets returns the named shapes, small to large. olmo-150m is the paper's
// (table 8); the others keep its head width near 64 and its MLP ratio of 4.
// Parameters without the two vocabulary matrices are in the comment.
func presets() []preset {
	return []preset{
		{"olmo-nano", 64, 2, 2, 256},      // 0.1 M: for the pure-Go backend and tests
		{"olmo-tiny", 192, 4, 4, 768},     // 1.8 M: trains in a minute or two on two cores
		{"olmo-20m", 384, 6, 10, 1536},    // 17.7 M
		{"olmo-60m", 640, 10, 12, 2560},   // 59 M
		{"olmo-150m", 1024, 16, 12, 4096}, // 151 M: the paper's auxiliary model
	}
}

// PresetNames returns the names that Preset takes, small to large.
func PresetNames() []string {
	var names []string
	for _, p := range presets() {
		names = append(names, p.name)
	}
	return names
}

// Preset returns a named configuration with the paper's settings, for a
// tokenizer of vocabSize ids and sequences of at most sequenceLength tokens.
// The vocabulary matrices get the next multiple of 128 rows, as in OLMo. Ids 0
// and 1 end a text and pad, as in the paper; set them where a tokenizer differs.
func Preset(name string, vocabSize, sequenceLength int) (Config, error) {
	i := slices.IndexFunc(presets(), func(p preset) bool { return p.name == name })
	if i < 0 {
		return Config{}, fmt.Errorf("model preset %q: want one of %s", name, strings.Join(PresetNames(), ", "))
	}
	p := presets()[i]
	keys := paperKeys()
	for key, value := range map[string]int{
		"d_model": p.d, "n_heads": p.heads, "n_layers": p.layers, "mlp_ratio": 4, "mlp_hidden_size": p.hidden,
		"max_sequence_length": sequenceLength, "vocab_size": vocabSize, "embedding_size": (vocabSize + 127) / 128 * 128,
		"eos_token_id": 0, "pad_token_id": 1,
	} {
		keys[key] = json.RawMessage(strconv.Itoa(value))
	}
	c, err := readConfig(keys)
	if err != nil {
		return Config{}, fmt.Errorf("model preset %s: %w", name, err)
	}
	return c, nil
}

// paperKeys returns the keys of config.json that are the same in all presets:
// the paper's configuration (configs/base.yaml) and what transformers needs.
func paperKeys() map[string]json.RawMessage {
	keys := map[string]json.RawMessage{}
	for key, text := range map[string]string{
		"model_type": `"hf_olmo"`, "rope_theta": `10000`, "layer_norm_eps": `1e-5`, "architectures": `["OLMoForCausalLM"]`, "torch_dtype": `"float32"`, "use_cache": `false`,
		"activation_type": `"gelu"`, "block_type": `"sequential"`, "block_group_size": `1`,
		"rope": `true`, "rope_full_precision": `true`, "alibi": `false`, "alibi_bias_max": `8.0`,
		"flash_attention": `false`, "attention_layer_norm": `true`, "attention_layer_norm_with_affine": `true`,
		"attention_dropout": `0.0`, "residual_dropout": `0.0`, "embedding_dropout": `0.0`,
		"layer_norm_type": `"default"`, "layer_norm_with_affine": `true`, "embedding_layer_norm": `false`, "norm_after": `false`,
		"bias_for_layer_norm": `false`, "include_bias": `false`, "scale_logits": `false`, "weight_tying": `false`,
		"clip_qkv": `null`, "n_kv_heads": `null`, "multi_query_attention": `null`,
		"init_device": `"cpu"`, "init_fn": `"mitchell"`, "init_std": `0.02`, "init_cutoff_factor": `null`, "precision": `null`,
		"scale_emb_init": `false`, "emb_init_std": `null`,
	} {
		keys[key] = json.RawMessage(text)
	}
	return keys
}
