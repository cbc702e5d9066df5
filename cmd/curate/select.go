package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/curate-data/curate/filters/colorfilter"
	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring"
	"github.com/curate-data/curate/shards"
)

const selectHelp = `Decide which rows to keep, from the score sidecars alone. The cut is global and exact: the same
as sorting all scores of the pool, in a few megabytes of memory. Ties at the cut are kept in
(shard, row, seq) order. Rows without a finite score are never selected; --keep-fraction counts
them as rows of the pool.`

func newSelectCommand(a *app) *cobra.Command {
	var scores, output, method, earlier string
	var fraction float64
	var rows, tokens int64
	var seed uint64
	var images imageFlags
	cmd := &cobra.Command{
		Use: `select --scores DIR --output DIR (--keep-fraction F | --keep-rows N | --keep-tokens N)
  curate select --method ofds --budget B --output DIR (--objects DIR | --annotations PLACE | IN...)`,
		Short: "keep the best rows of the whole pool, or choose images",
		Long:  selectHelp + "\n" + selectImagesHelp + "\n" + exitHelp,
		Example: `  curate select --scores out/scores --output out/selection --keep-fraction 0.0625
  curate select --scores s3://b/scores --output s3://b/selection --keep-rows 100000
  curate select --scores out/scores --output out/random --method random --seed 7 --keep-tokens 2000000000
  curate select --method ofds --budget 500 --objects out/objects --output out/chosen
  curate select --method ofds --budget 500 --annotations detections.json --instances images.json --output out/chosen
  curate select --method ofds --budget 500 --option quota=sqrt --option nested=true --output out/chosen 'images/*.parquet'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := images.check(cmd, method, args); err != nil {
				return err
			}
			if images.isImageMethod(method, args) {
				if err := requireFlags(map[string]string{"--output": output}); err != nil {
					return err
				}
				return images.run(cmd.Context(), a, method, output, earlier, seed, args)
			}
			if err := noArguments(cmd, args); err != nil {
				return err
			}
			if err := requireFlags(map[string]string{"--scores": scores, "--output": output}); err != nil {
				return err
			}
			set := cmd.Flags().Changed
			opt := selectOptions(method, given(set("keep-fraction"), fraction), given(set("keep-rows"), rows), given(set("keep-tokens"), tokens), seed)
			if err := opt.Validate(); err != nil {
				return usageError{err}
			}
			result, cut, err := runSelect(cmd.Context(), a, scores, output, earlier, opt)
			if err == nil && !a.json && !result.nothing {
				a.say("kept %s of %s rows: color score %.4f and above", progress.Count(cut.Kept), progress.Count(cut.Rows), cut.Threshold)
			}
			return a.finishStage(result, err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&scores, "scores", "", "folder that 'curate score' wrote")
	flags.StringVarP(&output, "output", "o", "", "folder for the selection")
	flags.StringVar(&earlier, "within", "", "folder of an earlier selection: only the rows that it kept are candidates")
	flags.StringVar(&method, "method", string(colorfilter.Color), methodHelp())
	flags.Float64Var(&fraction, "keep-fraction", 0, "keep this fraction of all rows, rounded down (1/tau in the paper)")
	flags.Int64Var(&rows, "keep-rows", 0, "keep this many rows")
	flags.Int64Var(&tokens, "keep-tokens", 0, "keep the best rows while their tokens fit")
	flags.Uint64Var(&seed, "seed", 0, "seed of --method random, and of methods for images")
	images.add(flags)
	return cmd
}

// given returns a pointer to v if a flag was set.
func given[T any](set bool, v T) *T {
	if !set {
		return nil
	}
	return &v
}

// noArguments refuses positional arguments as a usage error.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, got %q", cmd.CommandPath(), args)
	}
	return nil
}

// sidecars is the pipeline.ScoreSource of a folder that `score` wrote.
type sidecars struct {
	store    shards.Store
	manifest *shards.Manifest
}

func openSidecars(ctx context.Context, a *app, folder string) (*sidecars, error) {
	store, err := a.stores.Folder(ctx, folder)
	if err != nil {
		return nil, err
	}
	manifest, err := shards.ReadManifest(ctx, store, manifestName)
	if err != nil {
		return nil, fmt.Errorf("open scores %s: %w (a folder without a manifest is unfinished: run `curate score` again)", folder, err)
	}
	if manifest.Stage != "score" {
		return nil, usagef("%s holds the output of `curate %s`, not of `curate score`", folder, manifest.Stage)
	}
	return &sidecars{store, manifest}, nil
}

// Scores implements pipeline.ScoreSource: units are in (shard, row) order.
func (s *sidecars) Scores(ctx context.Context) iter.Seq2[*pipeline.Scores, error] {
	return func(yield func(*pipeline.Scores, error) bool) {
		for _, file := range s.manifest.Units {
			if file.File == "" {
				continue
			}
			object, err := s.store.Open(ctx, file.File)
			if err != nil {
				yield(nil, fmt.Errorf("open sidecar: %w", err))
				return
			}
			for scores, err := range shards.ReadScores(ctx, object) {
				if err != nil {
					err = fmt.Errorf("read sidecar %s: %w", file.File, err)
				}
				if !yield(scores, err) || err != nil {
					object.Close()
					return
				}
			}
			object.Close()
		}
	}
}

// runSelect finds the cut and writes one selection file per shard.
func runSelect(ctx context.Context, a *app, scores, output, earlier string, opt colorfilter.Options) (_ stageResult, cut *colorfilter.Cut, err error) {
	source, err := openSidecars(ctx, a, scores)
	if err != nil {
		return stageResult{}, nil, err
	}
	var pool pipeline.ScoreSource = source
	before, err := readWithin(ctx, a, earlier, optionOf(source.manifest, "unit"), source.manifest.Inputs)
	if err != nil {
		return stageResult{}, nil, err
	}
	if before != nil {
		pool, opt = candidates{source, before}, opt.Of(before.manifest.Counts.Kept)
	}
	s, ctx, err := newStage(ctx, a, "select", output, nil)
	if err != nil {
		return stageResult{}, nil, err
	}
	defer s.close(&err)
	s.from(source.manifest)
	s.options = map[string]any{"selection": opt, "scores": source.manifest.Key, "unit": optionOf(source.manifest, "unit")}
	if before != nil {
		s.options["within"] = before.key()
		before.quarantine(s)
	}
	if optionOf(source.manifest, "unit") == string(scoring.Sequence) {
		s.options["scoring"] = source.manifest.Options // to cut the shards again
	}
	cut = &colorfilter.Cut{}
	if result, done, err := s.done(ctx, source.manifest.Backend); done || err != nil {
		return result, cut, errors.Join(err, decodeDetail(result.manifest, cut))
	}
	filter, err := colorfilter.New(opt)
	if err != nil {
		return stageResult{}, nil, err
	}
	if cut, err = filter.Fit(ctx, pool); err != nil {
		return stageResult{}, nil, fmt.Errorf("find the cut: %w", err)
	}
	decisions := splitByShard(filter.Decide(ctx, pool, cut))
	defer decisions.stop()
	if err := s.writeSelections(ctx, decisions.of); err != nil {
		return stageResult{}, nil, err
	}
	if err := decisions.end(); err != nil {
		return stageResult{}, nil, err
	}
	s.detail = cut
	result, err := s.finish(ctx)
	return result, cut, err
}

// writeSelections writes the decisions of every shard to a file. Selecting is
// quick, so units are always written anew.
func (s *stage) writeSelections(ctx context.Context, of func(shard string) iter.Seq2[*pipeline.Decisions, error]) error {
	for i := range s.inputs {
		in := &s.inputs[i]
		if in.fault != "" {
			continue
		}
		record := shards.Unit{Shard: in.Shard, Key: in.digest}
		err := s.writeUnit(ctx, outputName(in.Shard), &record, func(_ context.Context, out shards.Pending, record *shards.Unit) (bool, error) {
			counts, err := writeDecisions(out, of(in.Shard))
			record.Rows, record.Counts = counts.RowsIn, counts
			return true, err
		})
		if err != nil {
			return fmt.Errorf("write selection of %s: %w", in.Shard, err)
		}
		if in.rows < 0 { // no stage before has counted them
			in.rows = record.Rows
		}
		s.addUnits(record)
	}
	return nil
}

// shardDecisions hands out a stream of decisions shard by shard.
type shardDecisions struct {
	next func() (*pipeline.Decisions, error, bool)
	stop func()
	held *pipeline.Decisions
}

func splitByShard(all iter.Seq2[*pipeline.Decisions, error]) *shardDecisions {
	next, stop := iter.Pull2(all)
	return &shardDecisions{next: next, stop: stop}
}

// of yields the decisions of one shard, which must be the next in the stream.
// A shard without rows has none.
func (s *shardDecisions) of(shard string) iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) {
		for {
			if s.held == nil {
				d, err, ok := s.next()
				if !ok {
					return
				}
				if err != nil {
					yield(nil, err)
					return
				}
				s.held = d
			}
			if s.held.Shard != shard {
				return
			}
			d := s.held
			s.held = nil
			if len(d.Row) > 0 && !yield(d, nil) {
				return
			}
		}
	}
}

// end makes sure that every decision was handed out.
func (s *shardDecisions) end() error {
	if s.held != nil {
		return fmt.Errorf("scores hold shard %s, which is not among the inputs", s.held.Shard)
	}
	d, err, ok := s.next()
	if err != nil {
		return err
	}
	if ok {
		return fmt.Errorf("scores hold shard %s, which is not among the inputs", d.Shard)
	}
	return nil
}
