"""The decoder of CoLoR-Filter's auxiliary models (arXiv 2406.10670, table 8) for transformers.

Pre-norm blocks; layer norms with weight and without bias; queries and keys normalised over the
full width, then rotated (RoPE, halves of a head against each other); exact GELU; no bias; a head
of its own. The softmax runs over all embedding_size rows. There is no cache of keys and values:
these are small models for scoring. Weights have the names of ai2-olmo's hf_olmo.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from .configuration_olmo_colorfilter import OlmoColorFilterConfig


class LayerNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return F.layer_norm(x.float(), self.weight.shape, self.weight.float(), None, self.eps).to(x.dtype)


def rotate(x, positions, theta):
    """Turns the halves of heads x [B,H,T,h] against each other by the angles of positions [B,T], in float32."""
    half = x.shape[-1] // 2
    frequencies = 1.0 / theta ** (torch.arange(0, half, device=x.device, dtype=torch.float32) / half)
    angles = positions[:, None, :, None].float() * frequencies
    cos, sin = angles.cos(), angles.sin()
    a, b = x.float().split(half, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        d, eps = config.d_model, config.layer_norm_eps
        self.heads, self.theta = config.n_heads, config.rope_theta
        self.attn_norm, self.ff_norm = LayerNorm(d, eps), LayerNorm(d, eps)
        self.q_norm, self.k_norm = LayerNorm(d, eps), LayerNorm(d, eps)
        self.att_proj, self.attn_out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.ff_proj = nn.Linear(d, config.mlp_hidden_size, bias=False)
        self.ff_out = nn.Linear(config.mlp_hidden_size, d, bias=False)

    def forward(self, x, positions, mask):
        q, k, v = self.att_proj(self.attn_norm(x)).chunk(3, dim=-1)
        q, k, v = (
            y.view(*y.shape[:2], self.heads, -1).transpose(1, 2) for y in (self.q_norm(q), self.k_norm(k), v)
        )
        q, k = rotate(q, positions, self.theta), rotate(k, positions, self.theta)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        x = x + self.attn_out(mixed.transpose(1, 2).flatten(2))
        return x + self.ff_out(F.gelu(self.ff_proj(self.ff_norm(x))))


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.transformer = nn.ModuleDict(
            dict(
                wte=nn.Embedding(config.embedding_size, config.d_model),
                blocks=nn.ModuleList(Block(config) for _ in range(config.n_layers)),
                ln_f=LayerNorm(config.d_model, config.layer_norm_eps),
                ff_out=nn.Linear(config.d_model, config.embedding_size, bias=False),
            )
        )

    def forward(self, x, positions, mask):
        for block in self.transformer.blocks:
            x = block(x, positions, mask)
        return self.transformer.ff_out(self.transformer.ln_f(x))


class OlmoColorFilterForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = OlmoColorFilterConfig
    base_model_prefix = "model"
    _no_split_modules = ["Block"]
    _supports_sdpa = True

    def __init__(self, config):
        super().__init__(config)
        self.model = Decoder(config)
        self.post_init()

    def get_input_embeddings(self):
        return self.model.transformer.wte

    def set_input_embeddings(self, value):
        self.model.transformer.wte = value

    def get_output_embeddings(self):
        return self.model.transformer.ff_out

    def set_output_embeddings(self, value):
        self.model.transformer.ff_out = value

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **_):
        return dict(input_ids=input_ids, attention_mask=attention_mask)

    def forward(
        self, input_ids=None, attention_mask=None, position_ids=None, inputs_embeds=None, labels=None, return_dict=True, **_
    ):
        """attention_mask [B,T] is 0 for padding; labels [B,T] are shifted here, and -100 has no loss."""
        x = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        batch, length = x.shape[:2]
        mask = None
        if attention_mask is not None and not attention_mask.bool().all():
            real = attention_mask.bool()
            causal = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
            # A padded query sees itself: a softmax over nothing would be NaN.
            mask = causal & (real[:, None, None, :] | torch.eye(length, dtype=torch.bool, device=x.device))
            if position_ids is None:
                position_ids = (real.long().cumsum(-1) - 1).clamp(min=0)
        if position_ids is None:
            position_ids = torch.arange(length, device=x.device).expand(batch, -1)
        logits = self.model(x, position_ids, mask)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        return CausalLMOutput(loss=loss, logits=logits) if return_dict else (loss, logits)
