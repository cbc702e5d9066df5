"""Golden pixels of scoring/vision/pixels: Pillow's decoding and resizing, HF's image processors.

Usage: python scripts/golden/make_pixels.py scoring/vision/pixels/testdata
Needs: pillow==13.0.0, torch==2.15.*, torchvision==0.29.2, transformers==5.24.0, numpy==2.4.6. torchvision's 8-bit resize is that
of a CPU with AVX2.

decode/NAME.{jpg,png,webp}  inputs; decode/NAME.rgb.png: Image.open(NAME).convert("RGB"). Tolerance: none for PNG and WebP;
                            2 of 255 at most and .075 in the mean (.2 for the smallest) for JPEG (other inverse cosine transforms).
resize.json                 sizes, filter, SHA-256 of Pillow's and torchvision's bytes of decode/photo.jpg.rgb.png. Tolerance: none.
processors.json             preprocessor_config.json, input, and the pixel values that the processor gives: their shape, sums of rows and
                            columns of patches, and probes. Tolerance: 1e-2 as promised, 1e-5 as tested.
"""

import hashlib
import json
import os
import struct
import sys
import zlib

import numpy as np
import torch
import transformers
from PIL import Image
from torchvision.transforms.v2 import functional as tvF

torch.set_num_threads(1)
out = sys.argv[1]
decode = os.path.join(out, "decode")
os.makedirs(decode, exist_ok=True)


