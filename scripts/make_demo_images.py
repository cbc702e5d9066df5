#!/usr/bin/env python3
"""make_demo_images.py BCCD.parquet OUT_DIR [--images N]

Makes the image pool of the OFDS demo from the BCCD data set (blood cells; image
binary, file_name, width, height, objects list<struct<class, box xyxy>>): N images
in two shards, JPEG bytes unchanged. The labels of people become column `truth`;
column `objects` is what an automatic detector might have said about them, by
this model, drawn per image from a hash of its name:

  - a fifth of the objects is missed;
  - box sides are off by a normal error of 4 % of the side;
  - the confidence of a hit is normal, mean 0.75, deviation 0.12, within 0.3..1;
  - one hit in twenty has another class, with a confidence of mean 0.5;
  - for every seven objects there is one false box of random place and class,
    with a confidence uniform in 0.05..0.5.
"""
import argparse
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CLASSES = ["Platelets", "RBC", "WBC"]
BOX = pa.list_(pa.float32(), 4)
SCHEMA = pa.schema([
    ("image_id", pa.string()), ("image", pa.binary()), ("width", pa.int32()), ("height", pa.int32()),
    ("objects", pa.list_(pa.struct([("class", pa.string()), ("score", pa.float32()), ("box", BOX)]))),
    ("truth", pa.list_(pa.struct([("class", pa.string()), ("box", BOX)]))),
])


def detect(name, width, height, truth):
    random = np.random.RandomState(zlib.crc32(name.encode()))
    found = []
    for o in truth:
        if random.rand() < 0.2:
            continue
        x1, y1, x2, y2 = o["box"]
        off = random.normal(0, 0.04, 4) * [x2 - x1, y2 - y1, x2 - x1, y2 - y1]
        cls, mean = o["class"], 0.75
        if random.rand() < 0.05:
            cls, mean = random.choice([c for c in CLASSES if c != cls]), 0.5
        box = np.clip(np.array(o["box"]) + off, 0, [width, height, width, height])
        found.append({"class": str(cls), "score": float(np.clip(random.normal(mean, 0.12), 0.3, 1)), "box": [float(v) for v in box]})
    for _ in range(random.binomial(len(truth), 1 / 7)):
        w, h = random.uniform(30, 200, 2)
        x, y = random.uniform(0, width - w), random.uniform(0, height - h)
        found.append({"class": str(random.choice(CLASSES)), "score": float(random.uniform(0.05, 0.5)), "box": [float(x), float(y), float(x + w), float(y + h)]})
    return found


def main():
    args = argparse.ArgumentParser()
    args.add_argument("bccd")
    args.add_argument("out")
    args.add_argument("--images", type=int, default=150)
    args = args.parse_args()
    rows = [r for r in pq.read_table(args.bccd).to_pylist() if r["split"] == "train"]
    rows = sorted(rows, key=lambda r: zlib.crc32(r["file_name"].encode()))[: args.images]
    rows.sort(key=lambda r: r["file_name"])
    out = []
    for r in rows:
        truth = [{"class": o["class"], "box": o["box"]} for o in r["objects"]]
        out.append({"image_id": r["file_name"], "image": r["image"], "width": r["width"], "height": r["height"],
                    "objects": detect(r["file_name"], r["width"], r["height"], truth), "truth": truth})
    half = (len(out) + 1) // 2
    for i, part in enumerate([out[:half], out[half:]]):
        pq.write_table(pa.Table.from_pylist(part, SCHEMA), f"{args.out}/pool-{i:05d}.parquet", compression="zstd", row_group_size=25)
    for kind in ("truth", "objects"):
        counts = {}
        for r in out:
            for o in r[kind]:
                counts[o["class"]] = counts.get(o["class"], 0) + 1
        print(len(out), "images,", kind, counts)


if __name__ == "__main__":
    main()
