"""Golden losses and gradients of the decoder families, from transformers.

Usage: python scripts/golden/make_families.py scoring/lm/testdata/families
Needs: torch, transformers, safetensors. The committed files: torch 2.15.0 on a CPU, transformers 5.24.0, float32,
attn_implementation="eager", one thread.

Per case a folder as one is published: config.json, model.safetensors (random weights; norm weights not one and biases not
zero, so that one that is left out or misplaced shows) and golden.json:
    tokens          ids [B][T]
    loss, log_z     [B][T-1], nats: cross-entropy and logsumexp of float32 logits
    gradients       L2 norm of the gradient of mean(loss) + 1e-4 mean(log_z^2), per tensor
    probes          four elements of each gradient: [index in row-major order, value]
The model is loaded again from the written folder before it is run: what transformers makes of these files is the truth, and
a tensor that it misses or does not expect ends the script.
"""

import json
import os
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

LLAMA = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=90,
             max_position_embeddings=128, rms_norm_eps=1e-5)
OLMO = {key: value for key, value in LLAMA.items() if key != "rms_norm_eps"} | dict(pad_token_id=None)  # torch has no gradient for that row
NEOX = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, vocab_size=90, max_position_embeddings=64)
GPT2 = dict(n_embd=32, n_layer=2, n_head=4, vocab_size=90, n_positions=64)

# name: (model type, configuration, batch, length, how the folder is written). What is not said in how: weights in bfloat16
# (computed in float32 from the same numbers), keys as save_pretrained writes them. "keys" are set in the written config.json
# in place of those of today, None removes one: the way of earlier versions.
CASES = {
    "llama": ("llama", dict(LLAMA, intermediate_size=24, vocab_size=60, attention_bias=True, mlp_bias=True, eos_token_id=[7, 8]), 2, 40, dict(weights="float32")),
    "llama-llama3": ("llama", dict(LLAMA, tie_word_embeddings=True), 2, 64, dict(keys=dict(rope_parameters=None, rope_theta=5000.0, rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=24)))),
    "llama-linear": ("llama", dict(LLAMA, num_key_value_heads=4, head_dim=10, hidden_act="gelu"), 1, 48, dict(weights="float16", keys=dict(
        rope_parameters=None, rope_scaling=dict(type="linear", factor=3.0), num_key_value_heads=None))),
    "llama-dynamic": ("llama", dict(LLAMA, num_hidden_layers=1), 1, 128, dict(keys=dict(rope_parameters=None, rope_scaling=dict(type="dynamic", factor=2.0)))),
    "llama-yarn": ("llama", dict(LLAMA, num_attention_heads=2, rope_parameters=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, rope_theta=10000.0)),
                   1, 100, dict()),
    "llama-yarn-mscale": ("llama", dict(LLAMA, num_hidden_layers=1, num_attention_heads=2, rope_parameters=dict(
        rope_type="yarn", factor=2.5, original_max_position_embeddings=48, rope_theta=300.0, mscale=1.5, mscale_all_dim=0.4, truncate=False, beta_fast=6.0,
        beta_slow=0.5)), 1, 90, dict()),
    # More than 256 tokens, a window that crosses the border of the two blocks of queries, one head of keys and values.
    "mistral-window": ("mistral", dict(LLAMA, num_hidden_layers=2, num_key_value_heads=1, sliding_window=90, max_position_embeddings=320), 1, 300, dict()),
    "mistral": ("mistral", dict(LLAMA, sliding_window=None, tie_word_embeddings=True, head_dim=12), 2, 32, dict()),
    "qwen2": ("qwen2", dict(LLAMA, tie_word_embeddings=True, eos_token_id=5), 2, 48, dict()),
    "qwen2-window": ("qwen2", dict(LLAMA, num_hidden_layers=3, intermediate_size=24, use_sliding_window=True, sliding_window=9, max_window_layers=1), 1, 48, dict(keys=dict(
        layer_types=None, rope_parameters=None, rope_theta=1000000.0))),
    "qwen3": ("qwen3", dict(LLAMA, head_dim=12, max_position_embeddings=320), 1, 290, dict(weights="float16")),
    "qwen3-window": ("qwen3", dict(LLAMA, head_dim=8, attention_bias=True, tie_word_embeddings=True, use_sliding_window=True, sliding_window=5,
                                   layer_types=["full_attention", "sliding_attention"]), 2, 24, dict()),
    "olmo": ("olmo", dict(OLMO, tie_word_embeddings=True, clip_qkv=0.9, eos_token_id=9), 2, 40, dict()),
    "olmo-untied": ("olmo", dict(OLMO, num_key_value_heads=4, attention_bias=True, eos_token_id=9), 2, 33, dict(keys=dict(rope_parameters=None, rope_theta=500.0))),
    "olmo2": ("olmo2", dict(LLAMA, pad_token_id=None, eos_token_id=9), 2, 40, dict()),
    "olmo2-tied": ("olmo2", dict(LLAMA, pad_token_id=None, num_key_value_heads=4, tie_word_embeddings=True, attention_bias=True, eos_token_id=9), 2, 40, dict(keys=dict(
        rope_parameters=None, rope_theta=500000))),
    "gpt_neox": ("gpt_neox", dict(NEOX, num_attention_heads=4, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5)), 2, 48,
                 dict(weights="float16", buffers=True, keys=dict(rope_parameters=None, rotary_pct=0.5, rotary_emb_base=10000))),
    "gpt_neox-sequential": ("gpt_neox", dict(NEOX, use_parallel_residual=False, hidden_act="gelu_fast", layer_norm_eps=1e-3), 2, 48, dict()),
    "gpt_neox-tied": ("gpt_neox", dict(NEOX, attention_bias=False, tie_word_embeddings=True, rope_parameters=dict(
        rope_type="linear", rope_theta=700.0, partial_rotary_factor=1.0, factor=2.0)), 1, 64, dict()),
    "gpt2": ("gpt2", dict(GPT2), 2, 48, dict(weights="float16", bare=True, buffers=True)),
    "gpt2-untied": ("gpt2", dict(GPT2, tie_word_embeddings=False, n_inner=40, activation_function="relu", scale_attn_by_inverse_layer_idx=True,
                                 reorder_and_upcast_attn=True), 2, 40, dict()),
}


