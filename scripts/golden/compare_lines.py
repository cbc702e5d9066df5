"""Compares JSON lines that curate wrote with the rows of a Parquet or Arrow input.

    python scripts/golden/compare_lines.py IN OUT KEEPMASK [SCORE]
    python scripts/golden/compare_lines.py --list FILE

Arguments as for compare_rows.py; OUT is .jsonl, .jsonl.gz or .jsonl.zst. Every
value must be what FORMAT.md says for its type, worked out here from pyarrow's
arrays: floats bit by bit, decimals digit by digit. pyarrow's JSON reader
(but for unions) and DuckDB must read as many rows. Prints what differs and a count; exits 1 if
anything differs. Needs pyarrow and duckdb.
"""
import base64
import datetime
import decimal
import json
import pathlib
import struct
import sys

import duckdb
import pyarrow as pa
import pyarrow.json

from compare_rows import main, read

PER = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


class Float:
    """a float of some bits, equal to what reads back as it"""

    def __init__(self, value, code):
        self.bits, self.code = struct.pack(code, value), code

    def __eq__(self, other):
        return type(other) is float and struct.pack(self.code, other) == self.bits

    def __repr__(self):
        return f"{struct.unpack(self.code, self.bits)}"


def clock(v, unit):
    seconds, part = divmod(v, PER[unit])
    text = str(datetime.timedelta(seconds=seconds)).rjust(8, "0")
    return text + (f".{part:0{DIGITS[unit]}}" if DIGITS[unit] else "")


def stamp(v, t):
    day, rest = divmod(v, 86400 * PER[t.unit])
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    return f"{date.isoformat()}T{clock(rest, t.unit)}" + ("Z" if t.tz else "")


def lists(a, inner):
    return [None if not a[i].is_valid else inner(i) for i in range(len(a))]


def expect(a):
    """what the values of an array are in JSON, as Python reads it"""
    t = a.type
    if isinstance(t, pa.BaseExtensionType):
        return expect(a.storage)
    if pa.types.is_dictionary(t):
        values = expect(a.dictionary)
        return [None if i is None else values[i] for i in a.indices.to_pylist()]
    if pa.types.is_struct(t):
        fields = [expect(a.field(i)) for i in range(t.num_fields)]
        return lists(a, lambda i: {f.name: fields[k][i] for k, f in enumerate(t)})
    if pa.types.is_map(t):
        def entries(i):
            keys, items = expect(a[i].values.field(0)), expect(a[i].values.field(1))
            if (pa.types.is_string(t.key_type) or pa.types.is_large_string(t.key_type)):
                return dict(zip(keys, items))
            return [{"key": k, "value": v} for k, v in zip(keys, items)]
        return lists(a, entries)
    if pa.types.is_nested(t) and t.num_fields == 1:
        return lists(a, lambda i: expect(a[i].values))
    if pa.types.is_union(t) or pa.types.is_run_end_encoded(t):
        return a.to_pylist()
    scalar = {
        "is_floating": lambda v: Float(v, {16: "<e", 32: "<f", 64: "<d"}[t.bit_width]),
        "is_decimal": lambda v: format(v, "f"),
        "is_date": lambda v: v.isoformat(),
    }
    for test, value in scalar.items():
        if getattr(pa.types, test)(t):
            return [None if v is None else value(v) for v in a.to_pylist()]
    if pa.types.is_time(t):
        return [None if v is None else clock(v, t.unit) for v in a.cast(pa.int32() if t.bit_width == 32 else pa.int64()).to_pylist()]
    if pa.types.is_timestamp(t):
        return [None if v is None else stamp(v, t) for v in a.cast(pa.int64()).to_pylist()]
    if pa.types.is_duration(t):
        return a.cast(pa.int64()).to_pylist()
    if t == pa.month_day_nano_interval():
        return [None if v is None else {"months": v.months, "days": v.days, "nanoseconds": v.nanoseconds} for v in a.to_pylist()]
    return [base64.b64encode(v).decode() if isinstance(v, bytes) else v for v in a.to_pylist()]


def compare(source, target, mask, score=""):
    source, target = pathlib.Path(source), pathlib.Path(target)
    keep = [c == "1" for c in pathlib.Path(mask).read_text().strip()]
    table = read(source)
    codec = {".zst": "zstd", ".gz": "gzip"}.get(target.suffix)
    with pa.input_stream(target, compression=codec) as f:
        raw = f.read()
    got = [json.loads(line) for line in raw.decode().split("\n")[:-1]]
    columns = {n: [v for c in table.column(i).chunks for v in expect(c)] for i, n in enumerate(table.schema.names)}
    if score:
        columns[score] = [Float(i + 0.5, "<f") for i in range(len(table))]
    want = [{n: v[i] for n, v in columns.items()} for i, k in enumerate(keep) if k]
    if len(got) != len(want):
        yield f"{len(got)} rows, want {len(want)}"
    for g, w in zip(got, want):
        if list(g) != list(w):
            yield f"keys {list(g)}, want {list(w)}"
        for n in w:
            if type(g.get(n)) is bool and type(w[n]) is not bool or not w[n] == g.get(n):
                yield f"{n}: {g.get(n)!r}, want {w[n]!r}"
                return
    mixed = any(pa.types.is_union(f.type) for f in table.schema)  # pyarrow.json wants one type a column
    if not mixed and pa.json.read_json(pa.BufferReader(raw)).num_rows != len(want):
        yield "pyarrow.json reads other rows"
    if duckdb.sql(f"SELECT count(*) FROM read_json('{target}', format='newline_delimited')").fetchall() != [(len(want),)]:
        yield "DuckDB reads other rows"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], compare))
