"""Makes shards/testdata/types: one small Parquet file per type, encoding and
codec, and the same columns as Arrow IPC.

    python scripts/golden/make_types.py shards/testdata/types

Made with pyarrow 26.0.1, numpy 2.4.6. The values are drawn from fixed seeds.

NAME.parquet   one column "v" (and "id") of 50 rows in row groups of 20, 20, 10,
               with nulls at every level that can have them
all.arrow      IPC file, zstd, batches of 20, 20, 10 rows: a column NAME for
               every type of the Parquet files that Arrow can hold
all.arrows     the same as an IPC stream, uncompressed, fewer columns
arrow_NAME.arrows  types that a copy to Parquet refuses, and string_view
jsonl/         rows as JSON lines and as Parquet
"""
import datetime
import decimal
import json
import pathlib
import random
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS, GROUP = 50, 20
out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
for old in [*out.glob("*.parquet"), *out.glob("*.arrow*")]:
    old.unlink()


def nulls(values, rng, share=0.2):
    """values with some replaced by None"""
    return [None if rng.random() < share else v for v in values]


def column(name, typ, draw, share=0.2):
    rng = random.Random(name)
    return pa.array(nulls([draw(rng) for _ in range(ROWS)], rng, share), typ)


def text(rng):
    return rng.choice(["", "a", "löss ✓", "word " * rng.randrange(1, 6), "x" * 70])


def lists(draw, share=0.2):
    return lambda rng: nulls([draw(rng) for _ in range(rng.randrange(4))], rng, share)


def integer(lo, hi):
    return lambda rng: rng.choice([lo, hi, 0, rng.randint(lo, hi)])


def special(rng):
    return rng.choice([0.0, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324, rng.gauss(0, 1)])


def dec(precision, scale):
    def draw(rng):
        n = rng.choice([0, 1, -1, 10**precision - 1, -(10**precision) + 1, rng.randrange(10**precision)])
        return decimal.Decimal(n).scaleb(-scale, decimal.Context(prec=80))
    return draw


def stamp(unit):
    return lambda rng: rng.choice([0, -1, 1, rng.randrange(10**9) * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit] + 7])


def clock(per_second):
    return lambda rng: rng.randrange(86400 * per_second)


def struct(rng):
    return {"a": rng.choice([None, rng.randrange(100)]), "b": rng.choice([None, text(rng)])}


def deep(rng):
    return {"l": rng.choice([None, lists(struct)(rng)]), "s": rng.choice([None, {"t": {"u": rng.choice([None, 1.5])}}])}


