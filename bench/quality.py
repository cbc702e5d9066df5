"""quality.py QUALITYBENCH FOLDER PLOT.svg

Selects with bench/qualitybench on every kind of vectors in FOLDER, adds the k-NN
probe, and prints the tables of docs/QUALITY.md.
"""
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq

import quality_plot

CLASSES = ["Platelets", "RBC", "WBC"]
BUDGETS = [5, 10, 20, 40, 80]
NEIGHBOURS = 5
VECTORS = {"efficientnet": "efficientnet.parquet", "dinov2-random": "dinov2-random"}
OTHER = "colour.parquet"
# Of each measure: title, and whether more is better.
MEASURES = {
    "rare": ("recall of platelets, the rare class", True),
    "balance": ("balance of the classes (entropy / log 3)", True),
    "cover": ("object cover radius (95th percentile, macro), own vectors", False),
    "cover_other": ("object cover radius, colour histograms", False),
    "modes": ("cluster recall, own vectors, other seed", True),
    "modes_other": ("cluster recall, colour histograms", True),
    "probe": ("k-NN probe, macro recall on held-out images, own vectors", True),
    "probe_other": ("k-NN probe, colour histograms", True),
    "false": ("share of false detections in the chosen images", False),
}
MAIN = ["rare", "balance", "cover", "cover_other", "modes", "modes_other", "probe", "probe_other"]


class Objects:
    """The true objects of all images, with unit vectors."""

    def __init__(self, path):
        files = sorted(os.path.join(path, f) for f in os.listdir(path) if f.endswith(".objects.parquet")) if os.path.isdir(path) else [path]
        self.image, self.split, label, vectors = [], [], [], []
        for file in files:
            for row in pq.read_table(file, columns=["image_id", "group", "objects"]).to_pylist():
                for o in row["objects"]:
                    if o["source"] == "truth" and o["vec"] is not None:
                        self.image.append(row["image_id"])
                        self.split.append(row["group"])
                        label.append(CLASSES.index(o["class"]))
                        vectors.append(o["vec"])
        self.image, self.split, self.label = np.array(self.image), np.array(self.split), np.array(label)
        vectors = np.array(vectors)
        self.vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Probe:
    """k-NN on true objects: those of chosen images vote on those of a held-out split."""

    def __init__(self, objects, held_out):
        self.objects = objects
        test = np.flatnonzero(objects.split == held_out)
        self.truth = objects.label[test]
        self.near = objects.vectors[test] @ objects.vectors.T  # cosines

    def recall(self, images):
        known = np.flatnonzero(np.isin(self.objects.image, images))
        near = self.near[:, known]
        k = min(NEIGHBOURS, len(known))
        best = np.argsort(-near, axis=1, kind="stable")[:, :k]
        votes = np.zeros((len(near), len(CLASSES)))
        for i in range(k):  # a vote weighs a little less the farther it is, so that ties go to the nearest
            votes[np.arange(len(near)), self.objects.label[known[best[:, i]]]] += 1 - i / 100
        said = votes.argmax(1)
        return np.mean([np.mean(said[self.truth == c] == c) for c in range(len(CLASSES))])


def load(path, probe, other):
    """The figures of every selection by method, budget and seed."""
    figures, methods = {}, []
    for line in open(path):
        r = json.loads(line)
        r["rare"] = r["recall"]["Platelets"]
        r["probe"], r["probe_other"] = probe.recall(r["images"]), other.recall(r["images"])
        figures[r["method"], r["budget"], r["seed"]] = r
        if r["method"] not in methods:
            methods.append(r["method"])
    return figures, methods


def column(figures, method, budget, measure):
    seeds = sorted(s for m, b, s in figures if m == method and b == budget)
    return np.array([figures[method, budget, s][measure] for s in seeds], dtype=float)


def error(values):
    return values.std(ddof=1) / len(values) ** 0.5


def verdict(difference, better):
    """+ ahead, - behind, both by more than two standard errors, = neither."""
    sign = 1 if better else -1
    mean, se = sign * difference.mean(), error(difference)
    return "+" if mean > 2 * se and mean > 0 else "-" if mean < -2 * se and mean < 0 else "="


