package lm

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/scoring/safetensors"
)

// published returns a published config.json with keys changed; null removes one.
func published(t *testing.T, name string, changes map[string]string) (Config, error) {
	t.Helper()
	var all map[string]json.RawMessage
	readJSON(t, "testdata/published/"+name+".json", &all)
	for key, value := range changes {
		if all[key] = json.RawMessage(value); value == "" {
			delete(all, key)
		}
	}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var c Config
	return c, json.Unmarshal(raw, &c)
}

// What a key means, in the words of transformers: a change of config.json and
// what it changes of Config.
func TestKeysOfFamilies(t *testing.T) {
	scaling := func(kind string) map[string]string { return map[string]string{"rope_scaling": kind} }
	for _, c := range []struct {
		name    string
		changes map[string]string
		want    func(c *Config)
	}{
		// Keys of today in place of those of before.
		{"llama-3.2-1b", map[string]string{"torch_dtype": "", "dtype": `"bfloat16"`, "rope_theta": "", "rope_scaling": "",
			"rope_parameters": `{"factor":32.0,"high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":8192,"rope_theta":500000.0,"rope_type":"llama3"}`},
			func(c *Config) {}},
		{"pythia-160m", map[string]string{"rotary_pct": "", "rotary_emb_base": "", "rope_parameters": `{"rope_type":"default","rope_theta":10000,"partial_rotary_factor":0.25}`},
			func(c *Config) {}},
		{"qwen3-0.6b", map[string]string{"layer_types": `["` + strings.Repeat(`full_attention","`, 27) + `full_attention"]`}, func(c *Config) {}},
		// Absent keys.
		{"llama-3.2-1b", map[string]string{"num_key_value_heads": "", "head_dim": "", "rms_norm_eps": "", "tie_word_embeddings": "", "hidden_act": "", "eos_token_id": ""},
			func(c *Config) { c.KVHeads, c.NormEps, c.Tied, c.EOSTokenID = 32, 1e-6, false, 2 }},
		{"mistral-7b-v0.3", map[string]string{"num_key_value_heads": "", "sliding_window": "", "max_position_embeddings": "", "rope_theta": ""},
			func(c *Config) { c.Window, c.MaxSequenceLength, c.Rope.Theta = 4096, 131072, 10000 }},
		{"mistral-7b-v0.3", map[string]string{"num_key_value_heads": "null", "head_dim": "96"}, func(c *Config) { c.KVHeads, c.HeadDim, c.Rope.Dim = 32, 96, 96 }},
		{"qwen2.5-0.5b", map[string]string{"eos_token_id": "", "tie_word_embeddings": ""}, func(c *Config) { c.EOSTokenID, c.Tied = NoToken, false }},
		{"qwen3-0.6b", map[string]string{"head_dim": "", "num_key_value_heads": "16"}, func(c *Config) { c.KVHeads = 16 }},
		{"olmo-1b", map[string]string{"num_key_value_heads": "", "eos_token_id": "", "tie_word_embeddings": ""}, func(c *Config) { c.Tied = false }},
		{"olmo-2-0425-1b", map[string]string{"rms_norm_eps": "", "eos_token_id": ""}, func(c *Config) { c.NormEps, c.EOSTokenID = 1e-5, 50279 }},
		{"pythia-160m", map[string]string{"rotary_pct": "", "use_parallel_residual": "", "eos_token_id": "", "hidden_act": ""}, func(c *Config) { c.EOSTokenID = 2 }},
		{"gpt2", map[string]string{"n_positions": "", "n_ctx": "", "activation_function": "", "eos_token_id": "", "n_inner": "null"}, func(c *Config) {}},
		// Other values.
		{"gpt2", map[string]string{"n_inner": "100", "tie_word_embeddings": "false", "scale_attn_by_inverse_layer_idx": "true", "activation_function": `"gelu"`},
			func(c *Config) { c.Hidden, c.Tied, c.ByLayer, c.Activation = 100, false, true, GELU }},
		{"pythia-160m", map[string]string{"use_parallel_residual": "false", "attention_bias": "false", "rotary_pct": "1.0", "hidden_act": `"gelu_fast"`, "rope_theta": "10000.0", "partial_rotary_factor": "1"},
			func(c *Config) {
				c.Parallel, c.QKVBias, c.OutBias, c.Rope.Dim, c.Activation = false, false, false, 64, GELUTanh
			}},
		{"olmo-1b", map[string]string{"clip_qkv": "8.0", "attention_bias": "true"}, func(c *Config) { c.ClipQKV, c.QKVBias, c.OutBias = 8, true, true }},
		{"smollm2-135m", map[string]string{"attention_bias": "true", "mlp_bias": "true", "hidden_act": `"relu"`},
			func(c *Config) { c.QKVBias, c.OutBias, c.MLPBias, c.Activation = true, true, true, ReLU }},
		{"qwen2.5-0.5b", map[string]string{"use_sliding_window": "true", "max_window_layers": "21"}, func(c *Config) { c.Window, c.WindowFrom = 32768, 21 }},
		{"qwen2.5-0.5b", map[string]string{"use_sliding_window": "true"}, func(c *Config) {}}, // max_window_layers is the number of layers
		{"qwen2.5-0.5b", map[string]string{"use_sliding_window": "true", "sliding_window": "null", "max_window_layers": "0"}, func(c *Config) {}},
		// The end of a text.
		{"llama-3.2-1b", map[string]string{"eos_token_id": "[128001, 128008]", "pad_token_id": "null"}, func(c *Config) {}},
		{"llama-3.2-1b", map[string]string{"eos_token_id": "null"}, func(c *Config) { c.EOSTokenID = NoToken }},
		// Scaling of positions.
		{"tinyllama-1.1b", scaling(`{"type":"linear","factor":4.0}`), func(c *Config) { c.Rope.Kind, c.Rope.Factor = "linear", 4 }},
		{"tinyllama-1.1b", scaling(`{"type":"dynamic","factor":4.0}`), func(c *Config) {}},
		{"tinyllama-1.1b", scaling(`{"type":"linear","rope_type":"default"}`), func(c *Config) {}},
		{"tinyllama-1.1b", scaling(`{}`), func(c *Config) {}},
		{"qwen2.5-0.5b", scaling(`{"type":"yarn","factor":4.0,"original_max_position_embeddings":8192}`), func(c *Config) {
			c.Rope = Rope{Dim: 64, Theta: 1e6, Kind: "yarn", Factor: 4, Original: 8192, BetaFast: 32, BetaSlow: 1, Truncate: true, Attention: 1.138629436111989}
		}},
		{"qwen2.5-0.5b", scaling(`{"type":"yarn","factor":null,"original_max_position_embeddings":4096,"attention_factor":0.5,"beta_fast":20,"truncate":false}`),
			func(c *Config) {
				c.Rope = Rope{Dim: 64, Theta: 1e6, Kind: "yarn", Factor: 8, Original: 4096, BetaFast: 20, BetaSlow: 1, Attention: 0.5}
			}},
	} {
		want, err := published(t, c.name, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := published(t, c.name, c.changes)
		if err != nil {
			t.Errorf("%s with %v: %v", c.name, c.changes, err)
			continue
		}
		c.want(&want)
		want.Keys, got.Keys = nil, nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s with %v: %s", c.name, c.changes, diff)
		}
	}
}

