"""Makes pipeline/testdata/masks.json and shards/annotations/testdata/rle.json:
masks as pycocotools draws and packs them.

Run:      python scripts/golden/make_annotations.py
Versions: pycocotools 2.0.11, numpy 2.4.6
Tolerance: none, runs and areas are equal

Coordinates are eighths of a pixel, so that float32 holds them exactly.
"""

import json
import random
from pathlib import Path

import numpy as np
from pycocotools import mask

ROOT = Path(__file__).resolve().parents[2]


def runs(rle):
    """The run lengths of a compressed mask, counted on the decoded pixels."""
    flat = mask.decode(rle).flatten(order="F")
    counts, inside, length = [], 0, 0
    for pixel in flat:
        if pixel != inside:
            counts.append(length)
            inside, length = pixel, 0
        length += 1
    return counts + [length]


def described(polygons, height, width):
    rle = mask.merge(mask.frPyObjects(polygons, height, width))
    return {
        "height": height, "width": width, "polygons": polygons, "counts": runs(rle),
        "string": rle["counts"].decode(), "pixels": int(mask.area(rle)), "bounds": [float(x) for x in mask.toBbox(rle)],
    }


def polygon(draw, height, width, points, reach):
    def eighth(size):
        return draw.randrange(int(-8 * reach), int(8 * (size + reach))) / 8
    return [v for _ in range(points) for v in (eighth(width), eighth(height))]


def masks():
    draw = random.Random(7)
    cases = [
        ([[2, 2, 2, 7, 9, 7, 9, 2]], 10, 12),               # whole pixels
        ([[0, 0, 0, 10, 12, 10, 12, 0]], 10, 12),           # the whole image
        ([[3.25, 4.5, 3.25, 4.5, 8.5, 4.5, 8.5, 9.0]], 10, 12),  # a point twice
        ([[1, 1, 10, 8, 1, 8, 10, 1]], 10, 12),             # crosses itself
        ([[1, 1, 1, 6, 6, 6, 6, 1], [4, 4, 4, 9, 10, 9, 10, 4]], 10, 12),  # two that overlap
        ([[0.125, 0.125, 0.125, 0.25, 0.25, 0.25]], 10, 12),  # within one pixel
        ([[20, 20, 20, 30, 30, 30]], 10, 12),               # outside
        ([[5, 0, 5, 10, 6, 10, 6, 0]], 10, 12),             # a column
    ]
    for count in range(120):
        height, width = draw.randrange(1, 40), draw.randrange(1, 40)
        reach = draw.choice([0, 0, 0.9]) * min(height, width)
        parts = [polygon(draw, height, width, draw.randrange(3, 9), reach) for _ in range(draw.choice([1, 1, 2, 3]))]
        cases.append((parts, height, width))
    return [described(*case) for case in cases]


def strings():
    """Compressed run lengths, with the counts that they hold."""
    cases = []
    draw = np.random.default_rng(7)
    for height, width, share in [(1, 1, 0), (1, 1, 1), (3, 5, .5), (64, 48, .1), (64, 48, .9), (480, 640, .0001), (1000, 1000, 0)]:
        pixels = np.asfortranarray((draw.random((height, width)) < share).astype(np.uint8))
        cases.append(pixels)
    block = np.zeros((700, 500), np.uint8, order="F")
    block[100:600, 50:450] = 1
    cases.append(block)
    described = []
    for pixels in cases:
        rle = mask.encode(pixels)
        described.append({"size": list(pixels.shape), "string": rle["counts"].decode(), "counts": runs(rle), "pixels": int(pixels.sum())})
    return described


def write(path, cases):
    text = "[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n"
    (ROOT / path).write_text(text)


write("pipeline/testdata/masks.json", masks())
write("shards/annotations/testdata/rle.json", strings())
