"""Scoring speed: PyTorch eager against curate's Go benchmark, in turns, in one run.

Usage: scoring.py LM_TEST_BINARY [ROUNDS]   (bench/scoring.sh builds the binary)
Needs torch and ai2-olmo 0.6.0: class OLMo, float32, two threads, the same shapes as BenchmarkScore. Prints medians of
tokens a second and of tokens a CPU-second (the figure that holds on a shared machine).
"""

import os
import re
import statistics
import subprocess
import sys
import time

import torch
from olmo.config import ModelConfig
from olmo.model import OLMo

SHAPES = {  # name in BenchmarkScore: d, heads, layers, vocabulary, embeddings, T
    "olmo-150m/T512": (1024, 16, 12, 50280, 50304, 512),
    "olmo-tiny/T256": (192, 4, 4, 4096, 4096, 256),
}
BACKENDS = ["xla:cpu", "go"]
TOKENS = 4096


def model(shape):
    d, heads, layers, vocab, rows, length = shape
    config = ModelConfig(
        d_model=d, n_heads=heads, n_layers=layers, mlp_hidden_size=4 * d, activation_type="gelu", block_type="sequential", rope=True,
        include_bias=False, bias_for_layer_norm=False, attention_layer_norm=True, layer_norm_type="default", weight_tying=False,
        vocab_size=vocab, embedding_size=rows, max_sequence_length=length, attention_dropout=0.0, residual_dropout=0.0,
        embedding_dropout=0.0, init_fn="mitchell", init_device="cpu",
    )
    m = OLMo(config)
    m.reset_parameters()
    return m.eval()


def torch_round(m, shape):
    vocab, rows, length = shape[3], shape[4], shape[5]
    tokens = torch.randint(0, vocab, (TOKENS // length, length))
    wall, cpu = time.time(), time.process_time()
    with torch.no_grad():
        logits = m(tokens).logits[:, :-1]
        torch.nn.functional.cross_entropy(logits.reshape(-1, rows), tokens[:, 1:].reshape(-1), reduction="none")
    return TOKENS / (time.time() - wall), TOKENS / (time.process_time() - cpu)


def go_round(binary, name):
    """One iteration of the benchmark; None where the backend is missing or the case does not exist."""
    out = subprocess.run(
        [binary, "-test.run", "^$", "-test.bench", f"^BenchmarkScore$/^{name.replace('/', '$/^')}$", "-test.benchtime", "2x"],
        capture_output=True, text=True, cwd=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scoring", "lm"),
    ).stdout
    wall, cpu = re.search(r"([\d.e+]+) tok/s", out), re.search(r"([\d.e+]+) tok/cpu-s", out)
    return (float(wall[1]), float(cpu[1])) if wall and cpu else None


def main():
    binary, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    torch.set_num_threads(2)
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, f32, {TOKENS} tokens a batch, median of {rounds} rounds in turns")
    print(f"{'model':16} {'engine':16} {'tok/s':>9} {'tok/CPU-s':>10} {'ratio (CPU)':>12}")
    for name, shape in SHAPES.items():
        m = model(shape)
        torch_round(m, shape)
        results = {"torch eager": []}
        for _ in range(rounds):
            results["torch eager"].append(torch_round(m, shape))
            for backend in BACKENDS:
                if found := go_round(binary, f"{backend}/{name}"):
                    results.setdefault("curate " + backend, []).append(found)
        base = statistics.median(cpu for _, cpu in results["torch eager"])
        for engine, found in results.items():
            wall, cpu = (statistics.median(column) for column in zip(*found))
            print(f"{name:16} {engine:16} {wall:9.0f} {cpu:10.0f} {cpu / base:12.2f}")


main()
