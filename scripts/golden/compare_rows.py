"""Compares a Parquet file that curate wrote with the rows of its input.

    python scripts/golden/compare_rows.py IN OUT KEEPMASK [SCORE]
    python scripts/golden/compare_rows.py --list FILE

KEEPMASK is a file of one character per row of IN, 1 for kept. SCORE names the
column that OUT has beyond IN's. FILE holds lines of these arguments, separated
by tabs. IN is Parquet, or Arrow IPC (.arrow file, .arrows stream), which is
compared with what pyarrow writes, or JSON lines with a Parquet file of the
same rows beside it (x.jsonl, x.parquet).

Equal means: the same Arrow schema with all metadata, the same Parquet columns,
logical types and key-value metadata (Parquet inputs), and the same values: NaN
bits, signs of zero and nulls at every level included. Statistics of OUT must
bound its values. DuckDB must read the same from OUT as from IN. Prints what
differs and a count; exits 1 if anything differs. Needs pyarrow and duckdb.
"""
import pathlib
import struct
import sys
import uuid

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def read(path):
    if path.suffix == ".arrow":
        return pa.ipc.open_file(path).read_all()
    if path.suffix == ".arrows":
        return pa.ipc.open_stream(path).read_all()
    if path.suffix == ".jsonl":
        path = path.with_suffix(".parquet")
    f = pq.ParquetFile(path)  # pyarrow reads list<dictionary> from one row group at a time only
    return pa.concat_tables([f.read_row_group(g) for g in range(f.num_row_groups)])


def same(a, b, path):
    """yields the places where two arrays of one type differ"""
    if isinstance(a, pa.ChunkedArray):
        a, b = pa.concat_arrays(a.chunks or [pa.array([], a.type)]), pa.concat_arrays(b.chunks or [pa.array([], b.type)])
    if len(a) != len(b):
        yield f"{path}: {len(a)} and {len(b)} values"
        return
    t = a.type
    if pa.types.is_dictionary(t):
        yield from same(a.dictionary_decode(), b.dictionary_decode(), path)
        return
    if pa.types.is_string_view(t) or pa.types.is_binary_view(t):  # no kernels
        if a.to_pylist() != b.to_pylist():
            yield f"{path}: values differ"
        return
    if not a.is_null().equals(b.is_null()):
        yield f"{path}: nulls differ"
        return
    valid = a.is_valid()
    a, b = a.filter(valid), b.filter(valid)
    if pa.types.is_struct(t):
        for i, f in enumerate(t):
            yield from same(a.field(i) if not a.offset else pc.struct_field(a, i), pc.struct_field(b, i), f"{path}.{f.name}")
    elif pa.types.is_map(t):
        if a.offsets.to_pylist() != b.offsets.to_pylist():  # both begin at 0 after a filter
            yield f"{path}: lengths differ"
            return
        yield from same(a.keys, b.keys, path + ".key")
        yield from same(a.items, b.items, path + ".value")
    elif pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_fixed_size_list(t):
        if not pc.list_value_length(a).equals(pc.list_value_length(b)):
            yield f"{path}: lengths differ"
            return
        yield from same(a.flatten(), b.flatten(), path + "[]")
    elif pa.types.is_floating(t):
        bits = {16: pa.uint16(), 32: pa.uint32(), 64: pa.uint64()}[t.bit_width]
        if not a.view(bits).equals(b.view(bits)):
            yield f"{path}: bits differ"
    elif not a.equals(b):
        yield f"{path}: values differ"


def plain_dictionaries(t):
    """dictionaries of views, which pyarrow reads and does not write, as those of strings"""
    for i, f in enumerate(t.schema):
        if pa.types.is_dictionary(f.type) and pa.types.is_string_view(f.type.value_type):
            want = pa.dictionary(f.type.index_type, pa.string(), f.type.ordered)
            chunks = [pa.DictionaryArray.from_arrays(c.indices, c.dictionary.cast(pa.string())) for c in t.column(i).chunks]
            t = t.set_column(i, f.with_type(want), pa.chunked_array(chunks, want))
    return t


def physical(v):
    """a column's values as Parquet stores them, where they can be ordered so"""
    t = v.type
    if pa.types.is_dictionary(t):
        v = v.cast(t.value_type)
    elif pa.types.is_date64(t):
        v = v.cast(pa.date32()).cast(pa.int32())
    elif pa.types.is_temporal(t) or pa.types.is_duration(t):
        milli = getattr(t, "unit", "") == "s" and not pa.types.is_duration(t)  # Parquet has no seconds
        v = v.cast(pa.int32() if t.bit_width == 32 else pa.int64())
        v = pc.multiply(v, 1000) if milli else v
    plain = [x.bytes if isinstance(x, uuid.UUID) else x for x in v.to_pylist()]
    return [x.encode() if isinstance(x, str) else x for x in plain if x is not None and x == x]


