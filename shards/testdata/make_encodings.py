"""Writes testdata/encodings: small Parquet files, each a way to store columns.
Tests copy them and read them with pyarrow.

Run:  python make_encodings.py       (from any folder)
Made with Python 3.11.7, pyarrow 26.0.1, duckdb 2.0.0, polars 2.1.0.

ENCODING-vN-CODEC.parquet  200 rows in row groups of 150 and 50, in many
                           pages: every type that the encoding is for, with
                           nulls, without, and in lists; page checksums
"""

import os
import random

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "encodings")
os.makedirs(FOLDER, exist_ok=True)
for name in os.listdir(FOLDER):
    os.remove(os.path.join(FOLDER, name))
N = 200


def path(name):
    return os.path.join(FOLDER, name + ".parquet")


def values(name, draw, typ, share):
    rng = random.Random(name + str(typ))
    return pa.array([None if rng.random() < share else draw(rng) for _ in range(N)], typ)


def text(rng):
    return rng.choice(["", "a", "common prefix " + str(rng.randrange(40)), "löss ✓ " * rng.randrange(1, 3), "x" * rng.randrange(90)])


def real(rng):
    return rng.choice([0.0, -0.0, float("nan"), float("inf"), rng.gauss(0, 1), rng.gauss(0, 1e-30)])


def whole(bits, signed=True):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return lambda rng: rng.choice([low, high, 0, rng.randint(low, high), rng.randrange(100)])


INTEGERS = {f"i{b}": (pa.int32() if b == 32 else pa.int64(), whole(b)) for b in (32, 64)}
INTEGERS |= {"i8": (pa.int8(), whole(8)), "u32": (pa.uint32(), whole(32, False)), "u64": (pa.uint64(), whole(64, False)),
             "when": (pa.timestamp("us", "UTC"), lambda r: r.randrange(10**15)), "day": (pa.date32(), lambda r: r.randrange(20000))}
FIXED = {"fix": (pa.binary(7), lambda r: b"pre" + r.randbytes(4)), "dec": (pa.decimal128(30, 2), lambda r: r.randrange(10**9)),
         "f16": (pa.float16(), lambda r: np.float16(real(r)))}
FLOATS = {"f32": (pa.float32(), real), "f64": (pa.float64(), real)}
BYTES = {"s": (pa.string(), text), "b": (pa.binary(), lambda r: r.randbytes(r.randrange(30)))}
BOOLS = {"t": (pa.bool_(), lambda r: r.random() < 0.9)}
TYPES = {
    "plain": INTEGERS | FIXED | FLOATS | BYTES | BOOLS,
    "byte_stream_split": INTEGERS | FIXED | FLOATS,
    "delta_binary_packed": INTEGERS,
    "delta_length_byte_array": BYTES,
    "delta_byte_array": BYTES | FIXED,
    "rle": BOOLS,
    "dictionary": INTEGERS | FIXED | FLOATS | BYTES,
}


def table(types):
    columns = {"id": pa.array(range(N), pa.int32())}
    fields = [pa.field("id", pa.int32(), False)]
    for name, (typ, draw) in types.items():
        for kind, share in (("some", 0.3), ("full", 0), ("none", 1)):
            columns[f"{name}_{kind}"] = values(name + kind, draw, typ, share)
            fields.append(pa.field(f"{name}_{kind}", typ, kind != "full"))
        rng = random.Random(name)
        lengths = [rng.choice([0, 0, 1, 2, 5]) for _ in range(N)]
        offsets = pa.array([None if rng.random() < 0.1 else sum(lengths[:i]) for i in range(N)] + [sum(lengths)], pa.int32())
        flat = values(name + "list", draw, typ, 0.3)
        flat = pa.concat_arrays([flat] * (sum(lengths) // N + 1))[: sum(lengths)]
        columns[f"{name}_list"] = pa.ListArray.from_arrays(offsets, flat)
        fields.append(pa.field(f"{name}_list", pa.list_(typ)))
    return pa.table(columns, schema=pa.schema(fields))


def leaves(types, encoding):
    names = [f"{n}_{k}" for n in types for k in ("some", "full", "none", "list.list.element")]
    return dict.fromkeys(names, encoding.upper())


codecs = ["none", "zstd", "lz4", "snappy"]
for i, (encoding, types) in enumerate(TYPES.items()):
    for version in (1, 2):
        for codec in (codecs[(i + 2 * version) % 4], "lz4"):
            name = f"{encoding}-v{version}-{codec}"
            if os.path.exists(path(name)):
                continue
            options = dict(use_dictionary=False, column_encoding=leaves(types, encoding))
            if encoding in ("plain", "dictionary"):
                options = dict(use_dictionary=encoding == "dictionary")
            pq.write_table(table(types), path(name), compression=codec, row_group_size=150, data_page_version=f"{version}.0",
                           data_page_size=150, write_batch_size=50, write_page_checksum=True, store_decimal_as_integer=False, **options)

# Dictionaries that are given up in the middle of a row group, with indexes.
for codec in ("lz4", "zstd"):
    pq.write_table(table(BYTES | INTEGERS), path(f"fallback-v1-{codec}"), compression=codec, row_group_size=150, data_page_size=100, write_batch_size=10,
                   dictionary_pagesize_limit=120, write_page_index=True, write_page_checksum=True)

# Pages in which nothing is gained: version 2 then says that they are not compressed.
rng = random.Random(5)
noise = pa.table({"id": range(N), "v": pa.array([rng.randbytes(40) for _ in range(N)]), "w": pa.array([rng.randrange(2**63) for _ in range(N)])})
for codec in ("lz4", "snappy", "zstd"):
    pq.write_table(noise, path(f"noise-v2-{codec}"), compression=codec, data_page_version="2.0", use_dictionary=False, row_group_size=150, data_page_size=2000, write_page_checksum=True)

# What other writers make.
rows = table({k: v for k, v in (INTEGERS | FLOATS | BYTES | BOOLS).items()})
for version in ("V1", "V2"):
    for codec in ("lz4_raw", "brotli"):
        duckdb.sql(f"copy (from rows) to '{path(f'duckdb-{version.lower()}-{codec}')}' (format parquet, compression {codec}, parquet_version {version}, row_group_size 2048)")
frame = pl.from_arrow(rows)
for codec in ("lz4", "zstd"):
    frame.write_parquet(path(f"polars-v1-{codec}"), compression=codec, row_group_size=150, data_page_size=500)

print(len(os.listdir(FOLDER)), "files")
