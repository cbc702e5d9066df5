"""Makes filters/colorfilter/testdata/select.json: selections that numpy made.

Run:      python scripts/golden/make_select.py
Versions: Python 3.11, numpy 2.4.6 (any recent numpy gives the same file)

A selection is a full stable sort here: by score descending in float64, then by
the order of the rows. Nothing is shared with the Go code, which never sorts.
Arrays are base64 of little-endian values; kept sets are bits, row 0 lowest.
"""

import base64
import hashlib
import json
from fractions import Fraction
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[2] / "filters/colorfilter/testdata/select.json"
REASONS = ["null_text", "empty_text", "invalid_utf8", "too_short"]
MASK = 2**64 - 1


def pack(array):
    return base64.b64encode(array.tobytes()).decode()


def mix(x):
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return x ^ x >> 31


def random_keys(pool, seed):
    """32 bits per row, as key.go of the filter documents them."""
    keys = []
    for shard, row, seq in zip(pool["shard"], pool["row"], pool["seq"]):
        digest = hashlib.sha256(seed.to_bytes(8, "little") + shard.encode()).digest()
        base = int.from_bytes(digest[:8], "little")
        inner = mix((base + int(row) * 0x9E3779B97F4A7C15) & MASK)
        keys.append(mix((inner + int(seq) * 0x9E3779B97F4A7C15) & MASK) >> 32)
    return np.array(keys, dtype=np.float64)


