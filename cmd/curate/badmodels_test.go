package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/curate-data/curate/scoring/safetensors/safetensorstest"
)

// weightsHeader is the header of a safetensors file.
type weightsHeader map[string]struct {
	DType   string   `json:"dtype,omitempty"`
	Shape   []int    `json:"shape,omitempty"`
	Offsets [2]int64 `json:"data_offsets"`
}

// editWeights changes the header, the data, or both of a folder's weights.
func editWeights(edit func(header weightsHeader, data []byte)) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, "model.safetensors")
		raw := mustRead(t, path)
		length := binary.LittleEndian.Uint64(raw)
		header, data := weightsHeader{}, bytes.Clone(raw[8+length:])
		if err := json.Unmarshal(bytes.Replace(raw[8:8+length], []byte(`"__metadata__":{"format":"pt"},`), nil, 1), &header); err != nil {
			t.Fatal(err)
		}
		edit(header, data)
		text, err := json.Marshal(header)
		if err != nil {
			t.Fatal(err)
		}
		put(t, path, string(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))+string(text)+string(data))
	}
}

func removeFiles(t *testing.T, dir string, names ...string) {
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func linkTo(t *testing.T, target, path string) {
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func editConfig(t *testing.T, dir, old, new string) {
	path := filepath.Join(dir, "config.json")
	text := strings.Replace(string(mustRead(t, path)), old, new, 1)
	put(t, path, text)
	if !strings.Contains(text, new) {
		t.Fatalf("config.json has no %s:\n%s", old, text)
	}
}

// badModel is a damage and what is said of it.
type badModel struct {
	damage func(t *testing.T, dir string)
	want   []string
}

func badWeights() map[string]badModel {
	const norm, head = "model.transformer.blocks.0.attn_norm.weight", "model.transformer.ff_out.weight"
	return map[string]badModel{
		"truncated": {func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 20_000); err != nil {
				t.Fatal(err)
			}
		}, []string{"model.safetensors: truncated", "missing or cut: "}},
		"NaN": {editWeights(func(h weightsHeader, data []byte) {
			for _, name := range []string{norm, head} {
				binary.LittleEndian.PutUint32(data[h[name].Offsets[0]:], math.Float32bits(float32(math.NaN())))
			}
		}), []string{"tensor " + norm + " has 1 values that are NaN", "tensor " + head + " has 1 values that are NaN"}},
		"types": {editWeights(func(h weightsHeader, _ []byte) {
			for name, dtype := range map[string]string{norm: "F8_E4M3", head: "I8"} {
				e := h[name]
				e.DType = dtype
				h[name] = e
			}
		}), []string{"tensor " + norm + ` has type "F8_E4M3": want F32, BF16 or F16`, "tensor " + head + ` has type "I8"`, "quantised"}},
		"missing tensors": {editWeights(func(h weightsHeader, _ []byte) {
			h["a"], h["b"] = h[norm], h[head]
			delete(h, norm)
			delete(h, head)
		}), []string{norm + " is missing", head + " is missing", `tensor "a" has no place`, `tensor "b" has no place`}},
		"shapes": {func(t *testing.T, dir string) { editConfig(t, dir, `"mlp_hidden_size": 256`, `"mlp_hidden_size": 96`) },
			[]string{"blocks.0.ff_proj.weight has shape [256 64], config.json wants [96 64]", "blocks.1.ff_proj.weight has shape"}},
	}
}

func badFolders() map[string]badModel {
	return map[string]badModel{
		"no weights": {func(t *testing.T, dir string) { removeFiles(t, dir, "model.safetensors") }, []string{"the folder has no weights: model.safetensors is missing"}},
		"pickle": {func(t *testing.T, dir string) {
			removeFiles(t, dir, "model.safetensors")
			put(t, filepath.Join(dir, "pytorch_model.bin"), "PK")
		},
			[]string{"pytorch_model.bin, a pickle", "save_pretrained"}},
		"nothing but tokenizer.model": {func(t *testing.T, dir string) {
			removeFiles(t, dir, "model.safetensors", "tokenizer.json")
			put(t, filepath.Join(dir, "tokenizer.model"), "x")
		}, []string{"no weights", "tokenizer.json is missing, and tokenizer.model is not read", "AutoTokenizer"}},
		"nothing": {func(t *testing.T, dir string) {
			removeFiles(t, dir, "model.safetensors", "tokenizer.json", "config.json")
		},
			[]string{"config.json"}},
		"loops": {func(t *testing.T, dir string) {
			removeFiles(t, dir, "model.safetensors", "tokenizer.json")
			linkTo(t, "model.safetensors", filepath.Join(dir, "model.safetensors"))
			linkTo(t, "tokenizer.json", filepath.Join(dir, "tokenizer.json"))
		}, []string{"model.safetensors: too many levels of symbolic links", "tokenizer.json: too many levels"}},
		"link to nothing": {func(t *testing.T, dir string) {
			removeFiles(t, dir, "model.safetensors")
			linkTo(t, "../blobs/0a", filepath.Join(dir, "model.safetensors"))
		}, []string{"model.safetensors is a link to ../blobs/0a, which is missing"}},
		"files of an index": {func(t *testing.T, dir string) {
			safetensorstest.Split(t, dir, 3)
			removeFiles(t, dir, "model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors")
		}, []string{"model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors", "does not exist"}},
		"index that leads out": {func(t *testing.T, dir string) {
			safetensorstest.Split(t, dir, 1)
			path := filepath.Join(dir, "model.safetensors.index.json")
			put(t, path, strings.ReplaceAll(string(mustRead(t, path)), "model-00001", "../model-00001"))
		}, []string{`is in "../model-00001-of-00001.safetensors": want the name`}},
		"index of other tensors": {func(t *testing.T, dir string) {
			safetensorstest.Split(t, dir, 2)
			path := filepath.Join(dir, "model.safetensors.index.json")
			put(t, path, strings.Replace(string(mustRead(t, path)), "model.transformer.ff_out.weight\"", `other"`, 1))
		}, []string{"tensor other is in no file"}},
	}
}

// TestBadModels: folders that are no model, or not a whole one. All faults are
// named at once, by words, and nothing is written.
func TestBadModels(t *testing.T) {
	cases := badWeights()
	maps.Copy(cases, badFolders())
	good := randomModel(t, filepath.Join(t.TempDir(), "good"), 1)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir, out := filepath.Join(t.TempDir(), "model"), filepath.Join(t.TempDir(), "scores")
			if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			c.damage(t, dir)
			code, _, stderr := curate(t, "score", "--prior", good, "--conditional", dir, "--backend", "go", "--output", out, "../../configs/demo/heldout.parquet")
			if code != exitFailed {
				t.Errorf("exit %d, want %d", code, exitFailed)
			}
			for _, want := range append(c.want, dir) {
				if !strings.Contains(stderr, want) {
					t.Errorf("no %q in:\n%s", want, stderr)
				}
			}
			if strings.Contains(stderr, "goroutine") || fileExists(filepath.Join(out, manifestName)) {
				t.Errorf("a trace, or scores:\n%s", stderr)
			}
		})
	}
}