def bounds(path):
    """yields column chunks whose statistics do not bound their values"""
    f = pq.ParquetFile(path)
    for g in range(f.num_row_groups):
        table = f.read_row_group(g)
        for i in range(f.metadata.num_columns):
            chunk = f.metadata.row_group(g).column(i)
            s = chunk.statistics
            if s is None or not s.has_min_max or "." in chunk.path_in_schema:
                continue
            v = table.column(chunk.path_in_schema)
            if pa.types.is_decimal(v.type):
                got, lo, hi = v.drop_null().to_pylist(), s.min, s.max
            else:
                signed = not pa.types.is_unsigned_integer(v.type)
                got, lo, hi = physical(v), s.min_raw if signed else s.min, s.max_raw if signed else s.max
                if pa.types.is_float16(v.type):
                    lo, hi = struct.unpack("<e", lo)[0], struct.unpack("<e", hi)[0]
            if got and not (lo <= min(got) and max(got) <= hi):
                yield f"row group {g} {chunk.path_in_schema}: {lo!r}..{hi!r} does not hold {min(got)!r}..{max(got)!r}"
        for i in range(f.metadata.num_columns):
            c = f.metadata.row_group(g).column(i)
            if not c.has_offset_index and f.schema.column(i).max_repetition_level == 0:  # lists may have been copied as bytes
                yield f"row group {g} {c.path_in_schema}: no offset index"


def duck(path):
    """what DuckDB reads, as text, or None where it cannot"""
    try:
        return repr(duckdb.sql(f"SELECT * FROM read_parquet('{path}')").fetchall())
    except duckdb.Error:
        return None


def compare(source, target, mask, score=""):
    source, target = pathlib.Path(source), pathlib.Path(target)
    keep = [c == "1" for c in pathlib.Path(mask).read_text().strip()]
    a, b = read(source), read(target)
    if len(a) != len(keep):
        yield f"mask of {len(keep)} rows for {len(a)}"
        return
    a = pa.concat_tables([a.slice(i, 1) for i, k in enumerate(keep) if k])  # take lacks some types
    if source.suffix.startswith(".arrow"):  # Parquet has fewer types: want what pyarrow's own writer keeps
        own = target.with_suffix(".pyarrow")
        pq.write_table(plain_dictionaries(a), own)
        a = pq.ParquetFile(own).read()
    if score:
        if b.schema.names[-1] != score or b.schema.field(score).type != pa.float32():
            yield f"last column is {b.schema.field(-1)}, want {score} float"
        b = b.drop_columns([score])
    if not a.schema.equals(b.schema, check_metadata=True):
        yield f"schema:\n{a.schema.to_string()}\n---\n{b.schema.to_string()}"
        return
    for name, x, y in zip(a.schema.names, a.columns, b.columns):
        yield from same(x, y, name)
    yield from bounds(target)
    if source.suffix != ".parquet":
        if duck(target) is None and not any(pa.types.is_null(f.type) for f in a.schema):
            yield "DuckDB cannot read it"
        return
    m, n = pq.ParquetFile(source), pq.ParquetFile(target)
    if not score and not m.schema.equals(n.schema):
        yield f"parquet schema:\n{m.schema}\n---\n{n.schema}"
    skip = {b"ARROW:schema"} if score else set()
    x, y = ({k: v for k, v in (f.metadata.metadata or {}).items() if k not in skip} for f in (m, n))
    if x != y:
        yield f"key-value metadata: {x} and {y}"
    if all(keep) and not score and duck(source) != duck(target):
        yield "DuckDB reads other rows"
    if duck(source) is not None and duck(target) is None:
        yield "DuckDB cannot read it"


def main(args, compare):
    """compares the job in args, or those of --list FILE; the exit code says whether all are equal"""
    jobs = [args] if args[0] != "--list" else [l.rstrip("\n").split("\t") for l in open(args[1])]
    equal = 0
    for job in jobs:
        try:
            found = list(compare(*job))
        except Exception as e:  # a file that cannot be read differs
            found = [f"{type(e).__name__}: {e}"]
        equal += not found
        for line in found:
            print(f"{pathlib.Path(job[0]).name} -> {pathlib.Path(job[1]).name} ({pathlib.Path(job[2]).name}): {line}")
    print(f"{equal} of {len(jobs)} equal")
    return 0 if equal == len(jobs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], compare))
