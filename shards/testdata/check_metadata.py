"""Checks that DuckDB and pyarrow make use of the metadata of a file that TestMetadataServesReaders wrote.

Usage: check_metadata.py FILE   3,000 rows: id doc-0.., n 0.. ascending, in three row groups or more
"""

import sys

import duckdb
import pyarrow.dataset as ds
import pyarrow.parquet as pq

path = sys.argv[1]
f = pq.ParquetFile(path)
groups = f.metadata.num_row_groups
names = {f.schema.column(i).path: i for i in range(len(f.schema))}
assert groups >= 3 and f.metadata.num_rows == 3000, (groups, f.metadata.num_rows)

first = 0
for g in range(groups):
    group = f.metadata.row_group(g)
    for path_in_schema, i in names.items():
        c = group.column(i)
        assert c.has_offset_index, (g, path_in_schema)
        if path_in_schema in ("id", "n", "kind"):
            assert c.has_column_index and c.statistics.has_min_max and c.statistics.null_count == 0, (g, path_in_schema)
    s = group.column(names["n"]).statistics
    assert (s.min, s.max) == (first, first + group.num_rows - 1), (g, s.min, s.max)
    first += group.num_rows

# Row groups whose statistics rule the value out are not looked at.
fragment = next(ds.dataset(path).get_fragments())
assert len(list(fragment.split_by_row_group(ds.field("n") == 2999))) == 1
assert ds.dataset(path).to_table(filter=ds.field("n") >= 2990).num_rows == 10

sql = duckdb.sql
assert sql(f"SELECT count(*), sum(n) FROM '{path}' WHERE n BETWEEN 700 AND 1700").fetchall() == [(1001, 1001 * 1200)]
assert sql(f"SELECT n FROM '{path}' WHERE id = 'doc-1234'").fetchall() == [(1234,)]
assert sql(f"SELECT count(*) FROM '{path}' WHERE id IS NULL OR n IS NULL").fetchall() == [(0,)]


def candidates(value):
    """the row groups that the Bloom filters do not rule out"""
    rows = sql(f"SELECT row_group_id FROM parquet_bloom_probe('{path}', 'id', '{value}') WHERE NOT bloom_filter_excludes").fetchall()
    return [r[0] for r in rows]


for n in (0, 1234, 2999):
    home = next(g for g in range(groups) if sum(f.metadata.row_group(i).num_rows for i in range(g + 1)) > n)
    assert home in candidates(f"doc-{n}"), n
ruled_out = sum(not candidates(f"none-{i}") for i in range(50))
assert ruled_out >= 40, ruled_out
