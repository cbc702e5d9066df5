"""Configuration of a language model that curate wrote (model_type hf_olmo).

The keys of config.json are those of ModelConfig of ai2-olmo 0.6.0; transformers'
own names for them work as well.
"""

from transformers import PretrainedConfig


class OlmoColorFilterConfig(PretrainedConfig):
    model_type = "hf_olmo"
    attribute_map = {
        "hidden_size": "d_model",
        "intermediate_size": "mlp_hidden_size",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "max_position_embeddings": "max_sequence_length",
    }

    def __init__(
        self,
        d_model=1024,
        n_layers=12,
        n_heads=16,
        mlp_hidden_size=None,
        mlp_ratio=4,
        max_sequence_length=512,
        vocab_size=50280,
        embedding_size=None,
        rope_theta=10000,
        layer_norm_eps=1e-5,
        eos_token_id=0,
        pad_token_id=1,
        **kwargs,
    ):
        self.d_model, self.n_layers, self.n_heads = d_model, n_layers, n_heads
        self.mlp_ratio, self.mlp_hidden_size = mlp_ratio, mlp_hidden_size or mlp_ratio * d_model
        self.max_sequence_length = max_sequence_length
        self.vocab_size, self.embedding_size = vocab_size, embedding_size or vocab_size
        self.rope_theta, self.layer_norm_eps = rope_theta, layer_norm_eps
        kwargs["tie_word_embeddings"] = False
        super().__init__(eos_token_id=eos_token_id, pad_token_id=pad_token_id, **kwargs)