// Each change would need other maths, or makes no model: the key is named.
func TestKeysThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, key, value string }{
		{"smollm2-135m", "hidden_act", `"quick_gelu"`}, {"smollm2-135m", "rope_interleaved", "true"}, {"smollm2-135m", "partial_rotary_factor", "0.5"},
		{"smollm2-135m", "num_attention_heads", "7"}, {"smollm2-135m", "num_key_value_heads", "2"}, {"smollm2-135m", "sliding_window", "4096"},
		{"smollm2-135m", "rope_scaling", `{"type":"longrope","short_factor":[1],"long_factor":[1],"factor":2.0}`}, {"smollm2-135m", "rope_scaling", `{"type":"linear"}`},
		{"smollm2-135m", "rope_scaling", `{"type":"linear","factor":-1}`}, {"smollm2-135m", "rope_scaling", `{"type":"linear","factor":2,"mrope_section":[1]}`},
		{"smollm2-135m", "rope_scaling", `{"type":"yarn"}`}, {"smollm2-135m", "rope_scaling", `"linear"`}, {"smollm2-135m", "rope_scaling", `{"type":"llama3","factor":2}`},
		{"smollm2-135m", "rope_scaling", `{"type":"llama3","factor":2,"low_freq_factor":4,"high_freq_factor":4,"original_max_position_embeddings":10}`},
		{"smollm2-135m", "rope_scaling", `{"full_attention":{"rope_type":"default"}}`}, {"smollm2-135m", "quantization_config", `{"quant_method":"gptq"}`},
		{"smollm2-135m", "is_encoder_decoder", "true"}, {"smollm2-135m", "num_local_experts", "8"}, {"smollm2-135m", "per_layer_config", `{"0":{}}`},
		{"smollm2-135m", "eos_token_id", `"</s>"`}, {"smollm2-135m", "pruned_heads", `{"1":[0]}`}, {"smollm2-135m", "head_dim", "63"},
		{"smollm2-135m", "vocab_size", "0"}, {"smollm2-135m", "attention_bias", `"yes"`},
		{"mistral-7b-v0.3", "layer_types", `["full_attention"]`}, {"mistral-7b-v0.3", "attention_bias", "true"},
		{"qwen2.5-0.5b", "use_mrope", "true"}, {"qwen2.5-0.5b", "layer_types", `["sliding_attention"]`}, {"qwen2.5-0.5b", "max_window_layers", "-1"},
		{"qwen3-0.6b", "layer_types", `["full_attention"]`}, {"qwen3-0.6b", "layer_types", `["chunked_attention"]`},
		{"olmo-1b", "rms_norm_eps", "1e-6"}, {"olmo-1b", "clip_qkv", "-8"}, {"olmo-2-0425-1b", "clip_qkv", "8"},
		{"pythia-160m", "rotary_pct", "0.05"}, {"pythia-160m", "rope_theta", "500"}, {"pythia-160m", "num_key_value_heads", "1"}, {"pythia-160m", "rotary_pct", "1.5"},
		{"gpt2", "scale_attn_weights", "false"}, {"gpt2", "add_cross_attention", "true"}, {"gpt2", "n_head", "7"}, {"gpt2", "hidden_size", "768"},
	} {
		_, err := published(t, c.name, map[string]string{c.key: c.value})
		if key := map[string]string{"rotary_pct": "rotary", "head_dim": "rotary", "num_key_value_heads": "key"}[c.key]; key != "" {
			c.key = key // what the fault calls it
		}
		if err == nil || !strings.Contains(err.Error(), c.key) {
			t.Errorf("%s: %s = %s: error does not name it: %v", c.name, c.key, c.value, err)
		}
	}
}

