"""Checks a file that `curate tokenize` wrote, by pyarrow and DuckDB.

    python scripts/check_ids.py IN OUT COLUMN

All columns of IN (Parquet or Arrow; of JSONL only their number of rows) must be in OUT,
unchanged; both readers must see the same ids. Prints [text, ids] of each row as JSON lines.
"""

import json
import sys

import duckdb
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

source, output, column = sys.argv[1:]
table = pq.read_table(output)
if table.schema.field(column).type != pa.list_(pa.int32()):
    sys.exit(f"{column} is {table.schema.field(column).type}")
if source.endswith(".parquet"):
    before = pq.read_table(source)
elif source.endswith(".arrow"):
    before = ipc.open_file(source).read_all()
else:
    before = None
if before is not None and not table.drop_columns([column]).equals(before):
    sys.exit(f"columns differ: {table.schema} and {before.schema}")
ids = table[column].to_pylist()
by_duckdb = [r[0] for r in duckdb.connect().execute(f'SELECT "{column}" FROM read_parquet(?)', [output]).fetchall()]
if by_duckdb != ids:
    sys.exit("DuckDB and pyarrow read other ids")
for text, row in zip(table["text"].to_pylist(), ids, strict=True):
    print(json.dumps([text, row]))
