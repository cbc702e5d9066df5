"""Writes testdata/unify: shards of one corpus whose schemas differ, and pairs
that have no common schema (bad-NAME-1, bad-NAME-2).

Run:  python make_unify.py           (from any folder)
Made with Python 3.11.7, pyarrow 26.0.1.
"""

import json
import os
import random

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "unify")
os.makedirs(FOLDER, exist_ok=True)
for name in os.listdir(FOLDER):
    os.remove(os.path.join(FOLDER, name))
N = 30


def some(rng, draw, share=0.25):
    return [None if rng.random() < share else draw() for _ in range(N)]


def table(seed, integer, real, text, meta, tag, schema_of_extra, late=None, required=False):
    rng = random.Random(seed)
    word = lambda: rng.choice(["", "fox", "löss ✓", "x" * 40])
    number = lambda: rng.randrange(-100, 100)
    extra = pa.nulls(N) if schema_of_extra is None else pa.array(some(rng, lambda: some(rng, number)[: rng.randrange(4)]), schema_of_extra)
    columns = {
        "id": pa.array([number() for _ in range(N)] if required else some(rng, number), integer),
        "text": pa.array(some(rng, word), text),
        "score": pa.array(some(rng, lambda: rng.randrange(-999, 999) / 8), real),
        "extra": extra,
        "meta": pa.array(some(rng, lambda: {k: rng.choice([None, word() if k == "lang" else abs(number())]) for k in [f.name for f in meta]}), meta),
        "tags": pa.array(some(rng, lambda: [{k: rng.choice([None, word() if k == "k" else number()]) for k in [f.name for f in tag]} if rng.random() < 0.8 else None
                                            for _ in range(rng.randrange(4))]), pa.list_(tag)),
        "when": pa.array(some(rng, lambda: rng.randrange(10**12)), pa.timestamp("us", "Europe/Vienna")),
        "cat": pa.array(some(rng, lambda: rng.choice(["red", "blue"])), pa.string()).dictionary_encode(),
        "same": pa.array(some(rng, lambda: {"a": [number()]}), pa.struct([("a", pa.list_(pa.int64()))])),
        "map": pa.array(some(rng, lambda: [(k, rng.choice([None, number()])) for k in "ab"[: rng.randrange(3)]]), pa.map_(pa.string(), integer)),
    }
    if late is not None:
        columns["late"] = pa.array(some(rng, late), pa.uint16())
        columns["later"] = pa.array(some(rng, word), pa.large_string()).dictionary_encode()
    t = pa.table(columns, metadata={"corpus": "c", "part": str(seed)})
    if required:
        t = t.cast(t.schema.set(0, t.schema.field(0).with_nullable(False)))
    return t


lang = pa.struct([("lang", pa.string())])
wide = pa.struct([("n", pa.int64()), ("lang", pa.string())])
k, kw = pa.struct([("k", pa.string())]), pa.struct([("w", pa.int16()), ("k", pa.string())])
a = table(1, pa.int32(), pa.float32(), pa.string(), lang, k, None, required=True)
b = table(2, pa.int64(), pa.float64(), pa.large_string(), wide, kw, pa.list_(pa.int32()), late=lambda: 7)
c = table(3, pa.int8(), pa.float32(), pa.string_view(), lang, kw, None, late=lambda: 60000).drop_columns(["map", "tags"])
pq.write_table(a, os.path.join(FOLDER, "a.parquet"), row_group_size=11)
pq.write_table(b, os.path.join(FOLDER, "b.parquet"), row_group_size=13, compression="lz4", data_page_size=50, write_batch_size=5)
with pa.ipc.new_file(os.path.join(FOLDER, "c.arrow"), c.schema) as w:
    w.write_table(c, max_chunksize=9)
rng = random.Random(4)
with open(os.path.join(FOLDER, "d.jsonl"), "w") as f:
    for i in range(N):
        row = {"id": i, "text": f"row {i}", "meta": {"lang": None, "n": i, "new": True}, "json": {"x": [i, i / 2]}, "tags": [{"w": i}, {"k": "z"}][: i % 3]}
        f.write(json.dumps({k: v for k, v in row.items() if rng.random() < 0.8} | {"id": i}) + "\n")
with open(os.path.join(FOLDER, "e.jsonl"), "w"):
    pass
with open(os.path.join(FOLDER, "e.jsonl"), "w") as f:
    f.write("\n")
# What keeps Arrow's types: columns missing, null, widened, but whole.
pq.write_table(a.select(["id", "text", "when", "cat", "same"]), os.path.join(FOLDER, "f.parquet"))
pq.write_table(b.select(["cat", "late", "later", "id", "text"]), os.path.join(FOLDER, "g.parquet"))
pq.write_table(pa.table({"text": pa.nulls(3), "when": pa.nulls(3), "later": pa.nulls(3)}), os.path.join(FOLDER, "h.parquet"))

# All integers, two by two, and floats.
for bits in (8, 16, 32, 64):
    for sign in ("int", "uint"):
        typ = getattr(pa, f"{sign}{bits}")()
        low, high = (0, 2**bits - 1) if sign == "uint" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        pq.write_table(pa.table({"v": pa.array([low, None, high, 1], typ)}), os.path.join(FOLDER, f"number-{sign}{bits}.parquet"))
pq.write_table(pa.table({"v": pa.array([1.5, None, float("nan"), -0.0], pa.float32())}), os.path.join(FOLDER, "number-float32.parquet"))
pq.write_table(pa.table({"v": pa.array([0.1, None, float("inf"), 1e300], pa.float64())}), os.path.join(FOLDER, "number-float64.parquet"))

for name, one, two in (
    ("text", pa.array(["a"]), pa.array([1])),
    ("binary", pa.array(["a"]), pa.array([b"a"])),
    ("unit", pa.array([1], pa.timestamp("us")), pa.array([1], pa.timestamp("ms"))),
    ("zone", pa.array([1], pa.timestamp("us")), pa.array([1], pa.timestamp("us", "UTC"))),
    ("list", pa.array([[1]]), pa.array([1])),
    ("struct", pa.array([{"a": {"b": 1}}]), pa.array([{"a": {"b": "x"}}])),
    ("float", pa.array([1.5]), pa.array([1])),
    ("decimal", pa.array([1], pa.decimal128(5, 2)), pa.array([1], pa.decimal128(6, 2))),
    ("width", pa.array([b"ab"], pa.binary(2)), pa.array([b"abc"], pa.binary(3))),
    ("half", pa.array([1], pa.float16()), pa.array([1], pa.float32())),
    ("map", pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())), pa.array([[{"key": "a", "value": 1}]])),
):
    for i, column in enumerate((one, two), 1):
        pq.write_table(pa.table({"v": column}), os.path.join(FOLDER, f"bad-{name}-{i}.parquet"))
print(len(os.listdir(FOLDER)), "files")
