"""Makes filters/ofds/metrics/testdata/metrics.json: figures that numpy computed.

Run:      python scripts/golden/make_ofds_metrics.py
Versions: Python 3.11, numpy 2.4.6 (any recent numpy gives the same figures)
Checked:  by metrics' TestGolden, figures of distances to 1e-6 (they are float32
          there), all others to 1e-12; by TestProjectGolden, axes to 1e-7

Every figure is computed from its definition, with whole distance matrices in
float64, and nothing is shared with the Go code. Clusters are given, as what
k-means finds depends on its random numbers. Arrays are base64 of little-endian values.
"""

import base64
import json
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[2] / "filters/ofds/metrics/testdata/metrics.json"


def pack(array):
    return base64.b64encode(array.tobytes()).decode()


def number(x):
    """A finite float, or None."""
    return float(x) if x is not None and np.isfinite(x) else None


def div(a, b):
    return a / b if a is not None and b else None


class Pool:
    """Images with objects in rows: image, class, score, x1, y1, x2, y2."""

    def __init__(self, images, classes, rows, vectors, modes):
        self.images, self.classes = images, classes
        order = np.argsort(rows[:, 0], kind="stable")
        self.rows = rows[order].astype("<f4")
        self.vectors = None if vectors is None else vectors[order].astype("<f4")
        self.modes = None if modes is None else modes[order].astype("<i4")

    def image_of(self):
        return self.rows[:, 0].astype(int)

    def class_of(self):
        return self.rows[:, 1].astype(int)

    def to_json(self):
        return {
            "images": self.images, "classes": self.classes, "objects": pack(self.rows),
            "dim": 0 if self.vectors is None else self.vectors.shape[1],
            "vectors": "" if self.vectors is None else pack(self.vectors),
            "modes": "" if self.modes is None else pack(self.modes),
        }


def make_pool(rng, images, per_class, dim, truth=None):
    """A pool whose classes have the given numbers of objects; or, from a truth, the proposals of a detector."""
    if truth is None:
        rows, vectors, modes = [], [], []
        for c, n in enumerate(per_class):
            centers = rng.normal(size=(4, dim)) if dim else None
            for _ in range(n):
                mode = rng.choice(4, p=[0.5, 0.25, 0.15, 0.1])
                x, y, w, h = rng.uniform(0, 80), rng.uniform(0, 80), rng.uniform(5, 20), rng.uniform(5, 20)
                rows.append([rng.integers(len(images)), c, 1, x, y, x + w, y + h])
                modes.append(mode)
                if dim:
                    v = centers[mode] + 0.3 * rng.normal(size=dim)
                    vectors.append(v / np.linalg.norm(v))
        classes = [f"class-{c}" for c in range(len(per_class))]
        return Pool(images, classes, np.array(rows), np.array(vectors) if dim else None, np.array(modes))
    rows, vectors, modes = [], [], []
    for i, row in enumerate(truth.rows):
        if rng.random() < 0.15:
            continue
        row = row.astype(float).copy()
        row[3:] += rng.normal(scale=1.5, size=4)
        row[2] = rng.uniform(0.4, 1)
        if rng.random() < 0.1:
            row[1] = rng.integers(len(truth.classes) - 1)
        rows.append(row)
        vectors.append(truth.vectors[i] + 0.05 * rng.normal(size=dim))
        modes.append(truth.modes[i])
        if rng.random() < 0.15:  # a second box, or a false one
            again = row.copy()
            again[3:] += rng.normal(scale=rng.choice([1.0, 30.0]), size=4)
            again[5:] = np.maximum(again[5:], again[3:5] + 1)
            again[2] = rng.uniform(0.3, 0.9)
            rows.append(again)
            vectors.append(truth.vectors[i] + 0.05 * rng.normal(size=dim))
            modes.append(-1)
    return Pool(images, truth.classes, np.array(rows), np.array(vectors), np.array(modes))