func TestLayersWithWindows(t *testing.T) {
	types := func(kinds ...string) string {
		for i := range kinds {
			kinds[i] = `"` + kinds[i] + `_attention"`
		}
		return "[" + strings.Join(kinds, ",") + "]"
	}
	for kinds, want := range map[string]string{
		types("full", "sliding", "sliding"): "", types("sliding", "sliding", "sliding"): "", types("full", "full", "full"): "",
		types("sliding", "full", "sliding"): "layer 1 after sliding_attention in layer 0", types("full", "sliding"): "has 2 layers", types("full", "full", "linear"): "linear_attention",
	} {
		c, err := published(t, "qwen2.5-0.5b", map[string]string{"num_hidden_layers": "3", "use_sliding_window": "true", "layer_types": kinds})
		if want == "" && err == nil {
			if from := strings.Count(kinds, "full"); c.WindowFrom != from%3 || (c.Window > 0) != (from < 3) {
				t.Errorf("%s: window %d from %d", kinds, c.Window, c.WindowFrom)
			}
		} else if want == "" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", kinds, err, want)
		}
	}
}

func TestEndOfText(t *testing.T) {
	for value, want := range map[string]string{"151643": "", "null": "no eos_token_id", "": "no eos_token_id", "[]": "no eos_token_id", "151936": "no row", "-2": "no row"} {
		c, err := published(t, "qwen2.5-0.5b", map[string]string{"eos_token_id": value})
		if err != nil {
			t.Fatal(err)
		}
		id, err := c.EndOfText()
		if want == "" && (err != nil || id != 151643) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("eos_token_id %s: %d, %v, want %q", value, id, err, want)
		}
	}
}

