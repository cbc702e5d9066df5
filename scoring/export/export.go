// Package export writes models as folders that Hugging Face's transformers
// loads: config.json, weights, tokenizer and, for hf_olmo, which transformers has
// no class for, the class itself, in plain PyTorch.
package export

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"

	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/safetensors"
)

// Options of an export.
type Options struct {
	DType string // of the weights: f32, bf16 or f16
}

// dtype is a type of weights: its names in safetensors and in config.json.
type dtype struct{ stored, torch string }

func (o Options) dtype() (dtype, error) {
	switch o.DType {
	case "f32":
		return dtype{"F32", "float32"}, nil
	case "bf16":
		return dtype{"BF16", "bfloat16"}, nil
	case "f16":
		return dtype{"F16", "float16"}, nil
	}
	return dtype{}, fmt.Errorf("type %q of the weights: want f32, bf16 or f16", o.DType)
}

// Validate names what is wrong.
func (o Options) Validate() error {
	_, err := o.dtype()
	return err
}

// ConfigName is the file that makes a folder a model; Write writes it last.
const ConfigName = safetensors.ConfigFile

// ownFamily is the family that transformers has no class for.
const ownFamily = "hf_olmo"

// NeedsClass says whether transformers has to be told to trust the class that comes with the folder.
func NeedsClass(c lm.Config) bool { return c.Family == ownFamily }

//go:embed python/*.py
var classes embed.FS

// classFiles are the files of the class of ownFamily.
var classFiles = []string{"configuration_olmo_colorfilter.py", "modeling_olmo_colorfilter.py"}

// Write writes the files of a model, each by one call of create, which stores
// what write writes under a name. tokenizerJSON is the model's tokenizer.json.
// The same model gives the same bytes.
func Write(m *lm.Model, tokenizerJSON []byte, o Options, create func(name string, write func(io.Writer) error) error) error {
	kind, err := o.dtype()
	if err != nil {
		return err
	}
	if err := m.Validate(); err != nil {
		return err
	}
	files := map[string]any{}
	if files["tokenizer_config.json"], err = tokenizerConfig(m.Config, tokenizerJSON); err != nil {
		return err
	}
	generation := map[string]any{"do_sample": false}
	for key, id := range map[string]int{"eos_token_id": m.Config.EOSTokenID, "pad_token_id": m.Config.PadTokenID()} {
		if id != lm.NoToken {
			generation[key] = id
		}
	}
	files["generation_config.json"] = generation
	put := func(name string, data []byte) error {
		return create(name, func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		})
	}
	putJSON := func(name string, value any) error {
		data, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		return put(name, append(data, '\n'))
	}
	if NeedsClass(m.Config) {
		for _, name := range classFiles {
			data, err := classes.ReadFile("python/" + name)
			if err != nil {
				return fmt.Errorf("read class: %w", err)
			}
			if err := put(name, data); err != nil {
				return err
			}
		}
	}
	if err := put("tokenizer.json", tokenizerJSON); err != nil {
		return err
	}
	for _, name := range []string{"tokenizer_config.json", "generation_config.json"} {
		if err := putJSON(name, files[name]); err != nil {
			return err
		}
	}
	err = create(safetensors.WeightsFile, func(w io.Writer) error { return safetensors.WriteAs(w, m.Params, kind.stored) })
	if err != nil {
		return err
	}
	return putJSON(ConfigName, config(m.Config, kind))
}

// config returns the keys of config.json: the model's, with the type of the
// weights and, where transformers needs it, the class to load.
func config(c lm.Config, kind dtype) map[string]any {
	keys := map[string]any{}
	for key, value := range c.Keys {
		keys[key] = value
	}
	delete(keys, "dtype") // its newer name
	keys["torch_dtype"] = kind.torch
	if NeedsClass(c) {
		keys["architectures"] = []string{"OlmoColorFilterForCausalLM"}
		keys["auto_map"] = map[string]string{
			"AutoConfig":           "configuration_olmo_colorfilter.OlmoColorFilterConfig",
			"AutoModelForCausalLM": "modeling_olmo_colorfilter.OlmoColorFilterForCausalLM",
		}
	}
	return keys
}

// tokenizerConfig names the special tokens, for AutoTokenizer: the generic class
// reads tokenizer.json as it stands.
func tokenizerConfig(c lm.Config, tokenizerJSON []byte) (map[string]any, error) {
	var file struct {
		Added []struct {
			ID      int    `json:"id"`
			Content string `json:"content"`
		} `json:"added_tokens"`
		Model struct {
			Vocab map[string]int `json:"vocab"`
		} `json:"model"`
	}
	if err := json.Unmarshal(tokenizerJSON, &file); err != nil {
		return nil, fmt.Errorf("read tokenizer.json: %w", err)
	}
	text := map[int]string{}
	for token, id := range file.Model.Vocab {
		text[id] = token
	}
	for _, token := range file.Added {
		text[token.ID] = token.Content
	}
	keys := map[string]any{
		"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": c.MaxSequenceLength, "clean_up_tokenization_spaces": false,
	}
	for key, id := range map[string]int{"eos_token": c.EOSTokenID, "pad_token": c.PadTokenID()} {
		if token, ok := text[id]; ok {
			keys[key] = token
		}
	}
	return keys, nil
}
