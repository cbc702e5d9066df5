package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/spf13/pflag"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring"
	"github.com/curate-data/curate/scoring/tokenizer"
	"github.com/curate-data/curate/shards"
)

// tokenOptions say how kept sequences are written.
type tokenOptions struct {
	Tokenizer string // tokenizer.json
	Prior     string // or a model folder that holds it
	Width     int    // bytes of a token; 0: 2 where all ids fit, else 4
	Name      string // of the tokenizer, in the metadata of .ds files; empty: its digest
}

func addTokenFlags(flags *pflag.FlagSet, o *tokenOptions) {
	flags.StringVar(&o.Tokenizer, "tokenizer", "", "sequences: the tokenizer.json that they were scored with")
	flags.StringVar(&o.Prior, "prior", "", "sequences: or a model folder that holds it")
	flags.IntVar(&o.Width, "token-bytes", 0, "sequences: bytes of a token, 2 or 4; 0 means 2 where all ids fit")
	flags.StringVar(&o.Name, "tokenizer-name", "", "sequences: name of the tokenizer in .ds.metadata (default its digest)")
}

// writeJob is what a selection asks of `write`.
type writeJob struct {
	rows    string         // what is counted: rows or sequences
	options map[string]any // what decides the output's bytes
	shard   func(ctx context.Context, s *stage, in *stageInput, name string, file shards.Unit, task *progress.Task) error
}

// newWriteJob finds out whether a selection keeps rows or sequences and whether
// the options fit that.
func newWriteJob(ctx context.Context, a *app, selection *selection, opt writeOptions) (*writeJob, error) {
	unit := optionOf(selection.manifest, "unit")
	if err := checkWriteFormat(unit, opt.Format); err != nil {
		return nil, usagef("%s: %w", opt.Selection, err)
	}
	if unit == string(scoring.Sequence) {
		return newTokenJob(ctx, a, selection, opt)
	}
	options := map[string]any{"selection": selection.manifest.Key, "score_column": opt.ScoreColumn}
	if opt.BloomColumn != "" {
		options["bloom_column"] = opt.BloomColumn
	}
	return &writeJob{
		rows:    "rows",
		options: formatOption(options, opt.Format),
		shard: func(ctx context.Context, s *stage, in *stageInput, name string, file shards.Unit, task *progress.Task) error {
			return writeShard(ctx, s, in, name, selection, file, opt, task)
		},
	}, nil
}

// isTokenFormat tells the formats of sequences from those of rows.
func isTokenFormat(format string) bool {
	return format == string(shards.TokensNPY) || format == string(shards.TokensDS)
}

// checkWriteFormat makes sure that a format can hold what a selection keeps. An
// empty format is the unit's own.
func checkWriteFormat(unit, format string) error {
	tokens := isTokenFormat(format)
	switch {
	case format == "":
		return nil
	case format == manifestsFormat && unit == string(scoring.Sequence):
		return fmt.Errorf("%s lists rows, not sequences: score with unit document", format)
	case format == manifestsFormat:
		return nil
	case unit == string(scoring.Sequence) && !tokens:
		return fmt.Errorf("%s cannot hold sequences, which are tokens and no rows: write npy or ds (to write rows, score with unit document)", format)
	case unit != string(scoring.Sequence) && tokens:
		return fmt.Errorf("%s is for sequences, not for documents: score with unit sequence", format)
	case tokens:
		return nil
	}
	return shards.OutputFormat(format).Validate()
}

// scoredWith is what `score` tells about sequences, through `select`.
type scoredWith struct {
	SequenceLength int    `json:"sequence_length"`
	TextColumn     string `json:"text_column"`
	IDColumn       string `json:"id_column"`
	EndOfText      *int32 `json:"end_of_text"`
}

// scoredWith returns how the sequences of a selection were scored.
func (s *selection) scoredWith() (scoredWith, error) {
	var options struct {
		Scoring scoredWith `json:"scoring"`
	}
	if err := json.Unmarshal(s.manifest.Options, &options); err != nil {
		return scoredWith{}, fmt.Errorf("read options of the selection: %w", err)
	}
	if options.Scoring.EndOfText == nil {
		return scoredWith{}, usagef("the selection does not say how its sequences were cut: score and select again")
	}
	return options.Scoring, nil
}

// tokenJob writes kept sequences as token files.
type tokenJob struct {
	selection *selection
	tokenizer *tokenizer.Tokenizer
	columns   shards.Columns
	cut       scoring.Options
	layout    shards.TokenOptions
}

func newTokenJob(ctx context.Context, a *app, selection *selection, opt writeOptions) (*writeJob, error) {
	format := cmp.Or(shards.TokenFormat(opt.Format), shards.TokensNPY)
	scored, err := selection.scoredWith()
	if err != nil {
		return nil, err
	}
	tok, err := opt.Tokens.load(ctx, a, selection.manifest.Tokenizer)
	if err != nil {
		return nil, err
	}
	j := &tokenJob{
		selection: selection, tokenizer: tok, columns: shards.Columns{Text: scored.TextColumn, ID: scored.IDColumn},
		cut:    scoring.Options{Unit: scoring.Sequence, SequenceLength: scored.SequenceLength, EndOfText: *scored.EndOfText},
		layout: shards.TokenOptions{Format: format, Width: opt.Tokens.Width, SequenceLength: scored.SequenceLength},
	}
	least := shards.TokenWidth(max(tok.VocabSize(), int(*scored.EndOfText)+1))
	switch {
	case j.layout.Width == 0:
		j.layout.Width = least
	case j.layout.Width < least:
		return nil, usagef("--token-bytes %d: the tokenizer has ids up to %d, which need %d bytes", j.layout.Width, tok.VocabSize()-1, least)
	}
	options := map[string]any{
		"selection": selection.manifest.Key, "format": format, "token_bytes": j.layout.Width, "sequence_length": scored.SequenceLength,
	}
	if format == shards.TokensDS {
		j.layout.Tokenizer = opt.Tokens.Name
		if j.layout.Tokenizer == "" {
			j.layout.Tokenizer = "sha256:" + tok.Digest()
		}
		options["tokenizer_name"] = j.layout.Tokenizer
	}
	if err := errors.Join(j.cut.Validate(), j.layout.Validate()); err != nil {
		return nil, usageError{err}
	}
	return &writeJob{rows: "sequences", options: options, shard: j.shard}, nil
}