pair = pa.struct([("a", pa.int32()), ("b", pa.string())])
small = integer(-100, 100)
types = {
    "bool": (pa.bool_(), lambda r: r.random() < 0.5),
    "int8": (pa.int8(), integer(-128, 127)),
    "int16": (pa.int16(), integer(-(2**15), 2**15 - 1)),
    "int32": (pa.int32(), integer(-(2**31), 2**31 - 1)),
    "int64": (pa.int64(), integer(-(2**63), 2**63 - 1)),
    "uint8": (pa.uint8(), integer(0, 255)),
    "uint16": (pa.uint16(), integer(0, 2**16 - 1)),
    "uint32": (pa.uint32(), integer(0, 2**32 - 1)),
    "uint64": (pa.uint64(), integer(0, 2**64 - 1)),
    "float16": (pa.float16(), lambda r: np.float16(special(r))),
    "float32": (pa.float32(), special),
    "float64": (pa.float64(), special),
    "string": (pa.string(), text),
    "large_string": (pa.large_string(), text),
    "string_view": (pa.string_view(), text),
    "binary": (pa.binary(), lambda r: r.randbytes(r.randrange(9))),
    "large_binary": (pa.large_binary(), lambda r: r.randbytes(r.randrange(9))),
    "fixed_size_binary": (pa.binary(5), lambda r: r.randbytes(5)),
    "date32": (pa.date32(), lambda r: datetime.date(1970, 1, 1) + datetime.timedelta(days=r.randrange(-9999, 9999))),
    "date64": (pa.date64(), lambda r: datetime.date(1970, 1, 1) + datetime.timedelta(days=r.randrange(-9999, 9999))),
    "time32_s": (pa.time32("s"), clock(1)),
    "time32_ms": (pa.time32("ms"), clock(10**3)),
    "time64_us": (pa.time64("us"), clock(10**6)),
    "time64_ns": (pa.time64("ns"), clock(10**9)),
    "timestamp_s": (pa.timestamp("s"), stamp("s")),
    "timestamp_ms": (pa.timestamp("ms"), stamp("ms")),
    "timestamp_us": (pa.timestamp("us"), stamp("us")),
    "timestamp_ns": (pa.timestamp("ns"), stamp("ns")),
    "timestamp_s_tz": (pa.timestamp("s", "UTC"), stamp("s")),
    "timestamp_us_tz": (pa.timestamp("us", "Europe/Vienna"), stamp("us")),
    "timestamp_ns_tz": (pa.timestamp("ns", "+05:30"), stamp("ns")),
    "duration_s": (pa.duration("s"), stamp("s")),
    "duration_us": (pa.duration("us"), stamp("us")),
    "decimal64": (pa.decimal64(15, 3), dec(15, 3)),
    "decimal128": (pa.decimal128(20, 4), dec(20, 4)),
    "decimal128_38": (pa.decimal128(38, 10), dec(38, 10)),
    "decimal256": (pa.decimal256(76, 10), dec(76, 10)),
    "null": (pa.null(), lambda r: None),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), lambda r: r.choice(["red", "green", "", "blue"])),
    "dictionary_ordered": (pa.dictionary(pa.int32(), pa.large_string(), ordered=True), lambda r: r.choice(["s", "m", "l"])),
    "dictionary_int": (pa.dictionary(pa.int16(), pa.int64()), lambda r: r.choice([1, -7, 2**60])),
    "list": (pa.list_(pa.int64()), lists(integer(-9, 9))),
    "list_string": (pa.list_(pa.string()), lists(text)),
    "list_required": (pa.list_(pa.field("x", pa.float32(), nullable=False)), lists(lambda r: r.random(), 0)),
    "large_list": (pa.large_list(pa.int32()), lists(small)),
    "fixed_size_list": (pa.list_(pa.float32(), 3), lambda r: [r.random(), r.choice([None, -0.0]), 1.0]),
    "list_list": (pa.list_(pa.list_(pa.int16())), lists(lists(small))),
    "list_dictionary": (pa.list_(pa.dictionary(pa.int8(), pa.string())), lists(lambda r: r.choice("ab"))),
    "list_struct": (pa.list_(pair), lists(struct)),
    "struct": (pair, struct),
    "struct_deep": (pa.struct([("l", pa.list_(pair)), ("s", pa.struct([("t", pa.struct([("u", pa.float64())]))]))]), deep),
    "map": (pa.map_(pa.string(), pa.int32()), lambda r: [(k, r.choice([None, 1, 2])) for k in "abc"[: r.randrange(4)]]),
    "map_list": (pa.map_(pa.int32(), pa.list_(pa.string())), lambda r: [(k, r.choice([None, ["", None]])) for k in range(r.randrange(3))]),
}
columns = {name: column(name, typ, draw) for name, (typ, draw) in types.items()}
ids = pa.array(range(ROWS), pa.int64())


def write(name, table, **options):
    options = dict(compression="zstd", row_group_size=GROUP) | options
    pq.write_table(table, out / f"{name}.parquet", **options)


for name, array in columns.items():
    write(name, pa.table({"id": ids, "v": array}, metadata={"made_by": "make_types.py", "type": name}))

# How a column is stored: int96, encodings, page versions, codecs.
stamps = pa.table({"id": ids, "v": columns["timestamp_ns"]})
write("int96", stamps, use_deprecated_int96_timestamps=True)
mixed = pa.table({
    "id": pa.array(range(ROWS), pa.int32()), "n": columns["int64"], "f": columns["float32"], "d": columns["float64"],
    "s": columns["string"], "l": columns["list_string"], "b": columns["bool"], "x": columns["fixed_size_binary"],
})
write("encoding_delta_byte_stream_split", mixed, use_dictionary=False, column_encoding={
    "id": "DELTA_BINARY_PACKED", "n": "DELTA_BINARY_PACKED", "f": "BYTE_STREAM_SPLIT", "d": "BYTE_STREAM_SPLIT",
    "s": "DELTA_BYTE_ARRAY", "l.list.element": "DELTA_LENGTH_BYTE_ARRAY", "b": "RLE", "x": "BYTE_STREAM_SPLIT"})
write("encoding_plain_v2_pages", mixed, use_dictionary=False, data_page_version="2.0", data_page_size=64)
write("encoding_dictionary_fallback", mixed, dictionary_pagesize_limit=40, data_page_size=40, write_batch_size=4, write_page_checksum=True)
for codec in ["none", "snappy", "gzip", "brotli", "lz4"]:
    write(f"codec_{codec}", mixed, compression=codec)