// A checkpoint that holds the head of a tied model, lacks the prefix, or has the
// head's other name is the same model.
func TestNamesOfCheckpoints(t *testing.T) {
	for folder, rename := range map[string]func(string) string{
		"qwen2":    func(name string) string { return strings.TrimPrefix(name, "model.") },
		"gpt_neox": func(name string) string { return strings.Replace(name, "embed_out", "lm_head", 1) },
		"gpt2":     func(name string) string { return name },
	} {
		model, _ := loadGolden(t, filepath.Join("testdata", "families", folder))
		dir := copyOf(t, model, func(params []Param) []Param {
			for i := range params {
				params[i].Name = rename(params[i].Name)
			}
			if model.Config.Tied {
				params = append(params, Param{Name: "lm_head.weight", Shape: params[0].Shape, Data: params[0].Data})
			}
			return params
		})
		loaded, err := Load(dir)
		if err != nil {
			t.Errorf("%s: %v", folder, err)
		} else if loaded.Digest() != model.Digest() {
			t.Errorf("%s: another model", folder)
		}
	}
	model, _ := loadGolden(t, filepath.Join("testdata", "families", "qwen2"))
	for want, head := range map[string]Param{
		"lm_head.weight differs from model.embed_tokens.weight": {Shape: model.Params[0].Shape, Data: make([]float32, len(model.Params[0].Data))},
		"lm_head.weight has shape [1]":                          {Shape: []int{1}, Data: []float32{1}},
	} {
		head.Name = "lm_head.weight"
		_, err := Load(copyOf(t, model, func(params []Param) []Param { return append(params, head) }))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// copyOf saves the model with its tensors changed.
func copyOf(t *testing.T, model *Model, change func([]Param) []Param) string {
	t.Helper()
	dir := t.TempDir()
	if err := model.Save(dir, nil); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := safetensors.Write(file, change(slices.Clone(model.Params))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Every family's folder, saved, is the same model, and config.json the same but
// for the type of weights; so it is in transformers, where
// CURATE_TRANSFORMERS_PYTHON names a Python that has it.
func TestFamiliesSurviveSaving(t *testing.T) {
	folders, err := filepath.Glob("testdata/families/*")
	if err != nil {
		t.Fatal(err)
	}
	saved := t.TempDir()
	for _, folder := range folders {
		model, _ := loadGolden(t, folder)
		dir := filepath.Join(saved, filepath.Base(folder))
		if err := model.Save(dir, nil); err != nil {
			t.Fatal(err)
		}
		loaded, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if loaded.Digest() != model.Digest() {
			t.Errorf("%s: another model", folder)
		}
		before, after := maps.Clone(model.Config.Keys), loaded.Config.Keys
		before["dtype"] = json.RawMessage(`"float32"`)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: %s", folder, diff)
		}
	}
	python := os.Getenv("CURATE_TRANSFORMERS_PYTHON")
	if python == "" {
		t.Skip("set CURATE_TRANSFORMERS_PYTHON to a Python with torch and transformers to load the folders there")
	}
	out, err := exec.Command(python, "../../scripts/golden/check_families.py", "testdata/families", saved).CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d folders are the same models", len(folders))) {
		t.Errorf("%v\n%s", err, out)
	}
}
