"""Golden losses and gradients of the paper's decoder, from OLMo's own code.

Usage: python scripts/golden/make_lm.py scoring/lm/testdata/olmo
Needs: ai2-olmo==0.6.0 (and what it imports: datasets, omegaconf, cached_path, rich, boto3, google-cloud-storage,
torchmetrics), torch, safetensors. The committed files: torch 2.15.0 on a CPU, float32, one thread.

Per case a folder as hf_olmo publishes it (random weights; norm weights not one, so that a norm that is left out
or misplaced shows) and golden.json:
    tokens          ids [B][T]
    loss, log_z     [B][T-1], nats: cross-entropy and logsumexp of float32 logits
    gradients       L2 norm of the gradient of mean(loss) + 1e-4 mean(log_z^2), per tensor
    probes          four elements of each gradient: [index in row-major order, value]
"""

import json
import os
import sys

import torch
from olmo.config import ModelConfig
from olmo.model import OLMo
from safetensors.torch import save_file

BASE = dict(
    d_model=64, n_heads=4, n_layers=2, mlp_ratio=4, mlp_hidden_size=160, activation_type="gelu", block_type="sequential", rope=True,
    rope_theta=10000, include_bias=False, bias_for_layer_norm=False, attention_layer_norm=True, layer_norm_type="default",
    layer_norm_with_affine=True, weight_tying=False, vocab_size=180, embedding_size=192, max_sequence_length=64, eos_token_id=0,
    pad_token_id=1, attention_dropout=0.0, residual_dropout=0.0, embedding_dropout=0.0, flash_attention=False, init_fn="mitchell",
    init_device="cpu",
)
CASES = {  # name: changes to the base, batch, length
    "heads16": (dict(), 2, 48),
    "heads32": (dict(n_layers=3, n_heads=2, mlp_hidden_size=96, vocab_size=100, embedding_size=128), 3, 17),
    # Constants other than the paper's, MLP width from the ratio, embedding_size null, one head, more than 256 tokens.
    "constants": (dict(max_sequence_length=320, n_layers=1, n_heads=1, d_model=32, rope_theta=500, layer_norm_eps=1e-3, mlp_hidden_size=None, mlp_ratio=3,
                       vocab_size=61, embedding_size=None), 1, 300),
}


def plain(value):
    return value.value if hasattr(value, "value") else value


def make(folder: str, changes: dict, batch: int, length: int, seed: int) -> None:
    torch.manual_seed(seed)
    config = ModelConfig(**{**BASE, **changes})
    model = OLMo(config)
    model.reset_parameters()
    for p in model.parameters():
        p.data = p.data + 0.2 * torch.randn_like(p) if p.dim() == 1 else 1.5 * p.data
    tokens = torch.randint(0, config.vocab_size, (batch, length))
    logits = model(tokens).logits[:, :-1]
    log_z = torch.logsumexp(logits, -1)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none").view(batch, -1)
    (loss.mean() + 1e-4 * (log_z**2).mean()).backward()

    os.makedirs(folder, exist_ok=True)
    state = {"model." + name: p.detach().contiguous() for name, p in model.named_parameters()}
    save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    keys = {k: plain(v) for k, v in config.asdict().items()}
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({**keys, "model_type": "hf_olmo", "architectures": ["OLMoForCausalLM"]}, f, indent=1, sort_keys=True)
        f.write("\n")
    gradients = {"model." + name: p.grad.flatten() for name, p in model.named_parameters()}
    probes = {}
    for name, g in gradients.items():
        where = sorted({int(i) for i in torch.cat([g.abs().argmax().view(1), torch.randint(0, len(g), (3,))])})
        probes[name] = [[i, g[i].item()] for i in where]
    with open(os.path.join(folder, "golden.json"), "w") as f:
        json.dump({"tokens": tokens.tolist(), "loss": loss.tolist(), "log_z": log_z.tolist(),
                   "gradients": {name: g.double().norm().item() for name, g in gradients.items()}, "probes": probes}, f)
        f.write("\n")


torch.set_num_threads(1)
for i, (name, (changes, batch, length)) in enumerate(CASES.items()):
    make(os.path.join(sys.argv[1], name), changes, batch, length, seed=100 + i)