def photo(width: int, height: int, seed: int) -> np.ndarray:
    """A picture with soft areas, edges in all directions, saturated colours and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    base = np.stack([128 + 100 * np.sin(x / 5 + seed), 128 + 100 * np.cos(y / 7), 255 * (x + y) / (width + height)], -1)
    for _ in range(6):
        cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(2, 9)
        base[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = rng.integers(0, 256, 3)
    base[height // 2 :, : width // 4] = [255, 0, 0]
    return np.clip(base + rng.normal(0, 4, base.shape), 0, 255).astype(np.uint8)


def raw_png(name: str, rows: list, width: int, bits: int, kind: int, *chunks) -> None:
    """A PNG of a kind that Pillow cannot write."""
    def chunk(tag: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
    head = struct.pack(">IIBBBBB", width, len(rows), bits, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + r for r in rows))
    with open(os.path.join(decode, name), "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunk(t, d) for t, d in chunks) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def save(name: str, image: Image.Image, **options) -> None:
    image.save(os.path.join(decode, name), **options)


def inputs() -> None:
    rgb = Image.fromarray(photo(37, 23, 1))
    alpha = Image.fromarray((np.mgrid[0:23, 0:37].sum(0) * 4 % 256).astype(np.uint8))
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    save("photo.jpg", Image.fromarray(photo(61, 47, 2)), quality=90, subsampling=2)
    for name, sampling in ("444", 0), ("422", 1), ("420", 2):
        save(f"{name}.jpg", rgb, quality=85, subsampling=sampling)
    save("progressive.jpg", rgb, quality=85, progressive=True)
    save("narrow.jpg", Image.fromarray(photo(3, 19, 3)), quality=90, subsampling=2)
    save("narrow422.jpg", Image.fromarray(photo(4, 5, 4)), quality=90, subsampling=1)
    save("440.jpg", Image.fromarray(photo(16, 16, 6)), quality=90, subsampling=1)
    path = os.path.join(decode, "440.jpg")
    with open(path, "rb") as f:  # two blocks of luma either way: the sampling factors 2 x 1 become 1 x 2
        data = f.read()
    with open(path, "wb") as f:
        f.write(data.replace(b"\x01\x21\x00\x02\x11", b"\x01\x12\x00\x02\x11"))
    save("grey.jpg", rgb.convert("L"), quality=85)
    save("cmyk.jpg", rgb.convert("CMYK"), quality=95)
    save("rgb.png", rgb)
    save("rgba.png", rgba)
    save("grey.png", rgb.convert("L"))
    save("greyalpha.png", rgba.convert("LA"))
    save("bits1.png", rgb.convert("1"))
    save("palette.png", rgb.quantize(17))
    save("palettealpha.png", rgba.quantize(17))
    save("clear.png", rgb.convert("L"), transparency=40)
    deep = photo(11, 7, 5).astype(np.uint16) * 257 ^ 0x35
    raw_png("rgb16.png", [r.astype(">u2").tobytes() for r in deep], 11, 16, 2)
    raw_png("grey16.png", [(r[:, 0] // 97).astype(">u2").tobytes() for r in deep], 11, 16, 0)
    raw_png("rgba16.png", [np.concatenate([r, r[:, :1]], 1).astype(">u2").tobytes() for r in deep], 11, 16, 6)
    raw_png("bits2.png", [bytes([0b00011011, 0b11100100, 0b01000000])] * 3, 9, 2, 0)
    raw_png("bits4.png", [bytes([0x01, 0x9F, 0x70])] * 3, 5, 4, 0)
    save("lossy.webp", Image.fromarray(photo(61, 47, 2)), quality=90)
    save("lossyodd.webp", rgb, quality=80)
    save("lossyalpha.webp", rgba, quality=80)
    save("lossless.webp", rgb, lossless=True)
    save("losslessalpha.webp", rgba, lossless=True, exact=True)
    for name in sorted(os.listdir(decode)):
        if not name.endswith(".rgb.png"):
            with Image.open(os.path.join(decode, name)) as image:
                image.convert("RGB").save(os.path.join(decode, name + ".rgb.png"), optimize=True)


def resizes() -> None:
    image = Image.open(os.path.join(decode, "photo.jpg.rgb.png"))
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    cases = []
    for width, height in (61, 47), (224, 224), (16, 16), (61, 20), (7, 47), (1, 1), (122, 94), (60, 48), (3, 90), (300, 5), (55, 36), (55, 35), (55, 34), (62, 46):
        for number, mode in (2, "bilinear"), (3, "bicubic"):
            pillow = np.array(image.resize((width, height), number))
            case = {"width": width, "height": height, "filter": number, "pillow": hashlib.sha256(pillow.tobytes()).hexdigest()}
            if (width, height) != (1, 1):  # torch 2.15 stops at an assertion of its own
                torched = tvF.resize(tensor, [height, width], interpolation=mode, antialias=True).permute(1, 2, 0).contiguous().numpy()
                case["torchvision"] = hashlib.sha256(torched.tobytes()).hexdigest()
            cases.append(case)
    with open(os.path.join(out, "resize.json"), "w") as f:
        json.dump(cases, f, indent=1)
        f.write("\n")


VIT = {"do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
       "resample": 2, "rescale_factor": 0.00392156862745098, "size": {"height": 32, "width": 32}}
CLIP = {"crop_size": {"height": 28, "width": 28}, "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True, "do_rescale": True,
        "do_resize": True, "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3, "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 32}}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
PROCESSORS = {  # name: type, keys
    "vit": ("ViTImageProcessor", VIT),
    "vit_fast": ("ViTImageProcessorFast", {**VIT, "size": {"height": 24, "width": 40}, "resample": 3}),
    "vit_int": ("ViTImageProcessor", {**VIT, "size": 24}),
    "clip": ("CLIPImageProcessor", CLIP),
    "clip_fast": ("CLIPImageProcessorFast", CLIP),
    "clip_int": ("CLIPImageProcessor", {**CLIP, "size": 30, "crop_size": 29}),
    "dinov2": ("BitImageProcessor", {**CLIP, **IMAGENET}),
    "dinov2_fast": ("BitImageProcessorFast", {**CLIP, **IMAGENET, "crop_size": {"height": 24, "width": 31}}),
    "padded": ("CLIPImageProcessor", {**CLIP, "size": {"shortest_edge": 12}, "crop_size": {"height": 19, "width": 28}}),
    "padded_fast": ("CLIPImageProcessorFast", {**CLIP, "size": {"shortest_edge": 12}, "crop_size": {"height": 19, "width": 28}}),
    "plain": ("ViTImageProcessor", {**VIT, "do_normalize": False}),
    "raw": ("ViTImageProcessor", {**VIT, "do_rescale": False}),
}


def processors() -> None:
    cases = {}
    for name, (kind, keys) in PROCESSORS.items():
        family = kind.removesuffix("Fast")
        processor = getattr(transformers, family if kind.endswith("Fast") else family + "Pil")(**keys)
        results = []
        for picture in "photo.jpg.rgb.png", "narrow.jpg.rgb.png", "rgb.png":
            image = Image.open(os.path.join(decode, picture)).convert("RGB")
            values = processor(image, return_tensors="pt").pixel_values[0].double()
            rng = np.random.default_rng(7)
            probes = [[int(i), values.flatten()[int(i)].item()] for i in rng.integers(0, values.numel(), 40)]
            results.append({"picture": picture, "shape": list(values.shape), "rows": values.sum((0, 2)).tolist(), "columns": values.sum((0, 1)).tolist(),
                            "channels": values.sum((1, 2)).tolist(), "probes": probes})
        cases[name] = {"config": {**keys, "image_processor_type": kind}, "results": results}
    with open(os.path.join(out, "processors.json"), "w") as f:
        json.dump(cases, f)
        f.write("\n")


inputs()
resizes()
processors()
