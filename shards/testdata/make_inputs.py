"""Writes testdata/inputs: small shards in every format, and inputs.json with
what pyarrow and json read from them (text, id and domain of each row, text in
base64), or a part of the error that is expected.

Run:  python make_inputs.py          (from any folder)
Made with Python 3.11.7, pyarrow 26.0.1, duckdb 2.0.0, zstandard 0.25.0, polars 2.1.0.
"""

import base64
import gzip
import json
import os
import random

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import zstandard

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inputs")
os.makedirs(FOLDER, exist_ok=True)
for name in os.listdir(FOLDER):
    os.remove(os.path.join(FOLDER, name))

random.seed(3)
WORDS = "the quick brown fox jumps über den faulen Hund 狐 は 犬 🦊 \t\n \"quoted\" back\\slash".split(" ")
SPECIAL = [None, "", " ", "\x00", "🦊" * 40, "x" * 3000, "\u2028line\u2029", "a\r\nb"]
N = 40


def make_text(i):
    return SPECIAL[i] if i < len(SPECIAL) else " ".join(random.choices(WORDS, k=random.randint(1, 30)))


TEXT = [make_text(i) for i in range(N)]
ID = [None if i % 11 == 5 else f"doc-{i:03d}" for i in range(N)]
NUMBER = [None if i % 13 == 7 else i * 3 - 20 for i in range(N)]
BIG = [None if i % 9 == 4 else 2**64 - 1 - i for i in range(N)]
DOMAIN = [["books", "web", None, "code"][i % 4] for i in range(N)]
META = [None if i % 6 == 3 else {"lang": [None, "en", "de"][i % 3], "inner": None if i % 5 == 1 else {"text": TEXT[i]}} for i in range(N)]

expected = {}


def lang(i):
    return None if META[i] is None else META[i]["lang"]


def inner(i):
    return None if META[i] is None or META[i]["inner"] is None else META[i]["inner"]["text"]


def rows(text=TEXT, id=ID, domain=DOMAIN):
    def b64(v):
        return None if v is None else base64.b64encode(v if isinstance(v, bytes) else v.encode()).decode()

    def label(v):
        return None if v is None else str(v)

    return [[b64(t), label(i), label(d)] for t, i, d in zip(text, id, domain)]


def expect(name, want, columns=("text", "id", "domain"), groups=None):
    expected[name] = {"columns": list(columns), "rows": want, "groups": groups}


def refuse(name, error, columns=("text", "", "")):
    expected[name] = {"columns": list(columns), "error": error}


def path(name):
    return os.path.join(FOLDER, name)


def table(text=pa.string(), id=pa.string(), domain=pa.string(), ids=ID):
    lists = [[t, t] if t else None for t in TEXT]
    return pa.table(
        {
            "text": pa.array(TEXT, pa.string()).cast(text),
            "id": pa.array(ids, pa.uint64() if ids is BIG else None).cast(id),
            "domain": pa.array(DOMAIN, pa.string()).cast(domain) if not pa.types.is_dictionary(domain)
            else pa.array(DOMAIN, pa.string()).dictionary_encode(),
            "meta": pa.array(META, pa.struct([("lang", pa.string()), ("inner", pa.struct([("text", pa.string())]))])),
            "a.b": pa.array([str(i) for i in range(N)]),
            "score": pa.array([i / 7 for i in range(N)], pa.float32()),
            "lists": pa.array(lists, pa.list_(pa.string())),
            "when": pa.array([i * 1000 for i in range(N)], pa.timestamp("ms", "UTC")),
        }
    )


# Parquet -------------------------------------------------------------------
NESTED = rows([inner(i) for i in range(N)], ID, [lang(i) for i in range(N)])


def parquet(name, t, want=None, columns=("text", "id", "domain"), **options):
    pq.write_table(t, path(name), **options)
    f = pq.ParquetFile(path(name))
    groups = [f.metadata.row_group(i).num_rows for i in range(f.num_row_groups)]
    expect(name, rows() if want is None else want, columns, groups)


