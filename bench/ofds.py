"""Selection at scale: curate against scikit-learn and numpy, in turns, in one run.

Usage: ofds.py OFDSBENCH [ROUNDS]   (bench/ofds.sh builds the program and installs the packages)

1,000,000 objects of 256 dimensions in 20 classes, a budget of 10,000 images. Each run is a process of its own, timed
from outside, held to BENCH_PROCESSORS processors (all) by taskset, with as many threads: on a machine that is busy with other
work take 1, or threads that wait for each other burn CPU time. Figures are medians over the rounds. Mode recall, the share of a class's
200 modes that the choice has, mean of the classes, tells that they did the same work about as well. All must choose
exactly 10,000 images. BENCH_RUNS picks runs by their names; BENCH_OBJECTS takes fewer objects, with a budget of a hundredth.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
OBJECTS = int(os.environ.get("BENCH_OBJECTS", 1_000_000))
BUDGET = OBJECTS // 100


def runs(program, data):
    peer = [sys.executable, HERE / "ofds_peers.py"]
    return {
        "stream-xla": [program, "stream", "xla:cpu", data],
        "stream-go": [program, "stream", "go", data],
        "tree-sklearn": [*peer, "tree", data],
        "memory-xla": [program, "memory", "xla:cpu", data],
        "memory-go": [program, "memory", "go", data],
        "adaptive-sklearn": [*peer, "adaptive", data],
    }


def measure(argv, out, processors):
    """returns wall seconds, CPU seconds and peak MB"""
    with tempfile.TemporaryFile() as log:
        begin = time.monotonic()
        threads = {name: str(len(processors)) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        hold = ["taskset", "-c", ",".join(map(str, processors))]
        child = subprocess.Popen([*hold, *map(str, argv), str(BUDGET), str(out)], stdout=log, stderr=log, env=os.environ | threads)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begin
        log.seek(0)
        print(log.read().decode(errors="replace"), file=sys.stderr)
        if child.returncode != 0:
            sys.exit(f"{' '.join(map(str, argv))}: exit {child.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def recall(data, chosen):
    classes, modes = np.fromfile(data / "class.u8", "u1"), np.fromfile(data / "mode.u16", "<u2")
    inside = np.isin(np.fromfile(data / "image.u32", "<u4"), chosen)
    shares = []
    for c in range(classes.max() + 1):
        of = classes == c
        shares.append(len(np.unique(modes[of & inside])) / len(np.unique(modes[of])))
    return float(np.mean(shares))


def main():
    program, rounds = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    data = pathlib.Path(os.environ.get("BENCH_DATA", HERE.parent / ".cache" / "bench-data")) / f"ofds-{OBJECTS}"
    subprocess.run([sys.executable, HERE / "ofds_data.py", data, str(OBJECTS)], check=True)
    every, processors = runs(program, data), sorted(os.sched_getaffinity(0))
    processors = processors[-int(os.environ.get("BENCH_PROCESSORS", len(processors))) :]
    names = os.environ.get("BENCH_RUNS", " ".join(every)).split()
    figures, same = {name: [] for name in names}, {}
    for _ in range(rounds):
        for name in names:
            with tempfile.NamedTemporaryFile() as out:
                figure = measure(every[name], out.name, processors)
                chosen = np.loadtxt(out.name, dtype=np.int64)
            if len(np.unique(chosen)) != BUDGET:
                sys.exit(f"{name} chose {len(np.unique(chosen))} images, not {BUDGET}")
            print(f"{name}: {figure[0]:.1f} s, {figure[1]:.1f} CPU s, {figure[2]:.0f} MB", file=sys.stderr, flush=True)
            figures[name].append((*figure, recall(data, chosen)))
            same.setdefault(name.split("-")[0], set()).add(chosen.tobytes())
    print("| run | wall s | CPU s | peak MB | mode recall |\n|---|---:|---:|---:|---:|")
    for name, of in figures.items():
        wall, cpu, rss, modes = (statistics.median(f[i] for f in of) for i in range(4))
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {rss:.0f} | {modes:.3f} |")
    for form in ("stream", "memory"):
        if form in same:
            print(f"{form}: all runs {'chose the same images' if len(same[form]) == 1 else 'DIFFER'}")


main()
