package lm

// gpt2 is GPT-2: learned positions, biases everywhere, matrices stored
// transposed, a head that is the embedding. Keys and defaults are those of
// transformers 5.24.
func gpt2() family {
	return family{
		modelType: "gpt2",
		read:      readGPT2,
		names: func(Arch) tensorNames {
			return tensorNames{
				before: []tensorName{{embedding, "transformer.wte.weight"}, {positionRows, "transformer.wpe.weight"}},
				prefix: "transformer.h.%d.",
				layer: []tensorName{
					{attnNorm, "ln_1.weight"}, {attnNormBias, "ln_1.bias"}, {qkv, "attn.c_attn.weight"}, {qkvBias, "attn.c_attn.bias"},
					{attnOut, "attn.c_proj.weight"}, {attnOutBias, "attn.c_proj.bias"}, {ffNorm, "ln_2.weight"}, {ffNormBias, "ln_2.bias"},
					{up, "mlp.c_fc.weight"}, {upBias, "mlp.c_fc.bias"}, {down, "mlp.c_proj.weight"}, {downBias, "mlp.c_proj.bias"},
				},
				after: []tensorName{{finalNorm, "transformer.ln_f.weight"}, {finalNormBias, "transformer.ln_f.bias"}, {head, "lm_head.weight"}},
			}
		},
		base:    "transformer.",
		ignored: []string{".attn.bias", ".attn.masked_bias"},
	}
}

func readGPT2(k *keys) Config {
	width, heads, vocabulary := k.count("n_embd", 768), k.count("n_head", 12), k.count("vocab_size", 50257)
	if width%heads != 0 {
		k.fault("n_head = %d does not divide n_embd = %d", heads, width)
	}
	hidden := k.optionalCount("n_inner", 0)
	if hidden == 0 {
		hidden = 4 * width
	}
	positions := k.count("n_positions", 1024)
	k.only("scale_attn_weights", true, true)
	k.inert("n_ctx", "reorder_and_upcast_attn", "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj")
	return Config{
		Arch: Arch{
			Width: width, Layers: k.count("n_layer", 12), Heads: heads, KVHeads: heads, HeadDim: width / heads, Hidden: hidden,
			Embeddings: vocabulary, Positions: positions, Tied: k.flag("tie_word_embeddings", true),
			Norm: LayerNorm, NormEps: k.number("layer_norm_epsilon", 1e-5), QKVBias: true, OutBias: true, MLPBias: true,
			ByLayer: k.flag("scale_attn_by_inverse_layer_idx", false), Activation: k.activation("activation_function", "gelu_new"),
			QKV: JoinedQKV, Transpose: true,
		},
		MaxSequenceLength: positions, VocabSize: vocabulary, EOSTokenID: k.token("eos_token_id", 50256),
	}
}
