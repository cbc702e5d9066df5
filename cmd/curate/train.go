package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/tokenizer"
	"github.com/curate-data/curate/scoring/train"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// trainFlags are the choices of a training run that users make; the rest is
// the paper's. They are flags of `curate train` and keys of a config file.
type trainFlags struct {
	Preset       string  `yaml:"preset"`
	Tokens       int64   `yaml:"tokens"`
	Epochs       int     `yaml:"epochs"`
	BatchSize    int     `yaml:"batch_size"`
	LearningRate float64 `yaml:"learning_rate"`
	Warmup       int     `yaml:"warmup_steps"`

	MicroBatch      int                 `yaml:"micro_batch,omitempty"`
	Precision       lm.Precision        `yaml:"precision,omitempty"`
	Checkpointing   train.Checkpointing `yaml:"gradient_checkpointing,omitempty"`
	CheckpointEvery int                 `yaml:"checkpoint_every,omitempty" json:"-"` // decides no byte of the model
	EvalEvery       int                 `yaml:"eval_every,omitempty"`
}

// trainOptions say what to train from what.
type trainOptions struct {
	Role           string // prior or conditional
	Output         string
	Tokenizer      string // of a prior
	From           string // model folder that a conditional starts from
	Backend        string
	Columns        shards.Columns
	SequenceLength int
	Seed           uint64
	trainFlags
}

func newTrainCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "train COMMAND", Short: "train the auxiliary models", Args: noArguments,
		Long: "Train the two models of CoLoR-Filter: a prior on a sample of the corpus, and the conditional, which is\nthe prior fine-tuned on the target. Interrupted training goes on from its last checkpoint.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTrainPriorCommand(a), newTrainConditionalCommand(a))
	return cmd
}

func newTrainPriorCommand(a *app) *cobra.Command {
	opt := trainOptions{Role: "prior", trainFlags: trainFlags{Preset: "olmo-20m"}}
	var corpus []string
	cmd := &cobra.Command{
		Use:     "prior --corpus IN... --tokenizer FILE --output DIR",
		Short:   "train a language model on a sample of the corpus",
		Long:    "Train a language model from random weights on a sample of the corpus. The folder holds the model, its loss log\n(train.jsonl), train.json and a page, train.html. The same command goes on after an interruption.\n\n" + presetHelp(),
		Example: "  curate train prior --corpus 'pool/*.parquet' --tokenizer tokenizer.json --output out/prior --preset olmo-20m --tokens 400000000\n  curate train prior --corpus pool/ --tokenizer tokenizer.json --output out/prior --preset olmo-150m --batch-size 256 --micro-batch 32 --gradient-checkpointing",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireFlags(map[string]string{"--tokenizer": opt.Tokenizer, "--output": opt.Output, "--preset": opt.Preset}); err != nil {
				return err
			}
			inputs, err := a.listInputs(cmd.Context(), append(corpus, args...))
			if err != nil {
				return err
			}
			return a.finishStage(runTrain(cmd.Context(), a, inputs, opt))
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&corpus, "corpus", nil, "files, globs, folders or @list to train on (more may follow as arguments)")
	flags.StringVar(&opt.Tokenizer, "tokenizer", "", "tokenizer.json of the model")
	flags.StringVar(&opt.Preset, "preset", opt.Preset, "size: olmo-150m (the paper's), olmo-60m, olmo-20m, olmo-tiny or olmo-nano")
	addTrainFlags(flags, &opt)
	return cmd
}

