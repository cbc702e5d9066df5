package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/tokenizer"
)

// job is a small run that tests change and repeat.
type job struct {
	be     *backend.Backend
	init   *lm.Model
	tok    *tokenizer.Tokenizer
	corpus Corpus
	opt    Options
}

// newJob is a run of 24 steps on the pure-Go backend: seconds.
func newJob(t *testing.T, be *backend.Backend) job {
	t.Helper()
	tok := byteTokenizer(t)
	small, err := lm.Load("testdata/olmo/model")
	if err != nil {
		t.Fatal(err)
	}
	keys := small.Config.Keys
	for key, n := range map[string]int{"vocab_size": tok.VocabSize(), "embedding_size": tok.VocabSize(), "max_sequence_length": 64} {
		keys[key] = json.RawMessage(strconv.Itoa(n))
	}
	raw, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	var config lm.Config
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	init, err := lm.Init(config, 1)
	if err != nil {
		t.Fatal(err)
	}
	return job{
		be: be, init: init, tok: tok, corpus: Corpus{Source: oneShard(prose(60)...), Key: "prose"},
		opt: Options{Output: filepath.Join(t.TempDir(), "model"), SequenceLength: 16, BatchSize: 4, Tokens: 24 * 4 * 16, Seed: 5, CheckpointEvery: 5, EvalEvery: 7, HeldoutFraction: 0.1},
	}
}

func (j job) run(ctx context.Context) (Result, error) {
	return Run(ctx, j.be, j.init, j.tok, j.corpus, j.opt)
}

func openGo(t *testing.T) *backend.Backend {
	t.Helper()
	be, err := backend.Open(backend.Go)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { be.Close() })
	return be
}

// outputs are the files whose bytes a run decides.
func outputs(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		if e.IsDir() {
			t.Errorf("folder %s is left in the output", e.Name())
			continue
		}
		files[e.Name()] = string(readAll(t, filepath.Join(dir, e.Name())))
	}
	for _, name := range []string{"model.safetensors", "config.json", "tokenizer.json", LogFile, ResultFile} {
		if files[name] == "" {
			t.Errorf("%s is missing or empty", name)
		}
	}
	return files
}

func sameFiles(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %s differs from that of an uninterrupted run", what, name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d files, want %d", what, len(got), len(want))
	}
}

func TestRunLearnsAndTells(t *testing.T) {
	openBackends(t, func(t *testing.T, be *backend.Backend) {
		j := newJob(t, be)
		j.opt.LearningRate = 1e-2 // a tiny model, few steps
		var counts Counts
		var plan Plan
		var steps []Step
		var evals []Eval
		j.opt.Events = Events{
			Corpus: func(c Counts) { counts = c },
			Start:  func(p Plan, done int) { plan = p },
			Step:   func(s Step) { steps = append(steps, s) },
			Eval:   func(e Eval) { evals = append(evals, e) },
		}
		result, err := j.run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if result.Backend != be.Name || plan.Steps != 24 || len(steps) != 24 || counts.Rows != 60 || result.Tokens != 24*4*16 {
			t.Errorf("result %+v, %d steps told", result, len(steps))
		}
		var at []int
		for _, e := range evals {
			at = append(at, e.Step)
		}
		if !slices.Equal(at, []int{0, 7, 14, 21, 24}) {
			t.Errorf("held-out loss after steps %v", at)
		}
		if first, last := evals[0].HeldoutLoss, evals[len(evals)-1].HeldoutLoss; first < 5 || last > first-1 {
			t.Errorf("held-out loss went from %v to %v: want it to start near ln 257 and fall by more than a nat", first, last)
		}
		if *result.HeldoutFrom != evals[0].HeldoutLoss || *result.Heldout != evals[4].HeldoutLoss || result.LastLoss != steps[23].Loss {
			t.Error("the result tells other losses than the events")
		}
		logged, loggedEvals, err := ReadLog(filepath.Join(j.opt.Output, LogFile))
		if err != nil || !slices.Equal(logged, steps) || !slices.Equal(loggedEvals, evals) {
			t.Errorf("the log tells other losses than the events (%v)", err)
		}
		model, err := lm.Load(j.opt.Output)
		if err != nil || model.Digest() != result.Model {
			t.Errorf("the model does not load back as it was: %v", err)
		}
		outputs(t, j.opt.Output)
	})
}