parquet("snappy.parquet", table())
parquet("groups-zstd-v2.parquet", table(), compression="zstd", data_page_version="2.0", row_group_size=7)
parquet("gzip-small-pages.parquet", table(), compression="gzip", data_page_size=200, write_batch_size=3, use_dictionary=False)
parquet("brotli.parquet", table(), compression="brotli")
parquet("plain-index-crc.parquet", table(), compression="none", write_page_index=True, write_page_checksum=True)
parquet("large.parquet", table(pa.large_string(), pa.large_string(), pa.large_string()))
parquet("binary.parquet", table(pa.binary(), pa.large_binary()))
parquet("dictionary.parquet", table(domain=pa.dictionary(pa.int32(), pa.string())))
parquet("fallback.parquet", table(), dictionary_pagesize_limit=300, data_page_size=300, write_batch_size=4)
parquet("delta.parquet", table(), use_dictionary=False,
        column_encoding={"text": "DELTA_LENGTH_BYTE_ARRAY", "id": "DELTA_BYTE_ARRAY", "domain": "DELTA_BYTE_ARRAY", "score": "BYTE_STREAM_SPLIT"})
parquet("nested.parquet", table(), NESTED, ("meta.inner.text", "id", "meta.lang"), row_group_size=9)
parquet("dotted-name.parquet", table(), rows(TEXT, [str(i) for i in range(N)]), ("text", "a.b", "domain"))
parquet("text-only.parquet", table(), rows(TEXT, [None] * N, [None] * N), ("text", "", ""))
for bits in (8, 16, 32, 64):
    parquet(f"int{bits}.parquet", table(id=getattr(pa, f"int{bits}")(), ids=NUMBER), rows(id=NUMBER))
small = [None if v is None else v + 20 for v in NUMBER]
for bits in (8, 16, 32):
    parquet(f"uint{bits}.parquet", table(id=getattr(pa, f"uint{bits}")(), ids=small), rows(id=small))
parquet("uint64.parquet", table(id=pa.uint64(), ids=BIG), rows(id=BIG))
# A writer that saw nothing but nulls makes a column of type null.
nothing = pa.table({"text": pa.nulls(N), "id": pa.nulls(N), "domain": pa.nulls(N), "s": pa.StructArray.from_arrays([pa.nulls(N)], ["text"])})
parquet("null.parquet", nothing, rows([None] * N, [None] * N, [None] * N))
parquet("null-v2.parquet", nothing, rows([None] * N, [None] * N, [None] * N), ("s.text", "id", "domain"), data_page_version="2.0")
required = pa.table({"text": [t or "" for t in TEXT], "id": list(range(N))},
                    schema=pa.schema([pa.field("text", pa.string(), False), pa.field("id", pa.int64(), False)]))
parquet("required.parquet", required, rows([t or "" for t in TEXT], range(N), [None] * N), ("text", "id", ""))
parquet("zero-rows.parquet", table().slice(0, 0), [])
with pq.ParquetWriter(path("zero-groups.parquet"), table().schema):
    pass
expect("zero-groups.parquet", [], groups=[])
with pq.ParquetWriter(path("empty-group.parquet"), table().schema) as w:
    w.write_table(table().slice(0, 5))
    w.write_table(table().slice(0, 0))
    w.write_table(table().slice(5))
expect("empty-group.parquet", rows(), groups=[5, 0, N - 5])
source = table()
duckdb.sql(f"copy (select * from source) to '{path('duckdb.parquet')}' (format parquet, compression zstd)")
expect("duckdb.parquet", rows(), groups=[N])

parquet("lz4.parquet", table(), compression="lz4", row_group_size=15)
parquet("lz4-pages.parquet", table(), compression="lz4", use_dictionary=False, data_page_size=200, write_batch_size=3, write_page_checksum=True)
parquet("lz4-delta-v2.parquet", table(), compression="lz4", use_dictionary=False, data_page_version="2.0", write_page_checksum=True,
        column_encoding={"text": "DELTA_BYTE_ARRAY", "id": "DELTA_LENGTH_BYTE_ARRAY", "domain": "DELTA_BYTE_ARRAY"})
