"""PyTorch's share of bench/bf16.sh: bf16.py f32|bf16 ROWSxINxOUT..., rates of x wT on one thread, whose CPU time holds no waiting."""

import sys
import time

import torch

dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[sys.argv[1]]
torch.set_num_threads(1)
for shape in sys.argv[2:]:
    rows, inner, out = map(int, shape.split("x"))
    x = torch.sin(torch.arange(rows * inner).float()).reshape(rows, inner).to(dtype)
    w = torch.sin(torch.arange(out * inner).float()).reshape(out, inner).to(dtype)
    torch.nn.functional.linear(x, w)
    runs, wall, cpu = 0, time.time(), time.process_time()
    while time.time() - wall < 1:
        torch.nn.functional.linear(x, w)
        runs += 1
    wall, cpu = time.time() - wall, time.process_time() - cpu
    work = runs * 2 * rows * inner * out / 1e9
    print(f"torch {torch.__version__}, one thread: {sys.argv[1]} {shape} {work / wall:.0f} GFLOP/s {work / cpu:.0f} GFLOP/CPU-s")
