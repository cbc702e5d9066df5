package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/tokenizer"
	"github.com/curate-data/curate/shards"
)

// tokenizeOptions say how ids are added to rows.
type tokenizeOptions struct {
	Tokenizer string // tokenizer.json, or the folder of a model
	Output    string // a folder, or one file if it ends in .parquet
	Column    string // name of the added column
	Columns   shards.Columns
	Workers   int // shards at a time; the bytes do not depend on it
}

const tokenizeHelp = `Add the token ids of each row's text as a column of list<int32>, and write all rows with every other
column unchanged, as Parquet. Ids are those of Hugging Face tokenizers without special tokens. The
output is one file (--output OUT.parquet, for one input) or a folder with the inputs' names. No model is
needed: --tokenizer is a tokenizer.json or a model folder that has one. All processors are used.

A null text has null ids, an empty one an empty list. A text that is not UTF-8 has null ids and is
counted. Tars have no columns to add to, and are refused. A second run does only what is new.`

func newTokenizeCommand(a *app) *cobra.Command {
	var opt tokenizeOptions
	cmd := &cobra.Command{
		Use:   "tokenize --tokenizer FILE --output OUT IN...",
		Short: "add token ids as a column",
		Long:  tokenizeHelp + "\n" + exitHelp,
		Example: `  curate tokenize --tokenizer tokenizer.json --output ids.parquet documents.parquet
  curate tokenize --tokenizer models/prior --output out/tokens --workers 2 'pool/**/*.parquet'
  curate tokenize --tokenizer tokenizer.json --ids-column input_ids --text-column content --output s3://b/tokens s3://b/pool/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireFlags(map[string]string{"--tokenizer": opt.Tokenizer, "--output": opt.Output, "--ids-column": opt.Column}); err != nil {
				return err
			}
			if a.sandboxed.on {
				return usagef("--sandbox does not go with tokenize: ids are added to rows that this process reads")
			}
			inputs, err := a.listInputs(cmd.Context(), args)
			if err != nil {
				return err
			}
			if err := opt.checkInputs(inputs); err != nil {
				return err
			}
			if strings.HasSuffix(opt.Output, ".parquet") {
				return runTokenizeFile(cmd.Context(), a, inputs[0], opt)
			}
			result, err := runTokenize(cmd.Context(), a, inputs, opt)
			if err == nil && !a.json {
				a.printTokens(tokensOf(result.manifest))
			}
			return a.finishStage(result, err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opt.Tokenizer, "tokenizer", "", "tokenizer.json, or the folder of a model")
	flags.StringVarP(&opt.Output, "output", "o", "", "folder, or a name that ends in .parquet for one input")
	flags.StringVar(&opt.Column, "ids-column", "ids", "name of the added column")
	flags.StringVar(&opt.Columns.Text, "text-column", "text", "column with the document, dotted for nested ones")
	flags.IntVar(&opt.Workers, "workers", 1, "shards at a time; each takes memory for a row group")
	return cmd
}

// checkInputs refuses what cannot be written: all of it at once.
func (o tokenizeOptions) checkInputs(inputs []shards.Input) error {
	var faults []error
	if strings.HasSuffix(o.Output, ".parquet") && len(inputs) != 1 {
		faults = append(faults, fmt.Errorf("--output %s is one file, and there are %d inputs: name a folder", o.Output, len(inputs)))
	}
	for _, in := range inputs {
		if in.Format == shards.Tar {
			faults = append(faults, fmt.Errorf("%s is a tar, which has no columns to add ids to", in.URI))
		}
	}
	if len(faults) > 0 {
		return usageError{errors.Join(faults...)}
	}
	return nil
}

// options are what decides the output's bytes, beside inputs and tokenizer.
func (o tokenizeOptions) options() map[string]any {
	return map[string]any{"text_column": o.Columns.Text, "ids_column": o.Column}
}

// openTokenizer loads a tokenizer.json or that of a model folder.
func (a *app) openTokenizer(ctx context.Context, place string) (*tokenizer.Tokenizer, error) {
	if strings.HasSuffix(place, ".json") {
		return a.loadTokenizer(ctx, place)
	}
	return a.loadTokenizer(ctx, joinPlace(place, "tokenizer.json"))
}

// runTokenize adds ids to the rows of every shard and publishes the manifest.
func runTokenize(ctx context.Context, a *app, inputs []shards.Input, opt tokenizeOptions) (_ stageResult, err error) {
	tok, err := a.openTokenizer(ctx, opt.Tokenizer)
	if err != nil {
		return stageResult{}, err
	}
	names, err := outputNames(inputs, "")
	if err != nil {
		return stageResult{}, err
	}
	s, ctx, err := newStage(ctx, a, "tokenize", opt.Output, inputs)
	if err != nil {
		return stageResult{}, err
	}
	defer s.close(&err)
	s.tokenizer, s.options = tok.Digest(), opt.options()
	if result, done, err := s.done(ctx, ""); done || err != nil {
		return result, err
	}
	total, opened := s.totalRows(ctx)
	if err := opened.close(); err != nil {
		return stageResult{}, err
	}
	task := a.progress.Start("tokenize", "rows", total)
	workers := max(1, min(opt.Workers, len(inputs)))
	job := tokenizing{tok, opt, max(1, runtime.GOMAXPROCS(0)/workers), task}
	err = s.eachInput(ctx, workers, func(ctx context.Context, i int) error {
		in := &s.inputs[i]
		record, err := s.unit(ctx, in, names[i], "", rowGroups{}, func(ctx context.Context, out shards.Pending, record *shards.Unit) (bool, error) {
			return job.shard(ctx, in.Input, out, record, nil)
		})
		if err != nil {
			in.rows = rowsOf(ctx, in.Input)
			return s.shardFailed(ctx, in, err)
		}
		in.rows = record.Counts.RowsIn
		return nil
	})
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

// runTokenizeFile adds ids to the rows of one input and writes them to one file,
// with nothing beside it: what it was made from is in its metadata.
func runTokenizeFile(ctx context.Context, a *app, in shards.Input, opt tokenizeOptions) error {
	tok, err := a.openTokenizer(ctx, opt.Tokenizer)
	if err != nil {
		return err
	}
	digest, err := shards.Digest(ctx, in)
	if err != nil {
		return err
	}
	parent, name := splitPlace(opt.Output)
	folder, err := a.stores.Folder(ctx, parent)
	if err != nil {
		return err
	}
	key := shards.UnitKey("tokenize", opt.Columns.Text, opt.Column, tok.Digest(), digest)
	made, err := madeFrom(ctx, a, opt.Output)
	if err != nil {
		return err
	}
	if made == key {
		a.say("nothing to do: %s is complete", opt.Output)
		return nil
	}
	task := a.progress.Start("tokenize", "rows", rowsOf(ctx, in))
	job := tokenizing{tok, opt, runtime.GOMAXPROCS(0), task}
	out, err := folder.Create(ctx, name)
	if err != nil {
		return err
	}
	record := shards.Unit{Shard: in.Shard, File: name}
	keep, err := job.shard(ctx, in, out, &record, []shards.KeyValue{{Key: tokenizeKey, Value: key}, {Key: "curate.tokenizer", Value: "sha256:" + tok.Digest()}})
	if err == nil && !keep {
		err = fmt.Errorf("%s has no rows: nothing is written", in.URI)
	}
	if err != nil {
		out.Abort()
		return err
	}
	if err := out.Finish(ctx); err != nil {
		return err
	}
	task.Done()
	counts := tokenCounts{Rows: record.Rows, Tokens: record.Tokens, Shards: []shardTokens{{in.Shard, name, record.Rows, record.Tokens}}, WithoutIDs: record.Counts.Dropped}
	if a.json {
		return a.printJSON(counts)
	}
	a.printTokens(counts)
	return nil
}

// tokenizeKey is the metadata key that says what a file was made from.
const tokenizeKey = "curate.tokenize"

// madeFrom returns what an output file was made from, empty if it is not there or
// not ours: it is then written anew, as a whole.
func madeFrom(ctx context.Context, a *app, place string) (string, error) {
	store, name, err := a.stores.Locate(ctx, place)
	if err != nil {
		return "", err
	}
	info, err := findObject(ctx, store, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	shard, err := shards.Open(ctx, shards.Input{Store: store, Path: name, Shard: name, URI: place, Size: info.Size, Format: shards.Parquet})
	if err != nil {
		return "", nil
	}
	defer shard.Close()
	schema, err := shard.Schema()
	if err != nil {
		return "", nil
	}
	meta := schema.Metadata()
	if i := meta.FindKey(tokenizeKey); i >= 0 {
		return meta.Values()[i], nil
	}
	return "", nil
}

// splitPlace splits a place into its folder and the name in it.
func splitPlace(place string) (folder, name string) {
	i := strings.LastIndexByte(place, '/')
	switch {
	case i < 0:
		return ".", place
	case i == 0:
		return "/", place[1:]
	}
	return place[:i], place[i+1:]
}

// tokenCounts is what `tokenize` tells.
type tokenCounts struct {
	Rows       int64                     `json:"rows"`
	Tokens     int64                     `json:"tokens"`
	Shards     []shardTokens             `json:"shards"`
	WithoutIDs map[pipeline.Reason]int64 `json:"without_ids,omitempty"` // rows, by reason
}

type shardTokens struct {
	Shard  string `json:"shard"`
	File   string `json:"file"`
	Rows   int64  `json:"rows"`
	Tokens int64  `json:"tokens"`
}

// tokensOf adds up a manifest of `tokenize`.
func tokensOf(m *shards.Manifest) tokenCounts {
	counts := tokenCounts{WithoutIDs: m.Counts.Dropped}
	for _, unit := range m.Units {
		counts.Rows += unit.Rows
		counts.Tokens += unit.Tokens
		counts.Shards = append(counts.Shards, shardTokens{unit.Shard, unit.File, unit.Rows, unit.Tokens})
	}
	return counts
}

// printTokens prints a line for each shard, the sum, and what has no ids.
func (a *app) printTokens(counts tokenCounts) {
	if a.quiet {
		return
	}
	var rows [][]string
	for _, s := range counts.Shards {
		rows = append(rows, []string{s.Shard, progress.Count(s.Rows), progress.Count(s.Tokens)})
	}
	if len(rows) > 1 {
		rows = append(rows, []string{"all", progress.Count(counts.Rows), progress.Count(counts.Tokens)})
	}
	progress.Table(a.stdout, []string{"shard", "rows", "tokens"}, rows, []bool{false, true, true})
	for _, reason := range slices.Sorted(maps.Keys(counts.WithoutIDs)) {
		fmt.Fprintf(a.stdout, "%s rows without ids: %s\n", progress.Count(counts.WithoutIDs[reason]), reason)
	}
}
