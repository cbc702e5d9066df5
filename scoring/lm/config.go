package lm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
)

// Config holds the keys of OLMo's ModelConfig that size the model. All other
// keys of a config.json are kept in Other, as they were read: Validate refuses
// those that would change the maths in a way that is not implemented here, and
// Save writes them back. Treat a Config as a value: its methods return copies.
type Config struct {
	ModelType         string  // model_type: hf_olmo
	DModel            int     // d_model: width d
	NumHeads          int     // n_heads
	NumLayers         int     // n_layers
	MLPRatio          int     // mlp_ratio: hidden width over d, unless MLPHidden is set
	MLPHidden         int     // mlp_hidden_size; 0 means null, MLPRatio * d
	RopeTheta         float64 // rope_theta
	LayerNormEps      float64 // layer_norm_eps
	MaxSequenceLength int     // max_sequence_length: the longest T
	VocabSize         int     // vocab_size: ids of the tokenizer
	EmbeddingSize     int     // embedding_size: rows of wte and of the head; the softmax runs over all; 0 means null, VocabSize
	EOSTokenID        int     // eos_token_id
	PadTokenID        int     // pad_token_id

	Other map[string]json.RawMessage // every other key of config.json
}

// wire is Config as JSON, with OLMo's own defaults where a key is absent.
type wire struct {
	ModelType         string  `json:"model_type"`
	DModel            int     `json:"d_model"`
	NumHeads          int     `json:"n_heads"`
	NumLayers         int     `json:"n_layers"`
	MLPRatio          int     `json:"mlp_ratio"`
	MLPHidden         *int    `json:"mlp_hidden_size"`
	RopeTheta         float64 `json:"rope_theta"`
	LayerNormEps      float64 `json:"layer_norm_eps"`
	MaxSequenceLength int     `json:"max_sequence_length"`
	VocabSize         int     `json:"vocab_size"`
	EmbeddingSize     *int    `json:"embedding_size"`
	EOSTokenID        int     `json:"eos_token_id"`
	PadTokenID        int     `json:"pad_token_id"`
}

// UnmarshalJSON reads a config.json. An absent key has the default of OLMo's
// ModelConfig, as when OLMo reads it.
func (c *Config) UnmarshalJSON(data []byte) error {
	embeddings := 50304
	w := wire{
		ModelType: "hf_olmo", DModel: 768, NumHeads: 12, NumLayers: 12, MLPRatio: 4, RopeTheta: 10000, LayerNormEps: 1e-5,
		MaxSequenceLength: 1024, VocabSize: 50257, EmbeddingSize: &embeddings, EOSTokenID: 50256, PadTokenID: 50256,
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("parse model config: %w", err)
	}
	other := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &other); err != nil {
		return fmt.Errorf("parse model config: %w", err)
	}
	for _, key := range wireKeys() {
		delete(other, key)
	}
	for key, raw := range other { // without the file's indentation
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			return fmt.Errorf("parse model config: %s: %w", key, err)
		}
		other[key] = compact.Bytes()
	}
	*c = Config{
		ModelType: w.ModelType, DModel: w.DModel, NumHeads: w.NumHeads, NumLayers: w.NumLayers, MLPRatio: w.MLPRatio, RopeTheta: w.RopeTheta,
		LayerNormEps: w.LayerNormEps, MaxSequenceLength: w.MaxSequenceLength, VocabSize: w.VocabSize,
		EOSTokenID: w.EOSTokenID, PadTokenID: w.PadTokenID, Other: other,
	}
	if w.MLPHidden != nil {
		c.MLPHidden = *w.MLPHidden
	}
	if w.EmbeddingSize != nil {
		c.EmbeddingSize = *w.EmbeddingSize
	}
	return nil
}

// MarshalJSON writes a config.json: all keys, sorted.
func (c Config) MarshalJSON() ([]byte, error) {
	w := wire{
		ModelType: c.ModelType, DModel: c.DModel, NumHeads: c.NumHeads, NumLayers: c.NumLayers, MLPRatio: c.MLPRatio, RopeTheta: c.RopeTheta,
		LayerNormEps: c.LayerNormEps, MaxSequenceLength: c.MaxSequenceLength, VocabSize: c.VocabSize,
		EOSTokenID: c.EOSTokenID, PadTokenID: c.PadTokenID,
	}
	if c.MLPHidden != 0 {
		w.MLPHidden = &c.MLPHidden
	}
	if c.EmbeddingSize != 0 {
		w.EmbeddingSize = &c.EmbeddingSize
	}
	sized, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("write model config: %w", err)
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(sized, &all); err != nil {
		return nil, fmt.Errorf("write model config: %w", err)
	}
	for key, value := range c.Other {
		if _, taken := all[key]; !taken {
			all[key] = value
		}
	}
	return json.Marshal(all)
}

func wireKeys() []string {
	var keys []string
	for field := range reflect.TypeFor[wire]().Fields() {
		keys = append(keys, field.Tag.Get("json"))
	}
	return keys
}

// fixed is a key of ModelConfig that decides the maths and for which one value
// is implemented; absent is OLMo's default, which holds when the key is absent.
type fixed struct {
	key          string
	want, absent any
}

