package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

type writeOptions struct {
	Selection, Output string
	ScoreColumn       string
	BloomColumn       string
	Format            string       // of rows: a shards.OutputFormat; of sequences: npy or ds; empty: parquet, npy
	Tokens            tokenOptions // of sequences
	Workers           int          // shards at a time; the bytes do not depend on it
	Shards            int          // files of the output; 0: one for each input
}

const writeHelp = `Read the inputs again and write the rows that the selection keeps: every column, nested type
and key-value metadata as in the input, rows in their order, file names as the inputs'. One column is
added: the score. JSON lines that stay JSON lines keep their bytes. What --format cannot hold is an
error that names it, never a changed value. The inputs must be the ones that were scored, byte for byte.

Of images in label files (COCO, VOC, YOLO, ...) IN is left out: written are the labels of the chosen
images, in the same format, and files.txt, the list of their files.

A selection of sequences is written as tokens instead, T to a sequence, without change: as .npy
with a .csv.gz of the documents (dolma, OLMo) or as .ds with index and metadata (datatrove).`

func newWriteCommand(a *app) *cobra.Command {
	var opt writeOptions
	noScore := false
	cmd := &cobra.Command{
		Use:   "write --selection DIR --output DIR IN...",
		Short: "write the kept rows, unchanged",
		Long:  writeHelp + "\n" + exitHelp,
		Example: `  curate write --selection out/selection --output out/data 'pool/**/*.parquet'
  curate write --selection s3://b/selection --output s3://b/data --workers 4 s3://b/pool/
  curate write --selection out/selection --output out/data --no-score-column pool/
  curate write --selection out/selection --output out/data --shards 64 pool/
  curate write --selection out/selection --output out/data --format jsonl.zst pool/
  curate write --selection out/selection --output out/tokens --format ds --prior out/prior pool/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireFlags(map[string]string{"--selection": opt.Selection, "--output": opt.Output}); err != nil {
				return err
			}
			if err := checkFormatName(opt.Format); err != nil {
				return err
			}
			if noScore {
				opt.ScoreColumn = ""
			}
			var inputs []shards.Input
			if len(args) > 0 {
				var err error
				if inputs, err = a.listInputs(cmd.Context(), args); err != nil {
					return err
				}
			}
			return a.finishStage(runWrite(cmd.Context(), a, inputs, opt))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opt.Selection, "selection", "", "folder that 'curate select' wrote")
	flags.StringVarP(&opt.Output, "output", "o", "", "folder for the kept rows")
	flags.StringVar(&opt.ScoreColumn, "score-column", "color_score", "name of the added float32 column")
	flags.StringVar(&opt.BloomColumn, "bloom-column", "", "column of Parquet that gets Bloom filters, such as the id")
	addFormatFlag(flags, &opt.Format)
	addTokenFlags(flags, &opt.Tokens)
	flags.IntVar(&opt.Workers, "workers", 1, "shards written at a time; each takes memory for a row group")
	flags.IntVar(&opt.Shards, "shards", 0, "write this many files of as many rows each, shard-00000-of-N.parquet; 0 means one for each input")
	flags.BoolVar(&noScore, "no-score-column", false, "add no column")
	return cmd
}

// runWrite copies the kept rows of every shard and publishes the manifest.
func runWrite(ctx context.Context, a *app, inputs []shards.Input, opt writeOptions) (_ stageResult, err error) {
	selection, err := readSelection(ctx, a, opt.Selection)
	if err != nil {
		return stageResult{}, err
	}
	places, labelled := selection.labelPlaces()
	if len(inputs) == 0 && !labelled {
		return stageResult{}, usagef("name the inputs: the files, globs or folders that the selection is of")
	}
	if len(inputs) > 0 && labelled {
		return stageResult{}, usagef("%s is a selection of the label files %s, which are found by themselves: leave IN out", opt.Selection, places.Labels)
	}
	if optionOf(selection.manifest, "kind") == imagesKind {
		opt.ScoreColumn = ""
	}
	job, err := newWriteJob(ctx, a, selection, opt)
	if err != nil {
		return stageResult{}, err
	}
	if opt.Shards > 0 && a.sandboxed.on {
		return stageResult{}, usagef("--shards does not go with --sandbox: rows of several shards share a file there; write one output per input, and merge those")
	}
	if err := checkMerged(optionOf(selection.manifest, "unit"), opt); err != nil {
		return stageResult{}, err
	}
	names, err := outputNames(inputs, opt.Format)
	if err != nil && opt.Shards == 0 && opt.Format != manifestsFormat {
		return stageResult{}, err
	}
	s, ctx, err := newStage(ctx, a, "write", opt.Output, inputs)
	if err != nil {
		return stageResult{}, err
	}
	defer s.close(&err)
	if labelled {
		if err := addLabels(ctx, s, places); err != nil {
			return stageResult{}, err
		}
	}
	if err := selection.check(s.inputs); err != nil {
		return stageResult{}, err
	}
	s.models, s.tokenizer = selection.manifest.Models, selection.manifest.Tokenizer
	s.options = mergedOptions(job.options, opt)
	if result, done, err := s.done(ctx, selection.manifest.Backend); done || err != nil {
		return result, err
	}
	s.backend = selection.manifest.Backend
	task := a.progress.Start("write", job.rows, selection.manifest.Counts.RowsIn)
	switch {
	case opt.Format == manifestsFormat:
		err = writeManifests(ctx, s, selection)
	case labelled:
		err = writeLabels(ctx, s, selection, places)
	case opt.Shards > 0:
		err = writeMerged(ctx, s, selection, opt, task)
	default:
		err = writeEach(ctx, s, selection, job, names, opt.Workers, task)
	}
	if err != nil {
		return stageResult{}, err
	}
	task.Done()
	result, err := s.finish(ctx)
	if err != nil {
		return stageResult{}, err
	}
	return result, s.warnOfOldFiles(ctx)
}

// writeEach writes an output for every input.
func writeEach(ctx context.Context, s *stage, selection *selection, job *writeJob, names []string, workers int, task *progress.Task) error {
	return s.eachInput(ctx, workers, func(ctx context.Context, i int) error {
		in := &s.inputs[i]
		if in.fault = selection.faults[in.Shard]; in.fault != "" {
			in.rows = selection.rowsIn(in.Shard)
			return nil
		}
		err := job.shard(ctx, s, in, names[i], selection.files[in.Shard], task)
		return s.shardFailed(ctx, in, err)
	})
}

// warnOfOldFiles names the files that an earlier run with other inputs or
// options left: who reads a data folder by a glob would read them too.
func (s *stage) warnOfOldFiles(ctx context.Context) error {
	found, err := takeInventory(ctx, s.store)
	if err != nil {
		return err
	}
	var old []string
	for _, l := range found.leftovers {
		if l.Why == whyOther {
			old = append(old, l.Name)
		}
	}
	if len(old) > 0 {
		s.app.log.Warn("files of an earlier run are in the folder too; a glob would read them, `curate gc --yes` removes them", "folder", s.folder, "files", someOf(old))
	}
	return nil
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
		var others blame
		counts, err := shards.CopyKept(ctx, shard, others.decisions(counted(shards.ReadSelection(ctx, object), task)), others.writer(out), shards.CopyOptions{ScoreColumn: opt.ScoreColumn, BloomColumn: opt.BloomColumn, Format: shards.OutputFormat(opt.Format)})
		if err != nil {
			return false, others.judge(fmt.Errorf("write kept rows of %s: %w", in.Shard, err))
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

// readSelection opens a selection of rows or of sequences.
func readSelection(ctx context.Context, a *app, folder string) (*selection, error) {
	store, err := a.stores.Folder(ctx, folder)
	if err != nil {
		return nil, err
	}
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

// rowsIn is how many rows a shard is known to have, -1 for unknown.
func (s *selection) rowsIn(shard string) int64 {
	for _, in := range s.manifest.Inputs {
		if in.Shard == shard {
			return in.Rows
		}
	}
	return -1
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
// the extension of the format.
func outputNames(inputs []shards.Input, format string) ([]string, error) {
	if isTokenFormat(format) {
		format = "" // token files replace the extension of Parquet, whatever they are
	}
	names := make([]string, len(inputs))
	taken := map[string]string{}
	for i, in := range inputs {
		names[i] = shards.OutputFormat(format).Name(in.Shard)
		if other, ok := taken[names[i]]; ok {
			return nil, usagef("%s and %s would both be written to %s: write them to two folders", other, in.Shard, names[i])
		}
		taken[names[i]] = in.Shard
	}
	return names, nil
}

func outputName(shard string) string { return shards.OutParquet.Name(shard) }