duckdb.sql(f"copy (select * from source) to '{path('duckdb-lz4-v2.parquet')}' (format parquet, compression lz4_raw, parquet_version v2)")
expect("duckdb-lz4-v2.parquet", rows(), groups=[N])
frame = pl.from_arrow(source.select(["text", "id", "domain"]))
for codec in ("lz4", "zstd"):
    frame.write_parquet(path(f"polars-{codec}.parquet"), compression=codec, row_group_size=9)
    expect(f"polars-{codec}.parquet", rows())
pq.write_table(table(), path("columns.parquet"))
refuse("columns.parquet", 'there is no such column; the columns are text, id, domain, meta.lang, meta.inner.text, a.b, score, lists.list.element, when', ("body", "", ""))
for name, column, error in (
    ("list", "lists", "it is a list"), ("list-element", "lists.list.element", "inside a list"), ("struct", "meta", "it is a struct"),
    ("float", "score", "want a string"), ("time", "when", "want a string"), ("child", "text.x", "there is no such column"),
):
    pq.write_table(table().slice(0, 3), path(f"column-{name}.parquet"))
    refuse(f"column-{name}.parquet", error, (column, "", ""))
pq.write_table(table(id=pa.int64(), ids=NUMBER).slice(0, 3), path("integer-text.parquet"))
refuse("integer-text.parquet", "want string or binary", ("id", "", ""))
pq.write_table(table().slice(0, 3), path("float-id.parquet"))
refuse("float-id.parquet", "want a string", ("text", "score", ""))


def encrypted(name, plaintext_footer):
    import pyarrow.parquet.encryption as pe

    class Client(pe.KmsClient):
        def __init__(self, config):
            pe.KmsClient.__init__(self)

        def wrap_key(self, key, master):
            return base64.b64encode(key)

        def unwrap_key(self, key, master):
            return base64.b64decode(key)

    factory = pe.CryptoFactory(lambda config: Client(config))
    config = pe.EncryptionConfiguration(footer_key="f", column_keys={"k": ["text"]}, plaintext_footer=plaintext_footer)
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
    t = table().select(["text", "id"])
    with pq.ParquetWriter(path(name), t.schema, encryption_properties=properties) as w:
        w.write_table(t)
    refuse(name, "encrypted")


encrypted("encrypted-footer.parquet", False)
encrypted("encrypted-columns.parquet", True)

# Arrow IPC -----------------------------------------------------------------


def arrow(name, t, want=None, columns=("text", "id", "domain"), stream=False, size=None, **options):
    opt = ipc.IpcWriteOptions(**options)
    new = ipc.new_stream if stream else ipc.new_file
    batches = t.to_batches(max_chunksize=size)
    with new(path(name), t.schema, options=opt) as w:
        for b in batches:
            w.write_batch(b)
    expect(name, rows() if want is None else want, columns, [-1] if stream else [b.num_rows for b in batches])


for kind, stream in (("file.arrow", False), ("stream.arrows", True)):
    arrow(f"plain-{kind}", table(), stream=stream)
    arrow(f"zstd-{kind}", table(), stream=stream, size=7, compression="zstd")
    arrow(f"lz4-{kind}", table(), stream=stream, size=7, compression="lz4")
    arrow(f"large-{kind}", table(pa.large_string(), pa.large_binary(), pa.large_string()), stream=stream, size=16)
    arrow(f"dictionary-{kind}", table(domain=pa.dictionary(pa.int32(), pa.string())), stream=stream, size=7)
    arrow(f"nested-{kind}", table(), NESTED, ("meta.inner.text", "id", "meta.lang"), stream=stream, size=13)
    arrow(f"uint64-{kind}", table(id=pa.uint64(), ids=BIG), rows(id=BIG), stream=stream)
    arrow(f"int16-{kind}", table(id=pa.int16(), ids=NUMBER), rows(id=NUMBER), stream=stream)
    arrow(f"empty-{kind}", table().slice(0, 0), [], stream=stream)
    arrow(f"old-{kind}", table(), stream=stream, size=11, use_legacy_format=True)
    arrow(f"sliced-{kind}", table().slice(3, 30), rows()[3:33], stream=stream, size=8)

    arrow(f"null-{kind}", nothing, rows([None] * N, [None] * N, [None] * N), ("s.text", "id", "domain"), stream=stream, size=16)