def bins_of(images, rule):
    lvis = {c: "rare" if n < 10 else "common" if n < 100 else "frequent" for c, n in images.items()}
    if rule == "":
        rule = "lvis" if {"rare", "frequent"} <= set(lvis.values()) else "terciles"
    if rule == "lvis":
        return lvis, rule
    order = sorted(images, key=lambda c: (images[c], c))
    return {c: ["rare", "common", "frequent"][i * 3 // len(order)] for i, c in enumerate(order)}, rule


def figures(pool, chosen, opt, starved):
    image, cls = pool.image_of(), pool.class_of()
    in_s = np.isin(image, chosen)
    share = div(len(chosen), len(pool.images))
    images = {c: len(set(image[cls == c])) for c in range(len(pool.classes)) if (cls == c).any()}
    bins, rule = bins_of(images, opt.get("Bins", ""))
    has = pool.vectors is not None
    z = pool.vectors.astype(float) if has else None
    longest = np.linalg.norm(z, axis=1).max() if has else None
    deltas = opt.get("Deltas") or ([longest * (i + 1) / 10 for i in range(15)] if has else None)
    near = opt.get("NearDuplicate") or (longest / 10 if has else None)
    classes = []
    for c, name in enumerate(pool.classes):
        mine, picked = np.flatnonzero(cls == c), np.flatnonzero((cls == c) & in_s)
        k = {
            "name": name, "bin": bins.get(c, ""), "objects": len(mine), "images": images.get(c, 0),
            "chosen_objects": len(picked), "chosen_images": len(set(image[picked])),
            "recall": div(len(picked), len(mine)), "sampled": len(mine) if has else 0,
            "cover_max": None, "cover_p95": None, "cover_mean": None, "mode_recall": None, "nearest_mean": None,
            "modes": 0, "modes_hit": 0, "near_duplicate_pairs": 0,
        }
        k["lift"] = div(k["recall"], share)
        if has and len(mine):
            if len(picked):
                d = np.sqrt(((z[mine][:, None] - z[picked][None]) ** 2).sum(2)).min(1)
            else:
                d = np.full(len(mine), 2 * longest)
            k["cover_max"], k["cover_mean"] = d.max(), d.mean()
            k["cover_p95"] = np.percentile(d, 95, method="inverted_cdf")
            k["cover_at"] = [float((d < x).mean()) for x in deltas]
        if pool.modes is not None:
            all_modes = set(pool.modes[mine]) - {-1}
            k["modes"], k["modes_hit"] = len(all_modes), len(set(pool.modes[picked]) - {-1})
            k["mode_recall"] = div(k["modes_hit"], k["modes"])
        if has and len(picked) > 1:
            d = np.sqrt(((z[picked][:, None] - z[picked][None]) ** 2).sum(2))
            k["near_duplicate_pairs"] = int((d[np.triu_indices(len(picked), 1)] < near).sum())
            np.fill_diagonal(d, np.inf)
            k["nearest_mean"] = d.min(1).mean()
        for flag, on in (("unreachable", not len(mine)), ("missed", len(mine) and not len(picked)), ("starved", starved[c])):
            if on:
                k[flag] = True
        classes.append(k)
    cost = opt.get("ImageCost", 0) * len(chosen) + opt.get("ObjectCost", 0) * int(in_s.sum())
    out = {
        "bin_rule": rule, "limit": 2 * longest if has else None,
        "overall": group("overall", classes, share),
        "bins": [group(b, [k for k in classes if k["bin"] == b], share) for b in ("rare", "common", "frequent")],
        "classes": classes,
        "objects_per_image": div(int(in_s.sum()), len(chosen)),
        "pool_objects_per_image": div(len(image), len(pool.images)),
        "label_cost": cost if opt.get("ImageCost", 0) or opt.get("ObjectCost", 0) else None,
        "unreachable": sum(k.get("unreachable", False) for k in classes),
        "missed": sum(k.get("missed", False) for k in classes),
        "starved": sum(starved),
    }
    if has:
        out["deltas"] = deltas
    return out


def group(name, classes, share):
    classes = [k for k in classes if k["objects"]]
    reached = [k for k in classes if k["chosen_objects"]]
    n, s = sum(k["objects"] for k in classes), np.array([k["chosen_objects"] for k in classes])

    def mean(key, some=classes):
        values = [k[key] for k in some if k[key] is not None]
        return np.mean(values) if values else None

    total = int(s.sum()) if len(s) else 0
    p = s[s > 0] / total if total else None
    out = {
        "name": name, "classes": len(classes), "covered": len(reached), "class_coverage": div(len(reached), len(classes)),
        "objects": n, "chosen_objects": total, "recall": div(total, n), "lift": div(div(total, n), share),
        "balance": -(p * np.log(p)).sum() / np.log(len(s)) if total and len(s) > 1 else None,
        "min_max": s.min() / s.max() if total else None,
        "cover_max": mean("cover_max"), "cover_p95": mean("cover_p95"), "cover_mean": mean("cover_mean"),
        "cover_p95_reached": mean("cover_p95", reached), "mode_recall": mean("mode_recall"),
        "modes": sum(k["modes"] for k in classes), "modes_hit": sum(k["modes_hit"] for k in classes),
        "nearest_mean": mean("nearest_mean"), "near_duplicate_pairs": sum(k["near_duplicate_pairs"] for k in classes),
    }
    if classes and "cover_at" in classes[0]:
        out["cover_at"] = [float(np.mean(at)) for at in zip(*(k["cover_at"] for k in classes))]
    return out


def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0, w) * max(0, h)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared) if shared else 0


