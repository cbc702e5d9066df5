"""Checks that pyarrow and DuckDB read testdata/scores.parquet as docs/FORMAT.md
says: names, types, order of the columns, and nulls where there is no value.

Run after `CURATE_UPDATE=1 go test -run ScoresGolden ./shards`:
python check_scores.py    (Python 3.11.7, pyarrow 26.0.1, duckdb 2.0.0)
"""

import math
import os

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scores.parquet")
table = pq.read_table(FILE)
want = pa.schema([
    pa.field("shard", pa.string(), False), pa.field("row", pa.int64(), False), pa.field("seq", pa.int32(), False),
    pa.field("id", pa.string()), pa.field("domain", pa.string()), pa.field("token_count", pa.int32(), False),
    pa.field("prior_loss", pa.float32()), pa.field("conditional_loss", pa.float32()), pa.field("color_score", pa.float32()),
    pa.field("reason", pa.string()),
])
assert table.schema.remove_metadata().equals(want), table.schema
assert table.schema.metadata == {b"a": b"1", b"b": b"2"}, table.schema.metadata
rows = table.to_pylist()
assert [(r["row"], r["seq"]) for r in rows] == [(i // 2, i % 2) for i in range(30)]
for i, r in enumerate(rows):
    assert r["shard"] == "a/b.parquet" and r["id"] == (None if i % 5 == 0 else f"id-{i}")
    assert r["domain"] == ["books", "web", None, "ünï\0code"][i % 4]
    assert r["reason"] == {1: "null_text", 2: "inf_score"}.get(i % 7)
    assert (r["prior_loss"] is None) == (r["color_score"] is None) == (i % 7 == 1)
    assert i % 7 != 2 or r["prior_loss"] == math.inf
    assert i % 7 != 3 or r["prior_loss"] == r["conditional_loss"] == r["color_score"] == 0
assert duckdb.sql(f"from '{FILE}' order by row, seq").fetchall() == [tuple(r.values()) for r in rows]
print("ok:", len(rows), "rows")
