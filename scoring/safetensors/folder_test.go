package safetensors

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// goldenTensor is what transformers has in a tensor.
type goldenTensor struct {
	Shape  []int  `json:"shape"`
	SHA256 string `json:"sha256"` // of the values as float32
}

func golden(t *testing.T) map[string]map[string]goldenTensor {
	t.Helper()
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]goldenTensor
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func digestValues(values []float32) string {
	sum := sha256.New()
	for _, v := range values {
		sum.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// TestSeveralFilesHoldWhatTransformersWrote reads every tensor of folders with
// several files, of all three types, bit for bit.
func TestSeveralFilesHoldWhatTransformersWrote(t *testing.T) {
	for dtype, tensors := range golden(t) {
		var specs []Spec
		for name, tensor := range tensors {
			specs = append(specs, Spec{name, tensor.Shape})
		}
		slices.SortFunc(specs, func(a, b Spec) int { return strings.Compare(b.Name, a.Name) })
		err := InFolder(filepath.Join("testdata", dtype), func(file *File) error {
			if err := file.Match(specs, nil); err != nil {
				return err
			}
			all, err := file.ReadAll(specs)
			if err != nil {
				return err
			}
			at := 0
			err = file.ReadEach(specs, func(one Tensor) error {
				for _, tensor := range []Tensor{one, all[at]} {
					if tensor.Name != specs[at].Name || digestValues(tensor.Data) != tensors[tensor.Name].SHA256 {
						t.Errorf("%s: %s has other values", dtype, tensor.Name)
					}
				}
				at++
				return nil
			})
			if at != len(specs) {
				t.Errorf("%s: %d tensors of %d", dtype, at, len(specs))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// copyOf is a copy of a golden folder.
func copyOf(t *testing.T, dtype string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", dtype))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// editIndex changes the index of a folder.
func editIndex(t *testing.T, dir string, edit func(weights map[string]any)) {
	t.Helper()
	path := filepath.Join(dir, IndexFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var index map[string]any
	if err := json.Unmarshal(raw, &index); err != nil {
		t.Fatal(err)
	}
	edit(index["weight_map"].(map[string]any))
	if raw, err = json.Marshal(index); err != nil {
		t.Fatal(err)
	}
	write(t, path, raw)
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestBrokenFolders: what is wrong is said, all of it at once.
func TestBrokenFolders(t *testing.T) {
	first, second, third := "model-00001-of-00005.safetensors", "model-00002-of-00005.safetensors", "model-00003-of-00005.safetensors"
	norm, head := "model.norm.weight", "lm_head.weight"
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   []string
	}{
		"files missing": {func(t *testing.T, dir string) { remove(t, dir, first); remove(t, dir, third) },
			[]string{IndexFile, first + " is missing", third + " is missing"}},
		"one missing, one truncated": {func(t *testing.T, dir string) {
			remove(t, dir, first)
			if err := os.Truncate(filepath.Join(dir, second), 4000); err != nil {
				t.Fatal(err)
			}
		}, []string{first + " is missing", second + ": truncated"}},
		"tensor in no file, and in another": {func(t *testing.T, dir string) {
			editIndex(t, dir, func(w map[string]any) {
				w["model.layers.7.weight"] = first
				w[norm], w[head] = w[head], w[norm]
			})
		}, []string{"tensor model.layers.7.weight is in no file, the index has it in " + first, "tensor model.norm.weight is in model-0000"}},
		"tensor in two files": {func(t *testing.T, dir string) {
			raw, err := os.ReadFile(filepath.Join(dir, second))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "model-9.safetensors"), raw)
			editIndex(t, dir, func(w map[string]any) { w["extra"] = "model-9.safetensors" })
		}, []string{"is in two files, " + second + " and model-9.safetensors", "tensor extra is in no file"}},
		"paths that lead out": {func(t *testing.T, dir string) {
			editIndex(t, dir, func(w map[string]any) { w[norm], w[head] = "../m.safetensors", "/etc/m.safetensors" })
		}, []string{`tensor model.norm.weight is in "../m.safetensors": want the name`, `tensor lm_head.weight is in "/etc/m.safetensors"`}},
		"not names": {func(t *testing.T, dir string) {
			editIndex(t, dir, func(w map[string]any) { w[norm], w[head] = 7, "model.bin" })
		}, []string{"tensor model.norm.weight is in 7", `tensor lm_head.weight is in "model.bin"`}},
		"no weight_map":    {func(t *testing.T, dir string) { write(t, filepath.Join(dir, IndexFile), []byte(`{"metadata":{}}`)) }, []string{"weight_map is missing"}},
		"empty weight_map": {func(t *testing.T, dir string) { write(t, filepath.Join(dir, IndexFile), []byte(`{"weight_map":{}}`)) }, []string{"weight_map is empty"}},
		"weight_map twice named": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, IndexFile), []byte(`{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}`))
		}, []string{"tensor a is there twice, in x.safetensors and y.safetensors"}},
		"no JSON": {func(t *testing.T, dir string) { write(t, filepath.Join(dir, IndexFile), []byte(`{`)) }, []string{IndexFile}},
		"pickles": {func(t *testing.T, dir string) {
			remove(t, dir, IndexFile)
			write(t, filepath.Join(dir, "pytorch_model.bin"), nil)
		}, []string{"pytorch_model.bin", "save_pretrained"}},
		"no weights":     {func(t *testing.T, dir string) { remove(t, dir, IndexFile) }, []string{"has no weights", WeightsFile, IndexFile}},
		"a folder":       {func(t *testing.T, dir string) { mkdir(t, filepath.Join(dir, WeightsFile)) }, []string{WeightsFile + " is no regular file"}},
		"link in a loop": {func(t *testing.T, dir string) { link(t, WeightsFile, filepath.Join(dir, WeightsFile)) }, []string{WeightsFile, "too many levels of symbolic links"}},
		"link to nothing": {func(t *testing.T, dir string) { link(t, "../blobs/5f", filepath.Join(dir, WeightsFile)) },
			[]string{WeightsFile + " is a link to ../blobs/5f, which is missing"}},
		"part in a loop": {func(t *testing.T, dir string) { remove(t, dir, first); link(t, first, filepath.Join(dir, first)) }, []string{first, "too many levels"}},
		"part a link to nothing": {func(t *testing.T, dir string) { remove(t, dir, first); link(t, "nowhere", filepath.Join(dir, first)) },
			[]string{first + " is a link to nowhere, which is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyOf(t, "f32")
			c.damage(t, dir)
			err := InFolder(dir, func(*File) error { return nil })
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// TestConfigThatIsALinkToNothing names the link: a cache whose blob is gone.
func TestConfigThatIsALinkToNothing(t *testing.T) {
	dir := t.TempDir()
	link(t, "../../blobs/ab", filepath.Join(dir, ConfigFile))
	_, err := ReadConfig(dir, ConfigFile)
	if err == nil || !strings.Contains(err.Error(), "a link to ../../blobs/ab, which is missing") || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// TestValuesThatAreNotFinite are named together, and handed over before.
func TestValuesThatAreNotFinite(t *testing.T) {
	var raw bytes.Buffer
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	if err := Write(&raw, []Tensor{{"a", []int{2}, []float32{1, nan}}, {"b", []int{2}, []float32{1, 2}}, {"c", []int{1, 2}, []float32{inf, nan}}}); err != nil {
		t.Fatal(err)
	}
	file, err := Open(bytes.NewReader(raw.Bytes()), int64(raw.Len()))
	if err != nil {
		t.Fatal(err)
	}
	specs := []Spec{{"a", []int{2}}, {"b", []int{2}}, {"c", []int{1, 2}}}
	_, err = file.ReadAll(specs)
	n := 0
	for _, err := range []error{err, file.ReadEach(specs, func(Tensor) error { n++; return nil })} {
		if err == nil || err.Error() != "tensor a has 1 values that are NaN or infinite\ntensor c has 2 values that are NaN or infinite" {
			t.Errorf("error %v", err)
		}
	}
	stop := errors.New("stop")
	if err := file.ReadEach(specs, func(Tensor) error { return stop }); !errors.Is(err, stop) || n != 3 {
		t.Errorf("%d tensors; error %v", n, err)
	}
}

// TestReadEachHoldsOneTensor: 40 tensors of 1 MB take the memory of one.
func TestReadEachHoldsOneTensor(t *testing.T) {
	var raw bytes.Buffer
	var all []Tensor
	var specs []Spec
	data := make([]float32, 1<<18)
	for i := range 40 {
		name := string(rune('A' + i))
		all, specs = append(all, Tensor{name, []int{1 << 18}, data}), append(specs, Spec{name, []int{1 << 18}})
	}
	if err := Write(&raw, all); err != nil {
		t.Fatal(err)
	}
	file, err := Open(bytes.NewReader(raw.Bytes()), int64(raw.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := file.ReadEach(specs, func(Tensor) error { return nil }); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	// All that was allocated, dropped or not: a tensor, and a piece of the file's bytes.
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("%d MB were allocated", got>>20)
	}
}

// FuzzIndex wants no panic from any index, and no names that lead out of the folder.
func FuzzIndex(f *testing.F) {
	for _, seed := range []string{`{"weight_map":{"a":"x.safetensors"}}`, `{"weight_map":{"a":"../x.safetensors","b":3}}`, `{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}`,
		`{"weight_map":[]}`, `{"weight_map":null}`, `{"metadata":{"total_size":1e400},"weight_map":{"a":"a\\b.safetensors"}}`, `[{}]`, `{} {}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		index, err := ParseIndex([]byte(raw))
		if err != nil {
			return
		}
		for _, name := range index.Files {
			if filepath.Base(name) != name || !fs.ValidPath(name) || !strings.HasSuffix(name, ".safetensors") {
				t.Errorf("%q has the file %q", raw, name)
			}
		}
		if _, err := index.Join(nil); err != nil {
			t.Errorf("%q: no files, but %v", raw, err)
		}
	})
}
