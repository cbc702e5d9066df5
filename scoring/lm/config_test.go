package lm

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// Each changed key would need other maths, and must be named.
func TestUnimplementedConfigsAreNamed(t *testing.T) {
	for key, value := range map[string]string{
		"activation_type": `"swiglu"`, "block_type": `"parallel"`, "rope": `false`, "alibi": `true`, "attention_layer_norm": `false`,
		"attention_layer_norm_with_affine": `false`, "layer_norm_type": `"rms"`, "layer_norm_with_affine": `false`,
		"embedding_layer_norm": `true`, "norm_after": `true`, "include_bias": `true`, "bias_for_layer_norm": `true`, "weight_tying": `true`,
		"scale_logits": `true`, "clip_qkv": `8.0`, "n_kv_heads": `1`, "multi_query_attention": `true`,
		"model_type": `"bert"`, "unheard_of": `[1,2]`, "quantization_config": `{"bits":4}`, "is_encoder_decoder": `true`,
		"d_model": `63`, "n_heads": `5`, "n_layers": `0`, "mlp_ratio": `-1`, "mlp_hidden_size": `-4`, "vocab_size": `1000000000`,
		"embedding_size": `10`, "rope_theta": `0`, "layer_norm_eps": `-1`, "max_sequence_length": `1`,
	} {
		c, err := changed(t, key, value)
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s = %s: error does not name it: %v", key, value, err)
		}
	}
}

// changed returns the nano configuration read from JSON with one key changed.
func changed(t *testing.T, key, value string) (Config, error) {
	t.Helper()
	raw, err := json.Marshal(nano(t).Config)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if value == "" {
		delete(all, key)
	} else {
		all[key] = json.RawMessage(value)
	}
	raw, err = json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var c Config
	return c, json.Unmarshal(raw, &c)
}

func TestHarmlessConfigsPass(t *testing.T) {
	for key, value := range map[string]string{
		"flash_attention": `true`, "rope_full_precision": `false`, "init_fn": `"normal"`, "n_kv_heads": `2`,
		"bias_for_layer_norm": `null`, "mlp_hidden_size": `null`, "embedding_size": `null`, "unheard_of": `null`, "_unheard_of": `[1,2]`, "precision": `"amp_bf16"`,
		"attention_dropout": `0.1`, "residual_dropout": `0.1`, "embedding_dropout": `0.1`,
	} {
		raw, err := json.Marshal(nano(t).Config)
		if err != nil {
			t.Fatal(err)
		}
		var c Config
		if err := json.Unmarshal(append(raw[:len(raw)-1], `,"`+key+`":`+value+`}`...), &c); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s = %s: %v", key, value, err)
		}
	}
}

// An absent key has OLMo's own default, and those are not the paper's.
func TestAbsentKeysHaveOLMosDefaults(t *testing.T) {
	var c Config
	if err := json.Unmarshal([]byte(`{"model_type": "hf_olmo", "activation_type": "gelu", "rope": true, "include_bias": false, "weight_tying": false,
		"attention_layer_norm": true}`), &c); err != nil {
		t.Fatal(err)
	}
	if c.Width != 768 || c.Heads != 12 || c.Hidden != 4*768 || c.VocabSize != 50257 || c.Embeddings != 50304 {
		t.Errorf("defaults are %+v", c)
	}
	err := json.Unmarshal([]byte(`{"model_type": "hf_olmo"}`), &c)
	for _, key := range []string{"activation_type", "rope", "include_bias", "weight_tying", "attention_layer_norm"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("defaults are not refused for %s: %v", key, err)
		}
	}
}

func TestPaperPreset(t *testing.T) {
	c, err := Preset("olmo-150m", 50280, 512)
	if err != nil {
		t.Fatal(err)
	}
	// colorfilter base.yaml: 151.0 M without, 254.07 M with two 50304-row matrices.
	if c.Embeddings != 50304 || c.HeadDim != 64 || math.Abs(float64(c.NumParams())/1e6-254.07) > 0.01 {
		t.Errorf("%d embeddings, head width %d, %d parameters", c.Embeddings, c.HeadDim, c.NumParams())
	}
	for _, name := range PresetNames() {
		if _, err := Preset(name, 4096, 256); err != nil {
			t.Error(err)
		}
	}
	if _, err := Preset("olmo-7b", 4096, 256); err == nil || !strings.Contains(err.Error(), "olmo-tiny") {
		t.Errorf("unknown preset: %v", err)
	}
	if _, err := Preset("olmo-nano", 0, 256); err == nil {
		t.Error("a vocabulary of 0 passes")
	}
}

// TestInitIsMitchell checks deviations and cut against the formulas: a normal
// cut at 3 sigma has 0.9866 of sigma.
func TestInitIsMitchell(t *testing.T) {
	c, err := Preset("olmo-tiny", 4096, 256)
	if err != nil {
		t.Fatal(err)
	}
	model, err := Init(c, 3)
	if err != nil {
		t.Fatal(err)
	}
	width := 1 / math.Sqrt(192)
	sigmas := map[string]float64{
		"wte": width, "blocks.0.att_proj": width, "blocks.3.ff_proj": width, "blocks.0.attn_out": width / math.Sqrt2,
		"blocks.3.attn_out": width / math.Sqrt(8), "blocks.0.ff_out": 1 / math.Sqrt(2*768), "blocks.3.ff_out": 1 / math.Sqrt(8*768),
		"ff_out": width, "blocks.2.q_norm": 0, "ln_f": 0,
	}
	for i, p := range model.Params {
		name := strings.TrimSuffix(strings.TrimPrefix(p.Name, "model.transformer."), ".weight")
		sigma, ok := sigmas[name]
		if !ok {
			continue
		}
		if sigma == 0 {
			if p.Data[0] != 1 || p.Data[len(p.Data)-1] != 1 {
				t.Errorf("%s is not ones", p.Name)
			}
			continue
		}
		deviation, top := l2(p.Data)/math.Sqrt(float64(len(p.Data))), 0.0
		for _, v := range p.Data {
			top = max(top, math.Abs(float64(v)))
		}
		if math.Abs(deviation/sigma-0.9866) > 0.015 || top > 3.0001*sigma || top < 2.8*sigma {
			t.Errorf("%s (tensor %d): deviation %.4f sigma, largest %.3f sigma", p.Name, i, deviation/sigma, top/sigma)
		}
		delete(sigmas, name)
	}
	same, err := Init(c, 3)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Init(c, 4)
	if err != nil {
		t.Fatal(err)
	}
	if same.Digest() != model.Digest() || other.Digest() == model.Digest() {
		t.Error("the seed does not decide the weights")
	}
}
