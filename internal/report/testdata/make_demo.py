"""Makes demo.json, the realistic report of the tests, from the demo corpus.

Losses are real: word bigram models with interpolation, in nats per word, the
prior counted on the pool and the conditional on the pool plus the target.
They stand in for language models, which the report does not know. The training
curves alone are drawn by formula.

Run from the root of the repository (Python >= 3.9, pyarrow >= 15):
    python3 internal/report/testdata/make_demo.py
"""
import collections, json, math, random, re
import pyarrow.parquet as pq

DEMO, OUT = "configs/demo/", "internal/report/testdata/demo.json"
FRACTION, BINS, SHOWN = 0.125, 48, 4
words = lambda text: re.findall(r"\w+|[^\w\s]", text.lower())


class Bigram:
    def __init__(self, parts):  # parts: (weight, texts)
        self.one, self.two = collections.Counter(), collections.Counter()
        for weight, texts in parts:
            for text in texts:
                w = words(text)
                for a in w: self.one[a] += weight
                for a in zip(w, w[1:]): self.two[a] += weight
        self.total, self.size = sum(self.one.values()), len(self.one) + 1

    def loss(self, w):
        s = 0.0
        for a, b in zip(w, w[1:]):
            p1 = (self.one[b] + 1) / (self.total + self.size)
            p2 = self.two[a, b] / self.one[a] if self.one[a] else 0
            s -= math.log(0.4 * p1 + 0.6 * max(p2 - 0.3 * p2, 0) + 0.18 * p1)
        return s / (len(w) - 1)


pool = [dict(r, shard=f"pool-0000{i}.parquet", row=j) for i in (0, 1)
        for j, r in enumerate(pq.read_table(f"{DEMO}pool-0000{i}.parquet").to_pylist())]
target = pq.read_table(DEMO + "target.parquet")["text"].to_pylist()
texts = [r["text"] for r in pool]
prior, conditional = Bigram([(1, texts)]), Bigram([(1, texts), (6, target)])
for r in pool:
    w = words(r["text"])
    r.update(tokens=len(w) - 1, prior=prior.loss(w), conditional=conditional.loss(w))
    r["score"] = r["prior"] - r["conditional"]
ranked = sorted(pool, key=lambda r: -r["score"])
keep = int(FRACTION * len(pool))
for i, r in enumerate(ranked): r["kept"] = i < keep
cut = ranked[keep - 1]["score"]


def bins(key, low, high, n):
    out = [dict(Low=low + (high - low) * i / n, High=low + (high - low) * (i + 1) / n, Kept=0, Dropped=0) for i in range(n)]
    under = over = 0
    for r in pool:
        i = math.floor((r[key] - low) / (high - low) * n)
        if i < 0: under += 1
        elif i >= n: over += 1
        else: out[i]["Kept" if r["kept"] else "Dropped"] += 1
    return out, under, over


def quantile(key, q): return sorted(r[key] for r in pool)[int(q * (len(pool) - 1))]


score_bins, under, over = bins("score", round(quantile("score", 0.003), 2), round(quantile("score", 1), 2) + 0.01, BINS)
low, high = math.floor(quantile("prior", 0.002) * 4) / 4, math.ceil(quantile("conditional", 0.998) * 4) / 4

draw = random.Random(7)


def curve(name, steps, per_step, first, last, rate, every):
    points = []
    for s in range(1, steps + 1):
        f = s / steps
        loss = last + (first - last) * math.exp(-5 * f) + 0.15 * (1 - f) * draw.gauss(0, 1) + 0.08 * draw.gauss(0, 1)
        warm = min(1, s / (0.05 * steps))
        p = dict(Step=s, Tokens=s * per_step, Loss=round(loss, 4), LearningRate=rate * warm * (0.1 + 0.45 * (1 + math.cos(math.pi * f))))
        if s % every == 0 or s == steps: p["Heldout"] = round(last + 0.12 + (first - last) * math.exp(-4.6 * f), 4)
        points.append(p)
    return dict(Name=name, Steps=points)


domains = collections.defaultdict(lambda: dict(Rows=0, Tokens=0, KeptRows=0, KeptTokens=0))
for r in pool:
    d = domains[r["domain"]]
    d["Rows"] += 1; d["Tokens"] += r["tokens"]; d["KeptRows"] += r["kept"]; d["KeptTokens"] += r["kept"] * r["tokens"]


def sample(r):
    return dict(Shard=r["shard"], Row=r["row"], ID=r["id"], Domain=r["domain"], Score=round(r["score"], 5),
                Prior=round(r["prior"], 5), Conditional=round(r["conditional"], 5), Tokens=r["tokens"],
                Kept=r["kept"], Text=r["text"][:1200])


tokens = sum(r["tokens"] for r in pool)
report = dict(
    Title="demo", Version="0.1.0", Backend="xla:cpu",
    Config=open("configs/demo.yaml").read(),
    Facts=[dict(Name=n, Value=v) for n, v in [
        ("inputs", "2 shards, 3.4 MB"), ("tokens scored", f"{tokens:,}"), ("prior", "olmo-tiny, 4.1 M parameters"),
        ("conditional", "fine-tuned on 95 documents"), ("time: train prior", "1m 12s"), ("time: train conditional", "14.2 s"),
        ("time: score", "21.0 s (38.1k tok/s)"), ("time: select, write", "0.3 s"), ("peak memory", "612 MB"),
        ("selection", "color, keep_fraction 0.125"), ("output", "out/demo/data/pool-00000.parquet\nout/demo/data/pool-00001.parquet")]],
    Counts=dict(RowsIn=len(pool), TokensIn=tokens, Kept=keep, KeptTokens=sum(r["tokens"] for r in ranked[:keep]),
                Dropped=[dict(Reason="below_cut", Rows=len(pool) - keep)]),
    Scores=dict(Cut=round(cut, 5), Bins=score_bins, Underflow=under, Overflow=over),
    Losses=dict(Prior=bins("prior", low, high, 60)[0], Conditional=bins("conditional", low, high, 60)[0]),
    Training=[curve("prior", 195, 2048, 8.3, 5.6, 2e-3, 40), curve("conditional", 60, 2048, 5.9, 5.1, 5e-4, 15)],
    Domains=[dict(Name=n, **domains[n]) for n in sorted(domains)],
    Samples=[dict(Name="best", Samples=[sample(r) for r in ranked[:SHOWN]]),
             dict(Name="borderline", Samples=[sample(r) for r in ranked[keep - SHOWN // 2: keep + SHOWN // 2]]),
             dict(Name="worst", Samples=[sample(r) for r in ranked[:-SHOWN - 1:-1]])])
with open(OUT, "w") as f: json.dump(report, f, indent=1, ensure_ascii=False); f.write("\n")
