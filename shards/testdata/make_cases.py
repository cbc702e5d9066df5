"""Makes files of odd but valid kinds for the tests of Arrow and JSON output.

    python shards/testdata/make_cases.py DIR

Prints a line per file: name, rows, and the outputs that must be refused or
"-". Needs pyarrow and duckdb.
"""
import decimal
import pathlib
import sys
import uuid

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

out = pathlib.Path(sys.argv[1])


def ipc(name, batches, refused="-", schema=None, file=False, **options):
    schema = schema or batches[0].schema
    path = out / (name + (".arrow" if file else ".arrows"))
    new = pa.ipc.new_file if file else pa.ipc.new_stream
    with new(path, schema, options=pa.ipc.IpcWriteOptions(**options)) as sink:
        for b in batches:
            sink.write_batch(b)
    print(path.name, sum(len(b) for b in batches), refused, sep="\t")


def batch(**columns):
    return pa.record_batch(columns)


def coded(indices, values, ordered=False, index=pa.int8()):
    return pa.DictionaryArray.from_arrays(pa.array(indices, index), values if isinstance(values, pa.Array) else pa.array(values), ordered=ordered)


def rows(b, n):
    return pa.record_batch([c.slice(0, n) for c in b.columns], schema=b.schema)


# Dictionaries that grow, are replaced, shrink, come back; nulls in and beside them.
grown = [["a", "b"], ["a", "b", "c"], ["a", "b", "c", None, "é"]]
swapped = [["a", "b"], ["b", "a"], ["x"], ["b", "a", "x", "y"]]
for name, sets in {"grown": grown, "swapped": swapped}.items():
    batches = []
    for k, values in enumerate(sets):
        picks = [i % len(values) if i % 4 else None for i in range(9 + k)]
        d = coded(picks, values)
        n = len(picks)
        batches.append(batch(
            d=d, i=coded([p and p % 2 for p in picks], pa.array([k, 1 << 40], pa.int64())), plain=pa.array(range(n)),
            l=pa.ListArray.from_arrays(pa.array([0] + [min(n, 2 * i) for i in range(1, n)] + [n], pa.int32()), d),
            s=pa.StructArray.from_arrays([d, pa.array(["t"] * n)], ["d", "t"], mask=pa.array([i % 5 == 0 for i in range(n)])),
            m=pa.MapArray.from_arrays(list(range(n + 1)), pa.array([f"k{i}" for i in range(n)]), d),
        ))
    ipc("dict_" + name, batches, emit_dictionary_deltas=True)
    ipc("dict_" + name + "_again", batches, emit_dictionary_deltas=False)
ipc("dict_floats", [batch(d=coded([0, 1, 2, 3], [0.0, -0.0, float("nan"), 1.5])), batch(d=coded([0, 1, 2], [-0.0, 0.0, float("nan")]))], "jsonl")
ipc("dict_ordered", [batch(d=coded([0, 1], ["s", "m"], True)), batch(d=coded([1, 0], ["m", "l"], True))], "arrow")
full = [batch(d=coded(list(range(100)), [f"{k}-{i}" for i in range(100)])) for k in range(3)]
ipc("dict_full", full, "arrow")
ipc("dict_full16", [batch(d=coded(list(range(100)), [f"{k}-{i}" for i in range(100)], index=pa.uint16())) for k in range(3)])
nested = coded([0, 1, None, 1], pa.StructArray.from_arrays([coded([1, 0], ["p", "q"]), pa.array([1, 2])], ["d", "n"]))
ipc("dict_nested", [batch(d=nested), batch(d=nested)])
ipc("dict_file", [batch(d=coded([0, 1, 1], ["a", "b"])), batch(d=coded([1, 0, None], ["a", "b"]))], file=True)

