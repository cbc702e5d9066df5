package lm

import (
	"fmt"

	"github.com/curate-data/curate/scoring/backend"
)

// hostBytes is what scoring takes beside weights and activations: program,
// plugin, compiled code, texts and tokens of the call at work, and one tensor
// while models are loaded. It is the stated constant of docs/DESIGN.md, section 5;
// bench/memory.sh measures it.
const hostBytes = 768 << 20

// MostBatchTokens is the size of device batches where memory does not bound it.
// On a CPU more rows are no faster; a GPU needs more to be busy.
func MostBatchTokens(backendName string) int {
	if backendName == backend.CUDA {
		return 8 * DefaultBatchTokens
	}
	return DefaultBatchTokens
}

// weightBytes is what the weights take on a device.
func (c Config) weightBytes(p Precision) int64 {
	return c.NumParams() * int64(p.dtype().Size())
}

// activationBytes estimates what one call of rows x T tokens takes beside
// weights. It is the larger of a layer's and the head's, and a quarter for what
// XLA does not reuse; bench/memory.sh compares it with what is measured.
//
//	layer: 4 tokens (6 d + 2 hidden) + 8 H tokens (T + queryBlock)/2
//	head:  slice of logits + a copy of the head + 8 tokens d
//
// All sizes are of float32: XLA's CPU code widens bf16.
func (c Config) activationBytes(rows, length int) int64 {
	tokens, d := int64(rows*length), int64(c.Width)
	hidden := int64(c.Hidden)
	if c.Gated {
		hidden *= 2
	}
	layer := 4*tokens*(6*d+2*hidden) + 4*int64(c.Heads)*tokens*int64(length+queryBlock)
	head := min(logitBytes, 4*tokens*int64(c.Embeddings)) + 4*int64(c.Embeddings)*d + 8*tokens*d
	return max(layer, head) * 5 / 4
}

// MemoryNeed estimates the peak memory of a Scorer in bytes: on a CPU of the
// whole process, on a GPU of one device.
func (o ScorerOptions) MemoryNeed(backendName string, models []Config) int64 {
	var weights, together, largest int64
	for _, c := range models {
		need := c.activationBytes(max(1, o.BatchTokens/o.SequenceLength), o.SequenceLength)
		weights, together, largest = weights+c.weightBytes(o.Precision), together+need, max(largest, need)
	}
	if o.OneByOne {
		together = largest
	}
	if backendName == backend.CUDA {
		return weights + together
	}
	return int64(max(1, o.Devices))*(weights+together) + hostBytes
}

// Fit lowers what the options ask for until MemoryNeed is within budget: models
// take turns, which changes no bit of a loss, before batches are halved, which
// changes the last ones. When not even one row fits it returns the least, and an error.
func (o ScorerOptions) Fit(budget int64, backendName string, models []Config) (ScorerOptions, error) {
	for o.MemoryNeed(backendName, models) > budget {
		switch {
		case !o.OneByOne && len(models) > 1:
			o.OneByOne = true
		case o.BatchTokens >= 2*o.SequenceLength:
			o.BatchTokens /= 2
		default:
			const mib = 1 << 20
			return o, fmt.Errorf("memory of %d MiB does not suffice: models, one row of %d tokens and the program take about %d MiB: allow more, or take bf16, shorter sequences or a smaller model",
				budget/mib, o.SequenceLength, o.MemoryNeed(backendName, models)/mib)
		}
	}
	return o, nil
}
