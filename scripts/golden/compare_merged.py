"""Compares Parquet files that curate merged with what pyarrow makes of their
inputs: concat_tables(promote_options="permissive").

    python scripts/golden/compare_merged.py FILE

FILE holds lines of JSON: out (path), parts (list of path and rows, the numbers
of the rows that are kept), scores (the numbers of the added column, or null),
types (whether Arrow's types must be pyarrow's too). Exits 1 if anything differs.
"""
import json
import pathlib
import struct
import sys

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq


def read(path):
    if path.endswith(".arrow"):
        return pa.ipc.open_file(path).read_all()
    if path.endswith(".jsonl"):
        return pj.read_json(path) if pathlib.Path(path).read_text().strip() else pa.table({})
    return pq.read_table(path)


def plain(t):
    """without dictionaries and views, which concat_tables does not promote"""
    for i, f in enumerate(t.schema):
        column, typ = t.column(i), f.type
        if pa.types.is_dictionary(typ):
            column, typ = column.cast(typ.value_type), typ.value_type
        if pa.types.is_string_view(typ):
            column = column.cast(pa.string())
        t = t.set_column(i, pa.field(f.name, column.type), column)
    return t


def value(v):
    if isinstance(v, float):
        return struct.pack("<d", v)
    if isinstance(v, dict):
        return {k: value(x) for k, x in v.items() if x is not None}  # a field may be missing
    if isinstance(v, (list, tuple)):
        return [value(x) for x in v]
    return v


def compare(job):
    want = pa.concat_tables([plain(read(p["path"])).take(pa.array(p["rows"], pa.int64())) for p in job["parts"]], promote_options="permissive")
    got = pq.read_table(job["out"])
    if job["scores"] is not None:
        if got.schema.names[-1] != "color_score" or got.column("color_score").to_pylist() != job["scores"]:
            yield "scores differ"
        got = got.drop_columns(["color_score"])
    names = [n for n in got.schema.names if n in want.schema.names]
    if names != want.schema.names:
        yield f"columns {got.schema.names}, want {want.schema.names}"
    for name in got.schema.names:
        x = want.column(name).to_pylist() if name in names else [None] * len(want)
        y = got.column(name).to_pylist()
        if [value(v) for v in x] != [value(v) for v in y]:
            yield f"{name}: {x[:5]}... and {y[:5]}... differ"
    for name, typ in (job["types"] or {}).items():
        if str(got.schema.field(name).type) != typ:
            yield f"{name} is {got.schema.field(name).type}, want {typ}"


bad = 0
jobs = [json.loads(line) for line in open(sys.argv[1])]
for job in jobs:
    for line in compare(job):
        bad += 1
        print(f"{[pathlib.Path(p['path']).name for p in job['parts']]}: {line}")
print(f"{len(jobs)} files, {bad} differences")
sys.exit(bad > 0)