// fixedKeys lists them as in the paper's configuration (configs/base.yaml).
func fixedKeys() []fixed {
	return []fixed{
		{"activation_type", "gelu", "swiglu"},
		{"block_type", "sequential", "sequential"},
		{"rope", true, false},
		{"alibi", false, false},
		{"attention_layer_norm", true, false},
		{"attention_layer_norm_with_affine", true, true},
		{"layer_norm_type", "default", "default"},
		{"layer_norm_with_affine", true, true},
		{"embedding_layer_norm", false, false},
		{"norm_after", false, false},
		{"include_bias", false, true},
		{"weight_tying", false, true},
		{"scale_logits", false, false},
		{"clip_qkv", nil, nil},
		{"attention_dropout", 0.0, 0.1},
		{"residual_dropout", 0.0, 0.1},
		{"embedding_dropout", 0.0, 0.1},
	}
}

// Validate lists every fault: sizes that make no model, and keys whose value
// would need maths that is not implemented.
func (c Config) Validate() error {
	faults := c.sizeFaults()
	for _, f := range fixedKeys() {
		if value := c.other(f.key, f.absent); !reflect.DeepEqual(value, f.want) {
			faults = append(faults, fmt.Errorf("%s = %s is not implemented, only %s", f.key, show(value), show(f.want)))
		}
	}
	// Two keys are inherited from others when they are null.
	if value := c.other("bias_for_layer_norm", nil); value != nil && value != false {
		faults = append(faults, fmt.Errorf("bias_for_layer_norm = %s is not implemented, only false", show(value)))
	}
	if value := c.other("n_kv_heads", nil); value != nil && value != float64(c.NumHeads) {
		faults = append(faults, fmt.Errorf("n_kv_heads = %s is not implemented, only n_heads = %d", show(value), c.NumHeads))
	}
	if value := c.other("multi_query_attention", nil); value != nil && value != false {
		faults = append(faults, fmt.Errorf("multi_query_attention = %s is not implemented, only false", show(value)))
	}
	if c.ModelType != "hf_olmo" {
		faults = append(faults, fmt.Errorf("model_type = %q is not implemented, only hf_olmo", c.ModelType))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("model config: %w", err)
	}
	return nil
}

// Limits keep products of sizes far from overflow; OLMo 7B is 4096 x 32.
const (
	maxWidth  = 1 << 17
	maxLayers = 1 << 10
	maxVocab  = 1 << 24
)

func (c Config) sizeFaults() []error {
	var faults []error
	within := func(key string, value, low, high int) {
		if value < low || value > high {
			faults = append(faults, fmt.Errorf("%s = %d: want %d to %d", key, value, low, high))
		}
	}
	within("d_model", c.DModel, 2, maxWidth)
	within("n_layers", c.NumLayers, 1, maxLayers)
	within("n_heads", c.NumHeads, 1, maxWidth)
	within("mlp_ratio", c.MLPRatio, 1, 1<<10)
	within("mlp_hidden_size", c.MLPHidden, 0, maxWidth<<3)
	within("max_sequence_length", c.MaxSequenceLength, 2, 1<<24)
	within("vocab_size", c.VocabSize, 1, maxVocab)
	within("embedding_size", c.EmbeddingSize, 0, maxVocab)
	if c.EmbeddingSize != 0 && c.EmbeddingSize < c.VocabSize {
		faults = append(faults, fmt.Errorf("embedding_size = %d is smaller than vocab_size = %d", c.EmbeddingSize, c.VocabSize))
	}
	if c.NumHeads > 0 && (c.DModel%c.NumHeads != 0 || c.DModel/c.NumHeads%2 != 0) {
		faults = append(faults, fmt.Errorf("n_heads = %d: want a number that divides d_model = %d into even parts, RoPE rotates pairs", c.NumHeads, c.DModel))
	}
	if !(c.RopeTheta > 0) || math.IsInf(c.RopeTheta, 0) {
		faults = append(faults, fmt.Errorf("rope_theta = %v: want a positive number", c.RopeTheta))
	}
	if !(c.LayerNormEps >= 0) || math.IsInf(c.LayerNormEps, 0) {
		faults = append(faults, fmt.Errorf("layer_norm_eps = %v: want a number of at least 0", c.LayerNormEps))
	}
	return faults
}

// other returns the value of a key of Other as encoding/json decodes it.
func (c Config) other(key string, absent any) any {
	raw, ok := c.Other[key]
	if !ok {
		return absent
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return string(raw)
	}
	return value
}

func show(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return string(bytes.TrimSpace(text.Bytes()))
}

// Hidden returns the width of the MLP.
func (c Config) Hidden() int {
	if c.MLPHidden != 0 {
		return c.MLPHidden
	}
	return c.MLPRatio * c.DModel
}

// Embeddings returns the rows of wte and of the head.
func (c Config) Embeddings() int {
	if c.EmbeddingSize != 0 {
		return c.EmbeddingSize
	}
	return c.VocabSize
}

// HeadDim returns the width of one attention head.
func (c Config) HeadDim() int { return c.DModel / c.NumHeads }

// with returns the configuration with one of the Other keys set.
func (c Config) with(key string, value any) (Config, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return c, fmt.Errorf("set model config key %s: %w", key, err)
	}
	other := maps.Clone(c.Other)
	if other == nil {
		other = map[string]json.RawMessage{}
	}
	other[key] = raw
	c.Other = other
	return c, nil
}

// maths is what decides the graph: models that share it share an executable.
type maths struct {
	d, heads, layers, hidden, embeddings int
	theta, eps                           float64
}

func (c Config) maths() maths {
	return maths{c.DModel, c.NumHeads, c.NumLayers, c.Hidden(), c.Embeddings(), c.RopeTheta, c.LayerNormEps}
}
