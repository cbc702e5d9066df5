package main

import (
	"strings"
	"testing"
)

func TestInspectSaysWhatAModelIs(t *testing.T) {
	for family, want := range map[string][]string{
		"llama-llama3": {"llama, 16,864 parameters, head tied", "4 heads of 8, 2 of keys and values", "theta 5000, llama3 by 8", "tokenizer.json is missing"},
		"qwen2-window": {"head of its own", "windows of 9 tokens from layer 1 on", "without an id that ends a text"},
		"gpt2":         {"positions   64, learned"},
	} {
		stdout, _ := mustCurate(t, "inspect", "../../scoring/lm/testdata/families/"+family)
		for _, text := range want {
			if !strings.Contains(stdout, text) {
				t.Errorf("inspect of %s lacks %q:\n%s", family, text, stdout)
			}
		}
	}
}
