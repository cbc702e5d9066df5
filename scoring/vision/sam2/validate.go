package sam2

import (
	"errors"
	"fmt"
	"math"
)

// Limits keep products of sizes far from overflow; the largest published model
// has width 1152 and an image of 1024 pixels.
const (
	maxWidth  = 1 << 15
	maxSide   = 1 << 13
	maxBlocks = 1 << 10
)

// Validate lists every fault: sizes that make no model, and keys whose value
// would need maths that is not implemented.
func (c Config) Validate() error {
	faults := c.fixedFaults()
	if sizes := c.sizeFaults(); len(sizes) > 0 {
		faults = append(faults, sizes...)
	} else {
		faults = append(faults, c.Vision.Backbone.faults()...)
		faults = append(faults, c.shapeFaults()...)
		faults = append(faults, c.headFaults()...)
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("model config: %w", err)
	}
	return nil
}

// fixedFaults checks the keys for which one value is implemented.
func (c Config) fixedFaults() []error {
	var faults []error
	only := func(key string, value, want any) {
		if value != want {
			faults = append(faults, fmt.Errorf("%s = %v is not implemented, only %v", key, value, want))
		}
	}
	if c.ModelType != imageModel && c.ModelType != videoModel {
		faults = append(faults, fmt.Errorf("model_type = %q is not implemented, only %s and %s", c.ModelType, imageModel, videoModel))
	}
	b := c.Vision.Backbone
	only("backbone_config.model_type", b.ModelType, backboneType)
	only("backbone_config.num_channels", b.NumChannels, 3)
	only("backbone_config.query_stride", int(b.QueryStride), 2)
	only("backbone_config.hidden_act", b.Activation, "gelu")
	only("vision_config.fpn_kernel_size", c.Vision.Kernel, 1)
	only("vision_config.fpn_stride", c.Vision.Stride, 1)
	only("vision_config.fpn_padding", c.Vision.Padding, 0)
	only("vision_config.num_feature_levels", c.Vision.NumLevels, numLevels)
	only("prompt_encoder_config.num_point_embeddings", c.Prompt.NumPoints, 4)
	return faults
}

// sizeFaults checks the numbers one by one.
func (c Config) sizeFaults() []error {
	var faults []error
	within := func(key string, low, high int, values ...int) {
		for _, value := range values {
			if value < low || value > high {
				faults = append(faults, fmt.Errorf("%s = %d: want %d to %d", key, value, low, high))
			}
		}
	}
	b, d := c.Vision.Backbone, c.Decoder
	within("backbone_config.hidden_size", 1, maxWidth, b.Width)
	within("backbone_config.patch_kernel_size", 1, 64, int(b.PatchKernel))
	within("backbone_config.patch_stride", 1, 64, int(b.PatchStride))
	within("backbone_config.patch_padding", 0, 64, int(b.PatchPadding))
	within("backbone_config.window_positional_embedding_background_size", 1, maxSide, int(b.PositionSize))
	within("backbone_config.blocks_per_stage", 1, maxBlocks, b.BlocksPerStage...)
	within("backbone_config.embed_dim_per_stage", 1, maxWidth, b.WidthPerStage...)
	within("backbone_config.num_attention_heads_per_stage", 1, maxWidth, b.HeadsPerStage...)
	within("backbone_config.window_size_per_stage", 1, maxSide, b.WindowPerStage...)
	within("vision_config.fpn_hidden_size", 8, maxWidth, c.Vision.Width)
	within("prompt_encoder_config.image_size", 16, maxSide, int(c.Prompt.ImageSize))
	within("prompt_encoder_config.patch_size", 1, maxSide, int(c.Prompt.PatchSize))
	within("mask_decoder_config.mlp_dim", 1, maxWidth, d.MLPWidth)
	within("mask_decoder_config.num_hidden_layers", 1, maxBlocks, d.NumLayers)
	within("mask_decoder_config.num_attention_heads", 1, maxWidth, d.NumHeads)
	within("mask_decoder_config.attention_downsample_rate", 1, maxWidth, d.Downsample)
	within("mask_decoder_config.num_multimask_outputs", 1, 64, d.NumMasks)
	within("mask_decoder_config.iou_head_depth", 2, 64, d.IoUHeadDepth)
	within("mask_decoder_config.iou_head_hidden_dim", 1, maxWidth, d.IoUHeadWidth)
	if !(b.MLPRatio > 0 && b.MLPRatio <= 64) {
		faults = append(faults, fmt.Errorf("backbone_config.mlp_ratio = %v: want a number above 0, up to 64", b.MLPRatio))
	}
	if !(b.NormEps >= 0) || math.IsInf(b.NormEps, 0) {
		faults = append(faults, fmt.Errorf("backbone_config.layer_norm_eps = %v: want a number of at least 0", b.NormEps))
	}
	stages := len(b.BlocksPerStage)
	for _, list := range []ints{b.WidthPerStage, b.HeadsPerStage, b.WindowPerStage, c.Vision.Channels} {
		if len(list) != stages {
			faults = append(faults, fmt.Errorf("blocks_per_stage has %d stages, another list of the stages %d", stages, len(list)))
		}
	}
	if stages < numLevels || stages > 16 {
		faults = append(faults, fmt.Errorf("%d stages: want %d to 16", stages, numLevels))
	}
	if len(c.Vision.FeatureSizes) != numLevels {
		faults = append(faults, fmt.Errorf("vision_config.backbone_feature_sizes has %d levels: want %d", len(c.Vision.FeatureSizes), numLevels))
	}
	return faults
}

