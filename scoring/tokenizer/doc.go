// Package tokenizer turns text into token ids exactly as HF `tokenizers` does
// with add_special_tokens=False, for BPE: byte-level (GPT-2, GPT-NeoX and OLMo 1,
// dolma2, Llama 3, Qwen 2 and 3) and of characters, as SentencePiece has it
// (Llama 2, Mistral, Gemma).
//
// A tokenizer.json declares a pipeline, and every stage has its files here:
//
//	added tokens     "<|endoftext|>" written out in the text   added.go
//	normalizer       nothing, NFC, ▁ for spaces                 normalizer.go, nfc.go
//	pre-tokenizer    text -> words, by a known regex            pretokenizer.go, scan.go, classes.go
//	                 text -> words, where no merge goes over    words.go, alphabet.go
//	model            word -> ids, by ranked merges              model.go, merge.go, window.go
//	decoder          ids -> text                                decode.go
//
// What a file declares and this package does not do exactly is refused by
// name in Parse; nothing is approximated. A Tokenizer is immutable and shared;
// each goroutine has its own Encoder, which holds scratch memory and a bounded
// cache of words, and a Pool has several.
package tokenizer