func newTrainConditionalCommand(a *app) *cobra.Command {
	opt := trainOptions{Role: "conditional", trainFlags: trainFlags{Epochs: 1}}
	var target []string
	cmd := &cobra.Command{
		Use:     "conditional --from DIR --target IN... --output DIR",
		Short:   "fine-tune a prior on the target",
		Long:    "Fine-tune a language model on the target. The prior may be of any family that curate loads (see docs/TRAINING.md);\nits tokenizer is used and copied. Weights of 16 bits are widened: training and the model it writes are float32.",
		Example: "  curate train conditional --from out/prior --target target.parquet --output out/conditional\n  curate train conditional --from s3://b/prior --target s3://b/target/ --output s3://b/conditional",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireFlags(map[string]string{"--from": opt.From, "--output": opt.Output}); err != nil {
				return err
			}
			inputs, err := a.listInputs(cmd.Context(), append(target, args...))
			if err != nil {
				return err
			}
			return a.finishStage(runTrain(cmd.Context(), a, inputs, opt))
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&target, "target", nil, "files, globs, folders or @list of the target (more may follow as arguments)")
	flags.StringVar(&opt.From, "from", "", "folder of the prior")
	addTrainFlags(flags, &opt)
	return cmd
}

func addTrainFlags(flags *pflag.FlagSet, opt *trainOptions) {
	flags.StringVarP(&opt.Output, "output", "o", "", "folder for the model")
	flags.Int64Var(&opt.Tokens, "tokens", 0, "tokens to train on; 0 means all, --epochs times")
	flags.IntVar(&opt.Epochs, "epochs", max(1, opt.Epochs), "passes over the data when --tokens is 0")
	flags.IntVar(&opt.BatchSize, "batch-size", 0, "sequences of a step; 0 means 8 to 256 (the paper's), as many as leave 200 steps")
	flags.IntVar(&opt.MicroBatch, "micro-batch", 0, "sequences whose activations are held at a time, gradients are added up over the batch; 0 means what fits")
	flags.IntVar(&opt.SequenceLength, "sequence-length", 512, "tokens of a sequence")
	flags.Float64Var(&opt.LearningRate, "learning-rate", 0, "peak learning rate; 0 means the paper's 1e-3")
	flags.IntVar(&opt.Warmup, "warmup-steps", 0, "steps of linear warm-up; 0 means 5 % of all steps")
	flags.StringVar((*string)(&opt.Precision), "precision", string(lm.AutoPrecision), "forward and backward pass in f32 or bf16; auto is bf16 on xla:cuda; weights and optimizer are float32 in both")
	flags.StringVar((*string)(&opt.Checkpointing), "gradient-checkpointing", string(train.AutoCheckpointing), "compute layers again in the backward pass, for memory: on, off, or auto where a batch would not fit")
	flags.Lookup("gradient-checkpointing").NoOptDefVal = string(train.CheckpointingOn)
	flags.IntVar(&opt.CheckpointEvery, "checkpoint-every", 0, "steps between checkpoints; 0 means an eighth of the run, at most 1000")
	flags.IntVar(&opt.EvalEvery, "eval-every", 0, "steps between held-out losses; 0 means a quarter of the run, -1 only at start and end")
	flags.Uint64Var(&opt.Seed, "seed", 0, "seed of initial weights, sampling and order")
	addBackendFlag(flags, &opt.Backend)
	addColumnFlags(flags, &opt.Columns)
}

// settled are the choices with those that were left out.
func (f trainFlags) settled() trainFlags {
	f.Precision = cmp.Or(f.Precision, lm.AutoPrecision)
	f.Checkpointing = cmp.Or(f.Checkpointing, train.AutoCheckpointing)
	return f
}

// options are those of a run into a local folder.
func (o trainOptions) options(work string) train.Options {
	return train.Options{
		Output: work, SequenceLength: o.SequenceLength, BatchSize: o.BatchSize, Tokens: o.Tokens, Epochs: o.Epochs,
		Seed: o.Seed, LearningRate: o.LearningRate, WarmupSteps: o.Warmup, MicroBatch: o.MicroBatch, Precision: o.Precision,
		Checkpointing: o.Checkpointing, CheckpointEvery: o.CheckpointEvery, EvalEvery: o.EvalEvery,
	}
}

// validate names the choices that no run can have.
func (o trainOptions) validate() error {
	return o.options(o.Output).Defaults(o.SequenceLength).Validate()
}