# Lists and views of lists, also out of order and overlapping; slices of everything.
values = pa.array([1, None, 3, 4, 5], pa.int16())
view = pa.ListViewArray.from_arrays(pa.array([3, 0, 1, 0], pa.int32()), pa.array([2, 2, 0, 5], pa.int32()), values)
large = pa.LargeListViewArray.from_arrays(pa.array([3, 0, 1, 0], pa.int64()), pa.array([2, 2, 0, 5], pa.int64()), values)
ipc("list_views", [batch(v=view, w=large, o=pa.array([[1], None, [], [2]], pa.list_view(pa.int8())))])
ipc("decimals", [batch(a=pa.array([decimal.Decimal("1.5"), None, decimal.Decimal("-9.99")], pa.decimal32(5, 2)), b=pa.array([[decimal.Decimal("7")], None, []], pa.list_(pa.decimal64(18, 0))))])
ipc("no_fields", [batch(a=pa.array([1, 2, 3]), e=pa.array([{}, None, {}], pa.struct([])))])
wide = batch(
    b=pa.array([True, None, False] * 7), t=pa.array(["x" * i if i % 3 else None for i in range(21)]), v=pa.array(["y" * i for i in range(21)], pa.string_view()),
    bv=pa.array([b"z" * i if i % 2 else None for i in range(21)], pa.binary_view()), l=pa.array([[i, None] * (i % 3) for i in range(21)], pa.large_list(pa.int8())),
    f=pa.array([[1.5, None]] * 10 + [None] * 11, pa.list_(pa.float32(), 2)), z=pa.nulls(21), s=pa.array([{"a": i, "n": None} if i % 4 else None for i in range(21)]),
    r=pa.RunEndEncodedArray.from_arrays(pa.array([5, 9, 21], pa.int16()), pa.array(["a", None, "b"])), d=coded([0, None, 1] * 7, ["p", "q"]),
    u=pa.array(list(range(21)), pa.uint64()), i=pa.array([(1, -2, 3)] * 21, pa.month_day_nano_interval()),
)
for lo, n in [(3, 11), (8, 13), (0, 21), (20, 1), (5, 0)]:
    ipc(f"slice_{lo}_{n}", [wide.slice(lo, n)])
ipc("no_rows_between", [rows(wide, 3), wide.slice(3, 0), wide.slice(3, 5)])
ipc("compressed_lz4", [wide, wide], compression="lz4")
ipc("compressed_zstd", [wide, wide], compression="zstd", file=True)
ipc("version4", [batch(a=pa.array([1, 2, None]), d=coded([0, 1, 0], ["a", "b"]))], metadata_version=pa.ipc.MetadataVersion.V4)
ipc("runs", [batch(r=pa.RunEndEncodedArray.from_arrays(pa.array([2, 3, 9], pa.int32()), pa.array([1.5, None, 2.5])), k=pa.array(range(9)))] * 2)
sparse = pa.UnionArray.from_sparse(pa.array([0, 1, 0, 1], pa.int8()), [pa.array([1, 2, None, 4]), pa.array(["a", "b", "c", None])])
dense = pa.UnionArray.from_dense(pa.array([5, 7, 5, 5], pa.int8()), pa.array([0, 0, 1, 2], pa.int32()), [pa.array([[1], None, []]), pa.array(["q"])], ["x", "y"], [5, 7])
ipc("unions_sparse", [batch(s=sparse)] * 2)
ipc("unions_dense", [batch(d=dense), batch(d=dense).slice(1, 2)])

