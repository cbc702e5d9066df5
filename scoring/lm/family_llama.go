package lm

// The families of this file are LLaMA (arXiv 2302.13971) with changes: pre-norm
// with RMSNorm, RoPE, gated MLP, separate queries, keys and values. Keys,
// defaults and maths are those of transformers 5.24 (modeling_llama.py, ...).

// llamaDefaults are values of absent keys.
type llamaDefaults struct {
	vocabulary, hidden, positions, endOfText int
	kvHeads                                  int // 0: as many as heads
	headDim                                  int // 0: width / heads
}

func llama() family {
	return family{
		modelType: "llama", base: "model.", ignored: []string{".rotary_emb.inv_freq"},
		read: func(k *keys) Config {
			c := readLlama(k, llamaDefaults{vocabulary: 32000, hidden: 11008, positions: 2048, endOfText: 2})
			c.NormEps = k.number("rms_norm_eps", 1e-6)
			c.QKVBias = k.flag("attention_bias", false)
			c.OutBias = c.QKVBias
			c.MLPBias = k.flag("mlp_bias", false)
			k.only("rope_interleaved", false, false)     // nanotron's order of heads
			k.inert("is_llama_config", "pretraining_tp") // pretraining_tp: the same sums in pieces
			return c
		},
		names: llamaNames(preNorms(), finalRMSNorm()),
	}
}

func mistral() family {
	return family{
		modelType: "mistral", base: "model.", ignored: []string{".rotary_emb.inv_freq"},
		read: func(k *keys) Config {
			c := readLlama(k, llamaDefaults{vocabulary: 32000, hidden: 14336, positions: 131072, endOfText: 2, kvHeads: 8})
			c.NormEps = k.number("rms_norm_eps", 1e-6)
			c.Window = k.optionalCount("sliding_window", 4096)
			return c
		},
		names: llamaNames(preNorms(), finalRMSNorm()),
	}
}

func qwen2() family {
	return family{
		modelType: "qwen2", base: "model.", ignored: []string{".rotary_emb.inv_freq"},
		read: func(k *keys) Config {
			c := readQwen(k, 0)
			c.QKVBias = true
			return c
		},
		names: llamaNames(preNorms(), finalRMSNorm()),
	}
}

func qwen3() family {
	return family{
		modelType: "qwen3", base: "model.", ignored: []string{".rotary_emb.inv_freq"},
		read: func(k *keys) Config {
			c := readQwen(k, 128)
			c.QKNorm = PerHeadNorm
			c.QKVBias = k.flag("attention_bias", false)
			c.OutBias = c.QKVBias
			return c
		},
		names: llamaNames(append(preNorms(), qkNorms()...), finalRMSNorm()),
	}
}

// olmo has LayerNorm without weights (arXiv 2402.00838).
func olmo() family {
	return family{
		modelType: "olmo", base: "model.", ignored: []string{".rotary_emb.inv_freq"},
		read: func(k *keys) Config {
			c := readLlama(k, llamaDefaults{vocabulary: 50304, hidden: 11008, positions: 2048, endOfText: 50279})
			c.Norm, c.NormEps = LayerNorm, 1e-5 // fixed
			c.QKVBias = k.flag("attention_bias", false)
			c.OutBias = c.QKVBias
			c.ClipQKV = k.number("clip_qkv", 0)
			return c
		},
		names: llamaNames(nil, nil),
	}
}

// olmo2 normalises outputs, and queries and keys over their whole width (arXiv
// 2501.00656).
func olmo2() family {
	return family{
		modelType: "olmo2", base: "model.", ignored: []string{".rotary_emb.inv_freq"},
		read: func(k *keys) Config {
			c := readLlama(k, llamaDefaults{vocabulary: 50304, hidden: 11008, positions: 2048, endOfText: 50279})
			c.NormAfter, c.QKNorm = true, WholeNorm
			c.NormEps = k.number("rms_norm_eps", 1e-5)
			c.QKVBias = k.flag("attention_bias", false)
			c.OutBias = c.QKVBias
			return c
		},
		names: llamaNames(append(qkNorms(), tensorName{attnAfter, "post_attention_layernorm.weight"},
			tensorName{ffAfter, "post_feedforward_layernorm.weight"}), finalRMSNorm()),
	}
}

