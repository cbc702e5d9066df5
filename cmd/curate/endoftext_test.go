package main

import (
	"strings"
	"testing"
)

func TestEndOfTextGoesByManyNames(t *testing.T) {
	for want, vocabulary := range map[int32]map[string]int32{
		7: {"</s>": 7, "<s>": 1},
		3: {"</s>": 7, "<|endoftext|>": 3},
		5: {"<|end_of_text|>": 5},
	} {
		got, err := endOfTextID(func(token string) (int32, bool) { id, ok := vocabulary[token]; return id, ok })
		if err != nil || got != want {
			t.Errorf("%v: %d, %v", vocabulary, got, err)
		}
	}
	if _, err := endOfTextID(func(string) (int32, bool) { return 0, false }); err == nil || !strings.Contains(err.Error(), "</s>") {
		t.Errorf("a tokenizer without one: %v", err)
	}
}
