"""The rules of object-focused selection with scikit-learn and numpy.

Usage: ofds_peers.py adaptive|tree FOLDER BUDGET OUT

adaptive: MiniBatchKMeans per class, with more clusters until enough have nothing
covered; a refit begins with the centroids that there are (our form in memory).
tree: MiniBatchKMeans per class, four clusters for each image, and scipy's Ward
tree on their centroids, cut lower until enough have nothing covered (our
streaming form, and k_policy bisect_cut). All vectors are in memory. OUT gets the
numbers of the chosen images, one a line.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.cluster.hierarchy import linkage
from sklearn.cluster import MiniBatchKMeans

ROUNDS, TRIES = 6, 10


class Pool:
    def __init__(self, folder):
        self.vectors = np.fromfile(folder / "vectors.f32", "<f4").reshape(-1, 256)
        classes = np.fromfile(folder / "class.u8", "u1")
        self.image = np.fromfile(folder / "image.u32", "<u4")
        self.rows = [np.flatnonzero(classes == c) for c in range(classes.max() + 1)]
        self.order = sorted((c for c in range(len(self.rows)) if len(self.rows[c])), key=lambda c: (len(self.rows[c]), c))
        self.chosen = np.zeros(self.image.max() + 1, bool)
        self.picks = []

    def take(self, image):
        self.chosen[image] = True
        self.picks.append(int(image))


def fit(vectors, k, before=None):
    """returns centroids, labels, and the distance of each vector to its centroid"""
    if k >= len(vectors):
        return vectors, np.arange(len(vectors)), np.zeros(len(vectors), np.float32)
    init = "k-means++"
    if before is not None and len(before) < k:
        more = np.random.default_rng(k).choice(len(vectors), k - len(before), replace=False)
        init = np.vstack([before, vectors[more]])
    fitted = MiniBatchKMeans(k, init=init, n_init=1, random_state=1).fit(vectors)
    centroids, labels = fitted.cluster_centers_, fitted.labels_
    distance = np.concatenate([np.linalg.norm(vectors[i : i + 65536] - centroids[labels[i : i + 65536]], axis=1) for i in range(0, len(vectors), 65536)])
    return centroids, labels, distance


def turns(pool, budget):
    """yields class, number of images to choose for it"""
    for _ in range(ROUNDS):
        before = len(pool.picks)
        for j, c in enumerate(pool.order):
            left = budget - len(pool.picks)
            if left == 0:
                return
            yield c, max(1, left // (len(pool.order) - j))
        if len(pool.picks) == before:
            break


def choose(pool, images, labels, distance, quota, size):
    """takes the nearest of each cluster that has nothing covered, the largest first"""
    by = np.lexsort((distance, labels))
    starts = np.flatnonzero(np.r_[True, labels[by][1:] != labels[by][:-1]])
    members = {labels[by[a]]: by[a:b] for a, b in zip(starts, np.r_[starts[1:], len(by)])}
    for cluster in sorted(members, key=lambda k: (-size[k], k)):
        if quota == 0:
            return
        if not pool.chosen[images[members[cluster]]].any():
            pool.take(images[members[cluster][0]])
            quota -= 1


def adaptive(pool, budget):
    last = {}
    for c, quota in turns(pool, budget):
        vectors, images = pool.vectors[pool.rows[c]], pool.image[pool.rows[c]]
        k = max(quota, len(last[c][0]) if c in last else 0)
        for _ in range(TRIES):
            if c not in last or len(last[c][0]) != min(k, len(vectors)):
                last[c] = fit(vectors, k, last[c][0] if c in last else None)
            centroids, labels, distance = last[c]
            size = np.bincount(labels, minlength=len(centroids))
            covered = np.zeros(len(centroids), bool)
            covered[labels[pool.chosen[images]]] = True
            free = int((~covered & (size > 0)).sum())
            if free >= quota or k >= len(vectors):
                break
            k += quota - free
        choose(pool, images, labels, distance, quota, size)


def tree(pool, budget):
    trees = {}
    for c, quota in turns(pool, budget):
        vectors, images = pool.vectors[pool.rows[c]], pool.image[pool.rows[c]]
        if c not in trees:
            centroids, labels, distance = fit(vectors, min(4 * quota, len(vectors)))
            used, labels = np.unique(labels, return_inverse=True)
            trees[c] = labels, distance, len(used), linkage(centroids[used], "ward")
        labels, distance, leaves, merges = trees[c]
        k = min(quota, leaves)
        while True:
            node = cut(merges, leaves, k)[labels]
            size = np.bincount(node)
            covered = np.zeros(len(size), bool)
            covered[node[pool.chosen[images]]] = True
            free = int((~covered & (size > 0)).sum())
            if free >= quota or k >= leaves:
                break
            k = min(leaves, k + quota - free)
        choose(pool, images, node, distance, quota, size)


def cut(merges, leaves, k):
    """returns the node of each leaf in the tree cut into k"""
    node = np.arange(2 * leaves - 1)
    for i in range(leaves - k - 1, -1, -1):
        a, b = merges[i, :2].astype(int)
        node[a] = node[b] = node[leaves + i]
    return node[:leaves]


def main():
    rule, folder, budget, out = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    pool = Pool(folder)
    {"adaptive": adaptive, "tree": tree}[rule](pool, budget)
    rest = np.random.default_rng(1).permutation(np.unique(pool.image))
    for image in rest[~pool.chosen[rest]][: budget - len(pool.picks)]:
        pool.take(image)
    out.write_text("".join(f"{i}\n" for i in pool.picks))


main()
