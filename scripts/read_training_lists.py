"""Loads both training lists of `curate write --format manifests`: rows and labels.

Usage: read_training_lists.py FOLDER. It prints JSON: for pretrain.json and
finetune.json the image ids in order, and for the first the automatic labels of
each image, of the sidecars or else of the rows themselves.
"""

import json
import os
import sys

import pyarrow.parquet as pq

folder = sys.argv[1]
out = {}
for role in ("pretrain", "finetune"):
    listed = json.load(open(os.path.join(folder, role + ".json")))
    assert listed["format"] == 1 and listed["role"] == role, listed
    sidecars = {}
    for sidecar in listed["labels"].get("sidecars", []):
        for row in pq.read_table(sidecar["file"], columns=["shard", "row", "objects"]).to_pylist():
            sidecars[row["shard"], row["row"]] = [o["class"] for o in row["objects"]]
    ids, labels, rows = [], [], 0
    for shard in listed["shards"]:
        assert os.path.getsize(shard["uri"]) == shard["size"], shard
        table = pq.read_table(shard["uri"])
        assert len(table) == shard["of"], shard
        for start, end in shard["ranges"]:
            assert 0 <= start < end <= shard["of"], shard
            rows += end - start
            for at, row in zip(range(start, end), table.slice(start, end - start).to_pylist()):
                ids.append(row["image_id"])
                if role == "pretrain":
                    own = [o["class"] for o in row.get("objects") or []]
                    labels.append(sidecars[shard["shard"], at] if sidecars else own)
    assert rows == listed["rows"], (rows, listed["rows"])
    out[role] = {"ids": ids, "labels": labels, "kind": listed["labels"]["kind"], "shards": [(s["shard"], s["digest"]) for s in listed["shards"]]}
print(json.dumps(out))
