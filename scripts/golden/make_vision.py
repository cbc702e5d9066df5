"""Golden outputs of scoring/vision: transformers' ViT, DINOv2 and CLIP vision models with random weights.

Usage: python scripts/golden/make_vision.py scoring/vision/testdata
Needs: torch==2.15.*, torchvision==0.29.2, transformers==5.24.0, pillow==13.0.0, numpy==2.4.6, safetensors==0.8.0. Float32, one thread.

Per case a folder as save_pretrained writes it (norms, scales, tokens and biases not at their initial values, so that one that is left out or
misplaced shows) and golden.json; tolerance 1e-4 on every value:
    runs     height, width, seed of input(), last_hidden_state [B][T][d], pooler_output [B][d], image_embeds [B][p] where there are any
    early    hidden_states[1] with the final norm where the family has it, of the first run (two cases)
    picture  the file pixels/testdata/decode/photo.jpg.rgb.png through the folder's own processor: CLS or pooled vector, and the mean of the
             patch tokens weighted by the share of each that a box covers, both with L2 norm 1
"""

import json
import os
import sys

import numpy as np
import torch
import transformers
from PIL import Image

torch.set_num_threads(1)
out = sys.argv[1]
PICTURE = os.path.join(out, "..", "pixels", "testdata", "decode", "photo.jpg.rgb.png")
BOX = [10.5, 8.25, 40.0, 33.5]
VIT = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, image_size=32, patch_size=8)
DINO = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, mlp_ratio=2, image_size=40, patch_size=8)
CLIP = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8, projection_dim=12)
TEXT = dict(vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_position_embeddings=8, pad_token_id=1,
            bos_token_id=2, eos_token_id=3)
IMAGENET = dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])


def whole(size):
    return transformers.ViTImageProcessorPil(size={"height": size[0], "width": size[1]})


def centre(kind, short, height, width, **keys):
    return kind(size={"shortest_edge": short}, crop_size={"height": height, "width": width}, **keys)


# name: model, processor, sizes of the runs beside the processor's, half precision
CASES = {
    "vit": (lambda: transformers.ViTModel(transformers.ViTConfig(**VIT)), whole((32, 32)), [(32, 32), (48, 40)], False),
    "vit_classifier": (lambda: transformers.ViTForImageClassification(transformers.ViTConfig(
        **{**VIT, "qkv_bias": False, "hidden_act": "gelu_new", "layer_norm_eps": 1e-3})), whole((32, 32)), [(32, 32)], False),
    "dinov2": (lambda: transformers.Dinov2Model(transformers.Dinov2Config(**DINO)),
               centre(transformers.BitImageProcessorPil, 28, 24, 27, **IMAGENET), [(40, 40), (24, 27), (48, 48)], False),
    "dinov2_swiglu": (lambda: transformers.Dinov2Model(transformers.Dinov2Config(**{**DINO, "use_swiglu_ffn": True, "use_mask_token": False})),
                      centre(transformers.BitImageProcessorPil, 40, 40, 40, **IMAGENET), [(40, 40)], False),
    "dinov2_registers": (lambda: transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**DINO, num_register_tokens=3)),
                         centre(transformers.BitImageProcessorPil, 28, 24, 32, **IMAGENET), [(40, 40), (24, 32), (48, 48)], False),
    "clip_projected": (lambda: transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**CLIP)),
                       centre(transformers.CLIPImageProcessorPil, 32, 32, 32), [(32, 32), (40, 48)], False),
    "clip_plain": (lambda: transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**{**CLIP, "hidden_act": "gelu"})),
                   centre(transformers.CLIPImageProcessorPil, 32, 32, 32), [(32, 32)], False),
    "clip_half": (lambda: transformers.CLIPModel(transformers.CLIPConfig(vision_config=CLIP, text_config=TEXT, projection_dim=20)),
                  centre(transformers.CLIPImageProcessorPil, 32, 32, 32), [(32, 32)], True),
}


def numbers(batch: int, height: int, width: int, seed: int) -> torch.Tensor:
    """Values from -2 to 2 that another language can make again."""
    i = np.arange(batch * 3 * height * width, dtype=np.uint64) + np.uint64(seed)
    return torch.from_numpy(((i * np.uint64(2654435761) % np.uint64(1 << 32) >> np.uint64(8)).astype(np.float32) / 2**24 * 4 - 2).reshape(batch, 3, height, width))