// readLlama reads the keys that all families of this file have.
func readLlama(k *keys, absent llamaDefaults) Config {
	width, heads, vocabulary := k.count("hidden_size", 4096), k.count("num_attention_heads", 32), k.count("vocab_size", absent.vocabulary)
	kvHeads := k.optionalCount("num_key_value_heads", absent.kvHeads)
	if kvHeads == 0 {
		kvHeads = heads
	}
	headDim := k.optionalCount("head_dim", absent.headDim)
	if headDim == 0 {
		if headDim = width / heads; width%heads != 0 {
			k.fault("num_attention_heads = %d does not divide hidden_size = %d", heads, width)
		}
	}
	positions := k.count("max_position_embeddings", absent.positions)
	rope := k.rope(k.number("rope_theta", 10000), k.number("partial_rotary_factor", 1), headDim, positions)
	if rope.Dim != headDim {
		k.fault("partial_rotary_factor: the %d numbers of a head that it rotates are not all %d, which is not implemented", rope.Dim, headDim)
	}
	return Config{
		Arch: Arch{
			Width: width, Layers: k.count("num_hidden_layers", 32), Heads: heads, KVHeads: kvHeads, HeadDim: headDim,
			Hidden: k.count("intermediate_size", absent.hidden), Embeddings: vocabulary, Tied: k.flag("tie_word_embeddings", false),
			Norm: RMSNorm, Rope: rope, Activation: k.activation("hidden_act", "silu"), Gated: true, QKV: SeparateQKV,
		},
		MaxSequenceLength: positions, VocabSize: vocabulary, EOSTokenID: k.token("eos_token_id", absent.endOfText),
	}
}

// readQwen reads the keys that Qwen 2 and 3 share.
func readQwen(k *keys, headDim int) Config {
	c := readLlama(k, llamaDefaults{vocabulary: 151936, hidden: 22016, positions: 32768, endOfText: NoToken, kvHeads: 32, headDim: headDim})
	c.NormEps = k.number("rms_norm_eps", 1e-6)
	k.only("use_mrope", false, false)
	window, from := k.optionalCount("sliding_window", 4096), get(k, "max_window_layers", 28)
	if !k.flag("use_sliding_window", false) {
		window = 0
	}
	if types := get(k, "layer_types", []string(nil)); types != nil {
		from = k.windowFrom(types, c.Layers, window)
	}
	if from < 0 {
		k.fault("max_window_layers = %d: want at least 0", from)
	}
	if window > 0 && from < c.Layers {
		c.Window, c.WindowFrom = window, from
	}
	return c
}

// windowFrom returns the first layer with a window. Layers after it have one
// too: another order is not implemented.
func (k *keys) windowFrom(types []string, layers, window int) int {
	from := layers
	for i, kind := range types {
		switch {
		case kind == "sliding_attention" && window > 0:
			from = min(from, i)
		case kind == "sliding_attention":
			k.fault("layer_types has sliding_attention in layer %d, but use_sliding_window and sliding_window say that there is none", i)
			return layers
		case kind != "full_attention":
			k.fault("layer_types has %q in layer %d: want full_attention or sliding_attention", kind, i)
			return layers
		case i > from:
			k.fault("layer_types has full_attention in layer %d after sliding_attention in layer %d, which is not implemented", i, from)
			return layers
		}
	}
	if len(types) != layers {
		k.fault("layer_types has %d layers, num_hidden_layers is %d", len(types), layers)
	}
	return from
}

func preNorms() []tensorName {
	return []tensorName{{attnNorm, "input_layernorm.weight"}, {ffNorm, "post_attention_layernorm.weight"}}
}

func qkNorms() []tensorName {
	return []tensorName{{qNorm, "self_attn.q_norm.weight"}, {kNorm, "self_attn.k_norm.weight"}}
}

func finalRMSNorm() []tensorName { return []tensorName{{finalNorm, "model.norm.weight"}} }

// llamaNames returns the names of a family's tensors, given those of its norms.
func llamaNames(norms, final []tensorName) func(Arch) tensorNames {
	return func(a Arch) tensorNames {
		layer := append([]tensorName{
			{query, "self_attn.q_proj.weight"}, {key, "self_attn.k_proj.weight"}, {value, "self_attn.v_proj.weight"}, {attnOut, "self_attn.o_proj.weight"},
			{gate, "mlp.gate_proj.weight"}, {up, "mlp.up_proj.weight"}, {down, "mlp.down_proj.weight"},
		}, norms...)
		if a.QKVBias {
			layer = append(layer, tensorName{queryBias, "self_attn.q_proj.bias"}, tensorName{keyBias, "self_attn.k_proj.bias"}, tensorName{valueBias, "self_attn.v_proj.bias"})
		}
		if a.OutBias {
			layer = append(layer, tensorName{attnOutBias, "self_attn.o_proj.bias"})
		}
		if a.MLPBias {
			layer = append(layer, tensorName{gateBias, "mlp.gate_proj.bias"}, tensorName{upBias, "mlp.up_proj.bias"}, tensorName{downBias, "mlp.down_proj.bias"})
		}
		return tensorNames{
			before: []tensorName{{embedding, "model.embed_tokens.weight"}},
			prefix: "model.layers.%d.", layer: layer,
			after: append(append([]tensorName{}, final...), tensorName{head, "lm_head.weight"}),
		}
	}
}
