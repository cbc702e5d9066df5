package sam2

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/safetensors"
)

// folder is a model folder that a test spoils.
type folder struct {
	config, processor map[string]any
	tensors           []safetensors.Tensor
	dir               string
}

func openFolder(t *testing.T, name string) *folder {
	t.Helper()
	f := &folder{dir: t.TempDir(), config: map[string]any{}, processor: map[string]any{}}
	source := filepath.Join("testdata", name)
	for file, into := range map[string]*map[string]any{configFile: &f.config, "preprocessor_config.json": &f.processor} {
		raw, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	c, err := readFolder(source)
	if err != nil {
		t.Fatal(err)
	}
	f.tensors = slices.Concat(c.image, c.object)
	return f
}

func (f *folder) save(t *testing.T) {
	t.Helper()
	for file, value := range map[string]any{configFile: f.config, "preprocessor_config.json": f.processor} {
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		f.write(t, file, raw)
	}
	var weights bytes.Buffer
	if err := safetensors.Write(&weights, f.tensors); err != nil {
		t.Fatal(err)
	}
	f.write(t, weightsFile, weights.Bytes())
}

func (f *folder) write(t *testing.T, file string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, file), raw, 0o666); err != nil {
		t.Fatal(err)
	}
}

// part returns a dictionary of config.json.
func (f *folder) part(keys ...string) map[string]any {
	at := f.config
	for _, key := range keys {
		at = at[key].(map[string]any)
	}
	return at
}

func (f *folder) tensor(t *testing.T, name string) *safetensors.Tensor {
	t.Helper()
	i := slices.IndexFunc(f.tensors, func(x safetensors.Tensor) bool { return x.Name == name })
	if i < 0 {
		t.Fatalf("no tensor %s", name)
	}
	return &f.tensors[i]
}

func (f *folder) drop(name string) {
	f.tensors = slices.DeleteFunc(f.tensors, func(x safetensors.Tensor) bool { return x.Name == name })
}

func TestLoadRefusesSpoiltFolders(t *testing.T) {
	be := openBackend(t, backend.Go)
	for name, c := range map[string]struct {
		spoil func(f *folder)
		want  []string
	}{
		"missing tensors": {func(f *folder) { f.drop("object_pointer_proj.proj_in.bias"); f.drop(noMemoryName) },
			[]string{"object_pointer_proj.proj_in.bias is missing", "no_memory_embedding is missing"}},
		"shape": {func(f *folder) { f.tensor(t, "mask_decoder.iou_token.weight").Shape = []int{32, 1} },
			[]string{"mask_decoder.iou_token.weight has shape [32 1], config.json wants [1 32]"}},
		"unknown tensor": {func(f *folder) { f.tensor(t, "mask_decoder.iou_token.weight").Name = "mask_decoder.other" },
			[]string{`"mask_decoder.other" has no place`, "iou_token.weight is missing"}},
		"not finite": {func(f *folder) { f.tensor(t, "vision_encoder.neck.convs.1.bias").Data[3] = float32(math.NaN()) },
			[]string{"vision_encoder.neck.convs.1.bias has 1 values that are NaN or infinite"}},
		"other model": {func(f *folder) { f.config["model_type"] = "edgetam" }, []string{`model_type = "edgetam" is not implemented, only sam2 and sam2_video`}},
		"several keys": {func(f *folder) {
			f.part("vision_config")["fpn_kernel_size"] = 3
			f.part("vision_config", "backbone_config")["hidden_act"] = "relu"
		}, []string{"fpn_kernel_size = 3 is not implemented", "hidden_act = relu is not implemented"}},
		"image size": {func(f *folder) { f.part("prompt_encoder_config")["image_size"] = 256 }, []string{"backbone_feature_sizes has 32 for level 0"}},
		"rectangle":  {func(f *folder) { f.part("prompt_encoder_config")["image_size"] = []int{128, 256} }, []string{"only equal height and width"}},
		"global pooling": {func(f *folder) {
			f.part("vision_config", "backbone_config")["global_attention_blocks"] = []int{3}
		}, []string{"blocks.3 halves"}},
		"heads":  {func(f *folder) { f.part("mask_decoder_config")["num_attention_heads"] = 5 }, []string{"5 heads do not divide"}},
		"stages": {func(f *folder) { f.part("vision_config", "backbone_config")["blocks_per_stage"] = []int{1, 2, 3} }, []string{"3 stages"}},
		"huge":   {func(f *folder) { f.part("mask_decoder_config")["mlp_dim"] = 1 << 40 }, []string{"mlp_dim = 1099511627776: want 1 to"}},
		"processor size": {func(f *folder) { f.processor["size"] = map[string]int{"height": 64, "width": 64} },
			[]string{"makes 64 x 64 pixels", "config.json wants whole pictures of 128 x 128"}},
		"processor crops": {func(f *folder) {
			f.processor["do_center_crop"], f.processor["crop_size"] = true, map[string]int{"height": 128, "width": 128}
		}, []string{"wants whole pictures"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := openFolder(t, "video")
			c.spoil(f)
			f.save(t)
			_, err := Load(be, f.dir, Options{})
			if err == nil {
				t.Fatal("loaded")
			}
			for _, want := range append(c.want, f.dir) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
		})
	}
}

