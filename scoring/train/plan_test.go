package train

import (
	"strings"
	"testing"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
)

func TestPlan(t *testing.T) {
	valid := Options{Output: "out"}.Defaults(512)
	with := func(change func(*Options)) Options {
		o := valid
		change(&o)
		return o
	}
	for name, test := range map[string]struct {
		opt       Options
		sequences int64
		batch     int
		steps     int
		warmup    int
		fault     string
	}{
		"the paper's prior": {opt: with(func(o *Options) { o.Tokens = 24000 * 256 * 512 }), sequences: 7e6, batch: 256, steps: 24000, warmup: 1200},
		"its conditional":   {opt: with(func(o *Options) { o.BatchSize = 256 }), sequences: 48828, batch: 256, steps: 190, warmup: 9},
		"one epoch, small":  {opt: valid, sequences: 3500, batch: 16, steps: 218, warmup: 10},
		"tiny":              {opt: valid, sequences: 100, batch: 8, steps: 12, warmup: 1},
		"less than a batch": {opt: valid, sequences: 3, batch: 3, steps: 1, warmup: 1},
		"two epochs":        {opt: with(func(o *Options) { o.Epochs = 2; o.BatchSize = 10 }), sequences: 105, batch: 10, steps: 20, warmup: 1},
		"repeated corpus":   {opt: with(func(o *Options) { o.Tokens = 512 * 1000; o.BatchSize = 10 }), sequences: 105, batch: 10, steps: 100, warmup: 5},
		"own warm-up":       {opt: with(func(o *Options) { o.WarmupSteps = 3 }), sequences: 3500, batch: 16, steps: 218, warmup: 3},
		"no sequence":       {opt: valid, fault: "77 tokens"},
		"no batch":          {opt: with(func(o *Options) { o.BatchSize = 16 }), sequences: 15, fault: "15 sequences of 512"},
		"budget too small":  {opt: with(func(o *Options) { o.BatchSize = 16; o.Tokens = 512 * 15 }), sequences: 16, fault: "raise the budget"},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := newPlan(test.opt, test.sequences, 4, 77, func(bool) int { return 1000 })
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) {
					t.Errorf("got %v, want an error that names %q", err, test.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if plan.BatchSize != test.batch || plan.Steps != test.steps || plan.WarmupSteps != test.warmup || plan.MicroBatch != test.batch {
				t.Errorf("batch %d (in parts of %d), %d steps, warm-up %d; want %d, %d, %d", plan.BatchSize, plan.MicroBatch, plan.Steps, plan.WarmupSteps, test.batch, test.steps, test.warmup)
			}
		})
	}
}

func TestValidateListsEveryFault(t *testing.T) {
	bad := Options{
		SequenceLength: 1, BatchSize: 6, MicroBatch: 4, Tokens: -1, Epochs: -1, LearningRate: -1, Beta1: 1, Beta2: -0.5,
		Eps: -1, WeightDecay: -1, ClipNorm: -1, WarmupSteps: -1, CheckpointEvery: -1, HeldoutFraction: 0.6, Precision: "f16", Checkpointing: "yes",
	}.Defaults(512)
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"output", "sequence length", "micro batch", "tokens", "epochs", "learning rate", "beta1", "beta2", "eps", "weight decay", "clip norm", "warm-up", "checkpoint", "held-out", "precision", "gradient checkpointing"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no fault named for %s in:\n%v", part, err)
		}
	}
	if err := (Options{Output: "out"}).Defaults(512).Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
}

func TestMicroBatchDividesAndFits(t *testing.T) {
	for _, test := range []struct{ batch, fit, want int }{{256, 1000, 256}, {256, 100, 64}, {12, 5, 4}, {7, 6, 1}, {1, 1, 1}} {
		plan, err := newPlan(Options{Output: "out", BatchSize: test.batch}.Defaults(512), 1000, 4, 0, func(bool) int { return test.fit })
		if err != nil || plan.MicroBatch != test.want {
			t.Errorf("batch %d of which %d fit: parts of %d (%v), want %d", test.batch, test.fit, plan.MicroBatch, err, test.want)
		}
	}
}

// TestActivationsAreEstimated compares with peak memory of xla:cpu runs of
// olmo-tiny: 449 MB between 4 and 32 sequences of 128 tokens, that is 125 kB a token.
func TestActivationsAreEstimated(t *testing.T) {
	config, err := lm.Preset("olmo-tiny", 4096, 512)
	if err != nil {
		t.Fatal(err)
	}
	if perToken := activations(config, Options{SequenceLength: 128, Precision: lm.Float32}, false); perToken < 112e3 || perToken > 138e3 {
		t.Errorf("estimated %d bytes a token, measured 125,000", perToken)
	}
	config.Layers = 12 // as TestCheckpointingSavesMemory measures it, 8 x 256 tokens: 790 and 209 MiB
	for recompute, mib := range map[bool]float64{false: 790, true: 209} {
		got, measured := float64(activations(config, Options{SequenceLength: 256, Precision: lm.Float32}, recompute)), mib*(1<<20)/2048
		if got < 0.8*measured || got > 1.2*measured {
			t.Errorf("12 layers, checkpointing %v: estimated %.0f bytes a token, measured %.0f", recompute, got, measured)
		}
	}
}

func TestPapersModelFits(t *testing.T) {
	large, err := lm.Preset("olmo-150m", 50280, 512)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		backend   string
		precision lm.Precision
		recompute bool
		want      int
	}{
		{backend.CPU, lm.Float32, false, 3}, {backend.CUDA, lm.Float32, false, 28}, {backend.CUDA, lm.BFloat16, false, 32}, {backend.CUDA, lm.BFloat16, true, 93},
	} {
		opt := Options{SequenceLength: 512, Precision: test.precision}
		if got := sequencesThatFit(large, opt, test.backend, test.recompute); got != test.want {
			t.Errorf("%s, %s, checkpointing %v: %d sequences, want %d", test.backend, test.precision, test.recompute, got, test.want)
		}
	}
}

// TestCheckpointingIsChosen: auto computes layers again only where that makes a sequence, or the micro-batch that was asked for, fit.
func TestCheckpointingIsChosen(t *testing.T) {
	for _, test := range []struct {
		how           Checkpointing
		micro         int
		plain, saving int // sequences that fit
		want          bool
		parts         int
	}{
		{AutoCheckpointing, 0, 8, 32, false, 8}, {AutoCheckpointing, 8, 8, 32, false, 8}, {AutoCheckpointing, 16, 8, 32, true, 16},
		{AutoCheckpointing, 0, 0, 3, true, 2}, {CheckpointingOff, 16, 8, 32, false, 16}, {CheckpointingOff, 0, 0, 0, false, 1}, {CheckpointingOn, 0, 8, 32, true, 32},
	} {
		opt := Options{Output: "out", BatchSize: 64, MicroBatch: test.micro, Checkpointing: test.how}.Defaults(512)
		plan, err := newPlan(opt, 1000, 4, 0, func(recompute bool) int {
			if recompute {
				return test.saving
			}
			return test.plain
		})
		if err != nil || plan.Recompute != test.want || plan.MicroBatch != test.parts {
			t.Errorf("%+v: checkpointing %v, parts of %d (%v)", test, plan.Recompute, plan.MicroBatch, err)
		}
	}
}