# Dictionaries that grow (deltas) and are replaced, which a stream may hold.
words = ["books", "web", "code"]
def growing(name, deltas):
    schema = pa.schema([("text", pa.string()), ("domain", pa.dictionary(pa.int8(), pa.string()))])
    want = []
    with ipc.new_stream(path(name), schema, options=ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)) as w:
        for k in range(1, 4):
            text = [f"{k}-{i}" for i in range(4)]
            index = [i % k for i in range(4)]
            values = words[:k] if deltas else words[3 - k:]
            domain = pa.DictionaryArray.from_arrays(pa.array(index, pa.int8()), pa.array(values))
            w.write_batch(pa.record_batch([pa.array(text), domain], schema=schema))
            want += rows(text, [None] * 4, [values[i] for i in index])
    expect(name, want, ("text", "", "domain"), [-1])


growing("deltas.arrows", True)
growing("replaced.arrows", False)
feather.write_feather(table(), path("v2.feather"), compression="lz4", chunksize=9)
expect("v2.feather", rows(), groups=[9, 9, 9, 9, 4])
feather.write_feather(table().select(["text", "id"]), path("v1.feather"), version=1)
refuse("v1.feather", "Feather version 1")
views = pa.table({"text": pa.array(TEXT, pa.string_view()), "id": pa.array([v.encode() if v else v for v in ID], pa.binary_view()),
                  "domain": pa.array(DOMAIN, pa.string()).dictionary_encode()})
for kind, stream in (("file.arrow", False), ("stream.arrows", True)):
    arrow(f"view-{kind}", views, stream=stream, size=7)
    arrow(f"view-zstd-{kind}", views, stream=stream, compression="zstd")
    arrow(f"view-sliced-{kind}", views.slice(3, 30), rows()[3:33], stream=stream, size=8)
# Polars writes views, also as the values of its dictionaries.
polars = pl.from_arrow(table().select(["text", "id", "domain"])).with_columns(pl.col("domain").cast(pl.Categorical))
for codec in ("uncompressed", "lz4", "zstd"):
    polars.write_ipc(path(f"polars-{codec}.arrow"), compression=codec)
    expect(f"polars-{codec}.arrow", rows())
polars.write_ipc_stream(path("polars.arrows"))
expect("polars.arrows", rows())
polars.write_ipc(path("polars-old.arrow"), compat_level=pl.CompatLevel.oldest())
expect("polars-old.arrow", rows())
with ipc.new_file(path("columns.arrow"), table().schema) as w:
    w.write_table(table())
refuse("columns.arrow", "there is no such column; the columns are text, id, domain, meta.lang, meta.inner.text, a.b, score, lists, when", ("meta.nope", "", ""))
with ipc.new_file(path("list.arrow"), table().schema) as w:
    w.write_table(table())
refuse("list.arrow", "its type is list", ("lists", "", ""))

# JSONL ---------------------------------------------------------------------


def lines(ascii, ids=ID):
    out = []
    for i in range(N):
        row = {"text": TEXT[i], "id": ids[i], "domain": DOMAIN[i], "meta": META[i], "a.b": str(i), "n": [1, {"x": 2}]}
        if i % 3 == 0:  # null and missing are the same
            row = {k: v for k, v in row.items() if v is not None}
        out.append(json.dumps(row, ensure_ascii=ascii) + "\n")
    return out


def jsonl(name, data, want=None, columns=("text", "id", "domain")):
    data = data if isinstance(data, bytes) else "".join(data).encode()
    if name.endswith(".gz"):
        half = len(data) // 2  # two members, as `cat a.gz b.gz` makes
        data = gzip.compress(data[:half], mtime=0) + gzip.compress(data[half:], mtime=0)
    if name.endswith(".zst"):
        half, z = len(data) // 2, zstandard.ZstdCompressor(write_checksum=True)
        data = z.compress(data[:half]) + z.compress(data[half:])
    with open(path(name), "wb") as f:
        f.write(data)
    if want != "refused":
        expect(name, rows() if want is None else want, columns, [-1])


