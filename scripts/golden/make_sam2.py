"""Golden vectors of SAM2 from transformers' own code.

Usage: python scripts/golden/make_sam2.py scoring/vision/sam2/testdata
Needs: transformers==5.24.0, torch==2.15.0, torchvision==0.29.2, pillow==13.0.0. The committed files: on a CPU, the
models in float64. The test's tolerance is 1e-4 absolute, and 1e-2 for values of pixels; seeds are such that
transformers in float32 is within 3e-5 of the same.

Per case a folder as transformers publishes it (random weights, none of them at its initial zero or one, so that one
that is left out shows) and golden.json, a list of pictures:
    width, height   the picture's values are those of picture() below
    boxes           [n][4] x1 y1 x2 y2, pixels of the picture
    pixels          every PIXEL_STEPth of the values [3][side][side] that the image processor makes
    embedding       every EMBEDDING_STEPth of the image embedding [C][g][g]
    image           its mean [C]
    per box: iou [n][masks], score [n] (logit), mask (every MASK_STEPth of the best mask's logits [n][4g][4g]),
    pool [n][C], the embedding's mean over the best mask, and pointer [n][C] (sam2_video alone has it)
"""

import json
import os
import sys

import numpy as np
import torch
from PIL import Image
from transformers import Sam2Config, Sam2ImageProcessor, Sam2Model, Sam2Processor, Sam2VideoConfig, Sam2VideoModel

PIXEL_STEP, EMBEDDING_STEP, MASK_STEP = 97, 3, 11

# name: model, side, changes to the parts; stages with windows that do and do not divide the sides.
CASES = {
    "video": (Sam2VideoConfig, Sam2VideoModel, 128, dict(
        backbone=dict(embed_dim_per_stage=[8, 12, 16, 24], num_attention_heads_per_stage=[1, 2, 4, 4], blocks_per_stage=[1, 2, 3, 1],
                      window_size_per_stage=[8, 4, 6, 3], global_attention_blocks=[4]),
        decoder=dict(num_attention_heads=4, mlp_dim=48, iou_head_hidden_dim=20)), 32, 21),
    "image": (Sam2Config, Sam2Model, 192, dict(
        backbone=dict(embed_dim_per_stage=[10, 12, 16, 20], num_attention_heads_per_stage=[2, 1, 2, 5], blocks_per_stage=[2, 1, 2, 2],
                      window_size_per_stage=[6, 8, 10, 4], global_attention_blocks=[4, 6], mlp_ratio=2.5, layer_norm_eps=1e-5,
                      window_positional_embedding_background_size=[9, 9]),
        decoder=dict(num_attention_heads=2, attention_downsample_rate=1, mlp_dim=24, iou_head_hidden_dim=16, num_hidden_layers=3,
                     iou_head_depth=4, num_multimask_outputs=2)), 24, 108),
}
MEMORY = dict(  # the parts that vectors of images do not need, small
    num_maskmem=2, memory_attention_hidden_size=32, memory_attention_num_layers=1, memory_attention_feed_forward_hidden_size=16,
    memory_attention_rope_feat_sizes=[8, 8], memory_encoder_hidden_size=32, memory_encoder_output_channels=8, mask_downsampler_embed_dim=16,
    mask_downsampler_total_stride=2, memory_fuser_num_layers=1, memory_fuser_embed_dim=16, memory_fuser_intermediate_dim=16)


