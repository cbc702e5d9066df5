package lm

// housekeeping notes the keys that Hugging Face writes for any model and that
// leave losses as they are, and refuses the values of a few that do not.
// Dropout is among the former: scoring has none, and neither has training here.
func (k *keys) housekeeping() {
	k.inert(
		// where the file comes from
		"architectures", "auto_map", "name_or_path", "transformers_version", "transformers.js_config", "tokenizer_class", "unsloth_version", "unsloth_fixed",
		// how it is loaded and run; weights are widened to float32
		"dtype", "torch_dtype", "torchscript", "use_bfloat16", "use_cache", "attn_implementation", "chunk_size_feed_forward", "gradient_checkpointing",
		"output_attentions", "output_hidden_states", "output_scores", "return_dict", "return_dict_in_generate", "is_decoder", "tf_legacy_loss",
		// how it was started and regularised
		"initializer_range", "attention_dropout", "attention_probs_dropout_prob", "attn_pdrop", "classifier_dropout", "embd_pdrop", "hidden_dropout",
		"hidden_dropout_prob", "resid_pdrop",
		// special tokens, none of which scoring adds but eos_token_id
		"bos_token_id", "decoder_start_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "unk_token_id",
		// other tasks than language modelling
		"finetuning_task", "id2label", "label2id", "num_labels", "problem_type", "task_specific_params",
		// how text is generated
		"bad_words_ids", "begin_suppress_tokens", "diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size",
		"exponential_decay_length_penalty", "forced_bos_token_id", "forced_eos_token_id", "length_penalty", "max_length", "max_new_tokens", "min_length",
		"no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences", "prefix", "remove_invalid_values", "repetition_penalty",
		"suppress_tokens", "temperature", "top_k", "top_p", "typical_p",
	)
	k.only("add_cross_attention", false, false)
	k.only("is_encoder_decoder", false, false)
	k.only("tie_encoder_decoder", false, false)
	k.only("pruned_heads", map[string]any{}, map[string]any{})
	if k.inert("quantization_config"); k.has("quantization_config") {
		k.fault("quantization_config = %s: quantised weights cannot be read; take the model's folder in float32, bfloat16 or float16", k.show("quantization_config"))
	}
}