// load opens the tokenizer and makes sure that it has the digest of the one
// that was scored with.
func (o tokenOptions) load(ctx context.Context, a *app, digest string) (*tokenizer.Tokenizer, error) {
	file := o.Tokenizer
	switch {
	case o.Tokenizer != "" && o.Prior != "":
		return nil, usagef("--tokenizer and --prior exclude each other")
	case o.Prior != "":
		file = joinPlace(o.Prior, "tokenizer.json")
	case file == "":
		return nil, usagef("name --tokenizer FILE or --prior DIR: sequences are tokenised again to be written")
	}
	tok, err := a.loadTokenizer(ctx, file)
	if err != nil {
		return nil, err
	}
	if tok.Digest() != digest {
		return nil, usagef("%s is not the tokenizer that the sequences were scored with: its SHA-256 is %s, that of the scores %s", file, tok.Digest(), digest)
	}
	return tok, nil
}

// shard writes the kept sequences of one shard.
func (j *tokenJob) shard(ctx context.Context, s *stage, in *stageInput, name string, file shards.Unit, task *progress.Task) error {
	in.rows = file.Rows
	unit := fileSet{names: j.layout.Format.Files(strings.TrimSuffix(name, ".parquet")), shard: in.Shard}
	var err error
	if unit.key, err = s.key(s.backend); err != nil {
		return err
	}
	unit.key = shards.UnitKey(unit.key, in.Shard, in.digest, file.SHA256)
	record, err := s.fileSet(ctx, unit, func(ctx context.Context, out []pendingFile, record *shards.Unit) (bool, error) {
		if err := j.removeOthers(ctx, s, name); err != nil {
			return false, err
		}
		return j.write(ctx, in, file, out, record, task)
	})
	if err != nil {
		return err
	}
	if record.Counts.RowsIn != file.Rows {
		return fmt.Errorf("write sequences of %s: the shard has %d, its selection %d", in.Shard, record.Counts.RowsIn, file.Rows)
	}
	return nil
}

// removeOthers removes what an earlier run wrote of the shard in another
// format: a trainer that reads all of the folder must not find both. name is
// that of the shard's rows.
func (j *tokenJob) removeOthers(ctx context.Context, s *stage, name string) error {
	others := []string{name}
	for _, format := range []shards.TokenFormat{shards.TokensNPY, shards.TokensDS} {
		if format != j.layout.Format {
			others = append(others, format.Files(strings.TrimSuffix(name, ".parquet"))...)
		}
	}
	for _, other := range others {
		if _, err := s.readRecord(ctx, recordFor(other)); errors.Is(err, fs.ErrNotExist) {
			continue // not there, or not ours
		}
		if err := errors.Join(s.remove(ctx, other), s.remove(ctx, recordFor(other))); err != nil {
			return err
		}
	}
	return nil
}

// write tokenises the shard as scoring did, cuts it, and writes what is kept.
func (j *tokenJob) write(ctx context.Context, in *stageInput, file shards.Unit, out []pendingFile, record *shards.Unit, task *progress.Task) (bool, error) {
	shard, err := shards.Open(ctx, in.Input)
	if err != nil {
		return false, shardError{err}
	}
	defer shard.Close()
	object, err := j.selection.store.Open(ctx, file.File)
	if err != nil {
		return false, fmt.Errorf("open selection: %w", err)
	}
	defer object.Close()
	writer, err := shards.NewTokenWriter(in.Shard, writers(out), j.layout)
	if err != nil {
		return false, err
	}
	cutter, err := scoring.NewCutter(j.cut)
	if err != nil {
		return false, err
	}
	next, stop := iter.Pull2(counted(shards.ReadSelection(ctx, object), task))
	defer stop()
	sink := &tokenSink{shard: in.Shard, cutter: cutter, writer: writer, next: next, counts: shards.Counts{Dropped: map[pipeline.Reason]int64{}}}
	source := shardSource{shard, j.columns, rowGroups{0, shard.NumRowGroups()}}
	stages := []pipeline.Stage{scoring.NewTokenizeStage(j.tokenizer, memory.DefaultAllocator)}
	if err := pipeline.Run(ctx, source, stages, sink); err != nil {
		return false, fmt.Errorf("write sequences of %s: %w", in.Shard, err)
	}
	for i, rows := range sink.rows {
		out[i].record.Rows = rows
	}
	record.Tokens, record.TailTokens = sink.counts.Kept*int64(j.cut.SequenceLength), cutter.Counts().TailTokens
	record.Counts = sink.counts
	return sink.counts.Kept > 0, nil
}
