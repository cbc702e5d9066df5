package train

import (
	"fmt"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
)

// Plan is a run's arithmetic, settled once the data is counted.
type Plan struct {
	Sequences       int64        `json:"sequences"` // to train on, of the sequence length
	Heldout         int64        `json:"heldout_sequences"`
	SequenceLength  int          `json:"sequence_length"`
	BatchSize       int          `json:"batch_size"`
	MicroBatch      int          `json:"micro_batch"`
	StepsPerEpoch   int          `json:"steps_per_epoch"` // the last sequences that fill no batch are left out
	Steps           int          `json:"steps"`
	WarmupSteps     int          `json:"warmup_steps"`
	Epochs          float64      `json:"epochs"` // how often each sequence is seen
	Precision       lm.Precision `json:"precision"`
	Recompute       bool         `json:"gradient_checkpointing"`
	CheckpointEvery int          `json:"-"`
	EvalEvery       int          `json:"-"` // 0: only before the first and after the last step
}

// Tokens returns the tokens seen after so many steps.
func (p Plan) Tokens(steps int) int64 {
	return int64(steps) * int64(p.BatchSize) * int64(p.SequenceLength)
}

// Limits of the batch size that batchSize chooses.
const (
	paperBatch = 256 // sequences, of 512 tokens: what lr 1e-3 goes with
	leastBatch = 8   // below it a step's gradient is mostly noise
	goodSteps  = 200 // the paper's conditional has about 190 steps, its prior 24,000
)

// batchSize chooses the sequences of a step for a run over n sequences: the
// largest power of two that still leaves goodSteps steps, at least leastBatch
// and at most the paper's 256. A run with few tokens gains more from steps
// than from smooth gradients.
func batchSize(n int64) int {
	size := leastBatch
	for size < paperBatch && n/int64(2*size) >= goodSteps {
		size *= 2
	}
	return size
}

// Memory for activations in bytes: room for weights, moments and the rest on
// the machines that such a backend is usually found in (16 GB, an 80 GB card).
const (
	hostActivations = 4 << 30
	cardActivations = 32 << 30
)

// sequencesThatFit returns how many sequences of opt.SequenceLength the backend should
// hold activations of at a time; 0 if not even one fits. recompute is gradient checkpointing.
func sequencesThatFit(model lm.Config, opt Options, backendName string, recompute bool) int {
	limit := int64(hostActivations)
	if backendName == backend.CUDA {
		limit = cardActivations
	}
	return int(limit / (activations(model, opt, recompute) * int64(opt.SequenceLength)))
}

// activations estimates the bytes per token that forward and backward pass
// hold: what each layer keeps, or its input alone and one layer as it is
// computed again, and the head. The factors were fitted to peak memory on
// xla:cpu (TestActivationsAreEstimated).
func activations(m lm.Config, opt Options, recompute bool) int64 {
	size := 4
	if opt.Precision == lm.BFloat16 {
		size = 3 // half in each: products in bfloat16, residual stream and norms in float32
	}
	layer := size*(12*m.Width+3*m.Hidden) + 4*2*m.Heads*opt.SequenceLength // softmax is float32
	head := 4 * 2 * m.Embeddings
	if recompute {
		return int64(m.Layers*size*m.Width + 2*layer + head)
	}
	return int64(m.Layers*layer + head)
}

// largestDivisor returns the largest divisor of n that is at most limit.
func largestDivisor(n, limit int) int {
	for d := min(n, limit); d > 1; d-- {
		if n%d == 0 {
			return d
		}
	}
	return 1
}

// newPlan settles the run over `sequences` sequences. opt went through Defaults
// and Validate, and has a settled precision; fits says how many sequences the device takes at a time, without
// and with gradient checkpointing.
func newPlan(opt Options, sequences, heldout, tokens int64, fits func(recompute bool) int) (Plan, error) {
	p := Plan{
		Sequences: sequences, Heldout: heldout, SequenceLength: opt.SequenceLength,
		BatchSize: opt.BatchSize, MicroBatch: opt.MicroBatch, WarmupSteps: opt.WarmupSteps,
		CheckpointEvery: opt.CheckpointEvery, EvalEvery: max(opt.EvalEvery, 0),
		Precision: opt.Precision,
	}
	if sequences == 0 {
		return Plan{}, fmt.Errorf("the corpus has %d tokens to train on: too few for one sequence of %d; add text or lower the sequence length",
			tokens, opt.SequenceLength)
	}
	visits := sequences * int64(opt.Epochs)
	if opt.Tokens > 0 {
		visits = opt.Tokens / int64(opt.SequenceLength)
	}
	if p.BatchSize == 0 {
		p.BatchSize = int(min(int64(batchSize(visits)), sequences))
		if p.MicroBatch > 0 { // round down, so that it divides
			p.MicroBatch = min(p.MicroBatch, p.BatchSize)
			p.BatchSize -= p.BatchSize % p.MicroBatch
		}
	}
	if sequences < int64(p.BatchSize) {
		return Plan{}, fmt.Errorf("the corpus has %d tokens to train on, %d sequences of %d: too few for one batch of %d; add text, or lower the batch size or the sequence length",
			tokens, sequences, opt.SequenceLength, p.BatchSize)
	}
	p.fit(opt.Checkpointing, fits)
	p.StepsPerEpoch = int(sequences / int64(p.BatchSize))
	p.Steps = p.StepsPerEpoch * opt.Epochs
	if opt.Tokens > 0 {
		p.Steps = int(visits / int64(p.BatchSize))
	}
	if p.Steps == 0 {
		return Plan{}, fmt.Errorf("a budget of %d tokens is less than one batch of %d sequences of %d tokens; raise the budget or lower the batch size",
			opt.Tokens, p.BatchSize, opt.SequenceLength)
	}
	p.Epochs = float64(p.Steps) / float64(p.StepsPerEpoch)
	set(&p.WarmupSteps, max(1, p.Steps/20))
	set(&p.CheckpointEvery, min(1000, max(1, p.Steps/8)))
	if opt.EvalEvery == 0 {
		p.EvalEvery = max(1, p.Steps/4)
	}
	return p, nil
}

// fit settles how many sequences are computed at a time, and whether layers are
// computed again: with auto, only where that makes the given micro-batch, or a
// single sequence, fit.
func (p *Plan) fit(how Checkpointing, fits func(recompute bool) int) {
	p.Recompute = how == CheckpointingOn || how == AutoCheckpointing && fits(false) < max(1, p.MicroBatch)
	set(&p.MicroBatch, largestDivisor(p.BatchSize, fits(p.Recompute)))
}

// schedule returns the learning rate of the run.
func (p Plan) schedule(peak float64) Schedule {
	return Schedule{Peak: peak, Warmup: p.WarmupSteps, Steps: p.Steps}
}
