#!/usr/bin/env python3
"""Encodes the same documents with HF tokenizers and with curate, in turns, on one thread.

    pip install tokenizers==0.23.3 pyarrow
    bench/tokenizer.sh [--texts FILE.parquet ...] [--tokenizers tokenizer.json ...] [--rounds 3]

Prints processor time (medians of the rounds), so that other load on the machine
matters little, and whether all ids are the same. HF: Tokenizer.encode for each
document, add_special_tokens=False. curate: Encoder.Append for each document.
"""

import os

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import argparse
import array
import json
import statistics
import struct
import subprocess
import tempfile
import time
import zlib
from pathlib import Path

import pyarrow.parquet as pq
import tokenizers

ROOT = Path(__file__).resolve().parents[1]


def run_hf(path, texts):
    tokenizer = tokenizers.Tokenizer.from_file(path)
    wall, cpu, count = time.perf_counter(), time.process_time(), 0
    for text in texts:
        count += len(tokenizer.encode(text, add_special_tokens=False).ids)
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "tokens": count}


def hf_checksum(path, texts):
    tokenizer, checksum = tokenizers.Tokenizer.from_file(path), 0
    for text in texts:
        checksum = zlib.crc32(array.array("i", tokenizer.encode(text, add_special_tokens=False).ids).tobytes(), checksum)
    return f"{checksum:08x}"


def run_curate(binary, path, text_file, folder):
    results = Path(folder) / "results.jsonl"
    results.unlink(missing_ok=True)
    environment = dict(os.environ, GOMAXPROCS="1", CURATE_BENCH_TEXTS=text_file, CURATE_BENCH_TOKENIZERS=path, CURATE_BENCH_RESULTS=str(results))
    subprocess.run([binary, "-test.run=^$", "-test.bench=^BenchmarkEncode$", "-test.benchtime=1x"],
                   cwd=ROOT / "scoring" / "tokenizer", env=environment, check=True, stdout=subprocess.DEVNULL)
    return json.loads(results.read_text().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="test binary of scoring/tokenizer")
    parser.add_argument("--texts", nargs="+", default=sorted(map(str, (ROOT / "configs" / "demo").glob("pool-*.parquet"))))
    parser.add_argument("--tokenizers", nargs="+", default=[str(ROOT / "configs" / "demo" / "tokenizer.json")])
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    texts = [t for path in options.texts for t in pq.read_table(path, columns=[options.text_column])[options.text_column].to_pylist() if t]
    encoded = [t.encode() for t in texts]
    size = sum(map(len, encoded))
    print(f"{len(texts)} documents, {size} bytes; HF tokenizers {tokenizers.__version__}; one thread; median processor time of {options.rounds} rounds")
    print(f"{'tokenizer':28} {'tokens':>10} {'HF MB/s':>9} {'HF tok/s':>10} {'curate MB/s':>12} {'curate tok/s':>13} {'ratio':>7}  ids")
    with tempfile.TemporaryDirectory() as folder:
        text_file = str(Path(folder) / "texts.bin")
        with open(text_file, "wb") as out:
            for t in encoded:
                out.write(struct.pack("<I", len(t)) + t)
        for path in map(os.path.abspath, options.tokenizers):
            hf, ours = [], []
            for _ in range(options.rounds):
                hf.append(run_hf(path, texts))
                ours.append(run_curate(options.binary, path, text_file, folder))
            same = ours[0]["checksum"] == hf_checksum(path, texts)
            a, b = (statistics.median(r["cpu"] for r in runs) for runs in (hf, ours))
            count = ours[0]["tokens"]
            print(f"{Path(path).parent.name + '/' + Path(path).name:28.28} {count:10} {size/a/1e6:9.2f} {count/a:10.0f} {size/b/1e6:12.2f} {count/b:13.0f} {a/b:7.1f}  {'identical' if same else 'DIFFERENT'}")
            if not same:
                raise SystemExit(1)


if __name__ == "__main__":
    main()
