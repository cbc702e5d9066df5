package lm

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/scoring/safetensors"
	"github.com/curate-data/curate/scoring/safetensors/safetensorstest"
)

func nano(t *testing.T) *Model {
	t.Helper()
	config, err := Preset("olmo-nano", 100, 32)
	if err != nil {
		t.Fatal(err)
	}
	model, err := Init(config, 7)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

func TestSaveAndLoadKeepEveryBit(t *testing.T) {
	model := nano(t)
	// Numbers that a detour through text or another type would change.
	copy(model.Params[0].Data, []float32{math.SmallestNonzeroFloat32, float32(math.Copysign(0, -1)), math.MaxFloat32, 1 + 1.0/(1<<23)})
	dir := filepath.Join(t.TempDir(), "new", "model")
	for range 2 { // the second time over an existing folder
		if err := model.Save(dir, []byte(`{"version":"1.0"}`)); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Digest() != model.Digest() {
		t.Error("the digest changed")
	}
	for i, p := range model.Params {
		for j, v := range p.Data {
			if math.Float32bits(loaded.Params[i].Data[j]) != math.Float32bits(v) {
				t.Fatalf("%s[%d]: %v became %v", p.Name, j, v, loaded.Params[i].Data[j])
			}
		}
	}
	if diff := cmp.Diff(model.Config, loaded.Config); diff != "" {
		t.Error(diff)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 3 {
		t.Errorf("folder holds %v, want config.json, model.safetensors, tokenizer.json", names)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "tokenizer.json")); err != nil || string(raw) != `{"version":"1.0"}` {
		t.Errorf("tokenizer.json is %q, %v", raw, err)
	}
}

// The files of PyTorch's safetensors, written again, hold the same tensors, and
// config.json keeps keys that curate knows nothing of.
func TestPublishedFolderSurvives(t *testing.T) {
	model, _ := loadGolden(t, "testdata/olmo/heads16")
	model.Config.Keys["_a_key_of_2031"] = json.RawMessage(`{"x":[1,null]}`)
	dir := t.TempDir()
	if err := model.Save(dir, nil); err != nil {
		t.Fatal(err)
	}
	var before, after map[string]any
	readJSON(t, filepath.Join("testdata", "olmo", "heads16", "config.json"), &before)
	readJSON(t, filepath.Join(dir, "config.json"), &after)
	before["_a_key_of_2031"] = map[string]any{"x": []any{1.0, nil}}
	before["torch_dtype"] = "float32"
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	loaded, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Digest() != model.Digest() {
		t.Error("the digest changed")
	}
}

// Weights in several files are the weights in one.
func TestSeveralFiles(t *testing.T) {
	model, dir := nano(t), t.TempDir()
	if err := model.Save(dir, nil); err != nil {
		t.Fatal(err)
	}
	safetensorstest.Split(t, dir, 3)
	loaded, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Digest() != model.Digest() {
		t.Error("other weights")
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func TestDigestSeesEveryWeight(t *testing.T) {
	model := nano(t)
	before := model.Digest()
	last := model.Params[len(model.Params)-1].Data
	last[len(last)-1] = math.Nextafter32(last[len(last)-1], 2)
	if model.Digest() == before {
		t.Error("a changed last weight does not change the digest")
	}
	other := nano(t)
	other.Config.Rope.Theta++
	if other.Digest() == before {
		t.Error("another rope_theta does not change the digest")
	}
}

// Folders that are no model: the message must say what is wrong.
func TestBrokenFoldersAreNamed(t *testing.T) {
	rewrite := func(change func(m *Model)) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			m := nano(t)
			change(m)
			var file bytes.Buffer
			if err := safetensors.Write(&file, m.Params); err != nil {
				t.Fatal(err)
			}
			write(t, dir, "model.safetensors", file.Bytes())
		}
	}
	cases := map[string]struct {
		damage func(t *testing.T, dir string)
		want   []string
	}{
		"no weights": {remove("model.safetensors"), []string{"has no weights", "model.safetensors is missing"}},
		"unfinished": {remove("config.json"), []string{"unfinished", "config.json is missing"}},
		"several files": {func(t *testing.T, dir string) {
			remove("model.safetensors")(t, dir)
			write(t, dir, "model.safetensors.index.json", []byte("{}"))
		}, []string{"model.safetensors.index.json: weight_map is missing"}},
		"config not json": {func(t *testing.T, dir string) { write(t, dir, "config.json", []byte("{")) }, []string{"config.json"}},
		"config huge":     {func(t *testing.T, dir string) { write(t, dir, "config.json", make([]byte, 1<<20+1)) }, []string{"more than"}},
		"missing tensors": {rewrite(func(m *Model) { m.Params = m.Params[2 : len(m.Params)-1] }),
			[]string{"model.transformer.wte.weight is missing", "blocks.0.attn_norm.weight is missing", "model.transformer.ff_out.weight is missing"}},
		"unknown tensor": {rewrite(func(m *Model) {
			m.Params = append(m.Params, Param{Name: "model.transformer.blocks.0.att_proj.bias", Shape: []int{1}, Data: []float32{1}})
		}), []string{`"model.transformer.blocks.0.att_proj.bias" has no place`}},
		"shapes": {rewrite(func(m *Model) { m.Params[1].Shape = []int{8, 8}; m.Params[6].Shape = []int{64, 1} }),
			[]string{"blocks.0.attn_norm.weight has shape [8 8], config.json wants [64]", "blocks.0.ff_norm.weight has shape [64 1]"}},
		"not finite": {rewrite(func(m *Model) { m.Params[3].Data[5] = float32(math.NaN()); m.Params[4].Data[0] = float32(math.Inf(-1)) }),
			[]string{"k_norm.weight has 1 values that are NaN", "att_proj.weight has 1 values that are NaN"}},
		"truncated": {func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 100_000); err != nil {
				t.Fatal(err)
			}
		}, []string{"truncated", "ff_out.weight"}},
		"empty weights": {func(t *testing.T, dir string) { write(t, dir, "model.safetensors", nil) }, []string{"truncated"}},
		"weights not tensors": {func(t *testing.T, dir string) {
			write(t, dir, "model.safetensors", []byte("PK\x03\x04 some zip file, not tensors"))
		}, []string{"no safetensors file"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := nano(t).Save(dir, nil); err != nil {
				t.Fatal(err)
			}
			c.damage(t, dir)
			_, err := Load(dir)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range append(c.want, dir) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
		})
	}
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(name string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// A save that fails leaves no folder that loads as the new or the old model.
func TestFailedSaveLeavesAnUnfinishedFolder(t *testing.T) {
	dir := t.TempDir()
	if err := nano(t).Save(dir, nil); err != nil {
		t.Fatal(err)
	}
	// A folder in the way of the weights fails the rename.
	remove("model.safetensors")(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, "model.safetensors", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := nano(t).Save(dir, nil); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
		t.Error("config.json is there")
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
	bad := nano(t)
	bad.Params[2].Data[0] = float32(math.NaN())
	if err := bad.Save(t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "q_norm.weight") {
		t.Errorf("NaN weights were saved: %v", err)
	}
}
