package lm

import (
	"math"
	"testing"

	"github.com/curate-data/curate/scoring/backend"
)

// TestBFloat16IsNear scores models of transformers in bf16, against the losses that their
// own code has in float32. These models have weights so large that
// probabilities are far from even. bfloat16 has 8 bits: each product is off by up to
// 2^-9, which a few layers and a head turn into hundredths of a nat a token, of both signs.
func TestBFloat16IsNear(t *testing.T) {
	const bound = 0.02 // nats a token, mean over a sequence
	for name, cases := range map[string][]string{
		backend.Go:  {"olmo/heads16", "families/olmo2", "families/llama", "families/mistral", "families/gpt_neox", "families/gpt2", "families/qwen2", "families/qwen3"},
		backend.CPU: {"olmo/heads16", "families/llama"},
	} {
		t.Run(name, func(t *testing.T) {
			be := openBackend(t, name)
			for _, dir := range cases {
				model, want := loadGolden(t, "testdata/"+dir)
				length := len(want.Tokens[0])
				scorer := newScorer(t, be, []*Model{model}, ScorerOptions{SequenceLength: length, BatchTokens: length * len(want.Tokens), Precision: BFloat16})
				sums, err := scoreWindows(scorer, want.Tokens)
				if err != nil {
					t.Fatal(err)
				}
				worst := 0.0
				for i, sum := range sums[0] {
					exact := 0.0
					for _, loss := range want.Loss[i] {
						exact += loss
					}
					worst = max(worst, math.Abs(sum-exact)/float64(len(want.Loss[i])))
				}
				t.Logf("%s: %.1e nats a token", dir, worst)
				if !(worst < bound) {
					t.Errorf("%s: bf16 is %.3f nats a token from float32, want less than %g", dir, worst, bound)
				}
				if worst < 1e-6 {
					t.Errorf("%s: bf16 equals float32 to %.1e: was it used?", dir, worst)
				}
			}
		})
	}
}