// presetHelp lists the presets with their sizes under the paper's tokenizer.
func presetHelp() string {
	const vocabulary, length = 50280, 512
	text := "Presets, with the parameters of the layers, and of all with the two matrices of a vocabulary of 50,280:\n"
	for _, name := range lm.PresetNames() {
		config, err := lm.Preset(name, vocabulary, length)
		if err != nil {
			continue
		}
		all := config.NumParams()
		text += fmt.Sprintf("  %-10s %8s %8s   width %d, %d layers, %d heads, MLP %d\n", name,
			millions(all-2*int64(config.Embeddings*config.Width)), millions(all), config.Width, config.Layers, config.Heads, config.Hidden)
	}
	return text
}

// runTrain trains one model unless the folder holds exactly that model.
func runTrain(ctx context.Context, a *app, inputs []shards.Input, opt trainOptions) (_ stageResult, err error) {
	if err := opt.validate(); err != nil {
		return stageResult{}, usageError{err}
	}
	s, ctx, err := newStage(ctx, a, "train", opt.Output, inputs)
	if err != nil {
		return stageResult{}, err
	}
	defer s.close(&err)
	opt.trainFlags = opt.trainFlags.settled()
	s.options = map[string]any{"role": opt.Role, "training": opt.trainFlags, "sequence_length": opt.SequenceLength, "seed": opt.Seed, "text_column": opt.Columns.Text}
	tokenizerFile := opt.Tokenizer
	if opt.From != "" {
		from, err := s.digestModel(ctx, opt.From)
		if err != nil {
			return stageResult{}, err
		}
		s.models = []shards.ManifestModel{{Role: "prior", Digest: from.weights}}
		tokenizerFile = joinPlace(opt.From, "tokenizer.json")
	}
	tok, err := a.loadTokenizer(ctx, tokenizerFile)
	if err != nil {
		return stageResult{}, err
	}
	s.tokenizer = tok.Digest()
	if result, done, err := s.done(ctx, opt.Backend); done || err != nil {
		return result, err
	}
	work, err := openWorkFolder(ctx, opt.Output)
	if err != nil {
		return stageResult{}, err
	}
	defer work.release()
	if err := s.train(ctx, tok, work.store.Root, inputs, opt); err != nil {
		return stageResult{}, err
	}
	return s.finishModel(ctx, work)
}

// train trains the model in a local folder, or goes on there.
func (s *stage) train(ctx context.Context, tok *tokenizer.Tokenizer, work string, inputs []shards.Input, opt trainOptions) error {
	model, err := initialModel(ctx, s.app, opt, tok)
	if err != nil {
		return err
	}
	be, err := openBackend(s.app, opt.Backend)
	if err != nil {
		return err
	}
	defer be.Close()
	s.backend = be.Name
	var task *progress.Task
	options := opt.options(work)
	options.Events = trainEvents(s.app, opt.Role, &task)
	corpus := train.Corpus{Source: corpusSource{inputs, opt.Columns}, Key: s.dataKey()}
	result, err := train.Run(ctx, be, model, tok, corpus, options)
	if task != nil {
		task.Done()
	}
	if err != nil {
		return fmt.Errorf("train %s: %w", opt.Role, err)
	}
	s.detail = result
	return writeTrainPage(work, opt, model.Config, result)
}

// trainEvents shows training as a progress task, which begins once the corpus
// is tokenised and the number of steps is known.
func trainEvents(a *app, role string, task **progress.Task) train.Events {
	var seen int64
	return train.Events{
		Notice: func(text string) { a.say("train %s: %s", role, text) },
		Start: func(plan train.Plan, done int) {
			perStep := int64(plan.BatchSize) * int64(plan.SequenceLength)
			*task = a.progress.Start("train "+role, "tok", int64(plan.Steps-done)*perStep)
			seen = int64(done) * perStep
		},
		Step: func(step train.Step) {
			(*task).Add(step.Tokens - seen)
			(*task).Note(fmt.Sprintf("loss %.3f", step.Loss))
			seen = step.Tokens
		},
	}
}

