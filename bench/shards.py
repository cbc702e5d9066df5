"""Shards: curate against pyarrow, polars, DuckDB and datatrove, in turns, in one run.

Usage: shards.py SHARDBENCH [ROUNDS]   (bench/shards.sh builds the program and installs the packages)

Each job is a process of its own, timed from outside: user and system seconds, wall seconds and peak resident memory.
Every round runs every tool once; figures are medians over rounds, ratios medians of the rounds' ratios. The tools are
held to one or two processors by taskset. All must find the same number of rows.
"""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
JOBS = {  # job: tools, the first two being us and the yardstick
    "read": ["curate", "pyarrow", "polars", "duckdb"],
    "filter": ["curate", "pyarrow", "polars", "duckdb"],
    "keep": ["curate", "pyarrow", "polars", "duckdb"],
    "score": ["curate", "pyarrow", "polars", "duckdb"],
    "length": ["curate", "pyarrow", "polars", "duckdb", "datatrove"],
}
TITLES = {
    "read": "read all columns", "filter": "keep 30 % of the rows, write zstd-3", "keep": "keep all rows",
    "score": "keep all rows, add a score column", "length": "40,000 documents, keep those of 2,000 characters or more",
}


def measure(argv, cpus, log):
    """runs a command; returns CPU seconds, wall seconds, peak MB and what it printed"""
    begin = time.monotonic()
    child = subprocess.Popen(["taskset", "-c", ",".join(map(str, cpus)), *argv], stdout=subprocess.PIPE, stderr=log)
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        log.seek(0)
        sys.exit(f"{' '.join(map(str, argv))}: exit {child.returncode}\n{log.read().decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - begin, usage.ru_maxrss * 1024 / 1e6, int(printed.split()[-1])


def command(tool, job, threads, program, data, out):
    source = data / ("documents" if job == "length" else "corpus.parquet")
    if tool != "curate":
        return [sys.executable, HERE / "shards_peers.py", tool, job, str(threads), source, out, data / "mask.bin"]
    extra = {"read": [source], "filter": [source, data / "mask.bin", out]}
    return [program, job, *extra.get(job, [source, out])]


def run_job(job, threads, rounds, program, data):
    """returns figures[tool] = list of (cpu, wall, rss, output MB) over the rounds"""
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    figures, rows = {tool: [] for tool in JOBS[job]}, set()
    for _ in range(rounds):
        for tool in JOBS[job]:
            out = data / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            target = out if job == "length" else out / "out.parquet"
            with tempfile.TemporaryFile() as log:
                cpu, wall, rss, n = measure(command(tool, job, threads, program, data, target), cpus, log)
            rows.add(n)
            figures[tool].append((cpu, wall, rss, sum(f.stat().st_size for f in out.rglob("*")) / 1e6))
            shutil.rmtree(out)
    if len(rows) != 1:
        sys.exit(f"{job}: the tools found {sorted(rows)} rows")
    return figures


def table(job, threads, figures):
    print(f"\n{TITLES[job]}, {threads} thread{'s'[: threads - 1]}\n")
    print("| | CPU s | to pyarrow | wall s | peak MB | output MB |\n|---|---:|---:|---:|---:|---:|")
    for tool, runs in figures.items():
        cpu, wall, rss, size = (statistics.median(r[i] for r in runs) for i in range(4))
        ratio = statistics.median(r[0] / p[0] for r, p in zip(runs, figures["pyarrow"]))
        print(f"| {tool} | {cpu:.2f} | {ratio:.2f} | {wall:.2f} | {rss:.0f} | {size:.1f} |" if size else f"| {tool} | {cpu:.2f} | {ratio:.2f} | {wall:.2f} | {rss:.0f} | |")
    sys.stdout.flush()


def main():
    program, rounds = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    data = pathlib.Path(os.environ.get("BENCH_DATA", HERE.parent / ".cache" / "bench-data"))
    subprocess.run([sys.executable, HERE / "shards_data.py", data], check=True)  # its memory must not count as ours
    processors = sorted(os.sched_getaffinity(0))
    for threads in (1, 2):
        if threads > len(processors):
            print(f"only {len(processors)} processor: no figures for {threads}")
            continue
        for job in os.environ.get("BENCH_JOBS", " ".join(JOBS)).split():
            table(job, threads, run_job(job, threads, rounds, program, data))


if __name__ == "__main__":
    main()