// faults checks that the numbers of the backbone fit each other.
func (b Backbone) faults() []error {
	var faults []error
	if b.Width != b.WidthPerStage[0] {
		faults = append(faults, fmt.Errorf("backbone_config.hidden_size = %d: want the width of the first stage, %d", b.Width, b.WidthPerStage[0]))
	}
	for i, heads := range b.HeadsPerStage {
		if width := b.WidthPerStage[i]; width%heads != 0 {
			faults = append(faults, fmt.Errorf("stage %d: %d heads do not divide its width of %d", i, heads, width))
		}
		if int(float64(b.WidthPerStage[i])*b.MLPRatio) < 1 {
			faults = append(faults, fmt.Errorf("stage %d: mlp_ratio = %v leaves no width of its MLP", i, b.MLPRatio))
		}
		if i > 0 && i <= b.NumPoolStages && b.WidthPerStage[i] == b.WidthPerStage[i-1] {
			faults = append(faults, fmt.Errorf("stage %d: it halves the sides and keeps the width of %d, which is not implemented", i, b.WidthPerStage[i]))
		}
	}
	return faults
}

// shapeFaults checks that the sides of all stages fit each other.
func (c Config) shapeFaults() []error {
	b := c.Vision.Backbone
	if int(c.Prompt.ImageSize)+2*int(b.PatchPadding) < int(b.PatchKernel) {
		return []error{fmt.Errorf("prompt_encoder_config.image_size = %d is smaller than a patch of %d", c.Prompt.ImageSize, b.PatchKernel)}
	}
	var faults []error
	sides := []int{c.firstSide()} // of the stages
	if window := b.WindowPerStage[0]; sides[0]%window != 0 {
		faults = append(faults, fmt.Errorf("the first stage has a side of %d: want a multiple of its window of %d", sides[0], window))
	}
	for _, block := range b.plan() {
		side := sides[len(sides)-1]
		if block.pool && (block.window%2 != 0 || side%2 != 0 || block.window == 0) { // transformers fails there, too
			faults = append(faults, fmt.Errorf("%s halves a side of %d in windows of %d: want even numbers, and windows", block.name, side, block.window))
		}
		if block.pool {
			side /= 2
		}
		if block.stage == len(sides) {
			sides = append(sides, side)
		}
	}
	cells := c.cells()
	for level, size := range c.Vision.FeatureSizes {
		if want := cells << (numLevels - 1 - level); int(size) != sides[level] || int(size) != want {
			faults = append(faults, fmt.Errorf("vision_config.backbone_feature_sizes has %d for level %d: the backbone's side is %d there, and image_size / patch_size want %d",
				size, level, sides[level], want))
		}
	}
	for _, level := range c.Vision.TopDownLevels {
		if level < 0 || level >= len(sides) || level+1 < len(sides) && sides[level] != 2*sides[level+1] {
			faults = append(faults, fmt.Errorf("vision_config.fpn_top_down_levels has %d: want stages from 0 with twice the side of the next", level))
		}
	}
	return faults
}

// headFaults checks that the widths behind the backbone fit each other.
func (c Config) headFaults() []error {
	var faults []error
	stages := c.Vision.Backbone.WidthPerStage
	for i, width := range c.Vision.Channels {
		if want := stages[len(stages)-1-i]; width != want {
			faults = append(faults, fmt.Errorf("vision_config.backbone_channel_list has %d at %d: the stage has width %d", width, i, want))
		}
	}
	width, d := c.Vision.Width, c.Decoder
	if c.Prompt.Width != width || d.Width != width || width%8 != 0 {
		faults = append(faults, fmt.Errorf("hidden sizes of prompt encoder (%d), mask decoder (%d) and pyramid (%d): want the same multiple of 8",
			c.Prompt.Width, d.Width, width))
	}
	if width%d.Downsample != 0 || width/d.Downsample%d.NumHeads != 0 {
		faults = append(faults, fmt.Errorf("mask decoder: %d heads do not divide the width of %d / %d", d.NumHeads, width, d.Downsample))
	}
	return faults
}
