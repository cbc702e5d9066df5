"""Loads folders that curate saved, next to those they came from, in transformers.

Usage: python scripts/golden/check_families.py scoring/lm/testdata/families SAVED
Needs: torch, transformers (see make_families.py). Ends with an error where a saved folder lacks a tensor or has one too many,
is not loaded as float32, has another bit in a weight, or another loss than golden.json (1e-6 nats per token).
"""

import json
import os
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM


def check(source: str, saved: str) -> None:
    with open(os.path.join(source, "golden.json")) as f:
        golden = json.load(f)
    tokens = torch.tensor(golden["tokens"])
    model, info = AutoModelForCausalLM.from_pretrained(saved, attn_implementation="eager", output_loading_info=True)
    if info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"]:
        raise SystemExit(f"{saved}: {info}")
    if model.dtype != torch.float32:
        raise SystemExit(f"{saved}: loaded as {model.dtype}")
    weights, wanted = (dict(m.named_parameters()) for m in (model, AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)))
    if weights.keys() != wanted.keys() or any(not torch.equal(weights[n].view(torch.int32), wanted[n].view(torch.int32)) for n in weights):
        raise SystemExit(f"{saved}: other weights")
    logits = model(tokens, use_cache=False).logits[:, :-1]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none").view(len(tokens), -1)
    worst = (loss - torch.tensor(golden["loss"])).abs().max().item()
    if not worst <= 1e-6:
        raise SystemExit(f"{saved}: loss differs by {worst}")


transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
names = sorted(os.listdir(sys.argv[2]))
for name in names:
    check(os.path.join(sys.argv[1], name), os.path.join(sys.argv[2], name))
print(f"{len(names)} folders are the same models")