# What a schema says beyond types: required columns, field ids, names, metadata.
required = pa.schema([
    pa.field("a", pa.int32(), nullable=False, metadata={"PARQUET:field_id": "0", "unit": "m"}),
    pa.field("b.c", pa.list_(pa.field("item", pa.string(), nullable=False)), nullable=False, metadata={"PARQUET:field_id": "7"}),
], metadata={"empty": "", "ü": "✓", "big": "0123456789" * 30})
write("schema_required_field_ids", pa.table([pa.array(range(ROWS), pa.int32()),
      pa.array([["x"] * (i % 3) for i in range(ROWS)])], schema=required), write_page_index=True, use_dictionary=False, column_encoding={"a": "BYTE_STREAM_SPLIT"})
one = pa.table({"v": pa.array([[{"a": 1, "b": None}]], pa.list_(pair))})
write("rows_one", one)

assert len(list(out.glob("*.parquet"))) == 64, len(list(out.glob("*.parquet")))

# The same as Arrow IPC. Views of strings are left to their own file.
options = pa.ipc.IpcWriteOptions(compression="zstd", unify_dictionaries=False)
table = pa.table({n: a for n, a in columns.items() if n not in ("string_view", "decimal64")}, metadata={"made_by": "make_types.py"})
with pa.ipc.new_file(out / "all.arrow", table.schema, options=options) as sink:
    sink.write_table(table, max_chunksize=GROUP)
few = table.select(["int64", "string", "dictionary", "list_struct", "struct_deep", "map", "null", "bool"])
with pa.ipc.new_stream(out / "all.arrows", few.schema) as sink:
    sink.write_table(few, max_chunksize=GROUP)
for name, array in {
    "interval": pa.array([(1, 2, 3)] * 3, pa.month_day_nano_interval()),
    "union": pa.UnionArray.from_dense(pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(["x"])]),
    "run_end": pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"]),
    "string_view": columns["string_view"],
    "decimal64": columns["decimal64"],
}.items():
    t = pa.table({"v": array})
    with pa.ipc.new_stream(out / f"arrow_{name}.arrows", t.schema) as sink:
        sink.write_table(t)
# JSON lines, and the rows that a conversion to Parquet must give.
rng = random.Random("jsonl")
rows = []
for i in range(ROWS):
    row = {"id": i, "text": text(rng) + "\U0001f600\t\"\\/\u0001", "mixed": rng.choice([i, i / 3, -0.0, 2**53, 1e300]), "always_null": None,
           "nothing": {}, "flag": i % 3 == 0, "max": rng.choice([2**63 - 1, -(2**63)]), "list": rng.choice([None, [], [1, None], [i] * 3])}
    if i % 4:  # a missing key is a null
        row["lists"] = rng.choice([[], [[]], [["a", ""], None, [None]]])
    if i >= 7:  # appears late; inside, keys in any order, missing, null
        row["struct"] = {"b": "x", "a": 1.5} if i == 7 else rng.choice([None, {}, {"b": "x", "a": 1.5}, {"a": None}, {"c": [{"d": False}, {}, None], "b": ""}])
    if i % 5 == 0:
        row[""] = [[], None]
    rows.append(row)
inner = pa.struct([("b", pa.string()), ("a", pa.float64()), ("c", pa.list_(pa.struct([("d", pa.bool_())])))])
order = {"id": pa.int64(), "text": pa.string(), "mixed": pa.float64(), "always_null": pa.null(), "nothing": pa.map_(pa.string(), pa.null()),
         "flag": pa.bool_(), "max": pa.int64(), "list": pa.list_(pa.int64()), "lists": pa.list_(pa.list_(pa.string())),
         "struct": inner, "": pa.list_(pa.list_(pa.null()))}
seen = list(dict.fromkeys(k for r in rows for k in r))
schema = pa.schema([(k, order[k]) for k in seen])
table = pa.Table.from_pylist([r | {"nothing": []} | ({"mixed": float(r["mixed"])}) for r in rows], schema)
(out / "jsonl").mkdir(exist_ok=True)
pq.write_table(table, out / "jsonl" / "rows.parquet", store_schema=False)
with open(out / "jsonl" / "rows.jsonl", "w", newline="") as f:
    for i, row in enumerate(rows):
        f.write(json.dumps(row, ensure_ascii=i % 2 == 0, separators=[(",", ":"), (" , ", " : ")][i % 3 == 0]) + ["\n", "\r\n", "\n\n \n"][i % 3])
print(sum(p.stat().st_size for p in out.rglob("*.*")), "bytes in", len(list(out.rglob("*.*"))), "files")
