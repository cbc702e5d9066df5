package sam2

import (
	"fmt"
	"strings"

	"github.com/curate-data/curate/scoring/safetensors"
)

// Names of tensors that are not simply the weights of a layer.
const (
	positionName       = "vision_encoder.backbone.pos_embed"
	windowPositionName = "vision_encoder.backbone.pos_embed_window"
	noMemoryName       = "no_memory_embedding"
	noObjectName       = "no_object_pointer"
	imageFourierName   = "shared_image_embedding.positional_embedding"
	promptFourierName  = "prompt_encoder.shared_embedding.positional_embedding"
)

// specs collects the tensors of a model.
type specs []safetensors.Spec

func (s *specs) add(name string, shape ...int) {
	*s = append(*s, safetensors.Spec{Name: name, Shape: shape})
}

// linear adds weight [out,in] and bias.
func (s *specs) linear(name string, in, out int) {
	s.add(name+".weight", out, in)
	s.add(name+".bias", out)
}

// pointwise adds a convolution with a kernel of one pixel.
func (s *specs) pointwise(name string, in, out int) {
	s.add(name+".weight", out, in, 1, 1)
	s.add(name+".bias", out)
}

// upscale adds a transposed convolution with a kernel of 2 x 2.
func (s *specs) upscale(name string, in, out int) {
	s.add(name+".weight", in, out, 2, 2)
	s.add(name+".bias", out)
}

func (s *specs) norm(name string, width int) {
	s.add(name+".weight", width)
	s.add(name+".bias", width)
}

// mlp adds layers from in over hidden to out; inner counts those between.
func (s *specs) mlp(name string, in, hidden, out, inner int) {
	s.linear(name+".proj_in", in, hidden)
	for i := range inner {
		s.linear(fmt.Sprintf("%s.layers.%d", name, i), hidden, hidden)
	}
	s.linear(name+".proj_out", hidden, out)
}

func (s *specs) attention(name string, width, inner int) {
	for _, part := range []string{"q_proj", "k_proj", "v_proj"} {
		s.linear(name+"."+part, width, inner)
	}
	s.linear(name+".o_proj", inner, width)
}

// imageSpecs are the tensors of the image encoder, with the two convolutions of
// the mask decoder that see only the image.
func imageSpecs(c Config) []safetensors.Spec {
	var s specs
	b, width := c.Vision.Backbone, c.Vision.Width
	kernel, position, window := int(b.PatchKernel), int(b.PositionSize), b.WindowPerStage[0]
	s.add("vision_encoder.backbone.patch_embed.projection.weight", b.Width, b.NumChannels, kernel, kernel)
	s.add("vision_encoder.backbone.patch_embed.projection.bias", b.Width)
	s.add(positionName, 1, b.Width, position, position)
	s.add(windowPositionName, 1, b.Width, window, window)
	for _, block := range b.plan() {
		s.norm(block.name+".layer_norm1", block.in)
		s.linear(block.name+".attn.qkv", block.in, 3*block.out)
		s.linear(block.name+".attn.proj", block.out, block.out)
		s.norm(block.name+".layer_norm2", block.out)
		s.mlp(block.name+".mlp", block.out, block.hidden, block.out, 0)
		if block.in != block.out {
			s.linear(block.name+".proj", block.in, block.out)
		}
	}
	for i, channels := range c.Vision.Channels {
		s.pointwise(fmt.Sprintf("vision_encoder.neck.convs.%d", i), channels, width)
	}
	s.add(noMemoryName, 1, 1, width)
	s.pointwise("mask_decoder.conv_s0", width, width/8)
	s.pointwise("mask_decoder.conv_s1", width, width/4)
	return s
}

// objectSpecs are the tensors of the prompt encoder for boxes and of the mask
// decoder, and of the object pointer where the checkpoint has it.
func objectSpecs(c Config) []safetensors.Spec {
	var s specs
	d, width := c.Decoder, c.Decoder.Width
	s.add(imageFourierName, 2, width/2)
	s.add(promptFourierName, 2, width/2)
	s.add("prompt_encoder.point_embed.weight", c.Prompt.NumPoints, width)
	s.add("prompt_encoder.not_a_point_embed.weight", 1, width)
	s.add("prompt_encoder.no_mask_embed.weight", 1, width)
	s.add("mask_decoder.obj_score_token.weight", 1, width)
	s.add("mask_decoder.iou_token.weight", 1, width)
	s.add("mask_decoder.mask_tokens.weight", d.NumMasks+1, width)
	for i := range d.NumLayers {
		layer := fmt.Sprintf("mask_decoder.transformer.layers.%d", i)
		s.attention(layer+".self_attn", width, width)
		s.norm(layer+".layer_norm1", width)
		s.attention(layer+".cross_attn_token_to_image", width, width/d.Downsample)
		s.norm(layer+".layer_norm2", width)
		// Its depth is the number of layers of the transformer, in transformers too.
		s.mlp(layer+".mlp", width, d.MLPWidth, width, max(0, d.NumLayers-2))
		s.norm(layer+".layer_norm3", width)
		s.norm(layer+".layer_norm4", width)
		s.attention(layer+".cross_attn_image_to_token", width, width/d.Downsample)
	}
	s.attention("mask_decoder.transformer.final_attn_token_to_image", width, width/d.Downsample)
	s.norm("mask_decoder.transformer.layer_norm_final_attn", width)
	s.upscale("mask_decoder.upscale_conv1", width, width/4)
	s.upscale("mask_decoder.upscale_conv2", width/4, width/8)
	s.norm("mask_decoder.upscale_layer_norm", width/4)
	for i := range d.NumMasks + 1 {
		s.mlp(fmt.Sprintf("mask_decoder.output_hypernetworks_mlps.%d", i), width, width, width/8, 1)
	}
	s.mlp("mask_decoder.iou_prediction_head", width, d.IoUHeadWidth, d.NumMasks+1, d.IoUHeadDepth-2)
	s.mlp("mask_decoder.pred_obj_score_head", width, width, 1, 1)
	if c.ModelType == videoModel {
		s.mlp("object_pointer_proj", width, width, width, 1)
		s.add(noObjectName, 1, width)
	}
	return s
}

// unused says whether a tensor belongs to a part of SAM2 that vectors of single
// images do not need: the memory of videos, and prompts that are masks. In a
// checkpoint of images transformers ignores what only videos need, too.
func unused(name string) bool {
	for _, prefix := range []string{
		"memory_", "mask_downsample", "temporal_positional_encoding_projection_layer.", "no_memory_positional_encoding",
		"occlusion_spatial_embedding_parameter", "prompt_encoder.mask_embed.", "object_pointer_proj.", noObjectName,
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
