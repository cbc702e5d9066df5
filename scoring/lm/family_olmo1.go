package lm

// hfOLMo is the decoder of CoLoR-Filter's auxiliary models (arXiv 2406.10670,
// table 8), in the layout of ai2-olmo's hf_olmo: keys of OLMo's ModelConfig,
// with OLMo's own defaults where a key is absent.
func hfOLMo() family {
	return family{
		modelType: "hf_olmo",
		read:      readHFOLMo,
		names: func(Arch) tensorNames {
			return tensorNames{
				before: []tensorName{{embedding, "model.transformer.wte.weight"}},
				prefix: "model.transformer.blocks.%d.",
				layer: []tensorName{
					{attnNorm, "attn_norm.weight"}, {qNorm, "q_norm.weight"}, {kNorm, "k_norm.weight"}, {qkv, "att_proj.weight"},
					{attnOut, "attn_out.weight"}, {ffNorm, "ff_norm.weight"}, {up, "ff_proj.weight"}, {down, "ff_out.weight"},
				},
				after: []tensorName{{finalNorm, "model.transformer.ln_f.weight"}, {head, "model.transformer.ff_out.weight"}},
			}
		},
	}
}

func readHFOLMo(k *keys) Config {
	width, heads := k.count("d_model", 768), k.count("n_heads", 12)
	hidden := k.optionalCount("mlp_hidden_size", 0)
	if ratio := k.count("mlp_ratio", 4); hidden == 0 {
		hidden = ratio * width
	}
	vocab := k.count("vocab_size", 50257)
	embeddings := k.optionalCount("embedding_size", 50304)
	if embeddings == 0 {
		embeddings = vocab
	}
	// The values of the paper's configuration (configs/base.yaml), and OLMo's
	// defaults: what holds when the key is absent.
	k.only("activation_type", "swiglu", "gelu")
	k.only("block_type", "sequential", "sequential")
	k.only("rope", false, true)
	k.only("alibi", false, false)
	k.only("attention_layer_norm", false, true)
	k.only("attention_layer_norm_with_affine", true, true)
	k.only("layer_norm_type", "default", "default")
	k.only("layer_norm_with_affine", true, true)
	k.only("embedding_layer_norm", false, false)
	k.only("norm_after", false, false)
	k.only("include_bias", true, false)
	k.only("weight_tying", true, false)
	k.only("scale_logits", false, false)
	k.only("clip_qkv", nil, nil)
	// Three keys are inherited from others when they are null.
	k.only("bias_for_layer_norm", nil, nil, false)
	k.only("n_kv_heads", nil, nil, float64(heads))
	k.only("multi_query_attention", nil, nil, false)
	k.inert("alibi_bias_max", "flash_attention", "rope_full_precision", "block_group_size", "init_device", "init_fn", "init_std",
		"init_cutoff_factor", "precision", "scale_emb_init", "emb_init_std", "pos_emb", "embedding_dropout", "residual_dropout")
	theta, eps := k.number("rope_theta", 10000), k.number("layer_norm_eps", 1e-5)
	if width%heads != 0 {
		k.fault("n_heads = %d does not divide d_model = %d", heads, width)
	}
	headDim := width / heads
	return Config{
		Arch: Arch{
			Width: width, Layers: k.count("n_layers", 12), Heads: heads, KVHeads: heads, HeadDim: headDim, Hidden: hidden,
			Embeddings: embeddings, Norm: LayerNorm, NormEps: eps, QKNorm: WholeNorm, Rope: Rope{Dim: headDim, Theta: theta},
			Activation: GELU, QKV: JoinedQKV,
		},
		MaxSequenceLength: k.count("max_sequence_length", 1024), VocabSize: vocab,
		EOSTokenID: k.token("eos_token_id", 50256),
	}
}
