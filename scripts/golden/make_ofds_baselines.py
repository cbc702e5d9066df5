"""Makes filters/ofds/baseline/testdata/baselines.json: choices of the published methods.

Run:      python scripts/golden/make_ofds_baselines.py [--torch]
Versions: Python 3.11, numpy 2.4.6, scikit-learn 1.9.1, scipy 1.17.1 (for the clusterings only)

Written from the formulas of the papers and from what their code does
(github.com/avihu111/TypiClust at 2e14a16: typiclust.py, prob_cover.py, Sampling.py;
yichen928/FreeSel at b74feb4: voc_dense_kmeans.py, utils.py; yichen928/ActiveFT at
0687b00: ActiveFT_ImageNet.py), in numpy and float64; nothing is shared with the Go
code. Clusterings and uniform numbers are made here and given to both sides, so
that the choices have to be equal. Vectors are base64 of little-endian float32. Only
losses of ActiveFT have a tolerance, 1e-6. With --torch its losses and choices
are also worked out by torch (any version), with autograd and torch.optim.Adam, as a
check of this file; nothing is written then.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[2] / "filters/ofds/baseline/testdata/baselines.json"


def pack(array):
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode()


def key(seed, group, name):
    text = seed.to_bytes(8, "little") + group.encode() + b"\0" + name.encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")


def ids(n):
    return [f"image-{i:04d}" for i in range(n)]


def hash_order(seed, n, without=()):
    return sorted(set(range(n)) - set(without), key=lambda i: key(seed, "", ids(n)[i]))


def blobs(rng, n, dim, modes, spread):
    """Vectors around a few centres, of very unequal sizes and lengths."""
    centres = rng.normal(size=(modes, dim))
    mode = rng.choice(modes, size=n, p=0.7 ** np.arange(modes) / np.sum(0.7 ** np.arange(modes)))
    length = rng.uniform(0.5, 2, size=(n, 1))
    return (length * (centres[mode] + spread * rng.normal(size=(n, dim)))).astype(np.float32)


def unit(x):
    length = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    return (x / length).astype(np.float32).astype(np.float64)


def distances(a, b):
    """Squared Euclidean distances from differences, not by the binomial."""
    return np.stack([((b - row) ** 2).sum(axis=1) for row in a])


def random_case(seed, n, budget, labelled):
    return {"images": n, "seed": seed, "budget": budget, "labelled": labelled, "chosen": hash_order(seed, n, labelled)[:budget]}


def class_balanced_case(rng, seed, n, budget, labelled):
    names = ["bus", "car", "dog", "train"]
    objects = [[int(c) for c in rng.choice(4, size=rng.integers(0, 4), p=[0.06, 0.6, 0.3, 0.04])] for _ in range(n)]
    count = [sum(o.count(c) for o in objects) for c in range(4)]
    turns = sorted((c for c in range(4) if count[c]), key=lambda c: (count[c], c))
    taken, chosen, by_class = set(labelled), [], []
    while len(chosen) < budget:
        before = len(chosen)
        for c in turns:
            have = [i for i in range(n) if i not in taken and c in objects[i]]
            if have and len(chosen) < budget:
                chosen.append(min(have, key=lambda i: key(seed, names[c], ids(n)[i])))
                by_class.append(c)
                taken.add(chosen[-1])
        if len(chosen) == before:
            chosen += hash_order(seed, n, taken)[: budget - len(chosen)]
    return {"classes": names, "objects": objects, "images": n, "seed": seed, "budget": budget, "labelled": labelled,
            "chosen": chosen, "by_class": by_class}


def k_center_case(x, seed, budget, labelled):
    """greedy_k_center: farthest from all that is labelled or chosen."""
    f = x.astype(np.float64)
    chosen = [] if labelled else [hash_order(seed, len(f))[0]]
    while len(chosen) < budget:
        nearest = distances(f[labelled + chosen], f).min(axis=0)
        chosen.append(int(nearest.argmax()))
    return {"vectors": pack(x), "dim": x.shape[1], "seed": seed, "budget": budget, "labelled": labelled, "chosen": chosen}


def kmeans(x, k):
    from sklearn.cluster import KMeans

    fit = KMeans(n_clusters=k, n_init=1, random_state=7).fit(x)
    return fit.labels_, fit.cluster_centers_


def kmeans_image_case(x, budget, labelled):
    labels, centres = kmeans(x.astype(np.float64), budget + len(labelled))
    size = np.bincount(labels)
    centres = centres.astype(np.float32)
    d = distances(centres.astype(np.float64), x.astype(np.float64))
    chosen = []
    for c in sorted(range(len(centres)), key=lambda c: (-size[c], c)):
        members = np.flatnonzero(labels == c)
        if not set(members) & set(labelled) and len(chosen) < budget:
            chosen.append(int(members[d[c, members].argmin()]))
    return {"vectors": pack(x), "dim": x.shape[1], "budget": budget, "labelled": labelled, "labels": labels.tolist(),
            "centres": pack(centres), "chosen": chosen}


def typiclust_case(x, budget, labelled, neighbours=20, small=5):
    """select_samples; a pool and budget at which no cluster runs empty."""
    f = unit(x)
    labels, _ = kmeans(f, budget + len(labelled))
    given = labels.tolist()
    labels = labels.copy()
    size = np.bincount(labels)
    existing = np.bincount(labels[labelled], minlength=len(size)) if labelled else np.zeros(len(size), int)
    order = sorted((c for c in range(len(size)) if size[c] > small), key=lambda c: (existing[c], -size[c], c))
    labels[labelled] = -1
    chosen = []
    for i in range(budget):
        indices = np.flatnonzero(labels == order[i % len(order)])
        d = np.sort(distances(f[indices], f[indices]), axis=1)  # squared, as FAISS gives them
        k = min(neighbours, len(indices) // 2)
        typicality = 1 / (d[:, 1 : k + 1].mean(axis=1) + 1e-5)
        chosen.append(int(indices[typicality.argmax()]))
        labels[chosen[-1]] = -1
    return {"vectors": pack(x), "dim": x.shape[1], "budget": budget, "labelled": labelled, "labels": given, "chosen": chosen}


def probcover(f, budget, labelled, delta, rows):
    """select_samples on the graph that has edges out of the first rows."""
    graph = distances(f, f) < delta**2
    graph[rows:] = False
    covered = graph[labelled].any(axis=0) if labelled else np.zeros(len(f), bool)
    chosen, gains = [], []
    for _ in range(budget):
        degree = (graph & ~covered).sum(axis=1)
        if degree.max() == 0:
            break  # the published code goes on with index 0
        chosen.append(int(degree.argmax()))
        gains.append(int(degree.max()))
        covered |= graph[chosen[-1]]
    return chosen, gains


def probcover_case(x, budget, labelled, delta):
    f = unit(x)
    chosen, gains = probcover(f, budget, labelled, delta, len(f))
    skipping, _ = probcover(f, budget, labelled, delta, len(f) // 500 * 500)
    assert skipping != chosen
    return {"vectors": pack(x), "dim": x.shape[1], "budget": budget, "labelled": labelled, "delta": delta,
            "chosen": chosen, "gains": gains, "skipping": skipping}


def cosine(a, b):
    """1 - cosine, a row of b at a time."""
    return np.stack([1 - (a * row).sum(axis=1) for row in b], axis=1)


def freesel_case(rng, x, counts, seed, budget, labelled, farthest):
    """prob_seed_dense and farthest_distance_sample_dense on patterns."""
    f = unit(x)
    image = np.repeat(np.arange(len(counts)), counts)
    distance = np.full(len(f), 1e20)
    if labelled:
        chosen = list(labelled)
    else:
        chosen = [next(i for i in hash_order(seed, len(counts)) if counts[i])]
    for i in chosen:
        distance = np.minimum(distance, cosine(f, f[image == i]).min(axis=1))
        distance[image == i] = 0  # theirs is 0 but for rounding
    start = len(labelled)
    state = int(rng.integers(1 << 30))
    numpy_random, uniforms = np.random.RandomState(state), np.random.RandomState(state)
    drawn = []
    while len(chosen) < budget + start:
        if farthest:
            pattern = int(distance.argmax())
        else:
            pattern = int(numpy_random.choice(len(f), p=distance**2 / np.sum(distance**2)))
            drawn.append(float(uniforms.random_sample()))
        i = int(image[pattern])
        distance = np.minimum(distance, cosine(f, f[image == i]).min(axis=1))
        distance[image == i] = 0
        chosen.append(i)
    assert len(set(chosen)) == len(chosen)
    return {"vectors": pack(x), "dim": x.shape[1], "counts": counts, "seed": seed, "budget": budget, "labelled": labelled,
            "farthest": farthest, "uniforms": drawn, "chosen": chosen[start:]}


TEMPERATURE, BALANCE, RATE, STEPS = 0.07, 1.0, 0.001, 100


def activeft_numpy(f, theta):
    """Losses of all steps and the centres at the end; Adam as in Kingma and Ba."""
    m, v, losses = np.zeros_like(theta), np.zeros_like(theta), []
    n, k = len(f), len(theta)
    for step in range(1, STEPS + 1):
        length = np.linalg.norm(theta, axis=1, keepdims=True)
        t = theta / length
        similar = f @ t.T / TEMPERATURE
        star = similar.argmax(axis=1)
        positive = np.exp(similar[np.arange(n), star])
        between = np.exp(t @ t.T / TEMPERATURE)  # symmetric in value; rows are the detached side
        total = between.sum(axis=0)
        losses.append(float(-np.mean(np.log(positive) - np.log(positive + BALANCE * total[star]))))
        gradient = np.zeros_like(t)
        for c in range(k):
            mine = star == c
            denominator = positive[mine] + BALANCE * total[c]
            pull = (BALANCE * total[c] / denominator)[:, None] * f[mine] / TEMPERATURE
            push = (BALANCE / denominator).sum() * (between[:, c : c + 1] * t).sum(axis=0) / TEMPERATURE
            gradient[c] = (push - pull.sum(axis=0)) / n
        gradient = (gradient - (gradient * t).sum(axis=1, keepdims=True) * t) / length
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        theta = theta - RATE * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return losses, theta / np.linalg.norm(theta, axis=1, keepdims=True)


def activeft_torch(f, theta):
    """The same by torch: normalise, one side detached, autograd, Adam."""
    import torch

    f, theta = torch.tensor(f), torch.nn.Parameter(torch.tensor(theta))
    adam, losses = torch.optim.Adam([theta], lr=RATE), []
    for _ in range(STEPS):
        t = torch.nn.functional.normalize(theta, dim=1)
        positive, star = torch.exp(f @ t.T / TEMPERATURE).max(dim=1)
        total = torch.exp(t.detach() @ t.T / TEMPERATURE).sum(dim=0)
        loss = -torch.mean(torch.log(positive) - torch.log(positive + BALANCE * total[star]))
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses, torch.nn.functional.normalize(theta.detach(), dim=1).numpy()


def activeft_case(x, seed, budget, train):
    f = unit(x)
    losses, centres = train(f, f[hash_order(seed, len(f))[:budget]])
    chosen = []
    for centre in centres:
        chosen.append(next(int(i) for i in np.argsort(-(f @ centre), kind="stable") if i not in chosen))
    return {"vectors": pack(x), "dim": x.shape[1], "seed": seed, "budget": budget, "losses": [losses[0], losses[9], losses[99]],
            "chosen": chosen}


def cases(train):
    rng = np.random.default_rng(20)
    x, y = blobs(rng, 160, 6, 9, 0.35), blobs(rng, 240, 8, 12, 0.3)
    big = blobs(rng, 620, 4, 14, 0.3)
    big = big[np.argsort(-unit(big) @ unit(big)[42])]  # so that rows after the 500th are alike
    counts = [int(c) for c in rng.integers(0, 5, size=70)]
    patterns = blobs(rng, sum(counts), 6, 10, 0.3)
    some, one = [i for i in range(70) if counts[i]][:3], [30, 41, 100]
    return {
        "random": [random_case(3, 50, 20, []), random_case(2**64 - 1, 40, 12, [0, 7, 39])],
        "class_balanced_random": [class_balanced_case(rng, 5, 60, 30, []), class_balanced_case(rng, 6, 40, 20, [1, 2, 3])],
        "k_center": [k_center_case(x, 1, 25, []), k_center_case(x, 1, 25, one), k_center_case(y, 9, 40, [])],
        "kmeans_image": [kmeans_image_case(x, 20, []), kmeans_image_case(y, 15, one)],
        "typiclust": [typiclust_case(x, 8, []), typiclust_case(y, 30, []), typiclust_case(y, 14, one)],
        "probcover": [probcover_case(x, 12, [], 0.3), probcover_case(y, 12, one, 0.4), probcover_case(big, 12, [], 0.2)],
        "object_d2": [freesel_case(rng, patterns, counts, 4, 25, lab, far) for lab in ([], some) for far in (False, True)],
        "activeft": [activeft_case(x, 8, 12, train), activeft_case(y, 2, 30, train)],
    }


if "--torch" in sys.argv:
    want, have = cases(activeft_numpy)["activeft"], cases(activeft_torch)["activeft"]
    for a, b in zip(want, have):
        np.testing.assert_allclose(a["losses"], b["losses"], rtol=1e-9)
        assert a["chosen"] == b["chosen"]
        print("numpy and torch agree:", a["losses"], "and", len(a["chosen"]), "choices")
else:
    OUT.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for method, all_cases in cases(activeft_numpy).items():
        body = ",\n    ".join(json.dumps(case) for case in all_cases)
        lines.append(f'  "{method}": [\n    {body}\n  ]')
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{OUT.name}: {OUT.stat().st_size} bytes")
