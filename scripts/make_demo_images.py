#!/usr/bin/env python3
"""make_demo_images.py BCCD.parquet OUT_DIR [--images N]

Makes the image pool of the OFDS demo from the BCCD data set (blood cells; image
binary, file_name, width, height, objects list<struct<class, box xyxy>>): N images
in two shards, JPEG bytes unchanged. The labels of people become column `truth`;
column `objects` is what an automatic detector might have said about them, by the
model of noisy_detector.py.
"""
import argparse
import zlib

import pyarrow as pa
import pyarrow.parquet as pq

from noisy_detector import detect

BOX = pa.list_(pa.float32(), 4)
SCHEMA = pa.schema([
    ("image_id", pa.string()), ("image", pa.binary()), ("width", pa.int32()), ("height", pa.int32()),
    ("objects", pa.list_(pa.struct([("class", pa.string()), ("score", pa.float32()), ("box", BOX)]))),
    ("truth", pa.list_(pa.struct([("class", pa.string()), ("box", BOX)]))),
])


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