def make_pool(name, rng, prior, conditional, tokens=None, reject=0.0, shards=1, sequences=False, domains=1):
    """A pool from float32 losses; a share of its rows is rejected beforehand."""
    n = len(prior)
    prior, conditional = prior.astype("<f4"), conditional.astype("<f4")
    tokens = (rng.integers(1, 600, n) if tokens is None else tokens).astype("<u2")
    rejected = np.where(rng.random(n) < reject, rng.integers(1, 5, n), 0).astype("u1")
    bounds = np.sort(rng.integers(0, n + 1, shards - 1)) if shards > 1 else np.array([], int)
    starts = np.concatenate([[0], bounds]).astype(int)
    ends = np.concatenate([bounds, [n]]).astype(int)
    shard, row, seq = [], [], []
    for i, (a, b) in enumerate(zip(starts, ends)):
        shard += [f"part-{i:02d}.parquet"] * (b - a)
        at = np.arange(b - a)
        row += list(at // 3 * 2 if sequences else at)
        seq += list(at if sequences else at * 0)
    with np.errstate(all="ignore"):
        color = (prior - conditional).astype("<f4")
    return dict(name=name, lengths=[int(b - a) for a, b in zip(starts, ends)], sequences=sequences, domains=domains,
                shard=shard, row=np.array(row, int), seq=np.array(seq, int),
                prior=prior, conditional=conditional, color=color, tokens=tokens, rejected=rejected)


def select(pool, method, fraction=None, rows=None, tokens=None, seed=0):
    n = len(pool["prior"])
    score = {
        "color": lambda: pool["color"].astype(np.float64),
        "conditional": lambda: -pool["conditional"].astype(np.float64),
        "perplexity": lambda: -pool["prior"].astype(np.float64),
        "random": lambda: random_keys(pool, seed),
    }[method]()
    losses = np.stack([pool["prior"], pool["conditional"], pool["color"]])
    scored = pool["rejected"] == 0
    nan = scored & np.isnan(losses).any(axis=0)
    inf = scored & ~nan & np.isinf(losses).any(axis=0)
    eligible = np.flatnonzero(scored & ~nan & ~inf)
    order = eligible[np.lexsort((eligible, -score[eligible]))]

    if tokens is not None:
        k = int(np.searchsorted(np.cumsum(pool["tokens"][order].astype(np.int64)), tokens, side="right"))
    elif rows is not None:
        k = min(rows, len(order))
    else:
        k = min(int(Fraction(fraction) * n), len(order))  # the decimal number, exactly
    keep = np.zeros(n, bool)
    keep[order[:k]] = True

    dropped = {name: int((pool["rejected"] == i + 1).sum()) for i, name in enumerate(REASONS)}
    dropped |= {"nan_score": int(nan.sum()), "inf_score": int(inf.sum())}
    cut = score[order[k - 1]] if k else None
    tied = order[k:][score[order[k:]] == cut] if k else order[:0]
    dropped |= {"tie_at_cut": len(tied), "below_cut": len(order) - k - len(tied)}

    domain = np.arange(n) * 7 % pool["domains"]
    t = pool["tokens"].astype(np.int64)
    counts = [[int(v) for v in ((domain == d).sum(), t[domain == d].sum(), (keep & (domain == d)).sum(), t[keep & (domain == d)].sum())]
              for d in range(pool["domains"]) if n]
    low, high = ([float(np.quantile(score[eligible], q, method=m)) for q, m in ((0.001, "lower"), (0.999, "higher"))]
                 if len(eligible) and method != "random" else (None, None))
    return dict(method=method, fraction=float(fraction) if fraction else 0, rows=rows or 0, tokens=tokens or 0, seed=seed,
                kept=pack(np.packbits(keep, bitorder="little")), kept_tokens=int(t[keep].sum()),
                last=None if cut is None or method == "random" else float(cut),
                dropped={k: v for k, v in dropped.items() if v}, domains=counts, low=low, high=high)


def pools(rng):
    zeros = np.zeros
    normal = lambda n: (rng.normal(4, 1, n), rng.normal(3.6, 1.1, n))
    yield make_pool("normal", rng, *normal(700), reject=0.1, shards=4, domains=3)
    yield make_pool("sequences", rng, *normal(300), tokens=np.full(300, 511), shards=3, sequences=True, domains=2)
    near = rng.normal(3, 1e-3, 400)
    yield make_pool("one coarse bin", rng, near, zeros(400), reject=0.05, shards=2)
    yield make_pool("heavy ties", rng, rng.integers(0, 4, 500) / 4, zeros(500), reject=0.1, shards=5, domains=4)
    yield make_pool("all equal", rng, np.full(97, 2.5), np.full(97, 2.75), shards=3)
    yield make_pool("negative", rng, rng.uniform(0, 2, 200), rng.uniform(2, 9, 200), shards=2)
    signed_zeros = np.where(rng.random(60) < 0.5, np.float32(-0.0), np.float32(0.0))
    yield make_pool("signed zeros", rng, signed_zeros, zeros(60), shards=2)
    tiny = (rng.integers(-40, 40, 200) * 2.0**-149).astype(np.float32)
    yield make_pool("denormals", rng, tiny, zeros(200), shards=2)
    wide = rng.normal(0, 1, 300) * 10.0 ** rng.integers(-44, 38, 300)
    yield make_pool("all magnitudes", rng, wide, zeros(300), reject=0.1)
    bad = rng.normal(0, 1, 250)
    bad[rng.integers(0, 250, 60)] = np.nan
    bad[rng.integers(0, 250, 30)] = np.inf
    bad[rng.integers(0, 250, 30)] = -np.inf
    other = rng.normal(0, 1, 250)
    other[rng.integers(0, 250, 30)] = np.nan
    other[rng.integers(0, 250, 30)] = np.inf
    yield make_pool("nan and inf", rng, bad, other, reject=0.2, shards=3, domains=2)
    yield make_pool("all nan", rng, np.full(20, np.nan), zeros(20))
    yield make_pool("all rejected", rng, *normal(20), reject=1.0)
    yield make_pool("one row", rng, *normal(1))
    yield make_pool("two rows, one bad", rng, np.array([np.nan, 1.0]), zeros(2))
    yield make_pool("empty", rng, zeros(0), zeros(0), domains=1)
    few = rng.integers(0, 3, 150)
    yield make_pool("no tokens in some", rng, few / 2, zeros(150), tokens=rng.integers(0, 2, 150) * 100, shards=3)


def main():
    rng = np.random.default_rng(20240610)
    cases = []
    for pool in pools(rng):
        total = int(pool["tokens"].astype(np.int64).sum())
        budgets = [dict(fraction=f) for f in ("0.0625", "0.29", "0.1", "0.001", "1")]
        budgets += [dict(rows=k) for k in (1, 30, 10**9)]
        budgets += [dict(tokens=t) for t in (1, max(1, total // 16), max(1, total // 2), total + 1)]
        runs = []
        for method in ("color", "conditional", "perplexity", "random"):
            for budget in budgets if method == "color" else (budgets[1], budgets[5], budgets[9]):
                seed = int(rng.integers(1, 2**63)) if method == "random" else 0
                runs.append(select(pool, method, seed=seed, **budget))
        cases.append({k: pool[k] for k in ("name", "lengths", "sequences", "domains")}
                     | {k: pack(pool[k]) for k in ("prior", "conditional", "color", "tokens", "rejected")} | {"runs": runs})
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    OUT.write_text("[\n" + lines + "\n]\n")
    print(f"{OUT.name}: {len(cases)} pools, {sum(len(c['runs']) for c in cases)} selections, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
