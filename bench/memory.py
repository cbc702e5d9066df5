"""Peak memory of `curate score` with two models, estimated and measured.

Scores a sample of a folder of Parquet shards, and a shard that has one document
of 100 MB between short ones, each with pairs of models with random weights.
Prints a table. A run that takes longer than --seconds is ended: all
that grows has grown by then, and the row says so.
"""
import argparse
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pyarrow as pa
import pyarrow.parquet as pq

parser = argparse.ArgumentParser()
parser.add_argument("curate")
parser.add_argument("modelbench")
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("tokenizer", type=pathlib.Path)
parser.add_argument("work", type=pathlib.Path)
parser.add_argument("--sample", type=float, default=0, help="MB of text of the folder to take; 0: all")
parser.add_argument("--document", type=float, default=100, help="MB of the long document")
parser.add_argument("--seconds", type=float, default=1800, help="longest run")
parser.add_argument("--presets", nargs="*", default=["olmo-tiny", "olmo-20m"])
parser.add_argument("--backend", default="xla:cpu")
args = parser.parse_args()
LENGTH = 512


def texts():
    """Texts of the folder's shards, in order."""
    for path in sorted(args.folder.glob("pool-*.parquet")) or sys.exit(f"no pool-*.parquet in {args.folder}"):
        for batch in pq.ParquetFile(path).iter_batches(columns=["text"]):
            yield from (text for text in batch.column(0).to_pylist() if text)


def pool():
    """The folder's shards, or a sample of their texts as one."""
    if not args.sample:
        return [str(p) for p in sorted(args.folder.glob("pool-*.parquet"))]
    sample, size = [], 0
    for text in texts():
        sample.append(text)
        size += len(text.encode())
        if size > args.sample * 1e6:
            break
    path = args.work / "sample.parquet"
    pq.write_table(pa.table({"text": sample}), path, row_group_size=1000)
    return [str(path)]


def long_document():
    """A shard of short documents with a long one, of the same texts, in the middle."""
    short, parts, size = [], [], 0
    while size < args.document * 1e6:
        for text in texts():
            if len(short) < 500:
                short.append(text[:2000])
            parts.append(text)
            size += len(text.encode()) + 1
            if size >= args.document * 1e6:
                break
    path = args.work / "long.parquet"
    pq.write_table(pa.table({"text": short[:250] + ["\n".join(parts)] + short[250:]}), path)
    return [str(path)]


def measure(preset, inputs, precision="f32"):
    """Peak resident bytes of the run, and whether it ended by itself."""
    folders = [args.work / f"{preset}-{seed}" for seed in (1, 2)]
    for seed, folder in zip((1, 2), folders):
        if not (folder / "config.json").exists():
            subprocess.run([args.modelbench, "save", preset, args.tokenizer, str(LENGTH), str(seed), folder], check=True)
    output = args.work / "scores"
    subprocess.run(["rm", "-rf", output], check=True)
    process = subprocess.Popen([args.curate, "score", "--quiet", "--prior", folders[0], "--conditional", folders[1], "--output", output,
                                "--backend", args.backend, "--precision", precision, *inputs])
    ended = threading.Timer(args.seconds, lambda: process.send_signal(signal.SIGTERM))
    ended.start()
    _, status, usage = os.wait4(process.pid, 0)
    whole = ended.is_alive()
    ended.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if whole and process.returncode != 0:
        sys.exit(f"curate score failed: exit {process.returncode}")
    return usage.ru_maxrss * 1024, whole


args.work.mkdir(parents=True, exist_ok=True)
jobs = [("pool" if not args.sample else f"{args.sample:g} MB of the pool", pool(), preset) for preset in args.presets]
jobs.append((f"a document of {args.document:g} MB", long_document(), args.presets[0]))
print("| models | texts | estimate MiB | peak RSS MiB | share |")
print("|---|---|---|---|---|")
for name, inputs, preset in jobs:
    need = int(subprocess.run([args.modelbench, "need", preset, args.tokenizer, str(LENGTH), "f32"], check=True, capture_output=True, text=True).stdout)
    peak, whole = measure(preset, inputs)
    note = "" if whole else f", first {args.seconds:g} s"
    print(f"| 2 x {preset} | {name}{note} | {need >> 20} | {peak >> 20} | {peak / need:.2f} |", flush=True)