func TestLoadRefusesIncompleteFolders(t *testing.T) {
	be := openBackend(t, backend.Go)
	refuse := func(want, dir string, o Options) {
		t.Helper()
		if _, err := Load(be, dir, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	f := openFolder(t, "video")
	refuse("config.json is missing", f.dir, Options{})
	f.save(t)
	if err := os.Remove(filepath.Join(f.dir, weightsFile)); err != nil {
		t.Fatal(err)
	}
	refuse("model.safetensors is missing", f.dir, Options{})
	f.write(t, "model.safetensors.index.json", []byte("{}"))
	refuse("weight_map is missing", f.dir, Options{})
	f.write(t, weightsFile, []byte("truncated"))
	refuse("truncated", f.dir, Options{})
	f.write(t, configFile, []byte(`{"model_type": "sam2", "vision_config": 3}`))
	refuse("parse model config", f.dir, Options{})
	refuse("has no object pointers", "testdata/image", Options{})
	refuse(`vector "token": want pointer or mask_pool`, "testdata/video", Options{Vector: "token"})
	refuse("batch of -1 boxes", "testdata/video", Options{Batch: -1})
}

// Older versions of transformers save one matrix where there are two now.
func TestLoadOneMatrixForBoth(t *testing.T) {
	be := openBackend(t, backend.Go)
	two, one := openFolder(t, "video"), openFolder(t, "video")
	two.tensor(t, promptFourierName).Data = two.tensor(t, imageFourierName).Data
	one.drop(promptFourierName)
	r := loadGolden(t, "video")[0].request()
	var found [][]float32
	for _, f := range []*folder{two, one} {
		f.save(t)
		found = append(found, embed(t, loadModel(t, be, f.dir, Options{}), r).Objects[0])
	}
	if !slices.Equal(found[0], found[1]) {
		t.Error("one matrix gives other vectors than the same matrix twice")
	}
}

// Older versions of transformers write more keys, most of them null.
func TestLoadAnOlderProcessor(t *testing.T) {
	be := openBackend(t, backend.Go)
	old, current := openFolder(t, "video"), openFolder(t, "video")
	old.processor["image_processor_type"], old.processor["processor_class"] = "Sam2ImageProcessorFast", "Sam2VideoProcessor"
	old.processor["default_to_square"], old.processor["data_format"] = true, "channels_first"
	for _, key := range []string{"crop_size", "device", "do_center_crop", "do_pad", "input_data_format", "mask_pad_size", "pad_size", "return_tensors"} {
		old.processor[key] = nil
	}
	r := loadGolden(t, "video")[2].request()
	var found [][]float32
	for _, f := range []*folder{old, current} {
		f.save(t)
		found = append(found, embed(t, loadModel(t, be, f.dir, Options{}), r).Image)
	}
	if !slices.Equal(found[0], found[1]) {
		t.Error("the older file makes other vectors")
	}
}

func TestDigestIsOfWhatDecidesVectors(t *testing.T) {
	be := openBackend(t, backend.Go)
	base := openFolder(t, "video")
	base.save(t)
	digest := func(f *folder, o Options) string { return loadModel(t, be, f.dir, o).Digest() }
	want := digest(base, Options{})
	if again := digest(base, Options{Batch: 3}); again != want {
		t.Error("the batch changes the digest")
	}
	if other := digest(base, Options{Vector: MaskPool}); other == want {
		t.Error("the vector does not change the digest")
	}
	if other := digest(base, Options{Raw: true}); other == want {
		t.Error("the norm does not change the digest")
	}
	for name, spoil := range map[string]func(f *folder){
		"weight":  func(f *folder) { f.tensor(t, "mask_decoder.iou_token.weight").Data[0] += 1e-3 },
		"epsilon": func(f *folder) { f.part("vision_config", "backbone_config")["layer_norm_eps"] = 1e-3 },
		"mean":    func(f *folder) { f.processor["image_mean"] = []float64{0.5, 0.5, 0.5} },
	} {
		f := openFolder(t, "video")
		spoil(f)
		f.save(t)
		if digest(f, Options{}) == want {
			t.Errorf("%s does not change the digest", name)
		}
	}
}

// Absent keys, and null, have the defaults of transformers, which are the
// smallest of the published models.
func TestConfigDefaults(t *testing.T) {
	for _, text := range []string{
		`{"model_type": "sam2_video"}`,
		`{"model_type": "sam2_video", "vision_config": null, "prompt_encoder_config": {}, "mask_decoder_config": {"mlp_dim": 2048}}`,
		`{"model_type": "sam2_video", "vision_config": {"backbone_feature_sizes": [[256, 256], [128, 128], [64, 64]],
			"backbone_config": {"embed_dim_per_stage": null, "patch_stride": [4, 4], "query_stride": null}}, "prompt_encoder_config": {"image_size": [1024, 1024]}}`,
	} {
		c, err := parseConfig([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		weights := 0
		for _, spec := range slices.Concat(imageSpecs(c), objectSpecs(c)) {
			weights += spec.Size()
		}
		if c.cells() != 64 || c.firstSide() != 256 || len(c.Vision.Backbone.plan()) != 12 || weights < 30e6 || weights > 33e6 {
			t.Errorf("%d weights, %d cells, %s", weights, c.cells(), text)
		}
	}
}

// FuzzConfig wants no panic, and of a configuration that is accepted sizes that
// fit each other.
func FuzzConfig(f *testing.F) {
	for _, name := range []string{"video", "image"} {
		raw, err := os.ReadFile(filepath.Join("testdata", name, configFile))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"model_type": "sam2"}`))
	f.Add([]byte(`{"model_type": "sam2", "vision_config": {"backbone_config": {"blocks_per_stage": [], "window_size_per_stage": [0]}}}`))
	f.Add([]byte(`{"model_type": "sam2", "prompt_encoder_config": {"image_size": -1, "patch_size": 0}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseConfig(raw)
		if err != nil {
			return
		}
		if c.cells()*4 != int(c.Vision.FeatureSizes[0]) {
			t.Errorf("%d cells, %v", c.cells(), c.Vision.FeatureSizes)
		}
		for _, spec := range slices.Concat(imageSpecs(c), objectSpecs(c)) {
			if spec.Size() <= 0 {
				t.Errorf("tensor %s has shape %v", spec.Name, spec.Shape)
			}
		}
	})
}
