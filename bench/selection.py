"""Times global selection: filters/colorfilter against numpy, in one run.

Run:  python bench/selection.py [--rows 10000000]     (needs numpy and Go)

numpy's argsort is what the paper's scripts/select_index_np.py does with all
scores in memory; argpartition does the least that can give the same set. Both
only find the kept set. The passes of colorfilter also check every row, count
reasons, domains and a histogram, and write a decision and a reason per row.
"""

import argparse
import re
import resource
import subprocess
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def timed(f):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows

    command = ["go", "test", "-run", "^$", "-bench", "Pass", "-benchtime", "3x", "./filters/colorfilter"]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name, mb, ns in re.findall(r"BenchmarkPass/(\S+)-\d+\s.*?([\d.]+) MB\s+([\d.]+) ns/score", out):
        print(f"colorfilter {name:24} {float(ns):6.1f} ns/score  {float(mb):7.1f} MB allocated")

    scores = np.random.default_rng(1).standard_normal(rows, dtype=np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    k = rows // 16
    for name, select in (("argpartition", lambda: np.argpartition(scores, rows - k)[-k:]),
                         ("argsort", lambda: np.argsort(scores)[-k:])):
        seconds = timed(select)
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6
        print(f"numpy       {name:24} {seconds / rows * 1e9:6.1f} ns/score  {peak:7.1f} MB more at peak, besides the scores")


if __name__ == "__main__":
    main()
