"""Compares Parquet files that curate wrote with the rows of their inputs, as
DuckDB reads both: for inputs that pyarrow cannot read, such as DuckDB's own
with version 2 pages.

    python scripts/golden/compare_duckdb.py FILE

FILE holds lines of IN, OUT, KEEPMASK and SCORE as compare_rows.py wants them.
Columns that only OUT has are left out. Exits 1 if anything differs.
"""
import pathlib
import sys

import duckdb


def rows(path, columns="*"):
    return duckdb.sql(f"SELECT {columns} FROM read_parquet('{path}')").to_arrow_table()


bad = 0
jobs = [line.rstrip("\n").split("\t") for line in open(sys.argv[1])]
for source, target, mask, _ in jobs:
    keep = [c == "1" for c in pathlib.Path(mask).read_text().strip()]
    want = rows(source)
    got = rows(target, ", ".join(f'"{n}"' for n in want.column_names))
    for name in want.column_names:
        x = [repr(v) for v, k in zip(want[name].to_pylist(), keep, strict=True) if k]
        y = [repr(v) for v in got[name].to_pylist()]
        if x != y:
            bad += 1
            print(f"{pathlib.Path(source).name} ({pathlib.Path(mask).name}): {name} differs")
print(f"{len(jobs)} files, {bad} differences")
sys.exit(bad > 0)
