"""Model folders with weights in several files, as transformers saves them.

Usage: python scripts/golden/make_safetensors.py scoring/safetensors/testdata
Needs: transformers==5.24.0, torch, safetensors==0.8.0. No network.

Per type of element a folder (config.json, model-0000I-of-0000N.safetensors, model.safetensors.index.json; random
weights, with subnormal numbers, both zeros and the largest ones in one tensor) and, in golden.json, per folder and
tensor the shape and the SHA-256 of its values as little-endian float32, row-major. Nothing is rounded, so the
tolerance is none.
"""

import hashlib
import json
import os
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM

CASES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def special(dtype):
    info = torch.finfo(dtype)
    return torch.tensor([0.0, -0.0, info.max, info.min, info.tiny, info.tiny / 4, -info.tiny / 2, 1 / 3], dtype=dtype)


def main():
    folder, golden = sys.argv[1], {}
    torch.manual_seed(5)
    config = LlamaConfig(vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=32,
                         tie_word_embeddings=False)
    for name, dtype in CASES.items():
        model = LlamaForCausalLM(config).to(dtype)
        model.model.norm.weight.data[:8] = special(dtype)
        out = os.path.join(folder, name)
        model.save_pretrained(out, max_shard_size=6000 if dtype == torch.float32 else 3000)
        os.remove(os.path.join(out, "generation_config.json"))
        golden[name] = {
            key: {"shape": list(value.shape), "sha256": hashlib.sha256(value.float().contiguous().numpy().tobytes()).hexdigest()}
            for key, value in model.state_dict().items()
        }
    with open(os.path.join(folder, "golden.json"), "w") as f:
        json.dump(golden, f, indent=1, sort_keys=True)


if __name__ == "__main__":
    main()
