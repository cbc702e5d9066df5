package vision

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// shape is what decides a model's graph, whatever its family calls it.
type shape struct {
	Family     string // model_type
	Width      int    // d of a token
	Heads      int
	Layers     int
	Hidden     int // width of the MLP
	Image      int // edge of the pictures that positions were learned for, in pixels
	Patch      int // edge of a patch
	Registers  int // tokens between the class token and the patches
	Eps        float64
	Activation string
	QKVBias    bool
	PatchBias  bool // of the patch embedding
	SwiGLU     bool
	Scaled     bool // layer scale
	PreNorm    bool // a norm before the first block
	NormCLS    bool // the last norm is for the pooled token only
	Antialias  bool // of interpolated positions
	Pooled     bool // a dense layer with tanh makes the image's vector
	Projected  int  // width of the projection, 0 for none
}

// positions is the number of learned patch positions along an edge.
func (s shape) positions() int { return s.Image / s.Patch }

// keys are those of the families' config.json that size a model.
type keys struct {
	ModelType        string          `json:"model_type"`
	Width            int             `json:"hidden_size"`
	Layers           int             `json:"num_hidden_layers"`
	Heads            int             `json:"num_attention_heads"`
	HeadWidth        *int            `json:"head_dim"`
	Hidden           int             `json:"intermediate_size"`
	Ratio            float64         `json:"mlp_ratio"`
	Activation       string          `json:"hidden_act"`
	Eps              float64         `json:"layer_norm_eps"`
	Image            edge            `json:"image_size"`
	Patch            edge            `json:"patch_size"`
	Channels         int             `json:"num_channels"`
	QKVBias          bool            `json:"qkv_bias"`
	SwiGLU           bool            `json:"use_swiglu_ffn"`
	Registers        int             `json:"num_register_tokens"`
	PoolerActivation string          `json:"pooler_act"`
	PoolerWidth      *int            `json:"pooler_output_size"`
	Projected        int             `json:"projection_dim"`
	Vision           json.RawMessage `json:"vision_config"`
	VisionOld        json.RawMessage `json:"vision_config_dict"`
}

// edge is a size of squares: a number, or a list of one number or two equal ones.
type edge int

// UnmarshalJSON refuses what is not square.
func (e *edge) UnmarshalJSON(data []byte) error {
	var number int
	if json.Unmarshal(data, &number) == nil {
		*e = edge(number)
		return nil
	}
	var numbers []int
	if json.Unmarshal(data, &numbers) != nil || len(numbers) < 1 || len(numbers) > 2 || numbers[0] != numbers[len(numbers)-1] {
		return fmt.Errorf("size %s is not implemented, only squares", data)
	}
	*e = edge(numbers[0])
	return nil
}

// ErrModelType says that a folder holds a model of a family without encoder here.
var ErrModelType = errors.New("model_type is not implemented")

// parseConfig reads a config.json. An absent key has the default of the
// family's class in transformers.
func parseConfig(data []byte) (shape, family, error) {
	var named struct {
		ModelType string `json:"model_type"`
	}
	if err := json.Unmarshal(data, &named); err != nil {
		return shape{}, family{}, fmt.Errorf("parse config.json: %w", err)
	}
	i := slices.IndexFunc(families(), func(f family) bool { return slices.Contains(f.types, named.ModelType) })
	if i < 0 {
		return shape{}, family{}, fmt.Errorf("parse config.json: %w: %q, only %s", ErrModelType, named.ModelType, strings.Join(modelTypes(), ", "))
	}
	f := families()[i]
	k := f.defaults
	if err := k.read(data); err != nil {
		return shape{}, family{}, fmt.Errorf("parse config.json: %w", err)
	}
	s := f.shapeOf(k)
	s.Family = named.ModelType
	if err := errors.Join(append(s.faults(), k.faults()...)...); err != nil {
		return shape{}, family{}, fmt.Errorf("parse config.json: %w", err)
	}
	return s, f, nil
}

// read reads a config.json over the defaults. That of a whole CLIP holds the
// vision model's in a part, and the older of two spellings wins, as in transformers.
func (k *keys) read(data []byte) error {
	defaults := *k
	if err := json.Unmarshal(data, k); err != nil {
		return err
	}
	if k.ModelType != "clip" {
		return nil
	}
	part, projected := k.Vision, k.Projected
	if len(k.VisionOld) > 0 && string(k.VisionOld) != "null" {
		part = k.VisionOld
	}
	if len(part) == 0 || string(part) == "null" {
		return errors.New("vision_config is missing")
	}
	*k = defaults
	if err := json.Unmarshal(part, k); err != nil {
		return fmt.Errorf("vision_config: %w", err)
	}
	k.Projected = projected // of the whole
	return nil
}

// faults lists keys whose value would need maths that is not implemented.
func (k keys) faults() []error {
	var faults []error
	if k.Channels != 3 {
		faults = append(faults, fmt.Errorf("num_channels = %d is not implemented, only 3", k.Channels))
	}
	if k.HeadWidth != nil && *k.HeadWidth*k.Heads != k.Width {
		faults = append(faults, fmt.Errorf("head_dim = %d is not implemented, only hidden_size / num_attention_heads", *k.HeadWidth))
	}
	if k.PoolerActivation != "" && k.PoolerActivation != "tanh" {
		faults = append(faults, fmt.Errorf("pooler_act = %q is not implemented, only tanh", k.PoolerActivation))
	}
	if k.PoolerWidth != nil && *k.PoolerWidth != k.Width {
		faults = append(faults, fmt.Errorf("pooler_output_size = %d is not implemented, only hidden_size = %d", *k.PoolerWidth, k.Width))
	}
	return faults
}

// Limits keep products of sizes far from overflow; the largest ViT published
// has 6,144 x 48 with patches of 14.
const (
	maxWidth  = 1 << 15
	maxLayers = 1 << 10
	maxEdge   = 1 << 14
)

func (s shape) faults() []error {
	var faults []error
	within := func(key string, value, low, high int) {
		if value < low || value > high {
			faults = append(faults, fmt.Errorf("%s = %d: want %d to %d", key, value, low, high))
		}
	}
	within("hidden_size", s.Width, 1, maxWidth)
	within("num_hidden_layers", s.Layers, 1, maxLayers)
	within("num_attention_heads", s.Heads, 1, maxWidth)
	within("width of the MLP", s.Hidden, 1, maxWidth<<3)
	within("patch_size", s.Patch, 1, maxEdge)
	within("image_size", s.Image, max(1, s.Patch), maxEdge)
	within("num_register_tokens", s.Registers, 0, maxEdge)
	within("projection_dim", s.Projected, 0, maxWidth)
	if s.Heads > 0 && s.Width%s.Heads != 0 {
		faults = append(faults, fmt.Errorf("num_attention_heads = %d: want a number that divides hidden_size = %d", s.Heads, s.Width))
	}
	if !(s.Eps >= 0) || math.IsInf(s.Eps, 0) {
		faults = append(faults, fmt.Errorf("layer_norm_eps = %v: want a number of at least 0", s.Eps))
	}
	if !slices.Contains(activations(), s.Activation) {
		faults = append(faults, fmt.Errorf("hidden_act = %q is not implemented, only %s", s.Activation, strings.Join(activations(), ", ")))
	}
	return faults
}
