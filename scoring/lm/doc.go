// Package lm is the auxiliary language model: small decoders of several families,
// their folders, and the batched scorer. The one of CoLoR-Filter (arXiv 2406.10670, table 8) is hf_olmo.
//
// That decoder, on tokens [B,T]; arch.go has what other families do differently:
//
//	x = wte[tokens]                                   [B,T,d]
//	for each block:
//	    q,k,v = split(LN(x) @ att_projᵀ)              [B,T,d] each
//	    q,k   = RoPE(heads(LN(q))), RoPE(heads(LN(k)))
//	    x    += causal_attention(q,k,v) @ attn_outᵀ
//	    x    += GELU(LN(x) @ ff_projᵀ) @ ff_outᵀ
//	logits = LN(x) @ headᵀ                            [B,T,embedding_size], never held whole
//
// LN is mean-centred, with weight and without bias; GELU is the exact one; no
// linear layer has a bias; the head is not tied to the embedding. The oracle is
// class OLMo of ai2-olmo 0.6.0.
//
// A model folder is what its family publishes (docs/MODELS.md): config.json,
// model.safetensors and tokenizer.json. That of hf_olmo has the keys of OLMo's
// ModelConfig and names "model.transformer...".
package lm
