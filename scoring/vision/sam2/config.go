package sam2

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Config holds the keys of a config.json of transformers that decide the maths.
// A key that is absent, or null, has the default of transformers, as when
// transformers reads it. Treat a Config as a value.
type Config struct {
	ModelType string  `json:"model_type"` // sam2, or sam2_video, which has the projection of object pointers
	Vision    Vision  `json:"vision_config"`
	Prompt    Prompt  `json:"prompt_encoder_config"`
	Decoder   Decoder `json:"mask_decoder_config"`
}

// The two kinds of checkpoints.
const (
	imageModel = "sam2"
	videoModel = "sam2_video"
)

// Vision sizes the image encoder: the Hiera backbone and the neck, a feature
// pyramid.
type Vision struct {
	Backbone      Backbone `json:"backbone_config"`
	Channels      ints     `json:"backbone_channel_list"`  // of the stages, last stage first
	FeatureSizes  []square `json:"backbone_feature_sizes"` // sides of the three levels, finest first
	Width         int      `json:"fpn_hidden_size"`
	Kernel        int      `json:"fpn_kernel_size"`
	Stride        int      `json:"fpn_stride"`
	Padding       int      `json:"fpn_padding"`
	TopDownLevels ints     `json:"fpn_top_down_levels"` // levels that get the coarser level added
	NumLevels     int      `json:"num_feature_levels"`
}

// Backbone sizes Hiera: stages of blocks, each stage but the first with half the
// side of the one before it.
type Backbone struct {
	ModelType       string  `json:"model_type"`
	Width           int     `json:"hidden_size"` // of the patches
	NumChannels     int     `json:"num_channels"`
	PatchKernel     square  `json:"patch_kernel_size"`
	PatchStride     square  `json:"patch_stride"`
	PatchPadding    square  `json:"patch_padding"`
	QueryStride     square  `json:"query_stride"`
	PositionSize    square  `json:"window_positional_embedding_background_size"`
	NumPoolStages   int     `json:"num_query_pool_stages"`
	BlocksPerStage  ints    `json:"blocks_per_stage"`
	WidthPerStage   ints    `json:"embed_dim_per_stage"`
	HeadsPerStage   ints    `json:"num_attention_heads_per_stage"`
	WindowPerStage  ints    `json:"window_size_per_stage"`
	GlobalAttention ints    `json:"global_attention_blocks"` // blocks that see the whole image, counted over all stages
	MLPRatio        float64 `json:"mlp_ratio"`
	Activation      string  `json:"hidden_act"`
	NormEps         float64 `json:"layer_norm_eps"`
}

// Prompt sizes the prompt encoder.
type Prompt struct {
	Width     int    `json:"hidden_size"`
	ImageSize square `json:"image_size"` // side of the image that the model sees, in pixels
	PatchSize square `json:"patch_size"` // pixels per cell of the image embedding
	NumPoints int    `json:"num_point_embeddings"`
}

// Decoder sizes the mask decoder.
type Decoder struct {
	Width        int `json:"hidden_size"`
	MLPWidth     int `json:"mlp_dim"`
	NumLayers    int `json:"num_hidden_layers"`
	NumHeads     int `json:"num_attention_heads"`
	Downsample   int `json:"attention_downsample_rate"`
	NumMasks     int `json:"num_multimask_outputs"` // beside the single mask
	IoUHeadDepth int `json:"iou_head_depth"`
	IoUHeadWidth int `json:"iou_head_hidden_dim"`
}

