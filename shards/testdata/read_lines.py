"""Reads JSON lines that curate copied with Python, pyarrow and DuckDB.

    python shards/testdata/read_lines.py IN.jsonl DIR

DIR holds out.jsonl, out.jsonl.zst and out.jsonl.gz: the rows i of IN with
i % 3 == 1, each with a last key color_score of i + 0.5. Exits 1 if a reader
sees something else.
"""
import gzip
import json
import pathlib
import sys

import duckdb
import pyarrow as pa
import pyarrow.json

rows = [l for l in open(sys.argv[1], newline="").read().split("\n") if l.strip()]
want = [json.loads(l) | {"color_score": i + 0.5} for i, l in enumerate(rows) if i % 3 == 1]
folder = pathlib.Path(sys.argv[2])
faults = 0
for name in ["out.jsonl", "out.jsonl.zst", "out.jsonl.gz"]:
    path = folder / name
    with pa.input_stream(path, compression={"jsonl": None, "zst": "zstd", "gz": "gzip"}[name.split(".")[-1]]) as f:
        raw = f.read()
    got = [json.loads(l) for l in raw.decode().split("\n") if l]
    table = pa.json.read_json(pa.BufferReader(raw))
    duck = duckdb.sql(f"SELECT * FROM read_json('{path}', format='newline_delimited', columns={{id: 'BIGINT', text: 'VARCHAR', color_score: 'FLOAT'}})").fetchall()
    checks = {
        "json": got == want and all(list(g)[-1] == "color_score" for g in got),
        "pyarrow": table.column("text").to_pylist() == [w["text"] for w in want],
        "duckdb": duck == [(w["id"], w["text"], w["color_score"]) for w in want],
        "gzip without a time": not name.endswith("gz") or path.read_bytes()[4:8] == bytes(4) and gzip.decompress(path.read_bytes()) == raw,
    }
    for check, ok in checks.items():
        if not ok:
            print(name, check, "differs")
            faults += 1
sys.exit(faults > 0)
