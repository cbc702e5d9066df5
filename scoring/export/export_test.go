package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/scoring/lm"
)

// exported writes a model into a folder and returns the names in their order.
func exported(t *testing.T, m *lm.Model, dtype, dir string) []string {
	t.Helper()
	tokenizer, err := os.ReadFile("../../configs/demo/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	err = Write(m, tokenizer, Options{DType: dtype}, func(name string, write func(io.Writer) error) error {
		names = append(names, name)
		return lm.WriteFile(filepath.Join(dir, name), write)
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func nano(t *testing.T) *lm.Model {
	t.Helper()
	config, err := lm.Preset("olmo-nano", 4096, 64)
	if err != nil {
		t.Fatal(err)
	}
	m, err := lm.Init(config, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func readJSON(t *testing.T, path string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(raw, &keys); err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestExportLoadsBack: the folder is one of curate's as well, with the same
// weights, or those rounded to the type asked for.
func TestExportLoadsBack(t *testing.T) {
	m := nano(t)
	for dtype, bits := range map[string]float64{"f32": 60, "bf16": 8, "f16": 11} {
		dir := t.TempDir()
		names := exported(t, m, dtype, dir)
		if names[len(names)-1] != ConfigName {
			t.Errorf("files in the order %v: want config.json last", names)
		}
		back, err := lm.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if dtype == "f32" && back.Digest() != m.Digest() {
			t.Error("the model that loads back is another one")
		}
		worst := 0.0
		for i, p := range m.Params {
			for j, v := range p.Data {
				if math.Abs(float64(v)) > 1e-4 { // below it F16 has fewer bits
					worst = max(worst, math.Abs(float64(back.Params[i].Data[j])/float64(v)-1))
				}
			}
		}
		if !(worst <= math.Exp2(-bits)) {
			t.Errorf("%s: weights differ by up to %.3g of theirs, want at most 2^-%v", dtype, worst, bits)
		}
		if dtype != "f32" && worst < math.Exp2(-bits-1) {
			t.Errorf("%s: weights were not rounded", dtype)
		}
	}
}

// TestExportFiles checks what transformers goes by.
func TestExportFiles(t *testing.T) {
	m, dir := nano(t), t.TempDir()
	names := exported(t, m, "bf16", dir)
	config := readJSON(t, filepath.Join(dir, "config.json"))
	classes, _ := config["auto_map"].(map[string]any)
	for _, key := range []string{"AutoConfig", "AutoModelForCausalLM"} {
		module, class, _ := strings.Cut(classes[key].(string), ".")
		source, err := os.ReadFile(filepath.Join(dir, module+".py"))
		if err != nil || !bytes.Contains(source, []byte("class "+class+"(")) {
			t.Errorf("%s is %v, which no file of the folder defines (%v)", key, classes[key], err)
		}
	}
	if config["torch_dtype"] != "bfloat16" || config["model_type"] != "hf_olmo" || config["embedding_size"] != 4096.0 {
		t.Errorf("config.json has %v", config)
	}
	tokenizer := readJSON(t, filepath.Join(dir, "tokenizer_config.json"))
	want := map[string]any{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64.0, "clean_up_tokenization_spaces": false,
		"eos_token": "<|endoftext|>", "pad_token": tokenizer["pad_token"]}
	if !maps.Equal(tokenizer, want) || tokenizer["pad_token"] == "" {
		t.Errorf("tokenizer_config.json is %v", tokenizer)
	}
	if !slices.Contains(names, "generation_config.json") || !slices.Contains(names, "tokenizer.json") {
		t.Errorf("files %v", names)
	}
}

func TestExportRefuses(t *testing.T) {
	never := func(string, func(io.Writer) error) error { return errors.New("written") }
	if err := Write(nano(t), []byte("{}"), Options{DType: "f8"}, never); err == nil || !strings.Contains(err.Error(), "want f32, bf16 or f16") {
		t.Errorf("type f8: %v", err)
	}
	if err := Write(nano(t), []byte("{"), Options{DType: "f32"}, never); err == nil || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Errorf("half a tokenizer: %v", err)
	}
	m := nano(t)
	m.Params[0].Data[7] = 70000
	err := Write(m, []byte("{}"), Options{DType: "f16"}, func(_ string, write func(io.Writer) error) error { return write(io.Discard) })
	if err == nil || !strings.Contains(err.Error(), "70000 is beyond F16") {
		t.Errorf("a weight of 70000 as f16: %v", err)
	}
}
