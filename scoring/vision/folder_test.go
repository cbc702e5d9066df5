package vision

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/safetensors"
	"github.com/curate-data/curate/scoring/safetensors/safetensorstest"
)

// copyOf copies a case's folder, to be damaged.
func copyOf(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []string{configFile, weightsFile, "preprocessor_config.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", name, file))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, file, data)
	}
	return dir
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// change rewrites keys of a JSON file; nil removes one.
func change(t *testing.T, path string, keys map[string]any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for key, value := range keys {
		if all[key] = value; value == nil {
			delete(all, key)
		}
	}
	if data, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// rewrite writes a case's tensors again, changed.
func rewrite(edit func(all []safetensors.Tensor) []safetensors.Tensor) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		data, err := os.ReadFile(filepath.Join(dir, weightsFile))
		if err != nil {
			t.Fatal(err)
		}
		config, err := os.ReadFile(filepath.Join(dir, configFile))
		if err != nil {
			t.Fatal(err)
		}
		s, f, err := parseConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := safetensors.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		w, err := readWeights(opened, s, f)
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if err := safetensors.Write(&file, edit(w.params)); err != nil {
			t.Fatal(err)
		}
		write(t, dir, weightsFile, file.Bytes())
	}
}

func keysOf(keys map[string]any) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) { change(t, filepath.Join(dir, configFile), keys) }
}

// Weights in several files are the weights in one.
func TestSeveralFiles(t *testing.T) {
	dir := copyOf(t, "dinov2")
	one, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	safetensorstest.Split(t, dir, 3)
	several, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if one.digest() != several.digest() {
		t.Error("other weights")
	}
}

// Folders that are no encoder: the message must say all that is wrong.
func TestBrokenFoldersAreNamed(t *testing.T) {
	remove := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	cases := map[string]struct {
		damage func(t *testing.T, dir string)
		want   []string
	}{
		"no weights":   {remove(weightsFile), []string{"has no weights", "model.safetensors is missing"}},
		"unfinished":   {remove(configFile), []string{"unfinished", "config.json is missing"}},
		"no processor": {remove("preprocessor_config.json"), []string{"preprocessor_config.json is missing"}},
		"several files": {func(t *testing.T, dir string) {
			remove(weightsFile)(t, dir)
			write(t, dir, "model.safetensors.index.json", []byte("{}"))
		}, []string{"model.safetensors.index.json: weight_map is missing"}},
		"config not json":  {func(t *testing.T, dir string) { write(t, dir, configFile, []byte("{")) }, []string{"config.json"}},
		"config huge":      {func(t *testing.T, dir string) { write(t, dir, configFile, make([]byte, 1<<20+1)) }, []string{"more than"}},
		"missing tensors":  {rewrite(func(all []safetensors.Tensor) []safetensors.Tensor { return all[3:] }), []string{"embeddings.cls_token is missing", "embeddings.position_embeddings is missing", "projection.weight is missing"}},
		"a layer too many": {keysOf(map[string]any{"num_hidden_layers": 1}), []string{`"encoder.layer.1.norm1.weight" has no place`}},
		"a layer too few":  {keysOf(map[string]any{"num_hidden_layers": 3}), []string{"encoder.layer.2.norm1.weight is missing", "encoder.layer.2.mlp.fc2.bias is missing"}},
		"another size":     {keysOf(map[string]any{"image_size": 48}), []string{"position_embeddings has shape [1 26 32], config.json wants [1 37 32]"}},
		"swiglu":           {keysOf(map[string]any{"use_swiglu_ffn": true}), []string{"mlp.weights_in.weight is missing", `mlp.fc1.weight" has no place`}},
		"not finite": {rewrite(func(all []safetensors.Tensor) []safetensors.Tensor {
			all[0].Data[1], all[5].Data[0] = float32(math.NaN()), float32(math.Inf(1))
			return all
		}), []string{"cls_token has 1 values that are NaN", "encoder.layer.0.norm1.bias has 1 values"}},
		"truncated": {func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, weightsFile), 50_000); err != nil {
				t.Fatal(err)
			}
		}, []string{"truncated"}},
		"empty weights":      {func(t *testing.T, dir string) { write(t, dir, weightsFile, nil) }, []string{"truncated"}},
		"another family":     {keysOf(map[string]any{"model_type": "swin"}), []string{`"swin", only vit, dinov2`}},
		"keys":               {keysOf(map[string]any{"hidden_act": "mish", "num_channels": 4, "num_attention_heads": 5, "layer_norm_eps": -1}), []string{`hidden_act = "mish"`, "num_channels = 4", "num_attention_heads = 5", "layer_norm_eps = -1"}},
		"not square":         {keysOf(map[string]any{"image_size": []int{40, 32}}), []string{"[40,32] is not implemented, only squares"}},
		"not a number":       {keysOf(map[string]any{"hidden_size": "wide"}), []string{"hidden_size"}},
		"no width":           {keysOf(map[string]any{"hidden_size": 0}), []string{"hidden_size = 0: want 1"}},
		"heads of their own": {keysOf(map[string]any{"head_dim": 3}), []string{"head_dim = 3"}},
		"a patch too large":  {keysOf(map[string]any{"patch_size": 41}), []string{"image_size = 40: want 41"}},
	}
	be := openBackend(t, backend.Go)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := copyOf(t, "dinov2")
			c.damage(t, dir)
			_, err := Open(be, dir, Options{})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range append(c.want, dir) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
			if errors.Is(err, ErrModelType) != (name == "another family") {
				t.Errorf("ErrModelType: %v", err)
			}
		})
	}
}

// Keys that only matter where there is a pooler or a part for vision.
func TestKeysOfFamiliesAreChecked(t *testing.T) {
	be := openBackend(t, backend.Go)
	for _, c := range []struct {
		folder string
		keys   map[string]any
		want   string
	}{
		{"vit", map[string]any{"pooler_act": "relu"}, `pooler_act = "relu"`},
		{"vit", map[string]any{"pooler_output_size": 16}, "pooler_output_size = 16"},
		{"clip_half", map[string]any{"vision_config": nil}, "vision_config is missing"},
		{"clip_half", map[string]any{"vision_config": map[string]any{"hidden_size": "x"}}, "vision_config: "},
		{"clip_half", map[string]any{"projection_dim": 21}, "visual_projection.weight has shape [20 32], config.json wants [21 32]"},
		{"clip_half", map[string]any{"vision_config_dict": map[string]any{"hidden_size": 48}}, "config.json wants [48]"}, // wins, with defaults for the rest
		{"dinov2_registers", map[string]any{"num_register_tokens": 4}, "register_tokens has shape [1 3 32]"},
	} {
		dir := copyOf(t, c.folder)
		change(t, filepath.Join(dir, configFile), c.keys)
		if _, err := Open(be, dir, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %v: %v, want %q", c.folder, c.keys, err, c.want)
		}
	}
	// A list of one or two equal numbers is a square.
	dir := copyOf(t, "vit")
	change(t, filepath.Join(dir, configFile), map[string]any{"image_size": []int{32, 32}, "patch_size": []int{8}})
	open(t, be, dir, Options{})
}

func FuzzConfig(f *testing.F) {
	for _, name := range goldenCases() {
		data, err := os.ReadFile(filepath.Join("testdata", name, configFile))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, family, err := parseConfig(data)
		if err != nil || s.Layers > 50 {
			return
		}
		for _, slot := range family.slots(s, "") {
			if slot.spec.Size() < 1 || strings.Contains(slot.role+slot.spec.Name, "%") {
				t.Errorf("%+v: tensor %+v", s, slot)
			}
		}
	})
}
