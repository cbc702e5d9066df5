package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/tokenizer"
)

// Files in the model folder beside the model's own.
const (
	LogFile    = "train.jsonl" // loss log: Step and Eval lines
	ResultFile = "train.json"  // Result; written last, so its presence says that the run is done
	workFolder = ".train"      // token files and checkpoint, removed at the end
)

// Result is what a finished run leaves in train.json.
type Result struct {
	Key         string   `json:"key"` // digest of all that decides the outcome
	Backend     string   `json:"backend"`
	From        string   `json:"from"`      // digest of the model that training started from
	Model       string   `json:"model"`     // digest of the model written
	Tokenizer   string   `json:"tokenizer"` // digest
	Seed        uint64   `json:"seed"`
	Plan        Plan     `json:"plan"`
	Tokens      int64    `json:"tokens"` // seen
	Counts      Counts   `json:"counts"`
	LastLoss    float32  `json:"last_loss"`              // of the last step
	HeldoutFrom *float64 `json:"heldout_from,omitempty"` // held-out loss before the first step
	Heldout     *float64 `json:"heldout,omitempty"`      // and after the last

	Reused bool `json:"-"` // the folder was done already; nothing was trained
}

// Run trains init on corpus and writes the model folder opt.Output. Training a
// prior and fine-tuning a conditional are the same run from other weights: only
// weights are taken over, optimiser and schedule begin anew.
//
// When ctx ends, Run stops after the current step with a checkpoint and returns
// an error that wraps ctx.Err(). A run that was stopped, or killed at any
// moment, goes on from its last checkpoint when Run is called again with equal
// arguments, and ends in the same bytes; a folder that is done is left as is.
// One process at a time may use a folder. init is not changed.
func Run(ctx context.Context, be *backend.Backend, init *lm.Model, tok *tokenizer.Tokenizer, corpus Corpus, opt Options) (Result, error) {
	opt = opt.Defaults(init.Config.MaxSequenceLength)
	if err := opt.Validate(); err != nil {
		return Result{}, fmt.Errorf("training options: %w", err)
	}
	var err error
	if opt.Precision, err = opt.Precision.On(be.Name); err != nil {
		return Result{}, fmt.Errorf("training options: %w", err)
	}
	if tok.VocabSize() > init.Config.VocabSize {
		return Result{}, fmt.Errorf("train: the tokenizer has %d ids but the model's vocabulary is %d: this model was made for another tokenizer",
			tok.VocabSize(), init.Config.VocabSize)
	}
	if opt.SequenceLength > init.Config.MaxSequenceLength {
		return Result{}, fmt.Errorf("train: sequences of %d tokens are longer than the model's %d", opt.SequenceLength, init.Config.MaxSequenceLength)
	}
	endOfText, err := init.Config.EndOfText()
	if err != nil {
		return Result{}, fmt.Errorf("train: %w", err)
	}
	r := &run{
		be: be, init: init, tok: tok, corpus: corpus, opt: opt,
		work: filepath.Join(opt.Output, workFolder), eos: endOfText,
		result: Result{Backend: be.Name, From: init.Digest(), Tokenizer: tok.Digest(), Seed: opt.Seed},
	}
	result, err := r.run(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("train %s: %w", opt.Output, err)
	}
	return result, nil
}

// run is one call of Run.
type run struct {
	be     *backend.Backend
	init   *lm.Model
	tok    *tokenizer.Tokenizer
	corpus Corpus
	opt    Options
	work   string
	eos    int32

	data    data
	plan    Plan
	result  Result
	engine  *engine
	log     *lossLog
	train   *sequences
	heldout *sequences
	saved   int // step of the checkpoint
}

func (r *run) run(ctx context.Context) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if r.corpus.Key != "" {
		if done, ok := r.done(dataKey(r.corpus, r.tok, r.eos, r.draw())); ok {
			return done, os.RemoveAll(r.work)
		}
	}
	if err := os.MkdirAll(r.work, 0o755); err != nil {
		return Result{}, err
	}
	var err error
	if r.data, err = prepare(ctx, r.work, r.corpus, r.tok, r.eos, r.draw()); err != nil {
		return Result{}, err
	}
	if done, ok := r.done(r.data.identity()); ok {
		return done, os.RemoveAll(r.work)
	}
	if err := r.open(); err != nil {
		return Result{}, err
	}
	defer r.close()
	done, err := r.start()
	if err != nil {
		return Result{}, err
	}
	if err := r.steps(ctx, done); err != nil {
		return Result{}, err
	}
	return r.result, r.publish()
}

// draw says what to take from the corpus.
func (r *run) draw() draw {
	length := int64(r.opt.SequenceLength)
	d := draw{
		seed: r.opt.Seed, budget: noBudget, heldoutFraction: r.opt.HeldoutFraction,
		heldoutMin: heldoutLeast * length, heldoutMax: heldoutMost * length,
	}
	if r.opt.Tokens > 0 {
		d.budget = r.opt.Tokens
	}
	return d
}

// identity names the tokens: by the corpus's key, else by their digests.
func (d data) identity() string {
	if d.Key != "" {
		return d.Key
	}
	return d.Train + d.Heldout
}

