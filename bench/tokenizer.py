#!/usr/bin/env python3
"""Encodes the same documents with HF tokenizers and with curate, in turns.

    make bench-tokenizer [TEXTS='FILE.parquet ...']
    bench/tokenizer.sh [--texts FILE.parquet ...] [--tokenizers tokenizer.json ...] [--rounds 3] [--megabytes N]

For one thread it compares processor time (medians of the rounds), so that other load on
the machine matters little; for all cores wall time (medians). HF: Tokenizer.encode for each
document on one thread, encode_batch_fast on all, add_special_tokens=False. curate: an
Encoder on one thread, a Pool on all. "differ" counts documents whose ids are not the same.
"""

import argparse
import array
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


def read_texts(path):
    data, texts, at = Path(path).read_bytes(), [], 0
    while at < len(data):
        n = struct.unpack_from("<I", data, at)[0]
        texts.append(data[at + 4 : at + 4 + n].decode())
        at += 4 + n
    return texts


def hf_worker(path, text_file, threads, checksums):
    """Runs in a process of its own: tokenizers reads its number of threads once."""
    import tokenizers

    tokenizer, texts = tokenizers.Tokenizer.from_file(path), read_texts(text_file)
    wall, cpu, count = time.perf_counter(), time.process_time(), 0
    if threads == 1:
        for text in texts:
            count += len(tokenizer.encode(text, add_special_tokens=False).ids)
    else:
        for i in range(0, len(texts), 1000):
            count += sum(len(e.ids) for e in tokenizer.encode_batch_fast(texts[i : i + 1000], add_special_tokens=False))
    result = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "tokens": count}
    if checksums:
        sums = bytearray()
        for i in range(0, len(texts), 1000):
            for e in tokenizer.encode_batch_fast(texts[i : i + 1000], add_special_tokens=False):
                sums += struct.pack("<I", zlib.crc32(array.array("i", e.ids).tobytes()))
        Path(checksums).write_bytes(sums)
    print(json.dumps(result))


def run_hf(path, text_file, threads, checksums=""):
    environment = dict(os.environ, TOKENIZERS_PARALLELISM="false" if threads == 1 else "true", RAYON_NUM_THREADS=str(threads))
    out = subprocess.run([sys.executable, __file__, "--worker", path, text_file, str(threads), checksums], env=environment, check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def run_curate(binary, path, text_file, folder, threads):
    results = Path(folder) / "results.jsonl"
    results.unlink(missing_ok=True)
    environment = dict(os.environ, GOMAXPROCS=str(threads), CURATE_BENCH_TEXTS=text_file, CURATE_BENCH_TOKENIZERS=path, CURATE_BENCH_RESULTS=str(results))
    subprocess.run([binary, "-test.run=^$", "-test.bench=^BenchmarkEncode$", "-test.benchtime=1x"],
                   cwd=ROOT / "scoring" / "tokenizer", env=environment, check=True, stdout=subprocess.DEVNULL)
    return json.loads(results.read_text().splitlines()[-1])


def count_different(folder):
    ours, theirs = (Path(folder, name).read_bytes() for name in ("results.jsonl.crc", "hf.crc"))
    assert len(ours) == len(theirs)
    return sum(ours[i : i + 4] != theirs[i : i + 4] for i in range(0, len(ours), 4))


def default_texts():
    shared = sorted(map(str, (SHARED / "text").glob("pool-*.parquet")))
    return shared or sorted(map(str, (ROOT / "configs" / "demo").glob("pool-*.parquet")))


def default_tokenizers():
    found = [ROOT / "configs" / "demo" / "tokenizer.json", ROOT / "scoring" / "tokenizer" / "testdata" / "sp-tokenizer.json"]
    return [str(p) for p in found + sorted((SHARED / "tokenizers").glob("*.json"))]


def main():
    if sys.argv[1:2] == ["--worker"]:
        hf_worker(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
        return
    import pyarrow.parquet as pq
    import tokenizers

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="test binary of scoring/tokenizer")
    parser.add_argument("--texts", nargs="+", default=default_texts())
    parser.add_argument("--tokenizers", nargs="+", default=default_tokenizers())
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=0, help="stop after so much text; 0: all")
    options = parser.parse_args()

    encoded, size = [], 0
    for path in options.texts:
        for text in pq.read_table(path, columns=[options.text_column])[options.text_column].to_pylist():
            if text and (options.megabytes == 0 or size < options.megabytes * 1e6):
                encoded.append(text.encode())
                size += len(encoded[-1])
    cores = os.cpu_count() or 1
    print(f"{len(encoded)} documents, {size} bytes; HF tokenizers {tokenizers.__version__}; {cores} cores; medians of {options.rounds} rounds")
    print(f"{'tokenizer':28} {'tokens':>10} {'differ':>7} | {'HF':>8} {'curate':>8} {'ratio':>6} | {'HF all':>8} {'curate':>8} {'ratio':>6}   (MB/s; processor time of one thread | wall time of all cores)")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        text_file = str(Path(folder) / "texts.bin")
        with open(text_file, "wb") as out:
            for t in encoded:
                out.write(struct.pack("<I", len(t)) + t)
        for path in map(os.path.abspath, options.tokenizers):
            times = {"hf": [], "ours": [], "hf_all": [], "ours_all": []}
            for i in range(options.rounds):
                times["hf"].append(run_hf(path, text_file, 1, str(Path(folder) / "hf.crc") if i == 0 else "")["cpu"])
                ours = run_curate(options.binary, path, text_file, folder, 1)
                times["ours"].append(ours["cpu"])
                times["hf_all"].append(run_hf(path, text_file, cores)["wall"])
                times["ours_all"].append(run_curate(options.binary, path, text_file, folder, cores)["wall_all"])
            a, b, c, d = (size / statistics.median(times[k]) / 1e6 for k in ("hf", "ours", "hf_all", "ours_all"))
            different = count_different(folder)
            failed = failed or different > 0
            name = Path(path).parent.name + "/" + Path(path).name
            print(f"{name:28.28} {ours['tokens']:10} {different:7} | {a:8.2f} {b:8.2f} {b/a:6.1f} | {c:8.2f} {d:8.2f} {d/c:6.1f}", flush=True)
    if failed:
        raise SystemExit("ids differ")


if __name__ == "__main__":
    main()
