"""What bf16 changes: the same pool scored in f32 and in bf16.

Prints mean and 99th percentile of the difference of losses and of color_score, the
rank correlation (Spearman) of color_score, and how much of its top 1/16 is the same.
"""
import argparse
import pathlib
import subprocess

import numpy as np
import pyarrow.dataset as ds

parser = argparse.ArgumentParser()
parser.add_argument("curate")
parser.add_argument("prior")
parser.add_argument("conditional")
parser.add_argument("work", type=pathlib.Path)
parser.add_argument("inputs", nargs="+")
parser.add_argument("--backend", default="auto")
args = parser.parse_args()

COLUMNS = ["prior_loss", "conditional_loss", "color_score"]


def scores(precision):
    """The sidecars of a precision, ordered by shard and row, scored rows only."""
    output = args.work / precision
    subprocess.run([args.curate, "score", "--quiet", "--prior", args.prior, "--conditional", args.conditional, "--output", output,
                    "--backend", args.backend, "--precision", precision, *args.inputs], check=True)
    table = ds.dataset(sorted(str(p) for p in output.glob("**/*.scores.parquet"))).to_table()
    table = table.sort_by([("shard", "ascending"), ("row", "ascending"), ("seq", "ascending")])
    return {name: table[name].to_numpy().astype(np.float64) for name in COLUMNS}


def ranks(x):
    order = np.argsort(x, kind="stable")
    r = np.empty(len(x))
    r[order] = np.arange(len(x))
    return r


exact, rough = scores("f32"), scores("bf16")
scored = np.isfinite(exact["color_score"]) & np.isfinite(rough["color_score"])
if not np.array_equal(np.isfinite(exact["color_score"]), np.isfinite(rough["color_score"])):
    print(f"{(np.isfinite(exact['color_score']) != np.isfinite(rough['color_score'])).sum()} rows have a score in one precision only")
print(f"{scored.sum()} documents; nats per token\n")
print("| | mean difference | mean of absolute difference | 99th percentile | standard deviation of the f32 values |")
print("|---|---|---|---|---|")
for name in COLUMNS:
    x, y = exact[name][scored], rough[name][scored]
    d = y - x
    print(f"| {name} | {d.mean():+.2e} | {np.abs(d).mean():.2e} | {np.quantile(np.abs(d), 0.99):.2e} | {x.std():.2e} |")
x, y = exact["color_score"][scored], rough["color_score"][scored]
n = max(1, len(x) // 16)
top = len(set(np.argsort(-x, kind="stable")[:n]) & set(np.argsort(-y, kind="stable")[:n]))
print(f"\nSpearman's rank correlation of color_score: {np.corrcoef(ranks(x), ranks(y))[0, 1]:.6f}")
print(f"the top 1/16 ({n} documents) share {top / n:.2%}")