// TestStoppedRunsGoOn stops by context after random steps, and ends in the bytes
// of a run that was never stopped.
func TestStoppedRunsGoOn(t *testing.T) {
	openBackends(t, func(t *testing.T, be *backend.Backend) {
		whole := newJob(t, be)
		if _, err := whole.run(context.Background()); err != nil {
			t.Fatal(err)
		}
		j := newJob(t, be)
		random := rand.New(rand.NewPCG(1, 3))
		done := 0
		for done < 24 {
			ctx, cancel := context.WithCancel(context.Background())
			stopAt := done + 1 + random.IntN(16)
			j.opt.Events = Events{
				Start: func(_ Plan, from int) {
					if from != done {
						t.Errorf("went on from step %d, want %d", from, done)
					}
				},
				Step: func(s Step) {
					if s.Step == stopAt {
						cancel()
					}
				},
			}
			_, err := j.run(ctx)
			cancel()
			if stopAt >= 24 {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("stopped after step %d: %v", stopAt, err)
			}
			done = stopAt
		}
		sameFiles(t, "resumed", outputs(t, j.opt.Output), outputs(t, whole.opt.Output))
	})
}

// crash is what the tests' events panic with: Run gets no chance to tidy up.
type crash struct{}

// TestCrashedRunsGoOn dies within random steps and leaves what a crash leaves:
// a log that is ahead of the checkpoint, half-written files.
func TestCrashedRunsGoOn(t *testing.T) {
	be := openGo(t)
	whole := newJob(t, be)
	if _, err := whole.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := outputs(t, whole.opt.Output)
	for _, at := range []int{1, 4, 6, 11, 23, 24} {
		j := newJob(t, be)
		j.opt.Events.Step = func(s Step) {
			if s.Step == at {
				panic(crash{})
			}
		}
		func() {
			defer func() {
				if _, ok := recover().(crash); !ok {
					t.Fatal("the run did not crash")
				}
			}()
			j.run(context.Background())
		}()
		j.opt.Events = Events{}
		work := filepath.Join(j.opt.Output, workFolder)
		for name, text := range map[string]string{
			filepath.Join(work, checkpointFile+".tmp"): "half a check", filepath.Join(work, spoolFile): "x",
			filepath.Join(j.opt.Output, ResultFile+".tmp"): "{",
		} {
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		appendTo(t, filepath.Join(j.opt.Output, LogFile), `{"step":`+strings.Repeat(" ", 1<<14))
		if _, err := j.run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(j.opt.Output, ResultFile+".tmp")); err == nil {
			t.Error("a half-written result is left")
		}
		sameFiles(t, "after a crash", outputs(t, j.opt.Output), want)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestDoneFoldersAreLeftAlone(t *testing.T) {
	j := newJob(t, openGo(t))
	src := j.corpus.Source.(*textSource)
	first, err := j.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	j.opt.Events.Step = func(Step) { steps++ }
	again, err := j.run(context.Background())
	if err != nil || !again.Reused || again.Model != first.Model || steps != 0 || src.reads != 1 {
		t.Errorf("a second run: %v, reused %v, %d steps, corpus read %d times", err, again.Reused, steps, src.reads)
	}
	j.corpus.Key = "" // the tokens are compared instead; they are found to differ in nothing
	keyless, err := j.run(context.Background())
	if err != nil || keyless.Reused || steps != 24 {
		t.Errorf("without a key: %v, reused %v, %d steps", err, keyless.Reused, steps)
	}
	if again, err = j.run(context.Background()); err != nil || !again.Reused || steps != 24 || src.reads != 3 {
		t.Errorf("without a key, again: %v, reused %v, %d steps, corpus read %d times", err, again.Reused, steps, src.reads)
	}
	j.opt.LearningRate = 2e-3
	if other, err := j.run(context.Background()); err != nil || other.Reused || steps != 48 || other.Model == first.Model {
		t.Errorf("another learning rate: %v, reused %v, %d steps", err, other.Reused, steps)
	}
}

// TestConditionalStartsFromWeightsOnly fine-tunes a prior: the first held-out
// loss is the prior's on the target, and the first step is that of new moments.
func TestConditionalStartsFromWeightsOnly(t *testing.T) {
	j := newJob(t, openGo(t))
	if _, err := j.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	prior, err := lm.Load(j.opt.Output)
	if err != nil {
		t.Fatal(err)
	}
	c := newJob(t, j.be)
	c.init, c.opt.Tokens = prior, 0
	c.corpus = Corpus{Source: oneShard(prose(90)[60:]...), Key: "target"}
	result, err := c.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if result.From != prior.Digest() || result.Plan.Epochs != 1 || int64(result.Plan.Steps) != result.Plan.Sequences/4 {
		t.Errorf("result %+v", result)
	}
	if *result.HeldoutFrom > 5 {
		t.Errorf("held-out loss before the first step is %v: not that of a trained model", *result.HeldoutFrom)
	}
	if *result.Heldout >= *result.HeldoutFrom {
		t.Errorf("held-out loss on the target rose from %v to %v", *result.HeldoutFrom, *result.Heldout)
	}
	steps, _, err := ReadLog(filepath.Join(c.opt.Output, LogFile))
	if err != nil {
		t.Fatal(err)
	}
	if want := result.Plan.schedule(1e-3).At(1); steps[0].LR != want {
		t.Errorf("learning rate of the first step is %v, want %v", steps[0].LR, want)
	}
}

// TestHeldoutLossCountsEachSequenceOnce compares batches of which the last is
// not full with one sequence at a time.
func TestHeldoutLossCountsEachSequenceOnce(t *testing.T) {
	j := newJob(t, openGo(t))
	j.opt.BatchSize, j.opt.Tokens = 5, 5*16
	var losses []float64
	for _, micro := range []int{5, 1} {
		j.opt.MicroBatch = micro
		result, err := j.run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if result.Plan.Heldout%5 == 0 {
			t.Fatalf("%d held-out sequences fill their batches: the test tests nothing", result.Plan.Heldout)
		}
		losses = append(losses, *result.HeldoutFrom)
	}
	if math.Abs(losses[0]-losses[1]) > 1e-5 {
		t.Errorf("held-out loss is %v in batches of five, %v one by one", losses[0], losses[1])
	}
}

// TestEpochsVisitEverySequenceOnce trains on nothing: it asks for the batches.
func TestEpochsVisitEverySequenceOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	w, err := newTokenWriter(path, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int32(23 * 3) { // sequence i is 3i, 3i+1, 3i+2
		if err := w.append([]int32{i}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.finish(); err != nil {
		t.Fatal(err)
	}
	source, err := openSequences(path, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer source.close()
	r := &run{train: source, plan: Plan{Sequences: 23, SequenceLength: 3, BatchSize: 4, StepsPerEpoch: 5}}
	var orders [2][]int32
	for step := 1; step <= 10; step++ {
		tokens := make([]int32, 12)
		if err := r.batch(step, tokens); err != nil {
			t.Fatal(err)
		}
		for at := 0; at < 12; at += 3 {
			if tokens[at]%3 != 0 || tokens[at+1] != tokens[at]+1 || tokens[at+2] != tokens[at]+2 {
				t.Fatalf("step %d: %v is no sequence", step, tokens[at:at+3])
			}
			epoch := (step - 1) / 5
			if slices.Contains(orders[epoch], tokens[at]) {
				t.Errorf("epoch %d visits sequence %d twice", epoch, tokens[at]/3)
			}
			orders[epoch] = append(orders[epoch], tokens[at])
		}
	}
	if slices.Equal(orders[0], orders[1]) {
		t.Error("both epochs have the same order")
	}
}

func TestRunRefusesWhatCannotWork(t *testing.T) {
	be := openGo(t)
	for name, test := range map[string]struct {
		change func(*job)
		want   string
	}{
		"tokenizer of another model": {func(j *job) { j.init.Config.VocabSize = 256 }, "257 ids but the model's vocabulary is 256"},
		"no end of text":             {func(j *job) { j.init.Config.EOSTokenID = -1 }, "eos_token_id"},
		"sequence too long":          {func(j *job) { j.opt.SequenceLength = 65 }, "longer than the model's 64"},
		"empty corpus":               {func(j *job) { j.corpus.Source = oneShard(nil, "") }, "0 tokens"},
		"corpus of one word":         {func(j *job) { j.corpus.Source = oneShard("Ishmael.") }, "too few for one sequence of 16"},
		"corpus under a batch":       {func(j *job) { j.opt.BatchSize = 5000; j.opt.Tokens = 0 }, "too few for one batch of 5000"},
		"learning rate":              {func(j *job) { j.opt.LearningRate = 1e30 }, "diverged at step"},
		"faults of options":          {func(j *job) { j.opt.ClipNorm = -1 }, "clip norm -1"},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJob(t, be)
			test.change(&j)
			_, err := j.run(context.Background())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that says %q", err, test.want)
			}
			if _, err := os.Stat(filepath.Join(j.opt.Output, ResultFile)); err == nil {
				t.Error("a run that failed left a result")
			}
		})
	}
}

func TestResultFileIsTheResult(t *testing.T) {
	j := newJob(t, openGo(t))
	result, err := j.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.MarshalIndent(result, "", "  ")
	if got := readAll(t, filepath.Join(j.opt.Output, ResultFile)); !bytes.Equal(bytes.TrimSpace(got), want) {
		t.Errorf("train.json is\n%s\nwant\n%s", got, want)
	}
}