// key names all that decides the bytes of the outcome.
func (r *run) key(data string) string {
	opt := r.opt
	opt.Output, opt.Events, opt.CheckpointEvery = "", Events{}, 0
	return keyOf("train-1", r.be.Name, r.result.From, r.result.Tokenizer, data, opt)
}

// done returns the result of a folder that this run has nothing to add to.
func (r *run) done(data string) (Result, bool) {
	var found Result
	text, err := os.ReadFile(filepath.Join(r.opt.Output, ResultFile))
	if err != nil || json.Unmarshal(text, &found) != nil || found.Key != r.key(data) {
		return Result{}, false
	}
	found.Reused = true
	return found, true
}

// open settles the plan and opens token files and graphs.
func (r *run) open() (err error) {
	// An older result no longer describes what the folder will hold.
	if err := os.Remove(filepath.Join(r.opt.Output, ResultFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	r.result.Key, r.result.Counts = r.key(r.data.identity()), r.data.Counts
	if r.opt.Events.Corpus != nil {
		r.opt.Events.Corpus(r.data.Counts)
	}
	if r.train, err = openSequences(filepath.Join(r.work, trainFile), r.data.Width, r.opt.SequenceLength); err != nil {
		return err
	}
	if r.heldout, err = openSequences(filepath.Join(r.work, heldoutFile), r.data.Width, r.opt.SequenceLength); err != nil {
		return err
	}
	r.heldout.count = min(r.heldout.count, heldoutMost)
	fits := func(recompute bool) int { return sequencesThatFit(r.init.Config, r.opt, r.be.Name, recompute) }
	if r.plan, err = newPlan(r.opt, r.train.count, r.heldout.count, r.data.Counts.TrainTokens, fits); err != nil {
		return err
	}
	r.result.Plan, r.result.Tokens = r.plan, r.plan.Tokens(r.plan.Steps)
	if r.opt.HeldoutFraction > 0 && r.heldout.count == 0 {
		r.notice("the corpus is too small to hold out a sequence: there will be no held-out loss")
	}
	if r.plan.Epochs > 1 && r.opt.Tokens > 0 {
		r.notice(fmt.Sprintf("the corpus has fewer tokens than the budget of %d: it is repeated %.1f times", r.opt.Tokens, r.plan.Epochs))
	}
	r.engine, err = newEngine(r.be, r.init.Config, r.opt, r.plan)
	return err
}

func (r *run) notice(text string) {
	if r.opt.Events.Notice != nil {
		r.opt.Events.Notice(text)
	}
}

// close closes files; what had to be durable is synced where it matters.
func (r *run) close() {
	for _, s := range []*sequences{r.train, r.heldout} {
		if s != nil {
			s.close()
		}
	}
	if r.log != nil {
		r.log.close()
	}
}

// start loads the checkpoint, or the weights to start from, and returns the
// steps done.
func (r *run) start() (int, error) {
	path, logPath := filepath.Join(r.work, checkpointFile), filepath.Join(r.opt.Output, LogFile)
	head, err := readCheckpoint(path, r.result.Key, r.engine)
	if err == nil {
		r.log, err = openLog(logPath, head.LogSize)
	}
	if errors.Is(err, errNoCheckpoint) {
		if _, missing := os.Stat(path); missing == nil {
			r.notice("training starts anew: " + err.Error())
		}
		return 0, r.startAnew(logPath)
	}
	if err != nil {
		return 0, err
	}
	if err := r.recall(logPath); err != nil {
		return 0, err
	}
	r.saved = head.Step
	r.started(head.Step)
	return head.Step, nil
}

// startAnew begins at step 0 with the held-out loss of the start weights.
func (r *run) startAnew(logPath string) (err error) {
	if r.log, err = openLog(logPath, 0); err != nil {
		return err
	}
	r.engine.start(r.init)
	r.started(0)
	return r.evaluate(0)
}

func (r *run) started(done int) {
	if r.opt.Events.Start != nil {
		r.opt.Events.Start(r.plan, done)
	}
}

// recall takes from the log what the result needs of the steps done.
func (r *run) recall(logPath string) error {
	steps, evals, err := ReadLog(logPath)
	if err != nil {
		return err
	}
	if len(evals) > 0 {
		r.result.HeldoutFrom, r.result.Heldout = &evals[0].HeldoutLoss, &evals[len(evals)-1].HeldoutLoss
	}
	if len(steps) > 0 {
		r.result.LastLoss = steps[len(steps)-1].Loss
	}
	return nil
}

// publish writes the model folder, then the result that makes it complete, and
// removes the working files.
func (r *run) publish() error {
	params, err := r.engine.weights()
	if err != nil {
		return err
	}
	model := &lm.Model{Config: r.init.Config, Params: params}
	if err := model.Save(r.opt.Output, r.tok.JSON()); err != nil {
		return err
	}
	r.result.Model = model.Digest()
	if err := r.log.sync(); err != nil {
		return err
	}
	err = lm.WriteFile(filepath.Join(r.opt.Output, ResultFile), func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r.result)
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", ResultFile, err)
	}
	return os.RemoveAll(r.work)
}