jsonl("ascii.jsonl", lines(True))
jsonl("utf8.jsonl", lines(False))
jsonl("utf8.jsonl.gz", lines(False))
jsonl("ascii.jsonl.zst", lines(True))
jsonl("nested.ndjson", lines(False), NESTED, ("meta.inner.text", "id", "meta.lang"))
jsonl("dotted-name.json", lines(False), rows(TEXT, range(N)), ("text", "a.b", "domain"))
jsonl("integers.jsonl", lines(True, BIG), rows(id=BIG))
jsonl("blank-lines.jsonl", ["\n", "  \t\r\n"] + lines(False)[:20] + ["\r\n", "\n"] + lines(False)[20:] + ["\n", "   "])
jsonl("bom-crlf.jsonl", b"\xef\xbb\xbf" + "".join(lines(False)).replace("\n", "\r\n").rstrip().encode())
jsonl("spaces.jsonl", ['  { "text" :\t"x" , "id" : 7 , "domain" : null }  \n', '{"text":null,"id":null}\n'],
      [[base64.b64encode(b"x").decode(), "7", None], [None, None, None]])
jsonl("surrogates.jsonl", ['{"text":"\\ud83e\\udd8a \\/ \\b\\f\\u00e9"}\n', '{"text":"lone \\ud83e!"}\n', '{"text":"low \\udd8a\\ud83e\\u0041"}\n'],
      rows(["🦊 / \b\fé", "lone \ud83e!".encode("utf8", "surrogatepass"), "low \udd8a\ud83eA".encode("utf8", "surrogatepass")], [None] * 3, [None] * 3), ("text", "", ""))
jsonl("not-utf8.jsonl", b'{"text":"caf\xe9 \\n","id":"\xff"}\n', rows([b"caf\xe9 \n"], ["\ufffd"], [None]), ("text", "id", ""))
jsonl("null.jsonl", '{"text":null,"id":null,"domain":null}\n' * 3, rows([None] * 3, [None] * 3, [None] * 3))
jsonl("empty.jsonl.gz", "", [])
# Of a key that is there twice the last one counts; ids may be larger than any integer type.
jsonl("twice.jsonl", '{"text":"a","id":1,"text":"b","id":123456789012345678901234567890,"n":' + "[" * 5000 + "]" * 5000 + "}\n",
      rows(["b"], ["123456789012345678901234567890"], [None]), ("text", "id", ""))


def frames(name, *parts):
    with open(path(name), "wb") as f:
        for p in parts:
            f.write(p)
    expect(name, rows(), groups=[-1])


def wide(data, log):
    z = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=log, enable_ldm=True, write_content_size=False))
    c = z.compressobj()
    return c.compress(data) + c.flush()


whole = "".join(lines(False)).encode()
skipped = b"\x50\x2a\x4d\x18\x05\x00\x00\x00hello"  # a frame that holds no data
frames("frames.jsonl.zst", skipped, zstandard.compress(whole[:100]), skipped, zstandard.compress(b""), wide(whole[100:], 27), skipped)
frames("members.jsonl.gz", gzip.compress(whole[:7], mtime=0), gzip.compress(b"", mtime=0), gzip.compress(whole[7:], mtime=0))
with open(path("bad-window.jsonl.zst"), "wb") as f:
    f.write(wide(whole, 30))
refuse("bad-window.jsonl.zst", "window size exceeded")
with open(path("bad-tail.jsonl.gz"), "wb") as f:
    f.write(gzip.compress(whole, mtime=0) + b"junk")
refuse("bad-tail.jsonl.gz", "corrupt file")
with open(path("bad-document.json"), "w") as f:
    json.dump([{"text": "a"}, {"text": "b"}], f, indent=1)
