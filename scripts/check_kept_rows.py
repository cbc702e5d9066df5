"""Compares what `curate write` made of a selection with the inputs, by pyarrow.

Usage: check_kept_rows.py SELECTION DATA INPUT... Kept rows of Parquet must equal
the input's in every column; members of a tar must be those of the kept samples,
byte for byte, in their order.
"""

import os
import sys
import tarfile

import pyarrow.parquet as pq

selection, data, *inputs = sys.argv[1:]


def members(path):
    with tarfile.open(path) as tar:
        return [(m.name, tar.extractfile(m).read()) for m in tar if m.isfile()]


for path in inputs:
    shard = os.path.basename(path)
    decided = pq.read_table(os.path.join(selection, os.path.splitext(shard)[0] + ".parquet" if shard.endswith(".tar") else shard))
    assert decided["row"].to_pylist() == list(range(len(decided))), shard
    keep = decided["keep"].to_pylist()
    if shard.endswith(".tar"):
        samples = {}
        for name, content in members(path):
            samples.setdefault(name.split(".")[0], []).append((name, content))
        assert len(samples) == len(keep)
        want = [m for sample, kept in zip(samples.values(), keep) if kept for m in sample]
        assert members(os.path.join(data, shard)) == want, f"{shard}: members differ"
        continue
    source = pq.read_table(path)
    if not any(keep):
        assert not os.path.exists(os.path.join(data, shard))
        continue
    got = pq.read_table(os.path.join(data, shard))
    assert got.schema.equals(source.schema, check_metadata=True), f"{shard}: schema changed"
    assert got.equals(source.filter(decided["keep"])), f"{shard}: kept rows differ from the input's"
print("equal")
