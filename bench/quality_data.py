"""quality_data.py BCCD.parquet FOLDER DETECTORS

Makes the input of the quality comparison from the BCCD data set, in FOLDER:

  objects.parquet       for `curate embed`: every image with its true objects (source
                        `truth`) and what DETECTORS detectors say (source `detector-0`
                        and so on; scripts/noisy_detector.py is the model). Group is
                        the split of the publishers.
  efficientnet.parquet  the same, without the images' bytes, with vectors of
                        EfficientNet-Lite0 (bench/efficientnet.py)
  colour.parquet        the same with colour histograms: square roots of the shares of
                        8 levels of red, green and blue each, in the box or the image
"""
import io
import os
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "scripts"))
from noisy_detector import detect  # noqa: E402

import efficientnet  # noqa: E402


def objects_of(row, detectors):
    found = [{"class": o["class"], "score": 1.0, "box": [float(v) for v in o["box"]], "source": "truth"} for o in row["objects"]]
    truth = [{"class": o["class"], "box": o["box"]} for o in row["objects"]]
    for d in range(detectors):
        found += [o | {"source": f"detector-{d}"} for o in detect(row["file_name"], row["width"], row["height"], truth, d)]
    for i, o in enumerate(found):
        o["id"] = f"{i:04d}"
    return found


def schema(vectors):
    box = pa.list_(pa.float32(), 4)
    fields = [("id", pa.string()), ("class", pa.string()), ("score", pa.float32()), ("box", box), ("source", pa.string())]
    image = [("image_id", pa.string()), ("group", pa.string()), ("width", pa.int32()), ("height", pa.int32())]
    if vectors:
        vec = pa.list_(pa.float32(), vectors)
        fields, image = fields + [("vec", vec)], image + [("vec", vec)]
    else:
        image.append(("image", pa.binary()))
    return pa.schema(image + [("objects", pa.list_(pa.struct(fields)))])


def write(folder, name, rows, vectors=0):
    path = os.path.join(folder, name)
    pq.write_table(pa.Table.from_pylist(rows, schema(vectors)), path + ".part", compression="zstd", row_group_size=32)
    os.replace(path + ".part", path)


def histogram(pixels):
    """24 numbers of a region (height, width, 3) of bytes; their squares sum to 1."""
    if pixels.size == 0:
        return np.full(24, (1 / 24) ** 0.5, np.float32)  # a box without area, which no pool keeps
    shares = [np.bincount(pixels[..., c].ravel() >> 5, minlength=8) / pixels[..., c].size / 3 for c in range(3)]
    return np.sqrt(np.concatenate(shares)).astype(np.float32)


def colours(picture, boxes):
    found = []
    for x1, y1, x2, y2 in boxes:
        left, top = int(min(x1, x2)), int(min(y1, y2))
        found.append(histogram(picture[top:max(int(np.ceil(y2)), top), left:max(int(np.ceil(x2)), left)]))
    return histogram(picture), found


def main():
    source, folder, detectors = sys.argv[1], sys.argv[2], int(sys.argv[3])
    os.makedirs(folder, exist_ok=True)
    net = efficientnet.Encoder()
    tables = {"objects": [], "efficientnet": [], "colour": []}
    for row in sorted(pq.read_table(source).to_pylist(), key=lambda r: r["file_name"]):
        picture = np.asarray(Image.open(io.BytesIO(row["image"])).convert("RGB"))
        plain = {"image_id": row["file_name"], "group": row["split"], "width": row["width"], "height": row["height"], "objects": objects_of(row, detectors)}
        tables["objects"].append(plain | {"image": row["image"]})
        boxes = [o["box"] for o in plain["objects"]]
        for name, (whole, vectors) in {"efficientnet": net.vectors(picture, boxes), "colour": colours(picture, boxes)}.items():
            objects = [o | {"vec": v} for o, v in zip(plain["objects"], vectors)]
            tables[name].append(plain | {"vec": whole, "objects": objects})
    write(folder, "efficientnet.parquet", tables["efficientnet"], efficientnet.WIDTH)
    write(folder, "colour.parquet", tables["colour"], 24)
    write(folder, "objects.parquet", tables["objects"])
    print(len(tables["objects"]), "images,", sum(len(r["objects"]) for r in tables["objects"]), "objects of the truth and of", detectors, "detectors")


if __name__ == "__main__":
    main()