def cover(size, rows, columns, patch, resized, crop) -> np.ndarray:
    """Share of each patch that BOX covers."""
    def axis(low, high, scale, offset, n):
        starts = np.arange(n) * patch
        low, high = np.maximum(low * scale - offset, starts), np.minimum(high * scale - offset, starts + patch)
        return np.maximum(high - low, 0) / patch
    x = axis(BOX[0], BOX[2], resized[1] / size[1], crop[1], columns)
    y = axis(BOX[1], BOX[3], resized[0] / size[0], crop[0], rows)
    return np.outer(y, x).flatten()


def parts(model):
    """The vision tower and what makes an image's vector of its outputs."""
    tower = getattr(model, "vit", None) or getattr(model, "vision_model", None) or model
    return tower, getattr(model, "visual_projection", None)


def unit(vector) -> list:
    return (vector / vector.norm()).tolist()


def picture(model, processor, tower, patch) -> dict:
    image = Image.open(PICTURE)
    pixels = processor(image, return_tensors="pt").pixel_values
    arguments = {} if "dinov2" in model.config.model_type else {"interpolate_pos_encoding": True}
    outputs = tower(pixels, **arguments)
    height, width = pixels.shape[-2:]
    size, resized, crop = (image.height, image.width), (height, width), (0, 0)
    if processor.do_center_crop:
        short = processor.size["shortest_edge"]
        resized = (short, int(short * size[1] / size[0])) if size[1] > size[0] else (int(short * size[0] / size[1]), short)
        crop = ((resized[0] - height) // 2, (resized[1] - width) // 2)
    rows, columns = height // patch, width // patch
    tokens = outputs.last_hidden_state[0, -rows * columns :]
    if hasattr(tower, "post_layernorm"):
        tokens = tower.post_layernorm(tokens)
    pooled = outputs.pooler_output[0] if outputs.pooler_output is not None else outputs.last_hidden_state[0, 0]
    shares = torch.from_numpy(cover(size, rows, columns, patch, resized, crop)).float()
    return {"box": BOX, "image": unit(pooled), "object": unit(shares @ tokens)}


@torch.no_grad()
def make(name: str, build, processor, sizes, half: bool, seed: int) -> None:
    torch.manual_seed(seed)
    model = build().eval()
    for p in model.parameters():
        if p.dim() < 2 or p.shape[0] == 1:
            p += 0.15 * torch.randn_like(p)
        else:  # values pass through a matrix at their scale, so that attention is far from even
            p *= (p.shape[0] / p.numel()) ** 0.5 / p.std()
    folder = os.path.join(out, name)
    if half:
        model = model.half()
    model.save_pretrained(folder)
    model = model.float()
    kind = type(processor).__name__.removesuffix("Pil")
    with open(os.path.join(folder, "preprocessor_config.json"), "w") as f:
        json.dump({**{k: v for k, v in json.loads(processor.to_json_string()).items() if v is not None}, "image_processor_type": kind}, f, indent=1)
        f.write("\n")
    tower, projection = parts(model)
    dinov2 = "dinov2" in model.config.model_type
    patch = tower.config.patch_size if isinstance(tower.config.patch_size, int) else tower.config.patch_size[0]
    golden = {"runs": []}
    for i, (height, width) in enumerate(sizes):
        batch = 2 if i == 0 else 1
        arguments = {} if dinov2 or i == 0 else {"interpolate_pos_encoding": True}
        outputs = tower(numbers(batch, height, width, 1000 * i), output_hidden_states=True, **arguments)
        run = {"batch": batch, "height": height, "width": width, "seed": 1000 * i, "last_hidden_state": outputs.last_hidden_state.flatten().tolist()}
        if outputs.pooler_output is not None:
            run["pooler_output"] = outputs.pooler_output.flatten().tolist()
            if projection is not None:
                run["image_embeds"] = projection(outputs.pooler_output).flatten().tolist()
        golden["runs"].append(run)
        if i == 0 and name in ("dinov2", "clip_projected"):
            early = outputs.hidden_states[1]
            golden["early"] = (tower.layernorm(early) if hasattr(tower, "layernorm") else early).flatten().tolist()
    golden["picture"] = picture(model, processor, tower, patch)
    text = json.dumps(golden, default=float)
    with open(os.path.join(folder, "golden.json"), "w") as f:
        json.dump(json.loads(text, parse_float=lambda s: round(float(s), 6)), f)
        f.write("\n")


for i, (name, case) in enumerate(CASES.items()):
    make(name, *case, seed=200 + i)
