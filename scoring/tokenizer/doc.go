// Package tokenizer turns text into token ids exactly as HF `tokenizers` does
// with add_special_tokens=False, for byte-level BPE: GPT-2, GPT-NeoX and OLMo 1,
// dolma2 (OLMo 2), Llama 3, Qwen 2 and 3, and the demo's own tokenizer.
//
// A tokenizer.json declares a pipeline, and every stage has one file here:
//
//	added tokens     "<|endoftext|>" written out in the text   added.go
//	normalizer       nothing or Unicode NFC                     nfc.go
//	pre-tokenizer    text -> words, by a known regex            scan.go, classes.go
//	model            word -> ids, by ranked merges              merge.go, window.go
//
// What a file declares and this package does not do exactly is refused by
// name in Parse; nothing is approximated. A Tokenizer is immutable and shared;
// each goroutine has its own Encoder, which holds scratch memory and a bounded
// cache of words.
package tokenizer