def config_of(kind, side, parts, width):
    stages = parts["backbone"]["embed_dim_per_stage"]
    vision = dict(
        backbone_config=dict(model_type="sam2_hiera_det_model", hidden_size=stages[0], image_size=[side, side], **parts["backbone"]),
        backbone_channel_list=stages[::-1], backbone_feature_sizes=[[side // s, side // s] for s in (4, 8, 16)], fpn_hidden_size=width)
    more = dict(MEMORY, image_size=side) if kind is Sam2VideoConfig else {}
    return kind(vision_config=vision, prompt_encoder_config=dict(hidden_size=width, image_size=side),
                mask_decoder_config=dict(hidden_size=width, **parts["decoder"]), **more)


def randomise(model, seed):
    """Weights of layers keep the size of activations; all others are of the order of 1. All fit into 16 bits."""
    generator = torch.Generator().manual_seed(seed)
    state = model.state_dict()
    for name, value in state.items():
        noise = torch.randn(value.shape, generator=generator)
        if not value.is_floating_point():
            continue
        layer = name.endswith(".weight") and name[:-6] + "bias" in state
        if name.endswith(".bias"):
            value.copy_(0.2 * noise + (1 if "upscale_conv2" in name else 0))  # few values of masks near zero
        elif layer and value.dim() == 1:
            value.copy_(1 + 0.3 * noise)
        elif layer:
            inputs = value.shape[0] if "upscale_conv" in name else value[0].numel()
            gain = 2 if name.startswith("mask_decoder.transformer") else 1.2  # so that objects differ
            value.copy_(gain * noise / inputs**0.5)
        else:
            value.copy_(0.7 * noise)
        value.copy_(value.half())


def picture(width, height):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return ((x * 5 + y * 3 + c * 41 + (x // 9) * (y // 7) * (c + 11) + (x * y) % 13 * 4) % 256).astype(np.uint8)


def short(values):
    return [float(f"{v:.8g}") for v in np.asarray(values, dtype=np.float64).reshape(-1)]


def sizes_and_boxes(side):
    for w, h in [(side, side), (150, 97), (61, 240)]:
        boxes = [[0.1 * w, 0.2 * h, 0.55 * w, 0.7 * h], [0, 0, w, h], [0.6 * w, 0.05 * h, 0.97 * w, 0.31 * h], [0.4 * w, 0.4 * h, 0.45 * w, 0.48 * h]]
        yield (w, h), [short(b) for b in boxes]


@torch.no_grad()
def states(model, inputs):
    """Yields what the model finds for each box, and for the image with the last."""
    dtype = model.no_memory_embedding.dtype
    pixels, placed = inputs["pixel_values"].to(dtype), inputs["input_boxes"].to(dtype)
    for box in placed[0]:
        found = {}
        if isinstance(model, Sam2VideoModel):
            found["pointer"] = model._single_frame_forward(pixel_values=pixels, input_boxes=box[None, None], multimask_output=True).object_pointer
        # The video model erases masks of objects that are not there; the image model, a part of it, does not.
        out = Sam2Model.forward(model, pixel_values=pixels, input_boxes=box[None, None], multimask_output=True)
        embedding, iou = out.image_embeddings[-1][0], out.iou_scores[0, 0]
        mask = out.pred_masks[0, 0, iou.argmax()]
        inside = torch.nn.functional.avg_pool2d((mask > 0).to(dtype)[None, None], 4)[0, 0]
        found |= {"iou": iou, "score": out.object_score_logits[0, 0, 0], "mask": mask, "embedding": embedding,
                  "pool": (embedding * inside).sum((1, 2)) / inside.sum(), "image": embedding.mean((1, 2))}
        # What the test compares must not hang on a rounding.
        assert inside.sum() > 0 and mask.abs().min() > 2e-5, mask.abs().min()
        assert iou.sort().values.diff()[-1] > 1e-3 and found["score"].abs() > 1e-2
        yield found


def run(model, processor, size, boxes):
    inputs = processor(images=Image.fromarray(picture(*size)), input_boxes=[boxes], return_tensors="pt")
    found = {"width": size[0], "height": size[1], "boxes": boxes, "pixels": short(inputs["pixel_values"].flatten()[::PIXEL_STEP])}
    single = list(states(model.float(), inputs))
    for exact, rough in zip(states(model.double(), inputs), single):
        for key, value in exact.items():
            assert (value - rough[key]).abs().max() < 3e-5, key
            step = {"mask": MASK_STEP, "embedding": EMBEDDING_STEP}.get(key, 1)
            values = short(value.flatten()[::step])
            if key in ("embedding", "image"):
                found[key] = values
            else:
                found.setdefault(key, []).append(values[0] if key == "score" else values)
    return found


def make(folder, kind, model_class, side, parts, width, seed):
    torch.manual_seed(seed)
    model = model_class(config_of(kind, side, parts, width)).eval()
    randomise(model, seed)
    model.save_pretrained(folder, state_dict={name: value.half() for name, value in model.state_dict().items()})
    images = Sam2ImageProcessor(size={"height": side, "width": side})
    images.save_pretrained(folder)
    processor = Sam2Processor(images, target_size=side)
    pictures = [run(model, processor, size, boxes) for size, boxes in sizes_and_boxes(side)]
    with open(os.path.join(folder, "golden.json"), "w") as f:
        json.dump(pictures, f)
        f.write("\n")
    scores = [s for p in pictures for s in p["score"]]
    best = {int(np.argmax(i)) for p in pictures for i in p["iou"]}
    print(folder, sum(p.numel() for p in model.parameters()), "weights; scores", min(scores), max(scores), "best masks", best)
    assert min(scores) < 0 < max(scores) and len(best) > 1


torch.set_num_threads(1)
for name, (kind, model_class, side, parts, width, seed) in CASES.items():
    make(os.path.join(sys.argv[1], name), kind, model_class, side, parts, width, seed)
