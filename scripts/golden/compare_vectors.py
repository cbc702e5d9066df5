"""Reads a vector sidecar with pyarrow and DuckDB and compares it with JSON.

    python scripts/golden/compare_vectors.py SIDECAR JSON f16|f32
"""
import base64
import json
import sys

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

file, text, kind = sys.argv[1:]
want = json.load(open(text))
dtype = np.float16 if kind == "f16" else np.float32
element = pa.float16() if kind == "f16" else pa.float32()


def floats(v, dtype=np.float32):
    return None if v is None else np.frombuffer(base64.b64decode(v), "<f4").astype(dtype)


def same(got, want, where):
    if want is None or got is None:
        assert got is None and want is None, (where, got, want)
        return
    got = np.asarray(got, want.dtype)
    assert got.shape == want.shape and np.array_equal(got, want, equal_nan=True), (where, got, want)


def check(rows, reader):
    assert len(rows) == len(want), (reader, len(rows))
    for i, (r, w) in enumerate(zip(rows, want)):
        where = reader, i
        for name in ["shard", "row", "image_id", "group", "unlabelled", "reason"]:
            assert r[name] == w[name], (*where, name, r[name], w[name])
        assert (r["rows"] or 0) == w["rows"], where
        assert (r["width"] or 0, r["height"] or 0) == (w["width"], w["height"]), where
        same(r["vec"], floats(w["vec"], dtype), where)
        assert len(r["objects"]) == len(w["objects"]), where
        for o, v in zip(r["objects"], w["objects"]):
            for name in ["id", "class", "source", "ignore"]:
                assert o[name] == v[name], (*where, name)
            assert (o["area"] or 0) == v["area"], where
            same([o["score"], *o["box"]], floats(v["numbers"]), where)
            same(o["vec"], floats(v["vec"], dtype), where)


table = pq.read_table(file)
meta = table.schema.metadata
assert meta[b"curate.encoder"] == b"x" and meta[b"curate.dim"] == b"5" and meta[b"curate.vector"] == kind.encode(), meta
assert pq.read_metadata(file).metadata[b"curate.encoder"] == b"x"
vec = table.schema.field("vec").type
assert vec == pa.list_(pa.field("element", element, False), 5), vec
assert table.schema.field("objects").type.value_type.field("vec").type.list_size == 5
table.validate(full=True)
check(table.to_pylist(), "pyarrow")
names = ["shard", "row", "image_id", "group", "width", "height", "vec", "unlabelled", "objects", "rows", "reason"]
rows = duckdb.sql(f"select * from '{file}'").fetchall()
check([dict(zip(names, r)) for r in rows], "duckdb")
kinds = [str(t) for t in duckdb.sql(f"select vec, objects from '{file}'").types]
assert kinds[0] == "FLOAT[]", kinds
dot = duckdb.sql(f"select count(*) from '{file}', unnest(objects) as t(o) where list_dot_product(o.vec, o.vec) > 0").fetchall()[0][0]
assert dot > 0
print(f"{len(want)} rows, DuckDB {duckdb.__version__} reads vec as {kinds[0]}")
