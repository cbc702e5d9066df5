package train

import (
	"errors"
	"fmt"
	"math"

	"github.com/curate-data/curate/scoring/lm"
)

// Options of a run. The zero value of a field means its default, except where
// noted; Defaults lists them.
type Options struct {
	Output string // model folder to write

	// SequenceLength is T in tokens. Default: the model's max_sequence_length
	// (the paper's is 512).
	SequenceLength int
	// BatchSize is the sequences of one step. Default: chosen by the amount of
	// data, see batchSize; the paper's is 256.
	BatchSize int
	// MicroBatch is how many sequences the device holds activations of at a
	// time; it must divide BatchSize. Default: as many as fit into 4 GiB, on
	// xla:cuda 32 GiB, by estimate. The gradients of a step are summed over
	// BatchSize/MicroBatch parts. The paper's is 128 in bfloat16 on one H100.
	MicroBatch int
	// Precision of forward and backward pass. Default: AutoPrecision. Weights,
	// moments and sums of gradients are float32 in either, and so are the
	// residual stream, norms, softmax, log-sum-exp and losses.
	Precision lm.Precision
	// Checkpointing trades time for memory. Default: AutoCheckpointing.
	Checkpointing Checkpointing

	// Tokens is the budget: rows are drawn at random until they have this many
	// tokens, and each is trained on once. A corpus with fewer tokens is
	// repeated. 0: all of the corpus, Epochs times.
	Tokens int64
	// Epochs is used when Tokens is 0. Default 1, as in the paper.
	Epochs int

	// Seed decides which rows are drawn and held out, and the order of sequences.
	Seed uint64

	LearningRate float64 // peak; default 1e-3, the paper's for prior and conditional alike
	Beta1        float64 // default 0.9, the paper's
	Beta2        float64 // default 0.95, the paper's
	Eps          float64 // default 1e-15, the paper's: in effect none
	WeightDecay  float64 // decoupled, on matrices except embeddings; default 0, the paper's
	ClipNorm     float64 // global gradient norm; default 1.0, the paper's
	// ZLoss weighs mean(logsumexp(logits)^2), which keeps logits small.
	// Default 1e-4, the paper's; negative: none.
	ZLoss float64
	// WarmupSteps of the learning rate. Default: 5 % of the steps (the paper
	// says 5 %, its code 4.2 %), at least 1.
	WarmupSteps int

	// CheckpointEvery is in steps. Default: an eighth of the run, at most 1000.
	CheckpointEvery int
	// EvalEvery is in steps; held-out loss is also taken before the first and
	// after the last step. Default: a quarter of the run. Negative: only then.
	EvalEvery int
	// HeldoutFraction is the share of rows that is held out. Default 1/64. In
	// small corpora more rows are taken, until they make heldoutLeast
	// sequences; in large ones not all are used. Negative: none, and no
	// held-out loss.
	HeldoutFraction float64

	Events Events
}

// Bounds of the held-out part, in sequences: fewer than four say little, more
// than 256 cost time and hardly tell more.
const (
	heldoutLeast = 4
	heldoutMost  = 256
)

// Events tells what goes on. Any function may be nil. They are called from the
// goroutine of Run.
type Events struct {
	Notice     func(text string) // something the user should know, one line
	Corpus     func(Counts)      // the corpus is tokenised
	Start      func(Plan, int)   // training starts after this many steps (0, or those of the checkpoint)
	Step       func(Step)
	Eval       func(Eval)
	Checkpoint func(step int)
}

// Step is one line of train.jsonl. Losses and norm are those of the weights
// before the update.
type Step struct {
	Step     int     `json:"step"`
	Tokens   int64   `json:"tokens"`    // seen so far, this step's included
	Loss     float32 `json:"loss"`      // mean over next-token positions, nats
	ZLoss    float32 `json:"z_loss"`    // weighted; not part of Loss
	GradNorm float32 `json:"grad_norm"` // before clipping
	LR       float64 `json:"lr"`
}

// Eval is one line of train.jsonl: the held-out loss after a step.
type Eval struct {
	Step        int     `json:"step"`
	Tokens      int64   `json:"tokens"`
	HeldoutLoss float64 `json:"heldout_loss"` // mean over next-token positions, nats
}

// Defaults returns the options with defaults filled in, except those that
// depend on the amount of data: BatchSize, MicroBatch, WarmupSteps,
// CheckpointEvery and EvalEvery, which a Plan has.
func (o Options) Defaults(modelLength int) Options {
	set(&o.SequenceLength, modelLength)
	set(&o.Precision, lm.AutoPrecision)
	set(&o.Checkpointing, AutoCheckpointing)
	set(&o.Epochs, 1)
	set(&o.LearningRate, 1e-3)
	set(&o.Beta1, 0.9)
	set(&o.Beta2, 0.95)
	set(&o.Eps, 1e-15)
	set(&o.ClipNorm, 1)
	set(&o.ZLoss, 1e-4)
	set(&o.HeldoutFraction, 1.0/64)
	o.ZLoss = max(o.ZLoss, 0)
	o.HeldoutFraction = max(o.HeldoutFraction, 0)
	return o
}

// set gives a zero field its default.
func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate lists every fault of options that went through Defaults.
func (o Options) Validate() error {
	faults := o.validateModes()
	require := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	require(o.Output != "", "output: no model folder given")
	require(o.SequenceLength >= 2, "sequence length %d: want at least 2", o.SequenceLength)
	require(o.BatchSize >= 0, "batch size %d: want at least 1, or 0 to choose by the data", o.BatchSize)
	require(o.MicroBatch >= 0, "micro batch %d: want at least 1, or 0 for what fits", o.MicroBatch)
	if o.BatchSize > 0 && o.MicroBatch > 0 {
		require(o.BatchSize%o.MicroBatch == 0, "micro batch %d: does not divide batch size %d", o.MicroBatch, o.BatchSize)
	}
	require(o.Tokens >= 0, "tokens %d: want a positive budget, or 0 for epochs", o.Tokens)
	require(o.Epochs >= 1, "epochs %d: want at least 1", o.Epochs)
	require(positive(o.LearningRate), "learning rate %v: want a positive number", o.LearningRate)
	require(o.Beta1 > 0 && o.Beta1 < 1, "beta1 %v: want between 0 and 1", o.Beta1)
	require(o.Beta2 > 0 && o.Beta2 < 1, "beta2 %v: want between 0 and 1", o.Beta2)
	require(positive(o.Eps), "eps %v: want a positive number", o.Eps)
	require(o.WeightDecay >= 0 && !math.IsInf(o.WeightDecay, 0), "weight decay %v: want 0 or more", o.WeightDecay)
	require(positive(o.ClipNorm), "clip norm %v: want a positive number", o.ClipNorm)
	require(o.ZLoss >= 0 && !math.IsInf(o.ZLoss, 0), "z-loss %v: want 0 or more", o.ZLoss)
	require(o.WarmupSteps >= 0, "warm-up steps %d: want 0 or more", o.WarmupSteps)
	require(o.CheckpointEvery >= 0, "checkpoint every %d steps: want 0 or more", o.CheckpointEvery)
	require(o.HeldoutFraction >= 0 && o.HeldoutFraction <= 0.5, "held-out fraction %v: want at most 0.5", o.HeldoutFraction)
	return errors.Join(faults...)
}

// positive reports whether x is a positive finite number.
func positive(x float64) bool { return x > 0 && !math.IsInf(x, 0) }
