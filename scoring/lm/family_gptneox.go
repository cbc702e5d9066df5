package lm

// gptNeoX is GPT-NeoX and Pythia (arXiv 2204.06745, 2304.01373): attention and
// MLP side by side, part of each head rotated, biases everywhere. Keys and
// defaults are those of transformers 5.24.
func gptNeoX() family {
	return family{
		modelType: "gpt_neox",
		read:      readGPTNeoX,
		names: func(a Arch) tensorNames {
			layer := []tensorName{
				{attnNorm, "input_layernorm.weight"}, {attnNormBias, "input_layernorm.bias"},
				{qkv, "attention.query_key_value.weight"}, {attnOut, "attention.dense.weight"},
				{ffNorm, "post_attention_layernorm.weight"}, {ffNormBias, "post_attention_layernorm.bias"},
				{up, "mlp.dense_h_to_4h.weight"}, {upBias, "mlp.dense_h_to_4h.bias"},
				{down, "mlp.dense_4h_to_h.weight"}, {downBias, "mlp.dense_4h_to_h.bias"},
			}
			if a.QKVBias {
				layer = append(layer, tensorName{qkvBias, "attention.query_key_value.bias"}, tensorName{attnOutBias, "attention.dense.bias"})
			}
			return tensorNames{
				before: []tensorName{{embedding, "gpt_neox.embed_in.weight"}},
				prefix: "gpt_neox.layers.%d.", layer: layer,
				after: []tensorName{
					{finalNorm, "gpt_neox.final_layer_norm.weight"}, {finalNormBias, "gpt_neox.final_layer_norm.bias"}, {head, "embed_out.weight"},
				},
			}
		},
		base:    "gpt_neox.",
		older:   map[string]string{"embed_out.weight": "lm_head.weight"},
		ignored: []string{".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"},
	}
}

func readGPTNeoX(k *keys) Config {
	width, heads, vocabulary := k.count("hidden_size", 6144), k.count("num_attention_heads", 64), k.count("vocab_size", 50432)
	if width%heads != 0 {
		k.fault("num_attention_heads = %d does not divide hidden_size = %d", heads, width)
	}
	headDim, positions := width/heads, k.count("max_position_embeddings", 2048)
	theta, partial := k.number("rotary_emb_base", 10000), k.number("rotary_pct", 0.25)
	k.only("rope_theta", theta, theta) // some files have both names
	k.only("partial_rotary_factor", partial, partial)
	rope := k.rope(theta, partial, headDim, positions)
	bias := k.flag("attention_bias", true)
	return Config{
		Arch: Arch{
			Width: width, Layers: k.count("num_hidden_layers", 44), Heads: heads, KVHeads: heads, HeadDim: headDim,
			Hidden: k.count("intermediate_size", 24576), Embeddings: vocabulary, Tied: k.flag("tie_word_embeddings", false),
			Norm: LayerNorm, NormEps: k.number("layer_norm_eps", 1e-5), Parallel: k.flag("use_parallel_residual", true),
			QKVBias: bias, OutBias: bias, MLPBias: true, Rope: rope, Activation: k.activation("hidden_act", "gelu"), QKV: PerHeadQKV,
		},
		MaxSequenceLength: positions, VocabSize: vocabulary, EOSTokenID: k.token("eos_token_id", 2),
	}
}
