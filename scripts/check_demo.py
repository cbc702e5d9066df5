"""Checks what `curate run configs/demo.yaml` wrote, with pyarrow and duckdb.

Usage: check_demo.py OUT POOL: OUT is the run's output folder, POOL the folder
with the pool-*.parquet that it read. Every kept row must equal the input's row
in every column and type, the counts must add up, and books must have gained.
"""

import glob
import json
import os
import sys

import duckdb
import pyarrow.parquet as pq

out, pool = sys.argv[1:3]
manifest = json.load(open(os.path.join(out, "data", "_manifest.json")))
counts = manifest["counts"]
dropped = sum(counts["dropped"].values())
assert counts["rows_in"] == counts["kept"] + dropped + counts.get("quarantined", 0), counts

rows_in = kept = 0
for path in sorted(glob.glob(os.path.join(pool, "pool-*.parquet"))):
    shard = os.path.basename(path)
    source = pq.read_table(path)
    rows_in += len(source)
    selection = pq.read_table(os.path.join(out, "selection", shard))
    assert selection["row"].to_pylist() == list(range(len(source))), shard
    want = source.filter(selection["keep"])
    got = pq.read_table(os.path.join(out, "data", shard))
    kept += len(got)
    got_columns = got.select(source.column_names)
    assert got_columns.schema.equals(source.schema, check_metadata=True), f"{shard}: schema changed"
    assert got_columns.equals(want), f"{shard}: kept rows differ from the input's"
assert (rows_in, kept) == (counts["rows_in"], counts["kept"]), (rows_in, kept, counts)
assert kept == rows_in // 8, (rows_in, kept)


def books(files: str) -> float:
    return duckdb.sql(f"select count(*) filter (domain = 'books') / count(*) from read_parquet('{files}')").fetchall()[0][0]


before, after = books(f"{pool}/pool-*.parquet"), books(f"{out}/data/*.parquet")
print(f"{kept} of {rows_in} rows kept, all columns equal the input's; share of books {before:.3f} -> {after:.3f} ({after / before:.1f}x)")
assert after > 2 * before, "the selection did not find the target's domain"
report = open(os.path.join(out, "report.html")).read()
assert "<svg" in report and "http://" not in report.replace("http://www.w3.org", ""), "report"
