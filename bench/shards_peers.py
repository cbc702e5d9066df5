"""The jobs of bench/shards.py in Python libraries, one job a process.

Usage: shards_peers.py TOOL JOB THREADS IN OUT [MASK]   prints the rows that were read or kept
"""

import pathlib
import sys

ATLEAST = 2000  # characters of the documents that the length job keeps


def pyarrow(job, threads, source, out, mask):
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    pa.set_cpu_count(threads)
    if job == "length":
        kept = 0
        for path in sorted(pathlib.Path(source).glob("*.parquet")):
            f = pq.ParquetFile(path)
            with pq.ParquetWriter(pathlib.Path(out) / path.name, f.schema_arrow, compression="zstd", compression_level=3) as writer:
                for g in range(f.num_row_groups):
                    t = f.read_row_group(g)
                    t = t.filter(pc.greater_equal(pc.utf8_length(t["text"]), ATLEAST))
                    writer.write_table(t)
                    kept += len(t)
        return kept
    f = pq.ParquetFile(source)
    if job == "read":
        return sum(len(b) for b in f.iter_batches(20_000))
    bits = np.fromfile(mask, np.uint8).astype(bool) if job == "filter" else None
    schema = f.schema_arrow if job != "score" else f.schema_arrow.append(pa.field("color_score", pa.float32()))
    first = kept = 0
    with pq.ParquetWriter(out, schema, compression="zstd", compression_level=3) as writer:
        for g in range(f.num_row_groups):
            t = f.read_row_group(g)
            n = len(t)
            if job == "filter":
                t = t.filter(pa.array(bits[first : first + n]))
            elif job == "score":
                t = t.append_column("color_score", pa.array(np.arange(first, first + n, dtype=np.float32)))
            writer.write_table(t)
            first, kept = first + n, kept + len(t)
    return kept


def polars(job, threads, source, out, mask):
    import os

    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import numpy as np
    import polars as pl

    if job == "length":
        kept = 0
        for path in sorted(pathlib.Path(source).glob("*.parquet")):
            t = pl.read_parquet(path).filter(pl.col("text").str.len_chars() >= ATLEAST)
            t.write_parquet(pathlib.Path(out) / path.name, compression="zstd", compression_level=3)
            kept += len(t)
        return kept
    t = pl.read_parquet(source)
    if job == "filter":
        t = t.filter(pl.Series(np.fromfile(mask, np.uint8).astype(bool)))
    elif job == "score":
        t = t.with_columns(pl.Series("color_score", np.arange(len(t), dtype=np.float32)))
    if job != "read":
        t.write_parquet(out, compression="zstd", compression_level=3)
    return len(t)


def duckdb(job, threads, source, out, mask):
    import duckdb
    import numpy as np
    import pyarrow as pa

    con = duckdb.connect()
    con.execute(f"SET threads={threads}")
    to = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3)"
    if job == "read":
        return sum(len(b) for b in con.execute(f"FROM read_parquet('{source}')").to_arrow_reader(20_000))
    if job == "length":
        kept = 0
        for path in sorted(pathlib.Path(source).glob("*.parquet")):
            copy = f"COPY (FROM read_parquet('{path}') WHERE length(text) >= {ATLEAST}) TO '{pathlib.Path(out) / path.name}' {to}"
            kept += con.execute(copy).fetchone()[0]
        return kept
    query = f"FROM read_parquet('{source}')"
    if job == "filter":
        con.register("mask", pa.table({"curate_keep": np.fromfile(mask, np.uint8).astype(bool)}))
        query = f"SELECT t.* FROM read_parquet('{source}') t POSITIONAL JOIN mask WHERE curate_keep"
    elif job == "score":
        query = f"SELECT * EXCLUDE file_row_number, file_row_number::FLOAT AS color_score FROM read_parquet('{source}', file_row_number=true)"
    return con.execute(f"COPY ({query}) TO '{out}' {to}").fetchone()[0]


def datatrove(job, threads, source, out, mask):
    import tempfile

    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.filters import LambdaFilter
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    with tempfile.TemporaryDirectory() as logs:
        stats = LocalPipelineExecutor(
            pipeline=[ParquetReader(source), LambdaFilter(lambda d: len(d.text) >= ATLEAST), ParquetWriter(out, compression="zstd")],
            logging_dir=logs,
            tasks=1,
        ).run()
    return stats.stats[1].stats["forwarded"].total


if __name__ == "__main__":
    tool, what, cpus, *paths = sys.argv[1:]
    print(globals()[tool](what, int(cpus), paths[0], paths[1], paths[2] if len(paths) > 2 else None))