def table(figures, methods, measure, budgets):
    title, better = MEASURES[measure]
    print(f"\n**{title}** ({'more' if better else 'less'} is better)\n")
    print("| method |" + "".join(f" B = {b} |" for b in budgets))
    print("|---|" + "---|" * len(budgets))
    for method in methods:
        cells = []
        for b in budgets:
            values = column(figures, method, b, measure)
            mark = ""
            if method != "random":
                mark = {"+": " ▲", "-": " ▽", "=": ""}[verdict(values - column(figures, "random", b, measure), better)]
            cells.append(f"{values.mean():.3f} ± {error(values):.3f}{mark}")
        print(f"| {method} | " + " | ".join(cells) + " |")


def less(figures, method, rival, measure, budgets):
    """A method's figures less another's, seed by seed; the mean over budgets."""
    return np.mean([column(figures, method, b, measure) - column(figures, rival, b, measure) for b in budgets], axis=0)


def cell(difference, better):
    mark = {"+": " ▲", "-": " ▽", "=": ""}[verdict(difference, better)]
    return f"{difference.mean():+.3f} ± {error(difference):.3f}{mark}"


def header(first, columns):
    print(f"\n| {first} |" + "".join(f" {c} |" for c in columns))
    print("|---|" + "---|" * len(columns))


def differences(figures, methods, budgets):
    """OFDS less random at each budget, and less each other method over all."""
    print("\n**OFDS less random**, paired by seed")
    header("measure", [f"B = {b}" for b in budgets])
    for measure in MAIN:
        print(f"| {MEASURES[measure][0]} | " + " | ".join(cell(less(figures, "ofds", "random", measure, [b]), MEASURES[measure][1]) for b in budgets) + " |")
    print("\n**OFDS less each method**, paired by seed, mean over the budgets")
    header("method", MAIN)
    for rival in methods:
        if rival != "ofds":
            print(f"| {rival} | " + " | ".join(cell(less(figures, "ofds", rival, m, budgets), MEASURES[m][1]) for m in MAIN) + " |")
    print("\n**Each method less random**, paired by seed, mean over the budgets")
    header("method", MAIN)
    for rival in methods:
        if rival != "random":
            print(f"| {rival} | " + " | ".join(cell(less(figures, rival, "random", m, budgets), MEASURES[m][1]) for m in MAIN) + " |")


def variants(figures, methods, budgets):
    print("\n**Variants of OFDS less its defaults**, mean over budgets, paired by seed")
    columns = MAIN + ["false"]
    header("variant", columns)
    print("| the defaults | " + " | ".join(f"{np.mean([column(figures, 'ofds', b, m) for b in budgets]):.3f}" for m in columns) + " |")
    for method in methods:
        if method != "ofds":
            differing = [less(figures, method, "ofds", m, budgets) for m in columns]
            marks = [{"+": " ▲", "-": " ▽", "=": ""}[verdict(d, MEASURES[m][1])] for d, m in zip(differing, columns)]
            print(f"| {method} | " + " | ".join(f"{d.mean():+.3f}{mark}" for d, mark in zip(differing, marks)) + " |")


def main():
    program, folder, plot = sys.argv[1:]
    other = Objects(os.path.join(folder, OTHER))
    done = {}
    for setting, held_out in (("final", "test"), ("variants", "val")):
        for name, file in VECTORS.items():
            out = os.path.join(folder, f"{setting}-{name}.jsonl")
            if not os.path.exists(out):
                subprocess.run(["nice", program, setting, os.path.join(folder, file), os.path.join(folder, OTHER), out + ".part"], check=True)
                os.replace(out + ".part", out)
            objects = Objects(os.path.join(folder, file))
            figures, methods = load(out, Probe(objects, held_out), Probe(other, held_out))
            if setting == "final":
                done[name] = figures
            print(f"\n## {setting}, {name}")
            if setting == "final":
                for measure in MEASURES:
                    table(figures, methods, measure, BUDGETS)
                differences(figures, methods, BUDGETS)
            else:
                variants(figures, methods, BUDGETS)
    quality_plot.draw(plot, done["efficientnet"], BUDGETS)


if __name__ == "__main__":
    main()