// defaults are those of transformers.
func defaults() Config {
	return Config{
		Vision: Vision{
			Backbone: Backbone{
				ModelType: backboneType, Width: 96, NumChannels: 3, PatchKernel: 7, PatchStride: 4, PatchPadding: 3, QueryStride: 2,
				PositionSize: 7, NumPoolStages: 3, BlocksPerStage: ints{1, 2, 7, 2}, WidthPerStage: ints{96, 192, 384, 768},
				HeadsPerStage: ints{1, 2, 4, 8}, WindowPerStage: ints{8, 4, 14, 7}, GlobalAttention: ints{5, 7, 9},
				MLPRatio: 4, Activation: "gelu", NormEps: 1e-6,
			},
			Channels: ints{768, 384, 192, 96}, FeatureSizes: []square{256, 128, 64}, Width: 256, Kernel: 1, Stride: 1,
			TopDownLevels: ints{2, 3}, NumLevels: numLevels,
		},
		Prompt: Prompt{Width: 256, ImageSize: 1024, PatchSize: 16, NumPoints: 4},
		Decoder: Decoder{
			Width: 256, MLPWidth: 2048, NumLayers: 2, NumHeads: 8, Downsample: 2, NumMasks: 3, IoUHeadDepth: 3, IoUHeadWidth: 256,
		},
	}
}

const (
	backboneType = "sam2_hiera_det_model"
	numLevels    = 3 // of the pyramid: two of high resolution, and the image embedding
)

// parseConfig reads a config.json and validates it.
func parseConfig(data []byte) (Config, error) {
	c := defaults()
	if err := json.Unmarshal(data, &c); err != nil {
		return Config{}, fmt.Errorf("parse model config: %w", err)
	}
	return c, c.Validate()
}

// ints is a list of numbers; null keeps the default.
type ints []int

// UnmarshalJSON reads a list, or null.
func (v *ints) UnmarshalJSON(data []byte) error {
	var list []int
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	if list != nil {
		*v = list
	}
	return nil
}

// square is a size that is the same in height and width.
type square int

// UnmarshalJSON reads a number, a list of height and width, or null, which
// keeps the default.
func (s *square) UnmarshalJSON(data []byte) error {
	var side *int
	if json.Unmarshal(data, &side) == nil {
		if side != nil {
			*s = square(*side)
		}
		return nil
	}
	var sides []int
	if err := json.Unmarshal(data, &sides); err != nil || len(sides) != 2 {
		return fmt.Errorf("%s: want a number, or height and width", data)
	}
	if sides[0] != sides[1] {
		return fmt.Errorf("%s: only equal height and width are implemented", data)
	}
	*s = square(sides[0])
	return nil
}

// firstSide returns the side of the first stage in patches.
func (c Config) firstSide() int {
	b := c.Vision.Backbone
	return (int(c.Prompt.ImageSize)+2*int(b.PatchPadding)-int(b.PatchKernel))/int(b.PatchStride) + 1
}

// cells returns the side of the image embedding.
func (c Config) cells() int { return int(c.Prompt.ImageSize / c.Prompt.PatchSize) }

// block is what sizes a block of the backbone.
type block struct {
	name    string // of its tensors
	stage   int
	in, out int // widths
	heads   int
	window  int  // side of its windows; 0 for the whole image
	pool    bool // halves the sides
	last    bool // of its stage
	hidden  int  // width of the MLP
	eps     float64
}

// plan returns the blocks in order. The first block of a stage has the window of
// the stage before it, whose sides it halves.
func (b Backbone) plan() []block {
	var all []block
	for stage, blocks := range b.BlocksPerStage {
		for i := range blocks {
			from := stage
			if stage > 0 && i == 0 {
				from = stage - 1
			}
			window := b.WindowPerStage[from]
			if slices.Contains(b.GlobalAttention, len(all)) {
				window = 0
			}
			all = append(all, block{
				name:  fmt.Sprintf("vision_encoder.backbone.blocks.%d", len(all)),
				stage: stage, in: b.WidthPerStage[from], out: b.WidthPerStage[stage], heads: b.HeadsPerStage[stage], window: window,
				pool: from != stage && stage <= b.NumPoolStages, last: i == blocks-1,
				hidden: int(float64(b.WidthPerStage[stage]) * b.MLPRatio), eps: b.NormEps,
			})
		}
	}
	return all
}
