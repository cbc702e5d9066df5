"""One engine of bench/scoring.py: scoring_peers.py ENGINE FOLDER ROWS LENGTH.

ENGINE is torch, compile, jax, or mm (the machine's matmul rate; FOLDER is then MxKxN). The model is the hf_olmo folder that scoringbench
wrote; the batch is the same. The losses of each sequence go to FOLDER/ENGINE.losses. Then each line on stdin runs the
batch once; the answer is wall and CPU seconds. Each engine is as its own users would write it for speed: what was tried
and found slower is named at its place.
"""

import json
import math
import os
import sys
import time

import numpy as np


def load(folder):
    """Returns config and tensors of the folder, numpy float32."""
    from safetensors.numpy import load_file

    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    weights = {}
    for name, value in load_file(os.path.join(folder, "model.safetensors")).items():
        weights[name.removeprefix("model.transformer.")] = value
    return config, weights


def batch(config, rows, length):
    n = np.arange(rows * length, dtype=np.uint64) * np.uint64(2654435761) >> np.uint64(8)
    return (n % np.uint64(config["vocab_size"])).astype(np.int64).reshape(rows, length)


def angles(config, length):
    """Cosines and sines of the rotary positions, [T,h]."""
    h = config["d_model"] // config["n_heads"]
    frequency = (1 / config["rope_theta"] ** (np.arange(0, h, 2, dtype=np.float32) / h)).astype(np.float32)
    angle = np.arange(length, dtype=np.float32)[:, None] * frequency
    angle = np.concatenate([angle, angle], -1)
    return np.cos(angle), np.sin(angle)


def torch_engine(config, weights, tokens, compiled):
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(os.cpu_count())
    w = {name: torch.from_numpy(value) for name, value in weights.items()}
    tokens = torch.from_numpy(tokens)
    rows, length = tokens.shape
    heads, d, eps = config["n_heads"], config["d_model"], config["layer_norm_eps"]
    cos, sin = (torch.from_numpy(x) for x in angles(config, length))

    def rotate(x):
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat((-b, a), -1) * sin

    def block(x, i):
        p = f"blocks.{i}."
        q, k, v = F.linear(F.layer_norm(x, (d,), w[p + "attn_norm.weight"], None, eps), w[p + "att_proj.weight"]).chunk(3, -1)
        q, k = (F.layer_norm(y, (d,), w[p + n], None, eps) for y, n in ((q, "q_norm.weight"), (k, "k_norm.weight")))
        q, k, v = (y.view(rows, length, heads, -1).transpose(1, 2) for y in (q, k, v))
        y = F.scaled_dot_product_attention(rotate(q), rotate(k), v, is_causal=True)
        x = x + F.linear(y.transpose(1, 2).reshape(rows, length, d), w[p + "attn_out.weight"])
        y = F.gelu(F.linear(F.layer_norm(x, (d,), w[p + "ff_norm.weight"], None, eps), w[p + "ff_proj.weight"]))
        return x + F.linear(y, w[p + "ff_out.weight"])

    def losses(tokens):
        x = F.embedding(tokens, w["wte.weight"])
        for i in range(config["n_layers"]):
            x = block(x, i)
        x = F.layer_norm(x, (d,), w["ln_f.weight"], None, eps)
        every = []
        step = max(1, int(os.environ.get("HEAD_ROWS", "0")) or rows * length) // length
        for row in range(0, rows, step):
            logits = F.linear(x[row : row + step, :-1].flatten(0, 1), w["ff_out.weight"])
            every.append(F.cross_entropy(logits, tokens[row : row + step, 1:].flatten(), reduction="none"))
        return torch.cat(every).view(rows, length - 1).double().sum(1)

    if compiled:
        losses = torch.compile(losses)

    def run():
        with torch.inference_mode():
            return losses(tokens).numpy()

    return run


def jax_engine(config, weights, tokens):
    import jax
    import jax.numpy as jnp

    w = {name: jnp.asarray(value) for name, value in weights.items()}
    rows, length = tokens.shape
    heads, d, eps = config["n_heads"], config["d_model"], config["layer_norm_eps"]
    cos, sin = angles(config, length)
    cos, sin = cos[:, None], sin[:, None]  # heads are the axis after T

    def norm(x, weight):
        x = x - x.mean(-1, keepdims=True)
        return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + eps) * weight

    def rotate(x):
        a, b = jnp.split(x, 2, -1)
        return x * cos + jnp.concatenate((-b, a), -1) * sin

    def block(w, x, i):
        p = f"blocks.{i}."
        q, k, v = jnp.split(norm(x, w[p + "attn_norm.weight"]) @ w[p + "att_proj.weight"].T, 3, -1)
        q, k = norm(q, w[p + "q_norm.weight"]), norm(k, w[p + "k_norm.weight"])
        q, k, v = (y.reshape(rows, length, heads, -1) for y in (q, k, v))
        y = jax.nn.dot_product_attention(rotate(q), rotate(k), v, is_causal=True)
        x = x + y.reshape(rows, length, d) @ w[p + "attn_out.weight"].T
        y = jax.nn.gelu(norm(x, w[p + "ff_norm.weight"]) @ w[p + "ff_proj.weight"].T, approximate=False)
        return x + y @ w[p + "ff_out.weight"].T

    def losses(w, tokens):
        x = w["wte.weight"][tokens]
        for i in range(config["n_layers"]):
            x = block(w, x, i)
        x = norm(x, w["ln_f.weight"])

        def head(pair):
            x, tokens = pair
            logits = x[:-1] @ w["ff_out.weight"].T
            picked = jnp.take_along_axis(logits, tokens[1:, None], -1)[:, 0]
            return (jax.nn.logsumexp(logits, -1) - picked).sum()

        if os.environ.get("HEAD_ROWS"):
            return jax.lax.map(head, (x, tokens))
        return jax.vmap(head)((x, tokens))

    compiled = jax.jit(losses)
    tokens = jnp.asarray(tokens.astype(np.int32))
    return lambda: np.asarray(compiled(w, tokens))


def matmul_engine(m, k, n):
    """The machine's rate: torch's product (MKL) of the shapes of the MLP, out of cache."""
    import torch

    torch.set_num_threads(os.cpu_count())
    a, b, c = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
    return lambda: torch.mm(a, b, out=c)


def engine(name, folder, rows, length):
    if name == "mm":
        return matmul_engine(*map(int, folder.split("x")))
    config, weights = load(folder)
    tokens = batch(config, rows, length)
    if name == "jax":
        run = jax_engine(config, weights, tokens)
    else:
        run = torch_engine(config, weights, tokens, name == "compile")
    losses = run()
    with open(os.path.join(folder, name + ".losses"), "w") as f:
        json.dump(losses.tolist(), f)
    return run


def main():
    name, folder, rows, length = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    run = engine(name, folder, rows, length)
    if name == "mm":
        run()
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, cpu = time.time(), time.process_time()
        run()
        print(time.time() - wall, time.process_time() - cpu, flush=True)


main()