// initialModel is the prior's random start, or the prior to fine-tune.
func initialModel(ctx context.Context, a *app, opt trainOptions, tok *tokenizer.Tokenizer) (*lm.Model, error) {
	if opt.From != "" {
		model, err := a.loadModel(ctx, opt.From)
		if err != nil {
			return nil, err
		}
		return model, checkVocabulary(tok, model.Config, opt.From)
	}
	config, err := lm.Preset(opt.Preset, tok.VocabSize(), opt.SequenceLength)
	if err != nil {
		return nil, usageError{err}
	}
	endOfText, err := endOfTextID(tok.ID)
	if err != nil {
		return nil, fmt.Errorf("tokenizer %s: %w", opt.Tokenizer, err)
	}
	padding := endOfText
	if id, ok := tok.ID("<|padding|>"); ok {
		padding = id
	}
	if config, err = config.WithSpecialTokens(int(endOfText), int(padding)); err != nil {
		return nil, err
	}
	return lm.Init(config, opt.Seed)
}

// endOfTextID returns the id of the token that joins documents, under the
// first of the names that tokenizers in use give it.
func endOfTextID(id func(token string) (int32, bool)) (int32, error) {
	names := []string{"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>"}
	for _, name := range names {
		if found, ok := id(name); ok {
			return found, nil
		}
	}
	return 0, fmt.Errorf("no token that ends a text and joins documents: none of %s", strings.Join(names, ", "))
}

// dataKey identifies what training reads: a checkpoint of other data is void.
func (s *stage) dataKey() string {
	parts := []string{s.tokenizer}
	for _, in := range s.inputs {
		parts = append(parts, in.Shard, in.digest)
	}
	for _, m := range s.models {
		parts = append(parts, m.Digest)
	}
	return shards.UnitKey(parts...)
}

// finishModel publishes a model folder: config.json after the other files, since
// a folder without it is not taken for a model, and the manifest last.
func (s *stage) finishModel(ctx context.Context, work *workFolder) (stageResult, error) {
	names := slices.Concat(trainedFiles, []string{"model.safetensors", "tokenizer.json", "config.json"})
	if work.remote {
		if err := s.remove(ctx, "config.json"); err != nil {
			return stageResult{}, err
		}
	}
	for _, name := range names {
		unit, err := s.adopt(ctx, work.store, name)
		if err != nil {
			return stageResult{}, fmt.Errorf("publish %s: %w", name, err)
		}
		s.units = append(s.units, unit)
	}
	result, err := s.finish(ctx)
	if err == nil && work.remote {
		work.keep(ctx, s.units)
	}
	return result, err
}

// workFolder is the local folder that a model is trained in: its output, or,
// when that is remote, a folder in the cache that belongs to that output.
type workFolder struct {
	store   *local.Store
	remote  bool
	release func() error
}

func openWorkFolder(ctx context.Context, output string) (*workFolder, error) {
	if path, ok := localPath(output); ok {
		return &workFolder{store: local.New(path), release: func() error { return nil }}, nil
	}
	folder, err := cacheFolder("training", shards.UnitKey(output))
	if err != nil {
		return nil, err
	}
	_, release, err := local.New(folder).Lock(ctx)
	if err != nil {
		return nil, fmt.Errorf("train for %s: %w", output, err)
	}
	// The model is below the folder, which keeps its lock when the model goes.
	return &workFolder{local.New(filepath.Join(folder, "model")), true, release}, nil
}

// keep moves the finished model to where fetchModel looks for it; failing that
// it will be fetched.
func (w *workFolder) keep(ctx context.Context, units []shards.Unit) {
	contents := map[string]copiedFile{}
	for _, unit := range units {
		contents[unit.File] = copiedFile{unit.Size, unit.SHA256}
	}
	folder, err := cacheFolder("models", copyKey(contents))
	if err != nil || os.MkdirAll(filepath.Dir(folder), 0o755) != nil || publishCopy(ctx, w.store.Root, folder, contents) != nil {
		os.RemoveAll(w.store.Root)
	}
}
