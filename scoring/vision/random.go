package vision

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/safetensors"
)

// randomKey is the key of config.json by which Open knows random weights.
const randomKey = "random_weights_seed"

// preset is the shape of a DINOv2 that WriteRandom makes.
type preset struct {
	name                 string
	width, heads, layers int
	image                int // pixels
}

// presets are small to large. dinov2-small is the smallest one published.
func presets() []preset {
	return []preset{
		{"dinov2-nano", 48, 3, 3, 112},    // 0.12 M weights: for the pure-Go backend and tests
		{"dinov2-tiny", 192, 3, 6, 224},   // 2.8 M
		{"dinov2-small", 384, 6, 12, 224}, // 22 M
	}
}

// RandomPresets returns the names that WriteRandom takes, small to large.
func RandomPresets() []string {
	var names []string
	for _, p := range presets() {
		names = append(names, p.name)
	}
	return names
}

// WriteRandom writes a folder of a DINOv2 with random weights, for tests and for
// demonstrations without downloads: its vectors tell colours and textures apart,
// not things. The same preset and seed give the same bytes on every machine.
func WriteRandom(folder, name string, seed uint64) error {
	if err := writeRandom(folder, name, seed); err != nil {
		return fmt.Errorf("write random encoder %s: %w", folder, err)
	}
	return nil
}

func writeRandom(folder, name string, seed uint64) error {
	i := slices.IndexFunc(presets(), func(p preset) bool { return p.name == name })
	if i < 0 {
		return fmt.Errorf("preset %q: want one of %s", name, strings.Join(RandomPresets(), ", "))
	}
	p := presets()[i]
	config, err := json.MarshalIndent(map[string]any{
		"model_type": "dinov2", "architectures": []string{"Dinov2Model"}, "hidden_size": p.width, "num_attention_heads": p.heads,
		"num_hidden_layers": p.layers, "mlp_ratio": 4, "image_size": p.image, "patch_size": 14, "num_channels": 3, "hidden_act": "gelu",
		"layer_norm_eps": 1e-6, "qkv_bias": true, "use_swiglu_ffn": false, "use_mask_token": false, "layerscale_value": 1.0,
		"attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0, "drop_path_rate": 0.0, "initializer_range": 0.02, "dtype": "float32",
		randomKey: seed,
	}, "", "  ")
	if err != nil {
		return err
	}
	size := map[string]int{"height": p.image, "width": p.image}
	processor, err := json.MarshalIndent(map[string]any{
		"image_processor_type": "BitImageProcessor", "do_resize": true, "size": map[string]int{"shortest_edge": p.image * 8 / 7}, "resample": 3,
		"do_center_crop": true, "crop_size": size, "do_rescale": true, "rescale_factor": 1 / 255.0, "do_normalize": true, "do_convert_rgb": true,
		"image_mean": []float64{0.485, 0.456, 0.406}, "image_std": []float64{0.229, 0.224, 0.225},
	}, "", "  ")
	if err != nil {
		return err
	}
	s, f, err := parseConfig(config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	params := randomParams(f.slots(s, ""), seed)
	// config.json goes first and comes last: without it the folder is unfinished.
	if err := os.Remove(filepath.Join(folder, configFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"preprocessor_config.json", text(processor)},
		{weightsFile, func(w io.Writer) error { return safetensors.Write(w, params) }},
		{configFile, text(config)},
	} {
		if err := lm.WriteFile(filepath.Join(folder, file.name), file.write); err != nil {
			return err
		}
	}
	return nil
}

func text(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	}
}

// randomParams draws uniform weights that keep values at their scale through a
// matrix. Each tensor has its own stream of PCG, keyed by seed and name. No
// function that machines round differently has a part in it.
func randomParams(slots []slot, seed uint64) []safetensors.Tensor {
	var all []safetensors.Tensor
	for _, slot := range slots {
		hash := fnv.New64a()
		hash.Write([]byte(slot.spec.Name))
		random := rand.New(rand.NewPCG(seed, hash.Sum64()))
		data := make([]float32, slot.spec.Size())
		centre, reach := spread(slot)
		for i := range data {
			unit := float64(random.Int64N(1<<25)-1<<24) / (1 << 24) // -1 to 1
			data[i] = float32(centre + float64(unit*reach))
		}
		all = append(all, safetensors.Tensor{Name: slot.spec.Name, Shape: slot.spec.Shape, Data: data})
	}
	return all
}

// spread returns the middle of a tensor's values and how far they reach from it.
func spread(slot slot) (centre, reach float64) {
	dims := slot.spec.Shape
	fan := slot.spec.Size() / dims[0]
	switch {
	case strings.Contains(slot.role, "scale"):
		return 1, 0
	case strings.HasSuffix(slot.role, ".weight") && len(dims) == 1: // a norm
		return 1, 0
	case strings.HasSuffix(slot.role, ".weight"):
		return 0, math.Sqrt(3 / float64(fan)) // variance 1/fan; a root is rounded the same way everywhere
	}
	return 0, 0.02 // tokens, positions, biases
}