# What a schema says beyond types.
meta = pa.schema([
    pa.field("a", pa.int32(), nullable=False, metadata={"k": "v", "PARQUET:field_id": "3"}),
    pa.field("s", pa.struct([pa.field("x", pa.string(), nullable=False, metadata={"deep": "ü"})]), metadata={"": ""}),
], metadata={"one": "1", "two": "✓" * 50})
ipc("metadata", [pa.record_batch([pa.array([1, 2], pa.int32()), pa.array([{"x": "a"}, None], meta.field("s").type)], schema=meta)])
ids = pa.array([uuid.UUID(int=i).bytes for i in range(3)], pa.binary(16))
extended = batch(
    u=pa.ExtensionArray.from_storage(pa.uuid(), ids), j=pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":1}', None, "[]"])),
    t=pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2))),
    b=pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8())),
    o=pa.ExtensionArray.from_storage(pa.opaque(pa.string(), "n", "v"), pa.array(["a", None, "b"])),
)
ipc("extensions", [extended])
ipc("same_names", [pa.RecordBatch.from_arrays([pa.array([1, 2]), pa.array([3, 4])], names=["a", "a"])], "jsonl:same_names")
ipc("not_utf8", [pa.RecordBatch.from_arrays([pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")])], names=["t"])], "jsonl:not_utf8")
ipc("twice", [batch(m=pa.MapArray.from_arrays([0, 2], pa.array(["k", "k"]), pa.array([1, 2])))], "jsonl:twice")
ipc("maps", [batch(m=pa.array([[(1, "a"), (2, None)], None, []], pa.map_(pa.int64(), pa.string())), n=pa.array([[("é\"", [1])], [], None], pa.map_(pa.large_string(), pa.list_(pa.int8()))))])
ipc("far", [batch(
    s=pa.array([-62135596800, 253402300799, 0, None, -1], pa.timestamp("s")),
    n=pa.array([-(2**63), 2**63 - 1, 0, None, -1], pa.int64()).view(pa.timestamp("ns", "UTC")),
    d=pa.array([-719162, 2932896, 0, None, -1], pa.int32()).view(pa.date32()))])


def parquet(name, table, refused="-", **options):
    pq.write_table(table, out / f"{name}.parquet", row_group_size=2, **options)
    print(f"{name}.parquet", len(table), refused, sep="\t")


D = decimal.Decimal
parquet("p_extensions", pa.table(extended.columns, names=extended.schema.names))
parquet("p_plain", pa.table(extended.columns, names=extended.schema.names), store_schema=False)
parquet("p_maps", pa.table({
    "large": pa.array([[("a", "x")], None, []], pa.map_(pa.large_string(), pa.large_string())),
    "dict": pa.array([[("a", "x"), ("b", None)], None, []], pa.map_(pa.string(), pa.dictionary(pa.int8(), pa.string()))),
    "sorted": pa.array([[("a", "x")], None, []], pa.map_(pa.string(), pa.string(), keys_sorted=True)),
    "meta": pa.array([[("a", "x")], None, []], pa.map_(pa.field("kk", pa.string(), nullable=False), pa.field("vv", pa.string(), metadata={"x": "y"}))),
}))
parquet("p_views", pa.table({
    "v": pa.array([[1, 2], None, []], pa.list_view(pa.int32())), "w": pa.array([[1, 2], None, []], pa.large_list_view(pa.int32())),
    "b": pa.array([b"a" * 40, None, b""], pa.binary_view()), "db": pa.array([b"a", None, b"b"], pa.dictionary(pa.int8(), pa.large_binary())),
}))
parquet("p_decimals", pa.table({
    "d32": pa.array([D("1.5"), None, D("-9999999.99")], pa.decimal32(9, 2)), "d256": pa.array([D("1.5"), None, D("-0.01")], pa.decimal256(20, 2)),
}))
parquet("p_decimals_plain", pa.table({"d32": pa.array([D("1.5"), None, D("-9999999.99")], pa.decimal32(9, 2)), "d": pa.array([D("7"), None, D("-7")], pa.decimal128(5, 0))}),
        store_schema=False, store_decimal_as_integer=True)
parquet("p_times_plain", pa.table({"t": pa.array([1, None, -1], pa.timestamp("us", "Europe/Vienna")), "d": pa.array([1, None, 2], pa.duration("ns")),
        "z": pa.array([1, None, 2], pa.time32("s")), "n": pa.array([1, None, 2], pa.timestamp("ns"))}), store_schema=False)
parquet("p_version1", pa.table({"u": pa.array([1, None, 2**32 - 1], pa.uint32()), "l": pa.array([[1], None, []], pa.list_(pa.int8()))}), version="1.0", use_compliant_nested_type=False)
parquet("p_metadata", pa.table({"a": pa.array([1, 2, 3], pa.int32()), "s": pa.array([{"x": "a"}, None, {"x": "b"}], meta.field("s").type)}, schema=meta))
parquet("p_same_names", pa.table([pa.array([1]), pa.array(["x"])], names=["a", "a"]), "jsonl:same_names")
parquet("p_deep", pa.table({"x": pa.array([[[None, [{"a": [1], "b": None}, None]], []], None, [None, [[]]]],
        pa.list_(pa.list_(pa.list_(pa.struct([("a", pa.list_(pa.int8())), ("b", pa.struct([("c", pa.string())]))])))))}))
duckdb.sql(f"""COPY (SELECT i, uuid() u, 'x' || i t, i::DECIMAL(30,3) d, i::HUGEINT h, [i, NULL] l, {{'a': i, 'b': [i::VARCHAR]}} s, MAP {{'k' || i: i}} m,
    'a'::ENUM('a','b') e, '\\xAA'::BLOB b, DATE '2020-01-01' + i::INT dt, TIME '01:02:03' tm, TIMESTAMP '2020-01-01 00:00:00' ts,
    TIMESTAMPTZ '2020-01-01 00:00:00+00' tz, i % 2 = 0 o, i::UTINYINT ut, i::USMALLINT us, i::UBIGINT ub, i::FLOAT f, '[1]'::JSON j
    FROM range(5) r(i)) TO '{out}/p_duckdb.parquet'""")
print("p_duckdb.parquet", 5, "-", sep="\t")