def random_model(model_type: str, config: dict) -> torch.nn.Module:
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **config))
    for name, p in model.named_parameters():
        if p.dim() > 1:  # large enough that losses are far from ln V and attention far from even
            p.data = torch.randn_like(p) * (0.6 if "embed" in name or "wte" in name else 1.5 / max(p.shape) ** 0.5)
        elif name.endswith("bias"):
            p.data = 0.3 * torch.randn_like(p)
        else:
            p.data = 1 + 0.3 * torch.randn_like(p)
    return model


def write(folder: str, model: torch.nn.Module, how: dict) -> None:
    model.to(getattr(torch, how.get("weights", "bfloat16"))).save_pretrained(folder)
    for name in os.listdir(folder):
        if name not in ("config.json", "model.safetensors"):
            os.remove(os.path.join(folder, name))
    path = os.path.join(folder, "model.safetensors")
    state = load_file(path)
    if how.get("buffers"):  # what older versions wrote beside the weights
        kind = "attn" if model.config.model_type == "gpt2" else "attention"
        for name in [n for n in state if n.endswith((".c_attn.weight", ".query_key_value.weight"))]:
            stem = name.rsplit(".", 2)[0]
            assert stem.endswith(kind)
            state[stem + ".bias"] = torch.ones(1, 1, 8, 8).tril().to(torch.uint8)
            state[stem + ".masked_bias"] = torch.tensor(-1e9)
            if kind == "attention":
                state[stem + ".rotary_emb.inv_freq"] = torch.ones(4)
    if how.get("bare"):  # as a model without its head was saved
        state = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
    save_file(state, path, metadata={"format": "pt"})
    path = os.path.join(folder, "config.json")
    with open(path) as f:
        config = json.load(f)
    for key, value in how.get("keys", {}).items():
        config.pop(key, None)
        if value is not None:
            config[key] = value
    with open(path, "w") as f:
        json.dump(config, f, indent=1, sort_keys=True)
        f.write("\n")


def make(folder: str, model_type: str, config: dict, batch: int, length: int, how: dict, seed: int) -> None:
    torch.manual_seed(seed)
    write(folder, random_model(model_type, config), how)
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    unexpected = {name for name in info["unexpected_keys"] if not name.endswith(".masked_bias")}  # which it drops as well
    if info["missing_keys"] or unexpected or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: {info}")
    tokens = torch.randint(0, model.config.vocab_size, (batch, length))
    logits = model(tokens, use_cache=False).logits[:, :-1]
    log_z = torch.logsumexp(logits, -1)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none").view(batch, -1)
    (loss.mean() + 1e-4 * (log_z**2).mean()).backward()
    gradients = {name: p.grad.flatten() for name, p in model.named_parameters()}
    if model_type == "gpt_neox" and not model.config.tie_word_embeddings:
        gradients["embed_out.weight"] = gradients.pop("lm_head.weight")  # the name in the file
    probes = {}
    for name, g in gradients.items():
        where = sorted({int(i) for i in torch.cat([g.abs().argmax().view(1), torch.randint(0, len(g), (3,))])})
        probes[name] = [[i, short(g[i].item())] for i in where]
    with open(os.path.join(folder, "golden.json"), "w") as f:
        json.dump({"tokens": tokens.tolist(), "loss": [[short(x) for x in row] for row in loss.tolist()],
                   "log_z": [[short(x) for x in row] for row in log_z.tolist()],
                   "gradients": {name: short(g.double().norm().item()) for name, g in gradients.items()}, "probes": probes}, f)
        f.write("\n")
    size = sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
    print(f"{os.path.basename(folder)}: {size} bytes, mean loss {loss.mean().item():.3f}")


def short(x: float) -> float:
    return float(f"{x:.9g}")  # all of a float32


transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
only = sys.argv[2:]
for i, (name, case) in enumerate(CASES.items()):
    if not only or name in only:
        make(os.path.join(sys.argv[1], name), *case, seed=200 + i)