refuse("bad-document.json", "line 1: unsupported file: a JSON array")
with open(path("bad-object.json"), "w") as f:
    json.dump({"text": "a"}, f, indent=1)
refuse("bad-object.json", "line 1: unsupported file: an object over several lines")
for name, content, error, columns in (
    ("malformed", '{"text":"a"}\n\n{"text":"b"\n', "line 3: corrupt file", ("text", "", "")),
    ("array", '["text"]\n', "line 1: unsupported file: a JSON array", ("text", "", "")),
    ("nested", '{"text":"a"}\n{"text":"b","n":' + "[" * 20000 + "]" * 20000 + "}\n", "line 2: corrupt file", ("text", "", "")),
    ("control", '{"text":"a\x01"}\n', "line 1: corrupt file", ("text", "", "")),
    ("null", 'null\n', "line 1: corrupt file: null, want an object", ("text", "", "")),
    ("two", '{"text":"a"} {"text":"b"}\n', "line 1: corrupt file", ("text", "", "")),
    ("number", '{"text":"a"}\n{"text":7}\n', 'line 2: unsuitable column "text": it is a number, want a string', ("text", "", "")),
    ("object", '{"text":{"x":1}}\n', "line 1: unsuitable column \"text\": it is an object", ("text", "", "")),
    ("float-id", '{"text":"a","id":1.5}\n', "line 1: unsuitable column \"id\"", ("text", "id", "")),
    ("not-object", '{"text":"a"}\n', 'its part "text" is a string, want an object', ("text.x", "", "")),
    ("never", '{"text":"a","b":1}\n', "none of 1 rows has this key; the columns are b, text", ("body", "", "")),
    ("no-domain", '{"text":"a","b":1}\n', "none of 1 rows has this key", ("text", "", "domain")),
):
    jsonl(f"bad-{name}.jsonl", content, "refused")
    refuse(f"bad-{name}.jsonl", error, columns)
with open(path("bad-not-gzip.jsonl.gz"), "w") as f:
    f.write("".join(lines(True)))
refuse("bad-not-gzip.jsonl.gz", "gzip")
with open(path("bad-cut.jsonl.gz"), "wb") as f:
    f.write(gzip.compress("".join(lines(True)).encode(), mtime=0)[:-40])
refuse("bad-cut.jsonl.gz", "corrupt file")
with open(path("bad-cut.jsonl.zst"), "wb") as f:
    f.write(zstandard.compress("".join(lines(True)).encode())[:-40])
refuse("bad-cut.jsonl.zst", "corrupt file")

# Files that are not what they are called -----------------------------------
for name in ("no-bytes.parquet", "no-bytes.jsonl", "no-bytes.arrow", "no-bytes.jsonl.gz"):
    open(path(name), "w").close()
    refuse(name, "file has no bytes")
for extension in ("parquet", "arrow"):
    whole = open(path({"parquet": "snappy.parquet", "arrow": "zstd-file.arrow"}[extension]), "rb").read()
    with open(path(f"cut.{extension}"), "wb") as f:
        f.write(whole[: len(whole) // 2])
refuse("cut.parquet", "cut short")
refuse("cut.arrow", "cut short")
whole = open(path("zstd-stream.arrows"), "rb").read()
with open(path("no-end.arrows"), "wb") as f:
    f.write(whole[:-8])
refuse("no-end.arrows", "no end of stream")
with open(path("two.arrows"), "wb") as f:
    f.write(whole + whole)
refuse("two.arrows", "the stream ends at")
with open(path("text.parquet"), "w") as f:
    f.write("this is not Parquet, only named so")
refuse("text.parquet", "not Parquet")

# Most files hold the same rows: each list of rows is written once.
tables = []
for entry in expected.values():
    if "rows" in entry:
        if entry["rows"] not in tables:
            tables.append(entry["rows"])
        entry["rows"] = tables.index(entry["rows"])
with open(os.path.join(FOLDER, "..", "inputs.json"), "w") as f:
    json.dump({"tables": tables, "inputs": expected}, f, indent=0, sort_keys=True)
print(len(expected), "inputs")
