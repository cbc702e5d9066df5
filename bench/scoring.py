"""Scoring speed of curate, PyTorch and JAX, float32 on this machine's cores, in turns, in one run.

Usage: scoring.py SCORINGBENCH [ROUNDS]   (bench/scoring.sh builds the binary and installs the packages)

Every engine is a process that loads the same random weights, compiles, and then runs the same batch once a turn (curate
go: its first row, once). Printed are medians of tokens a second and of tokens a CPU-second (the figure that holds on a shared
machine), model GFLOP/s, the share of the machine's float32 matmul rate (the best product of torch in the same run), and how far
the losses are from PyTorch's. The work is counted alike for all, whatever an engine really does, in flops a token:
2 x (weights of the layers' matrices + weights of the head) + 2 x d x T x layers, attention being causal.
"""

import json
import os
import statistics
import subprocess
import sys

MODELS = {  # d, layers, hidden, rows of the head
    "olmo-150m": (1024, 12, 4096, 50304),
    "olmo-20m": (384, 10, 1536, 50304),
}
ROWS, LENGTH = 8, 512
TOKENS = ROWS * LENGTH
MATMULS = ["4096x4096x4096", "4096x1024x4096", "4096x4096x1024"]
ENGINES = {  # name: how scoringbench or scoring_peers.py calls it
    "curate xla:cpu": ["xla:cpu", "1"],
    "curate xla:cpu, 2 a row": ["xla:cpu", "2"],
    "curate go": ["go", "1"],
    "torch eager": ["torch"],
    "torch.compile": ["compile"],
    "jax": ["jax"],
}
SLOW = {"curate go"}  # engines that run one row, once: a batch would take many minutes


def rows(engine):
    return 1 if engine in SLOW else ROWS


def flops(model):
    d, layers, hidden, rows = MODELS[model]
    return 2 * (layers * (4 * d * d + 2 * d * hidden) + rows * d) + 2 * d * LENGTH * layers


class Worker:
    """An engine's process: ready when it answers so, then one run a line."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if line.strip() != "ready":
            raise SystemExit(f"{' '.join(command)}: it did not start, its error is above")

    def run(self):
        """Wall and CPU seconds of one run."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self.process.args)}: it ended, its error is above")
        return tuple(map(float, line.split()))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def peer(*args):
    here = os.path.dirname(os.path.abspath(__file__))
    return Worker([sys.executable, os.path.join(here, "scoring_peers.py"), *map(str, args)])


def matmul_rates(rounds):
    """Returns the best of the shapes' median GFLOP/s, by wall and by CPU time."""
    wall, cpu = [], []
    for shape in MATMULS:
        m, k, n = map(int, shape.split("x"))
        worker = peer("mm", shape, ROWS, LENGTH)
        times = [worker.run() for _ in range(rounds)]
        worker.close()
        rates = [2 * m * k * n / statistics.median(column) / 1e9 for column in zip(*times)]
        print(f"matmul {shape}: {rates[0]:.1f} GFLOP/s, {rates[1]:.1f} a CPU-second", flush=True)
        wall.append(rates[0])
        cpu.append(rates[1])
    return max(wall), max(cpu)


def start(binary, engine, model, folder):
    call = ENGINES[engine]
    if engine.startswith("curate"):
        return Worker([binary, call[0], model, folder, str(rows(engine)), str(LENGTH), call[1]])
    return peer(call[0], folder, ROWS, LENGTH)


def losses(engine, folder):
    """Returns the losses of the batch's rows, or None where rows are cut into windows."""
    call = ENGINES[engine]
    if call[1:] == ["2"]:
        return None
    with open(os.path.join(folder, "-".join(call).replace(":", "-") + ".losses")) as f:
        return json.load(f)


def bench(binary, model, engines, rounds):
    """Returns the wall and CPU seconds of every engine's runs, for a whole batch."""
    folder = os.path.join(os.path.dirname(binary), "scoring", model)
    workers, times = {}, {}
    for engine in engines:
        workers[engine], times[engine] = start(binary, engine, model, folder), []
    for i in range(rounds):
        for engine in engines:
            if i == 0 or engine not in SLOW:
                times[engine].append(tuple(t * ROWS / rows(engine) for t in workers[engine].run()))
    for worker in workers.values():
        worker.close()
    return folder, times


def report(model, folder, times, rate):
    peers = [e for e in times if not e.startswith("curate")]
    medians = {e: [statistics.median(column) for column in zip(*t)] for e, t in times.items()}
    best = [min((medians[e][i] for e in peers), default=float("nan")) for i in (0, 1)]
    for engine, (wall, cpu) in medians.items():
        gflop = flops(model) * TOKENS / 1e9
        off = ""
        if "torch eager" in times and (found := losses(engine, folder)):
            off = f"{max(abs(a - b) for a, b in zip(found, losses('torch eager', folder))) / (LENGTH - 1):.1e}"
        print(
            f"{model:10} {engine:24} {TOKENS / wall:7.0f} {TOKENS / cpu:9.0f} {gflop / wall:9.1f} {gflop / cpu:11.1f}"
            f" {gflop / wall / rate[0]:8.0%} {gflop / cpu / rate[1]:6.0%} {best[0] / wall:8.2f} {best[1] / cpu:6.2f} {off:>9}",
            flush=True,
        )


def chosen(variable, every):
    picked = [name.strip() for name in os.environ[variable].split(";")] if os.environ.get(variable) else list(every)
    for name in picked:
        if name not in every:
            raise SystemExit(f"{variable}: {name!r}: want some of {'; '.join(every)}")
    return picked


def main():
    binary, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    engines, models = chosen("BENCH_ENGINES", ENGINES), chosen("BENCH_MODELS", MODELS)
    print(f"{os.cpu_count()} cores, float32, {ROWS} x {LENGTH} tokens a batch, medians of {rounds} rounds in turns; load {os.getloadavg()[0]:.1f}", flush=True)
    rate = matmul_rates(rounds)
    results = [(model, *bench(binary, model, engines, rounds)) for model in models]
    print(f"{'':35} {'':7} {'tok per':>9} {'':9} {'GFLOP per':>11} {'of matmul rate':>15} {'to best peer':>15} {'nats from':>9}")
    print(f"{'model':10} {'engine':24} {'tok/s':>7} {'CPU-s':>9} {'GFLOP/s':>9} {'CPU-s':>11} {'wall':>8} {'CPU':>6} {'wall':>8} {'CPU':>6} {'torch':>9}")
    for result in results:
        report(*result, rate)


main()
