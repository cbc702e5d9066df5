package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

type writeOptions struct {
	Selection, Output string
	ScoreColumn       string
}

const writeHelp = `Read the inputs again and write the rows that the selection keeps, as Parquet: every column, nested
type and key-value metadata as in the input, rows in their order, file names as the inputs'. One
column is added: the score. The inputs must be the ones that were scored, byte for byte.`

func newWriteCommand(a *app) *cobra.Command {
	var opt writeOptions
	noScore := false
	cmd := &cobra.Command{
		Use:   "write --selection DIR --output DIR IN...",
		Short: "write the kept rows, unchanged",
		Long:  writeHelp + "\n" + exitHelp,
		Example: `  curate write --selection out/selection --output out/data 'pool/**/*.parquet'
  curate write --selection out/selection --output out/data --no-score-column pool/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireFlags(map[string]string{"--selection": opt.Selection, "--output": opt.Output}); err != nil {
				return err
			}
			if noScore {
				opt.ScoreColumn = ""
			}
			inputs, err := listInputs(cmd.Context(), args)
			if err != nil {
				return err
			}
			return a.finishStage(runWrite(cmd.Context(), a, inputs, opt))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opt.Selection, "selection", "", "folder that `curate select` wrote")
	flags.StringVarP(&opt.Output, "output", "o", "", "folder for the kept rows")
	flags.StringVar(&opt.ScoreColumn, "score-column", "color_score", "name of the added float32 column")
	flags.BoolVar(&noScore, "no-score-column", false, "add no column")
	return cmd
}

// runWrite copies the kept rows of every shard and publishes the manifest.
func runWrite(ctx context.Context, a *app, inputs []shards.Input, opt writeOptions) (stageResult, error) {
	selection, err := openSelection(ctx, opt.Selection)
	if err != nil {
		return stageResult{}, err
	}
	names, err := outputNames(inputs)
	if err != nil {
		return stageResult{}, err
	}
	s, err := newStage(ctx, a, "write", opt.Output, inputs)
	if err != nil {
		return stageResult{}, err
	}
	defer s.close()
	if err := selection.check(s.inputs); err != nil {
		return stageResult{}, err
	}
	s.models, s.tokenizer = selection.manifest.Models, selection.manifest.Tokenizer
	s.options = map[string]any{"selection": selection.manifest.Key, "score_column": opt.ScoreColumn}
	if result, done, err := s.done(ctx, selection.manifest.Backend); done || err != nil {
		return result, err
	}
	s.backend = selection.manifest.Backend
	task := a.progress.Start("write", "rows", selection.manifest.Counts.RowsIn)
	for i := range s.inputs {
		in := &s.inputs[i]
		if in.fault = selection.faults[in.Shard]; in.fault != "" {
			continue
		}
		err := writeShard(ctx, s, in, names[i], selection, selection.files[in.Shard], opt, task)
		if err := s.shardFailed(ctx, in, err); err != nil {
			return stageResult{}, err
		}
	}
	task.Done()
	return s.finish(ctx)
}

// writeShard copies the kept rows of one shard.
func writeShard(ctx context.Context, s *stage, in *stageInput, name string, selection *selection, file shards.Unit, opt writeOptions, task *progress.Task) error {
	in.rows = file.Rows
	record, err := s.unit(ctx, in, name, file.SHA256, rowGroups{}, func(ctx context.Context, out shards.Pending, record *shards.Unit) (bool, error) {
		shard, err := shards.Open(ctx, in.Input)
		if err != nil {
			return false, shardError{err}
		}
		defer shard.Close()
		object, err := selection.store.Open(ctx, file.File)
		if err != nil {
			return false, fmt.Errorf("open selection: %w", err)
		}
		defer object.Close()
		counts, err := shards.CopyKept(ctx, shard, counted(shards.ReadSelection(ctx, object), task), out, shards.CopyOptions{ScoreColumn: opt.ScoreColumn})
		if err != nil {
			return false, fmt.Errorf("write kept rows of %s: %w", in.Shard, err)
		}
		record.Rows = counts.Kept
		record.Counts = shards.Counts{RowsIn: counts.RowsIn, Kept: counts.Kept, Dropped: counts.Dropped}
		return counts.Kept > 0, nil
	})
	if err != nil {
		return err
	}
	if record.Counts.RowsIn != file.Rows {
		return fmt.Errorf("write kept rows of %s: the shard has %d rows, its selection %d", in.Shard, record.Counts.RowsIn, file.Rows)
	}
	return nil
}

// counted reports the rows that pass to a progress task.
func counted(decisions iter.Seq2[*pipeline.Decisions, error], task *progress.Task) iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) {
		for d, err := range decisions {
			if d != nil {
				task.Add(int64(len(d.Row)))
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// selection is a folder that `select` wrote.
type selection struct {
	store    shards.Store
	manifest *shards.Manifest
	files    map[string]shards.Unit // by shard
	faults   map[string]string      // of shards that could not be read, by shard
}

// openSelection opens a selection of rows, to write them.
func openSelection(ctx context.Context, folder string) (*selection, error) {
	s, err := readSelection(ctx, folder)
	if err != nil {
		return nil, err
	}
	if unit := optionOf(s.manifest, "unit"); unit != string(scoring.Document) {
		return nil, usagef("%s selects %ss, which are not rows: to write rows, score with --unit document", folder, unit)
	}
	return s, nil
}

// readSelection opens a selection of rows or of sequences.
func readSelection(ctx context.Context, folder string) (*selection, error) {
	store := local.New(folder)
	manifest, err := shards.ReadManifest(ctx, store, manifestName)
	if err != nil {
		return nil, fmt.Errorf("open selection %s: %w (a folder without a manifest is unfinished: run `curate select` again)", folder, err)
	}
	if manifest.Stage != "select" {
		return nil, usagef("%s holds the output of `curate %s`, not of `curate select`", folder, manifest.Stage)
	}
	s := &selection{store, manifest, map[string]shards.Unit{}, map[string]string{}}
	for _, unit := range manifest.Units {
		s.files[unit.Shard] = unit
	}
	for _, in := range failedInputs(manifest) {
		s.faults[in.Shard] = in.Fault
	}
	return s, nil
}

// check makes sure that the inputs are exactly those that were scored.
func (s *selection) check(inputs []stageInput) error {
	scored := map[string]shards.ManifestInput{}
	for _, in := range s.manifest.Inputs {
		scored[in.Shard] = in
	}
	var faults []error
	for _, in := range inputs {
		was, ok := scored[in.Shard]
		switch {
		case !ok:
			faults = append(faults, fmt.Errorf("%s was not scored", in.URI))
		case was.Digest != in.digest:
			faults = append(faults, fmt.Errorf("%s has changed since it was scored: score and select again", in.URI))
		}
		delete(scored, in.Shard)
	}
	for _, missing := range s.manifest.Inputs {
		if _, ok := scored[missing.Shard]; ok {
			faults = append(faults, fmt.Errorf("shard %s was scored (%s) but is not among the inputs", missing.Shard, missing.URI))
		}
	}
	if len(faults) > 0 {
		return usageError{errors.Join(faults...)}
	}
	return nil
}

// outputNames gives each input its output file: the same relative path, with
// the extension of Parquet. A tar stays one.
func outputNames(inputs []shards.Input) ([]string, error) {
	names := make([]string, len(inputs))
	taken := map[string]string{}
	for i, in := range inputs {
		names[i] = outputName(in.Shard)
		if other, ok := taken[names[i]]; ok {
			return nil, usagef("%s and %s would both be written to %s: write them to two folders", other, in.Shard, names[i])
		}
		taken[names[i]] = in.Shard
	}
	return names, nil
}

func outputName(shard string) string {
	if strings.HasSuffix(shard, ".parquet") {
		return shard
	}
	if shards.IsTar(shard) {
		return shard
	}
	for _, suffix := range []string{".gz", ".zst", ".zstd", ".jsonl", ".json", ".ndjson", ".arrows", ".arrow", ".ipc", ".feather", ".pq"} {
		shard = strings.TrimSuffix(shard, suffix)
	}
	return shard + ".parquet"
}
