package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/spf13/cobra"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/tokenizer"
	"github.com/curate-data/curate/shards"
)

// scoreOptions say how the losses of a pool are computed.
type scoreOptions struct {
	Prior, Conditional string // model folders
	Output             string
	Backend            string
	Columns            shards.Columns
	Scoring            scoring.Options
	Precision          lm.Precision
	Devices            string // how many get the models, or all; "": every GPU, one CPU
}

const scoreHelp = `Score every document (or sequence) of the shards with a prior and a conditional model, in one
pass over one tokenisation, and write a sidecar of losses per work unit: shard, row, seq, id,
domain, token_count, prior_loss, conditional_loss, color_score, reason. Losses are nats per token;
color_score = prior_loss - conditional_loss, higher = keep. A second run does only what is new.

--memory bounds what models and batches may take: of a GPU, or of the process. Models then take
turns on a batch, and batches get smaller; the size of batches decides the last bits of losses, so
it is part of what a second run compares. Without --memory it is 4096 tokens on a CPU (32768 on a
GPU), or what fits into half of the memory that is free. Should memory run out nevertheless, the
run goes on with smaller batches.`

func newScoreCommand(a *app) *cobra.Command {
	var opt scoreOptions
	unit := string(scoring.Document)
	cmd := &cobra.Command{
		Use:   "score --prior DIR --conditional DIR --output DIR IN...",
		Short: "losses of both models for every document",
		Long:  scoreHelp + "\n" + exitHelp,
		Example: `  curate score --prior out/prior --conditional out/cond --output out/scores 'pool/**/*.parquet'
  curate score --prior s3://b/prior --conditional s3://b/cond --output s3://b/scores 's3://b/pool/**/*.parquet'
  curate score --prior P --conditional C --output S --text-column content --unit sequence @shards.txt
  curate score --prior P --conditional C --output S --memory 4GiB --precision f32 --devices 2 'pool/*.parquet'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opt.Scoring.Unit = scoring.Unit(unit)
			if err := requireFlags(map[string]string{"--prior": opt.Prior, "--conditional": opt.Conditional, "--output": opt.Output}); err != nil {
				return err
			}
			options := opt.Scoring
			options.SequenceLength = cmp.Or(options.SequenceLength, 512)
			if err := errors.Join(options.Validate(), opt.validate()); err != nil {
				return usageError{err}
			}
			inputs, err := a.listInputs(cmd.Context(), args)
			if err != nil {
				return err
			}
			if err := opt.resolveLength(cmd.Context(), a); err != nil {
				return err
			}
			return a.finishStage(runScore(cmd.Context(), a, inputs, opt))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opt.Prior, "prior", "", "folder of the prior model")
	flags.StringVar(&opt.Conditional, "conditional", "", "folder of the conditional model")
	flags.StringVarP(&opt.Output, "output", "o", "", "folder for the sidecars")
	flags.StringVar(&unit, "unit", unit, "what gets a score: document or sequence")
	flags.IntVar(&opt.Scoring.SequenceLength, "sequence-length", 0, "tokens of a window or sequence; 0 means 512, or what the models were trained with if that is less")
	flags.IntVar(&opt.Scoring.Overlap, "overlap", 0, "tokens that windows of a long document share with the one before, as context without loss")
	flags.StringVar((*string)(&opt.Precision), "precision", string(lm.AutoPrecision), "of weights and matrix products: f32, bf16, or auto: bf16 on GPUs, else f32; norms, softmax and losses are f32")
	flags.StringVar(&opt.Devices, "devices", "", "how many devices get the models, or all; without it every GPU, and one CPU")
	addBackendFlag(flags, &opt.Backend)
	addColumnFlags(flags, &opt.Columns)
	return cmd
}

// resolveLength replaces a sequence length of 0 by the paper's 512, or by what
// the models can take.
func (o *scoreOptions) resolveLength(ctx context.Context, a *app) error {
	if o.Scoring.SequenceLength != 0 {
		return nil
	}
	o.Scoring.SequenceLength = 512
	for _, folder := range []string{o.Prior, o.Conditional} {
		config, err := a.readModelConfig(ctx, folder)
		if err != nil {
			return err
		}
		o.Scoring.SequenceLength = min(o.Scoring.SequenceLength, config.MaxSequenceLength)
	}
	if err := o.Scoring.Validate(); err != nil {
		return usageError{err} // an overlap of 300 fits 512 tokens, not 256
	}
	return nil
}

// maxModelConfig bounds a config.json, which takes a few kilobytes.
const maxModelConfig = 1 << 20

func (a *app) readModelConfig(ctx context.Context, folder string) (lm.Config, error) {
	var config lm.Config
	store, err := a.stores.Folder(ctx, folder)
	if err != nil {
		return config, err
	}
	raw, err := shards.ReadObject(ctx, store, "config.json", maxModelConfig)
	if err != nil {
		return config, fmt.Errorf("open model %s: %w (%s)", folder, err, modelHelp)
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return config, fmt.Errorf("open model %s: %w", folder, err)
	}
	return config, nil
}

// runScore scores what is not scored yet and publishes the stage's manifest.
func runScore(ctx context.Context, a *app, inputs []shards.Input, opt scoreOptions) (_ stageResult, err error) {
	s, ctx, err := newStage(ctx, a, "score", opt.Output, inputs)
	if err != nil {
		return stageResult{}, err
	}
	defer s.close(&err)
	prior, err := s.digestModel(ctx, opt.Prior)
	if err != nil {
		return stageResult{}, err
	}
	conditional, err := s.digestModel(ctx, opt.Conditional)
	if err != nil {
		return stageResult{}, err
	}
	s.models = []shards.ManifestModel{{Role: "prior", Digest: prior.weights}, {Role: "conditional", Digest: conditional.weights}}
	s.tokenizer = prior.tokenizer
	if prior.tokenizer != conditional.tokenizer {
		return stageResult{}, usagef("the models have different tokenizers: %s and %s", opt.Prior, opt.Conditional)
	}
	s.options = map[string]any{
		"unit": opt.Scoring.Unit, "sequence_length": opt.Scoring.SequenceLength, "overlap": opt.Scoring.Overlap,
		"text_column": opt.Columns.Text, "id_column": opt.Columns.ID, "domain_column": opt.Columns.Domain,
	}
	if opt.Scoring.Unit == scoring.Sequence {
		config, err := a.readModelConfig(ctx, opt.Prior)
		if err != nil {
			return stageResult{}, err
		}
		endOfText, err := config.EndOfText()
		if err != nil {
			return stageResult{}, fmt.Errorf("score sequences with model %s: %w", opt.Prior, err)
		}
		s.options["end_of_text"] = endOfText // `write` cuts the sequences again
	}
	if err := opt.asBefore(ctx, s); err != nil {
		return stageResult{}, err
	}
	if result, done, err := s.done(ctx, opt.Backend); done || err != nil {
		return result, err
	}
	pool, err := openModels(ctx, a, opt)
	if err != nil {
		return stageResult{}, err
	}
	defer pool.close()
	s.backend = pool.backend
	setComputing(s, pool.computing)
	opt.Scoring.EndOfText = pool.endOfText
	total, opened := s.totalRows(ctx)
	defer opened.close()
	task := a.progress.Start("score", string(opt.Scoring.Unit)+"s", total)
	for i := range s.inputs {
		shard, err := opened.take(ctx, i, s.inputs[i].Input)
		if err != nil {
			err = shardError{err}
		} else {
			err = scoreShard(ctx, s, &s.inputs[i], shard, pool, opt, task)
		}
		if err := s.shardFailed(ctx, &s.inputs[i], err); err != nil {
			return stageResult{}, err
		}
	}
	task.Done()
	return s.finish(ctx)
}

// models are the two models on their device, with their tokenizer.
type models struct {
	backend   string
	computing lm.ScorerOptions
	scorer    *lm.Scorer
	tokenizer *tokenizer.Tokenizer
	endOfText int32
	close     func()
}

// openModels loads both model folders and compiles nothing yet.
func openModels(ctx context.Context, a *app, opt scoreOptions) (*models, error) {
	tok, err := a.loadTokenizer(ctx, joinPlace(opt.Prior, "tokenizer.json"))
	if err != nil {
		return nil, err
	}
	var folders []*lm.Folder
	var configs []lm.Config
	for _, folder := range []string{opt.Prior, opt.Conditional} {
		model, err := a.openWeights(ctx, folder)
		if err != nil {
			return nil, err
		}
		if err := checkVocabulary(tok, model.Config, folder); err != nil {
			return nil, err
		}
		folders, configs = append(folders, model), append(configs, model.Config)
	}
	be, err := openBackend(a, opt.Backend)
	if err != nil {
		return nil, err
	}
	options, err := opt.computing(a, be, configs)
	if err != nil {
		return nil, errors.Join(err, be.Close())
	}
	scorer, err := lm.NewScorer(be, folders, options)
	if err != nil {
		return nil, errors.Join(err, be.Close())
	}
	return &models{be.Name, options, scorer, tok, int32(configs[0].EOSTokenID), func() { scorer.Close(); be.Close() }}, nil
}

// checkVocabulary refuses a tokenizer with ids that the model has no row for.
func checkVocabulary(tok *tokenizer.Tokenizer, config lm.Config, folder string) error {
	if have := config.Embeddings; tok.VocabSize() > have {
		return fmt.Errorf("model %s has %d embeddings, its tokenizer.json has ids up to %d: they do not belong together", folder, have, tok.VocabSize()-1)
	}
	return nil
}

// scoreShard scores the units of one shard that are not done, and closes it.
func scoreShard(ctx context.Context, s *stage, in *stageInput, shard *shards.Shard, pool *models, opt scoreOptions, task *progress.Task) error {
	defer shard.Close()
	in.rows = shard.NumRows()
	var rows int64
	for _, unit := range planUnits(shard, opt.Scoring.Unit) {
		name := in.Shard + "." + unit.name() + ".scores.parquet"
		record, err := s.unit(ctx, in, name, "", unit, func(ctx context.Context, out shards.Pending, record *shards.Unit) (bool, error) {
			return true, scoreUnit(ctx, shard, unit, pool, opt, out, record, task)
		})
		if err != nil {
			return err
		}
		rows += record.Counts.RowsIn
	}
	in.rows = rows
	return nil
}

// scoreUnit runs one work unit: read, tokenise, score, write the sidecar.
func scoreUnit(ctx context.Context, shard *shards.Shard, unit rowGroups, pool *models, opt scoreOptions, out shards.Pending, record *shards.Unit, task *progress.Task) error {
	options := opt.Scoring
	options.Progress = func(documents int) { task.Add(int64(documents)) }
	scorer, err := scoring.NewScorer(pool.scorer, options)
	if err != nil {
		return err
	}
	sink := &scoreSink{scorer: scorer, out: shards.NewScoreWriter(out, nil)}
	source := shardSource{shard, opt.Columns, unit}
	stages := []pipeline.Stage{scoring.NewTokenizeStage(pool.tokenizer, memory.DefaultAllocator)}
	if err := pipeline.Run(ctx, source, stages, sink); err != nil {
		return err
	}
	counts := scorer.Counts()
	record.Rows = sink.rows
	record.Tokens, record.TailTokens = counts.Tokens, counts.TailTokens
	record.DeviceTokens, record.Padding = counts.DeviceTokens, counts.Padding
	// Scored rows are kept for selection; rows without a score are dropped here
	// already, for their reason, and have no chance later.
	record.Counts = shards.Counts{RowsIn: counts.Rows, Dropped: counts.Rejected}
	record.Counts.Kept = counts.Rows
	for _, n := range counts.Rejected {
		record.Counts.Kept -= n
	}
	return nil
}

// scoreSink scores token batches and appends the rows to a sidecar. The
// caller publishes the sidecar, so Finish only completes it.
type scoreSink struct {
	scorer *scoring.Scorer
	out    *shards.ScoreWriter
	rows   int64 // written
}

func (s *scoreSink) Write(ctx context.Context, b pipeline.Batch) error {
	scores, err := s.scorer.Score(ctx, b)
	return s.append(scores, err)
}

func (s *scoreSink) append(scores *pipeline.Scores, err error) error {
	if err != nil || scores.Len() == 0 {
		return err
	}
	s.rows += int64(scores.Len())
	return s.out.Write(scores)
}

func (s *scoreSink) Finish(ctx context.Context) error {
	scores, err := s.scorer.Finish(ctx)
	if err := s.append(scores, err); err != nil {
		return err
	}
	return s.out.Close()
}

func (s *scoreSink) Abort() {}
