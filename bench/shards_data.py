"""The inputs of bench/shards.py, made from the repository's public-domain text.

Usage: shards_data.py DIR

Writes DIR/corpus.parquet: 300,000 rows in 15 row groups, 14 leaf columns (a list, a list of lists, a map, a struct),
zstd level 3, about 300 MB and 750 MB uncompressed; mask.bin, one byte a row, 1 for the 30 % that are kept; and
documents/*.parquet: 40,000 documents with the columns of a web corpus in 4 shards of 126 MB in memory. The same
bytes every time, on one version of pyarrow. Files that are there are left alone.
"""

import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS, GROUP, KEEP = 300_000, 20_000, 0.30
DOCUMENTS, SHARDS = 40_000, 4
DEMO = pathlib.Path(__file__).resolve().parent.parent / "configs" / "demo"


def phrases():
    """runs of two to seven words of the demo text, which shuffled compress about as text does"""
    words = " ".join(t for f in sorted(DEMO.glob("pool-*.parquet")) for t in pq.read_table(f)["text"].to_pylist()).split()
    rng = np.random.default_rng(1)
    cuts = np.cumsum(rng.integers(2, 8, len(words)))
    return pa.array([" ".join(words[a:b]) for a, b in zip(cuts, cuts[1:]) if b <= len(words)])


def texts(rng, source, lengths):
    """one text of about each length in bytes, of phrases at random"""
    mean = pc.sum(pc.binary_length(source)).as_py() / len(source) + 1
    counts = np.maximum(1, (lengths / mean).astype(np.int64))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    picked = source.take(pa.array(rng.integers(0, len(source), counts.sum())))
    return pc.binary_join(pa.ListArray.from_arrays(offsets, picked), " ")


def hexes(rng, n, width):
    """random hexadecimal strings"""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[rng.integers(0, 16, (n, width))]
    return pa.array(digits.view(f"S{width}").ravel().astype(str))


def join(*parts):
    return pc.binary_join_element_wise(*parts, "")


def lists(rng, n, low, high, values):
    """lists of low to high values; values(k) makes k of them"""
    counts = rng.integers(low, high + 1, n)
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32()), values(int(counts.sum())))


def strings(n, pattern, numbers):
    return pa.array([pattern % x for x in numbers])


def corpus_group(rng, source, first):
    n = GROUP
    lengths = np.clip(rng.lognormal(7.33, 0.90, n), 60, 40_000)
    text = texts(rng, source, lengths)
    nullable = rng.random(n) < 0.03
    spans = lists(rng, n, 0, 4, lambda k: lists(rng, k, 2, 2, lambda m: pa.array(rng.integers(0, 4096, m), pa.int32())))
    pairs = rng.integers(1, 4, n)
    keys = pa.array(["crawl", "mime", "charset", "server"]).take(pa.array(rng.integers(0, 4, pairs.sum())))
    offsets = pa.array(np.concatenate([[0], np.cumsum(pairs)]), pa.int32())
    meta = pa.MapArray.from_arrays(offsets, keys, hexes(rng, int(pairs.sum()), 6))
    quality = pa.StructArray.from_arrays([pa.array(rng.normal(0, 1, n)), pa.array(rng.integers(0, 6, n), pa.int32())], ["score", "label"])
    return pa.table({
        "id": join("<urn:uuid:", hexes(rng, n, 32), ">"),
        "text": text,
        "url": join("https://", hexes(rng, n, 12), ".example/", hexes(rng, n, 16)),
        "dump": pa.array([f"CC-MAIN-{2014 + i // 8}-{i % 52:02d}" for i in range(90)]).take(pa.array(rng.integers(0, 90, n))),
        "language": pa.array(["en", "de", "fr", "es", None]).take(pa.array(rng.choice(5, n, p=[0.8, 0.07, 0.06, 0.04, 0.03]))),
        "language_score": pa.array(rng.random(n), mask=nullable),
        "token_count": pa.array((pc.binary_length(text).to_numpy() / 4.3).astype(np.int64)),
        "fetched": pa.array(1_500_000_000_000 + rng.integers(0, 10**11, n), pa.timestamp("ms", "UTC")),
        "minhash": lists(rng, n, 4, 4, lambda k: pa.array(rng.integers(0, 2**63, k), pa.int64())),
        "spans": spans,
        "meta": meta,
        "quality": quality,
    })


def write_corpus(path):
    rng, source, writer = np.random.default_rng(2), phrases(), None
    for first in range(0, ROWS, GROUP):
        table = corpus_group(rng, source, first)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd", compression_level=3)
        writer.write_table(table, row_group_size=GROUP)
    writer.close()
    (np.random.default_rng(3).random(ROWS) < KEEP).astype(np.uint8).tofile(path.with_name("mask.bin"))


def write_documents(folder):
    rng, source, n = np.random.default_rng(4), phrases(), DOCUMENTS // SHARDS
    for shard in range(SHARDS):
        text = texts(rng, source, np.clip(rng.lognormal(7.65, 0.85, n), 60, 40_000))
        table = pa.table({
            "text": text,
            "id": join("<urn:uuid:", hexes(rng, n, 32), ">"),
            "dump": pa.array(["CC-MAIN-2024-10"] * n),
            "url": join("https://", hexes(rng, n, 12), ".example/", hexes(rng, n, 16)),
            "date": pa.array([f"2024-02-{1 + i % 28:02d}T{i % 24:02d}:00:00Z" for i in range(n)]),
            "language": pa.array(["en"] * n),
            "language_score": pa.array(rng.random(n)),
            "token_count": pa.array((pc.binary_length(text).to_numpy() / 4.3).astype(np.int64)),
        })
        pq.write_table(table, folder / f"{shard:05d}.parquet", compression="zstd", compression_level=3, row_group_size=2000)


def make(folder):
    """makes what is missing and returns the paths of the corpus, the mask and the documents"""
    folder = pathlib.Path(folder)
    corpus, documents = folder / "corpus.parquet", folder / "documents"
    documents.mkdir(parents=True, exist_ok=True)
    if not (folder / "complete").exists():
        write_corpus(corpus)
        write_documents(documents)
        (folder / "complete").write_text("")
    return corpus, folder / "mask.bin", documents


if __name__ == "__main__":
    made, mask, docs = make(sys.argv[1])
    m = pq.ParquetFile(made).metadata
    raw = sum(m.row_group(g).total_byte_size for g in range(m.num_row_groups))
    print(f"{made}: {made.stat().st_size / 1e6:.1f} MB, {raw / 1e6:.1f} MB raw, {m.num_row_groups} row groups, {m.num_columns} leaf columns")
    tables = [pq.read_table(f) for f in sorted(docs.glob("*.parquet"))]
    print(f"{docs}: {sum(f.stat().st_size for f in docs.glob('*.parquet')) / 1e6:.1f} MB, {sum(t.nbytes for t in tables) / 1e6:.1f} MB in memory, "
          f"{sum(pc.sum(pc.greater_equal(pc.utf8_length(t['text']), 2000)).as_py() for t in tables)} of {sum(map(len, tables))} kept")
