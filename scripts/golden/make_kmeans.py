"""Makes filters/ofds/kmeans/testdata/sklearn.json: clusterings by scikit-learn.

Run:      python scripts/golden/make_kmeans.py
Versions: Python 3.11, scikit-learn 1.9.1, numpy 2.4.6, scipy 1.17.1
Tolerance: assignments equal; centroids and inertia within 1e-5 of their size

Both begin with the same centroids, so Lloyd's iterations must agree: with and
without weights, stopped early and run to the end, and where a cluster loses its
points and takes the farthest. scikit-learn works in float64, on the same
float32 vectors. Arrays are base64 of little-endian float32 and uint16.
"""

import base64
import json
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans

OUT = Path(__file__).resolve().parents[2] / "filters/ofds/kmeans/testdata/sklearn.json"


def pack(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def case(name, rng, n, dim, k, rounds, weighted=False, far=False):
    modes = rng.normal(size=(max(2, k // 2), dim))
    points = (modes[rng.integers(len(modes), size=n)] + 0.4 * rng.normal(size=(n, dim))).astype(np.float32)
    start = points[rng.choice(n, size=k, replace=False)].copy()
    if far:
        start[k // 2] = 1000  # nobody's nearest
    weights = rng.uniform(0, 2, size=n).astype(np.float32) if weighted else None
    fitted = KMeans(k, init=start.astype(np.float64), n_init=1, max_iter=rounds, tol=0).fit(points.astype(np.float64), sample_weight=weights)
    return {
        "name": name,
        "dim": dim,
        "k": k,
        "rounds": rounds,
        "points": pack(points),
        "start": pack(start),
        "weights": pack(weights) if weighted else "",
        "labels": pack(fitted.labels_.astype("<u2")),
        "centroids": pack(fitted.cluster_centers_.astype("<f4")),
        "inertia": fitted.inertia_,
    }


def main():
    rng = np.random.default_rng(20241203)
    cases = [
        case("plain", rng, 400, 8, 6, 300),
        case("stopped early", rng, 500, 16, 40, 3),
        case("two dimensions", rng, 1000, 2, 25, 300),
        case("weighted", rng, 300, 5, 9, 300, weighted=True),
        case("lost cluster", rng, 200, 12, 7, 300, far=True),
        case("wide", rng, 60, 128, 11, 300),
    ]
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(cases, indent=1) + "\n")


main()