def false_positives(pool, truth, chosen, least):
    """How many proposals of each class no true object explains, and how many there are."""
    wrong, total = np.zeros(len(pool.classes), int), np.zeros(len(pool.classes), int)
    for i in chosen:
        if pool.images[i] not in truth.images:
            continue
        there = truth.rows[truth.image_of() == truth.images.index(pool.images[i])].astype(float)
        for c, name in enumerate(pool.classes):
            free = [t[3:] for t in there if truth.classes[int(t[1])] == name]
            mine = pool.rows[(pool.image_of() == i) & (pool.class_of() == c)].astype(float)
            for row in sorted(mine, key=lambda r: -r[2]):
                overlaps = [iou(row[3:], t) for t in free]
                total[c] += 1
                if overlaps and max(overlaps) >= least:
                    del free[int(np.argmax(overlaps))]
                else:
                    wrong[c] += 1
    return wrong, total


def measure(pool, truth, chosen, others, opt, starved):
    out = {"images": len(chosen), "pool_images": len(pool.images), "share": div(len(chosen), len(pool.images)),
           "proposals": figures(pool, chosen, opt, starved)}
    if others:
        out["overlap"] = [
            {"name": n, "images": len(o), "shared": len(set(o) & set(chosen)),
             "jaccard": div(len(set(o) & set(chosen)), len(set(o) | set(chosen)))} for n, o in others.items()]
    if truth is not None:
        there = [truth.images.index(pool.images[i]) for i in chosen if pool.images[i] in truth.images]
        if len(there) < len(chosen):
            out["images_without_truth"] = len(chosen) - len(there)
        out["truth"] = figures(truth, there, opt, [False] * len(truth.classes))
        least = opt.get("MatchIoU", 0) or 0.5
        wrong, total = false_positives(pool, truth, chosen, least)
        all_wrong, all_total = false_positives(pool, truth, range(len(pool.images)), least)
        out["false_positives"] = {
            "proposals": int(total.sum()), "false": int(wrong.sum()), "share": div(int(wrong.sum()), int(total.sum())),
            "pool_share": div(int(all_wrong.sum()), int(all_total.sum())),
            "classes": [{"name": n, "proposals": int(t), "false": int(w), "share": div(int(w), int(t))}
                        for n, w, t in zip(pool.classes, wrong, total)]}
    return out


