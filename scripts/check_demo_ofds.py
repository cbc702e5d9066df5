"""Checks what `curate run configs/demo-ofds.yaml` wrote, with pyarrow.

Usage: check_demo_ofds.py OUT POOL. Chosen rows must equal the input's in every
column, images included; every row must be kept or have a reason; the chosen
images are 20, each with what it was chosen for, and show all three classes.
"""

import glob
import json
import os
import sys

import pyarrow.parquet as pq

out, pool = sys.argv[1:3]
counts = json.load(open(os.path.join(out, "data", "_manifest.json")))["counts"]
assert counts["rows_in"] == counts["kept"] + sum(counts["dropped"].values()) + counts["quarantined"], counts
chosen = []
for path in sorted(glob.glob(os.path.join(pool, "pool-*.parquet"))):
    shard = os.path.basename(path)
    source = pq.read_table(path)
    selection = pq.read_table(os.path.join(out, "selection", shard))
    assert selection["row"].to_pylist() == list(range(len(source))), shard
    for keep, reason in zip(selection["keep"].to_pylist(), selection["reason"].to_pylist()):
        assert keep == (reason is None)
    want = source.filter(selection["keep"])
    got = pq.read_table(os.path.join(out, "data", shard))
    assert got.schema.equals(source.schema, check_metadata=True), f"{shard}: schema changed"
    assert got.equals(want), f"{shard}: chosen rows differ from the input's"
    chosen += got["image_id"].to_pylist()
choices = pq.read_table(os.path.join(out, "selection", "_choices.parquet")).to_pylist()
assert [c["order"] for c in choices] == list(range(20)), len(choices)
assert sorted(c["image_id"] for c in choices) == sorted(chosen)
assert all(c["kind"] for c in choices)
metrics = json.load(open(os.path.join(out, "selection", "metrics.json")))
assert metrics["metrics"]["proposals"]["overall"]["covered"] == 3, metrics["metrics"]["proposals"]["overall"]
page = open(os.path.join(out, "selection", "report.html")).read()
assert page.count("data:image/jpeg") == 20 and "<svg" in page and "http://" not in page.replace("http://www.w3.org", "")
print("20 of 150 images chosen, rows equal the input's, each with its reason; true objects of each class:",
      {c["name"]: c["chosen_objects"] for c in metrics["metrics"]["truth"]["classes"]})
