"""Makes pipeline/testdata/masks.json and shards/annotations/testdata/rle.json:
masks as pycocotools draws and packs them. And in shards/annotations/testdata
coco.json and results.json: labels of made-up images, with coco-read.json and
results-read.json: what pycocotools reads from them, and coco-subset.json and
results-subset.json: what Python's json leaves of them for every third image.
33x17.webp there is by Pillow: Image.new("RGB", (33, 17), (9, 99, 200)).save(..., quality=10).

Run:      python scripts/golden/make_annotations.py
Versions: pycocotools 2.0.11, numpy 2.4.6
Tolerance: none, runs and areas are equal

Coordinates are eighths of a pixel, so that float32 holds them exactly.
"""

import contextlib
import io
import json
import random
from pathlib import Path

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO

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


def segmentation(draw, kind, height, width):
    parts = [polygon(draw, height, width, draw.randrange(3, 7), 0) for _ in range(draw.choice([1, 1, 2]))]
    if kind == "polygon":
        return parts
    rle = mask.merge(mask.frPyObjects(parts, height, width))
    return {"size": [height, width], "counts": rle["counts"].decode() if kind == "packed" else runs(rle)}


def labels():
    """Instances and predictions, annotations in no order, ids with gaps."""
    draw = random.Random(8)
    ids = draw.sample(range(1, 10**12), 40)
    images = [{"license": 1, "file_name": f"{i % 7}/{i:012}.jpg", "height": draw.randrange(20, 50), "width": draw.randrange(20, 50), "id": i} for i in ids]
    categories = [{"supercategory": "s", "id": i, "name": f"class {i}", "unknown": {"a": [1.50, None]}} for i in (90, 3, 44, 7)]
    annotations, results = [], []
    for number in range(150):
        image = draw.choice(images[:35])  # the others have none
        kind = draw.choice(["polygon", "polygon", "packed", "counts"])
        annotations.append({
            "segmentation": segmentation(draw, kind, image["height"], image["width"]), "area": draw.randrange(1, 9999) / 8,
            "iscrowd": int(kind == "counts"), "image_id": image["id"], "id": 10**10 + 13 * number,
            "bbox": [draw.randrange(0, 160) / 8 for _ in range(4)], "category_id": draw.choice(categories)["id"], "extra": "é\n",
        })
        results.append({
            "image_id": image["id"], "category_id": draw.choice(categories)["id"],
            "bbox": [draw.randrange(1, 160) / 8 for _ in range(4)], "score": draw.randrange(0, 1025) / 1024,
        })
    draw.shuffle(annotations)
    top = {"info": {"year": 1, "contributor": "ü"}, "annotations": annotations, "licenses": [{"id": 1}], "images": images, "categories": categories, "more": [[]]}
    return top, results


def read(coco, with_masks):
    """What pycocotools reads: by image, in the order of the file."""
    images = []
    for image in coco.dataset["images"]:
        objects = []
        for annotation in coco.imgToAnns[image["id"]]:
            name = coco.loadCats(annotation["category_id"])[0]["name"]
            objects.append({
                "id": str(annotation["id"]), "class": name, "box": annotation["bbox"], "score": annotation.get("score", 1),
                "ignore": bool(annotation["iscrowd"]), "pixels": int(coco.annToMask(annotation).sum()) if with_masks else 0,
            })
        images.append({"id": str(image["id"]), "width": image["width"], "height": image["height"], "objects": objects})
    return images


def dump(name, value, **options):
    (ROOT / "shards/annotations/testdata" / name).write_text(json.dumps(value, **options) + "\n")


def coco():
    top, results = labels()
    dump("coco.json", top)  # with \\u escapes and spaces, as json writes by default
    dump("results.json", results, ensure_ascii=False, separators=(",\n", ":"))
    keep = {image["id"] for image in top["images"][::3]}
    kept = dict(top, images=[i for i in top["images"] if i["id"] in keep], annotations=[a for a in top["annotations"] if a["image_id"] in keep])
    dump("coco-subset.json", kept)
    dump("results-subset.json", [r for r in results if r["image_id"] in keep])
    with contextlib.redirect_stdout(io.StringIO()):
        instances = COCO(ROOT / "shards/annotations/testdata/coco.json")
        dump("coco-read.json", read(instances, True))
        dump("results-read.json", read(instances.loadRes(str(ROOT / "shards/annotations/testdata/results.json")), False))


coco()
write("pipeline/testdata/masks.json", masks())
write("shards/annotations/testdata/rle.json", strings())
