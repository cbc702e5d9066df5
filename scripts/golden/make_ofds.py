"""Makes filters/ofds/testdata/select.json: small pools, and what a slow program
that shares nothing with the Go code chooses from them.

Run:      python scripts/golden/make_ofds.py
Versions: Python 3.11, numpy 2.4.6 (any recent numpy gives the same file)

So that both sides have the same clusters without sharing the draws of k-means,
the clustering here is a plain one: objects in the order of their first
coordinate, cut into k runs of nearly equal length. Coordinates are eighths, so
that sums are exact; distances are summed in the order of coordinates, in
float64, from float32 centroids. Results must be equal: there is no tolerance.
"""

import json
import math
import os

import numpy as np

OUT = os.path.join(os.path.dirname(__file__), "..", "..", "filters", "ofds", "testdata", "select.json")
ROUNDS, FITS = 6, 10


def make_pool(rng, images, classes, skew, groups):
    """Images with 0 to 4 objects; class and vector of each are drawn."""
    weights = np.array([(c + 1.0) ** -skew for c in range(classes)])
    weights /= weights.sum()
    pool = []
    for i in range(images):
        objects = []
        for k in range(int(rng.integers(0, 5))):
            c = int(rng.choice(classes, p=weights))
            vector = [float(x) / 8 for x in rng.integers(-40, 41, 3)]
            if not any(vector):
                vector[0] = 1.0
            objects.append({"id": f"o{k}", "class": f"c{(c * 3) % classes}", "score": float(rng.integers(40, 100)) / 100, "vector": vector})
        pool.append({"id": f"i{i:03d}", "group": f"g{i % groups}" if groups else "", "objects": objects})
    return pool


class Oracle:
    def __init__(self, pool, options, budget):
        self.pool, self.opt, self.left = pool, options, budget
        self.images = {image["id"]: image for image in pool}
        self.objects = {}  # class -> [(image, object)]
        for image in sorted(pool, key=lambda i: i["id"]):
            for o in image["objects"]:
                self.objects.setdefault(o["class"], []).append((image["id"], o))
        self.preselected = set(options.get("preselected", []))
        self.chosen = {}  # image -> class
        self.answer = []
        self.k = {}  # class -> the number of clusters that it came to

    def in_answer(self, image):
        return image in self.chosen or image in self.preselected

    def can_be_had(self, image):
        most = self.opt.get("group_max", 0)
        group = self.images[image]["group"]
        members = sum(1 for i in self.images if self.in_answer(i) and self.images[i]["group"] == group)
        return not self.in_answer(image) and not (most and group and members >= most)

    def is_covered(self, c, image):
        if self.opt.get("ignore_existing"):
            return image in self.preselected or self.chosen.get(image) == c
        return self.in_answer(image)

    def clusters(self, c, k):
        objects = self.objects[c]
        if k >= len(objects):
            return [[o] for o in objects]
        order = sorted(range(len(objects)), key=lambda i: (objects[i][1]["vector"][0], i))
        out, at = [], 0
        for run in range(k):
            size = len(objects) // k + (1 if run < len(objects) % k else 0)
            out.append([objects[i] for i in sorted(order[at : at + size])])
            at += size
        return out

    def usable(self, c, clusters, quota):
        least = self.opt.get("min_cluster_size", 1)
        if len(self.objects[c]) <= quota:
            least = 1  # too few objects to go by
        out = []
        for number, members in enumerate(clusters):
            if len(members) < least:
                continue
            if any(self.is_covered(c, image) for image, _ in members):
                continue
            if not any(self.can_be_had(image) for image, _ in members):
                continue
            out.append((number, members))
        sign = 1 if self.opt.get("cluster_order") == "size_asc" else -1
        return sorted(out, key=lambda x: (sign * len(x[1]), x[0]))

    def cluster(self, c, quota):
        n, policy = len(self.objects[c]), self.opt.get("k_policy", "adaptive_uncovered")
        if n <= quota:
            return self.clusters(c, n)
        if policy == "fixed_quota":
            return self.clusters(c, quota)
        if policy == "ratio":
            return self.clusters(c, math.ceil(0.5 * n))
        k = max(quota, self.k.get(c, 0))
        for _ in range(FITS):
            clusters = self.clusters(c, k)
            self.k[c] = k
            missing = quota - len(self.usable(c, clusters, quota))
            if missing <= 0 or k >= n:
                break
            k = min(n, k + missing)
        return clusters

    @staticmethod
    def distance(members, o):
        total = 0.0
        for j in range(len(o["vector"])):
            mean = float(np.float32(sum(m["vector"][j] for _, m in members) / len(members)))
            total += (o["vector"][j] - mean) ** 2
        return math.sqrt(total)

    def visit(self, c, quota, round_):
        if not any(not self.is_covered(c, i) and self.can_be_had(i) for i, _ in self.objects[c]):
            return
        clusters = self.cluster(c, quota)
        taken = 0
        for number, members in self.usable(c, clusters, quota):
            if taken == quota:
                return
            if any(self.is_covered(c, image) for image, _ in members):
                continue
            ranked = []
            for place, (image, o) in enumerate(members):
                if self.can_be_had(image):
                    d = self.distance(members, o)
                    worth = -o["score"] if self.opt.get("representative") == "max_score" else d
                    ranked.append((worth, d, place, image, o))
            if not ranked:
                continue
            _, _, _, image, o = min(ranked, key=lambda x: x[:3])
            self.chosen[image] = c
            self.left -= 1
            taken += 1
            self.answer.append({"image": image, "class": c, "round": round_, "cluster": number, "k": len(clusters), "size": len(members), "object": o["id"]})

    def weight(self, c):
        n = len(self.objects[c])
        return {"proportional": n, "sqrt": math.sqrt(n)}.get(self.opt.get("quota"), 1)

    def run(self):
        sign = -1 if self.opt.get("class_order") == "frequent_first" else 1
        order = sorted(self.objects, key=lambda c: (sign * len(self.objects[c]), c))
        for round_ in range(ROUNDS):
            for j, c in enumerate(order):
                if self.left <= 0:
                    return self.answer
                share = math.floor(self.left * self.weight(c) / sum(self.weight(x) for x in order[j:]))
                self.visit(c, max(1, min(share, self.left - (len(order) - j - 1))), round_)
        return self.answer


VARIANTS = [
    {}, {"class_order": "frequent_first"}, {"quota": "proportional"}, {"quota": "sqrt"}, {"k_policy": "fixed_quota"}, {"k_policy": "ratio"},
    {"representative": "max_score"}, {"ignore_existing": True}, {"cluster_order": "size_asc"}, {"min_cluster_size": 2}, {"group_max": 2},
    {"preselected": ["i000", "i003", "i010", "i011"]}, {"preselected": ["i001", "i002"], "ignore_existing": True, "group_max": 3},
]


def main():
    rng = np.random.default_rng(7)
    pools, cases = [], []
    for images, classes, skew, groups in [(40, 3, 1.0, 0), (60, 5, 1.6, 12), (25, 6, 0.5, 7), (50, 4, 2.4, 15)]:
        pool = make_pool(rng, images, classes, skew, groups)
        pools.append(pool)
        for options in VARIANTS:
            for budget in (2, 7, 15):
                cases.append({"pool": len(pools) - 1, "options": options, "budget": budget, "coverage": Oracle(pool, options, budget).run()})
    with open(OUT, "w") as f:
        lines = [json.dumps(x, separators=(",", ":")) for x in cases]
        f.write('{"pools":' + json.dumps(pools, separators=(",", ":")) + ',\n"cases":[\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