def plain(x):
    """The same with Python's own types; None for what is not finite."""
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    return number(x) if isinstance(x, (float, np.floating)) else int(x) if isinstance(x, np.integer) else x


def cases(rng):
    images = [f"image-{i:03}" for i in range(130)]
    truth = make_pool(rng, images, [5, 40, 160, 9, 1, 0], 6)
    pool = make_pool(rng, images, None, 6, truth)
    twelve = sorted(rng.choice(130, 12, replace=False).tolist())
    yield "with truth", pool, truth, twelve, {"random": rng.choice(130, 20, replace=False).tolist(), "none": []}, \
        {"ImageCost": 3.5, "ObjectCost": 0.25}, [False, False, False, False, True, False]
    some = Pool(images[:100], truth.classes, truth.rows[truth.image_of() < 100], truth.vectors[truth.image_of() < 100],
                truth.modes[truth.image_of() < 100])
    yield "some images without truth", pool, some, list(range(90, 120)), {}, \
        {"Bins": "terciles", "MatchIoU": 0.75, "Deltas": [0.05, 0.2, 0.9], "NearDuplicate": 0.5}, [False] * 6
    yield "nothing chosen", pool, None, [], {"all": list(range(130))}, {}, [False] * 6
    yield "everything chosen", pool, truth, list(range(130)), {}, {"Bins": "lvis"}, [False] * 6
    bare = make_pool(rng, images[:30], [3, 8, 20, 2], 0)
    bare.modes = None
    yield "no vectors", bare, None, [1, 5, 8, 20], {}, {}, [False] * 4
    yield "one class", make_pool(rng, images[:9], [14], 5), None, [0, 3], {}, {}, [False]


def projections(rng):
    wide = rng.normal(size=(300, 12)) * np.array([5, 3, 2.5, 2, 1, 1, 1, 0.5, 0.5, 0.5, 0.1, 0.1]) @ np.linalg.qr(rng.normal(size=(12, 12)))[0]
    line = rng.normal(size=(40, 1)) * rng.normal(size=(1, 7)) + 3
    for name, m in (("anisotropic", wide), ("fewer rows than columns", rng.normal(size=(5, 32))), ("close values", rng.normal(size=(400, 20))),
                    ("line", line), ("two columns", rng.normal(size=(30, 2))), ("one column", rng.normal(size=(9, 1))),
                    ("all the same", np.ones((6, 4)))):
        m = m.astype("<f4")
        centered = m.astype(float) - m.astype(float).mean(0)
        _, s, v = np.linalg.svd(centered, full_matrices=False)
        axes, explained = [], []
        for a in range(2):
            if a < len(s) and s[a] ** 2 > 1e-12 * (s**2).sum():
                axes.append((v[a] * np.sign(v[a][np.argmax(np.abs(v[a]))])).tolist())
            else:
                axes.append([0.0] * m.shape[1])
            # What float32 cannot tell from nothing is nothing.
            explained.append(number((s[a] ** 2 if a < len(s) and any(axes[a]) else 0) / (s**2).sum()) if (s**2).sum() else None)
        yield {"name": name, "dim": m.shape[1], "vectors": pack(m), "axes": axes, "explained": explained}


def main():
    rng = np.random.default_rng(7)
    pools, out = [], []
    for name, pool, truth, chosen, others, opt, starved in cases(rng):
        at = []
        for p in (pool, truth):
            if p is not None and p not in pools:
                pools.append(p)
            at.append(-1 if p is None else pools.index(p))
        out.append({"name": name, "pool": at[0], "truth": at[1], "chosen": chosen, "starved": starved, "options": opt,
                    "others": [{"name": n, "images": o} for n, o in others.items()],
                    "want": plain(measure(pool, truth, chosen, others, opt, starved))})
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"pools": [p.to_json() for p in pools], "cases": out, "projections": list(projections(rng))}) + "\n")
    print(OUT, OUT.stat().st_size, "bytes")


main()
