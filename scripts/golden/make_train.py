"""Makes scoring/train/testdata/olmo: training runs by PyTorch that Go must repeat.

Run:      python scripts/golden/make_train.py
Versions: Python 3.11, torch 2.15.0 (CPU), ai2-olmo 0.6.0, safetensors 0.8.0

Model: class OLMo as CoLoR-Filter configures it (bias-free layer norm, full-width QK norm,
RoPE, exact GELU, untied head), tiny. Optimiser: torch.optim.AdamW with OLMo's parameter
groups, global-norm clipping as in OLMo's optim.py, olmo.optim.CosWithWarmup, z-loss.
Two runs of 20 steps from the same weights: the paper's settings, and one with weight decay
and a clip that acts on some steps only. `model/` is the start in Hugging Face layout;
`golden.json` holds token batches, losses, norms before clipping, learning rates, and norms
of the final weights.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from olmo.config import ModelConfig
from olmo.model import OLMo
from olmo.optim import CosWithWarmup
from safetensors.torch import save_file

OUT = Path(__file__).resolve().parents[2] / "scoring/train/testdata/olmo"
VOCAB, BATCH, LENGTH, STEPS = 250, 4, 32, 20

CONFIG = dict(
    d_model=32, n_heads=2, n_layers=2, mlp_ratio=4, activation_type="gelu", block_type="sequential",
    rope=True, rope_full_precision=True, rope_theta=10000, flash_attention=False,
    attention_dropout=0.0, residual_dropout=0.0, embedding_dropout=0.0,
    attention_layer_norm=True, attention_layer_norm_with_affine=True,
    layer_norm_type="default", layer_norm_with_affine=True, layer_norm_eps=1e-5,
    include_bias=False, bias_for_layer_norm=False, scale_logits=False, weight_tying=False,
    max_sequence_length=LENGTH, vocab_size=VOCAB, embedding_size=256, eos_token_id=0, pad_token_id=1,
)
RUNS = {
    "paper": dict(lr=1e-3, betas=(0.9, 0.95), eps=1e-15, weight_decay=0.0, clip=1.0, z_loss=1e-4, warmup=4),
    "decay": dict(lr=3e-3, betas=(0.8, 0.99), eps=1e-8, weight_decay=0.1, clip=3.0, z_loss=1e-2, warmup=1),
}
SCHEDULES = [(1e-3, 4, 20), (1e-3, 1, 10), (3e-4, 1000, 24000), (1e-3, 20, 190), (2e-3, 5, 5)]


def build_model():
    torch.manual_seed(3)
    config = ModelConfig(**CONFIG, init_device="cpu", init_fn="mitchell")
    model = OLMo(config)
    with torch.no_grad():
        for p in model.parameters():  # weights worth training, gradients worth clipping
            p.mul_(1.5).add_(0.02 * torch.randn_like(p))
    return model


def make_batches():
    """Walks over the vocabulary with habits, so that there is something to learn."""
    g = torch.Generator().manual_seed(4)
    habits = torch.randint(2, VOCAB, (VOCAB,), generator=g)
    ids = torch.zeros(STEPS, BATCH, LENGTH, dtype=torch.long)
    ids[:, :, 0] = torch.randint(0, VOCAB, (STEPS, BATCH), generator=g)
    for t in range(1, LENGTH):
        random = torch.randint(0, VOCAB, (STEPS, BATCH), generator=g)
        keep = torch.rand(STEPS, BATCH, generator=g) < 0.7
        ids[:, :, t] = torch.where(keep, habits[ids[:, :, t - 1]], random)
    return ids


def parameter_groups(model, weight_decay):
    """olmo.optim.get_param_groups: decay for linear layers, none for norms and embeddings."""
    decay, rest = [], []
    for module in model.modules():
        for p in module.parameters(recurse=False):
            (decay if isinstance(module, torch.nn.Linear) else rest).append(p)
    return [dict(params=decay, weight_decay=weight_decay), dict(params=rest, weight_decay=0.0)]


def train(model, batches, lr, betas, eps, weight_decay, clip, z_loss, warmup):
    optimizer = torch.optim.AdamW(parameter_groups(model, weight_decay), lr=lr, betas=betas, eps=eps)
    schedule = CosWithWarmup(
        grad_clip_warmup_steps=None, grad_clip_warmup_factor=None, warmup_min_lr=None, warmup_steps=warmup, alpha_f=0.1
    )
    log = []
    for step, ids in enumerate(batches, start=1):
        for group in optimizer.param_groups:
            group["lr"] = schedule.get_lr(lr, step, STEPS)
        logits = model(ids).logits[:, :-1].float()
        labels = ids[:, 1:]
        ce = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))
        z = z_loss * logits.logsumexp(-1).pow(2).mean()
        optimizer.zero_grad()
        (ce + z).backward()
        norm = math.sqrt(sum(float(p.grad.double().pow(2).sum()) for p in model.parameters()))
        for p in model.parameters():
            p.grad.mul_(min(1.0, clip / (norm + 1e-6)))
        optimizer.step()
        log.append(dict(loss=ce.item(), z_loss=z.item(), grad_norm=norm, lr=optimizer.param_groups[0]["lr"]))
    return log


def schedules():
    out = []
    for lr, warmup, steps in SCHEDULES:
        s = CosWithWarmup(
            grad_clip_warmup_steps=None, grad_clip_warmup_factor=None, warmup_min_lr=None, warmup_steps=warmup, alpha_f=0.1
        )
        at = sorted({1, 2, warmup - 1, warmup, warmup + 1, steps // 2, steps - 1, steps, steps + 1} - {0})
        out.append(dict(peak=lr, warmup=warmup, steps=steps, at=at, lr=[s.get_lr(lr, i, steps) for i in at]))
    return out


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    (OUT / "model").mkdir(parents=True, exist_ok=True)
    model = build_model()
    start = {k: v.clone() for k, v in model.state_dict().items()}
    save_file({"model." + k: v for k, v in start.items()}, OUT / "model/model.safetensors", metadata={"format": "pt"})
    (OUT / "model/model.safetensors").chmod(0o644)
    config = dict(model_type="hf_olmo", architectures=["OLMoForCausalLM"], **CONFIG)
    (OUT / "model/config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    batches = make_batches()
    runs = {}
    for name, options in RUNS.items():
        model.load_state_dict(start)
        log = train(model, batches, **options)
        norms = {"model." + k: v.double().norm().item() for k, v in model.state_dict().items()}
        runs[name] = dict(options=options, steps=log, final_norms=norms)
        print(name, [round(s["loss"], 3) for s in log], [round(s["grad_norm"], 2) for s in log])
    golden = dict(batches=batches.flatten(1).tolist(), batch=BATCH, length=LENGTH, runs=runs, schedules=schedules())
    (OUT / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
