package main

import (
	"context"
	"fmt"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring"
	"github.com/curate-data/curate/shards"
)

// tokenSink cuts tokenised batches into sequences and hands those that the
// selection keeps to the writer.
type tokenSink struct {
	shard  string
	cutter *scoring.Cutter
	writer *shards.TokenWriter
	next   func() (*pipeline.Decisions, error, bool)

	decisions *pipeline.Decisions
	at        int // decisions used up
	counts    shards.Counts
	rows      []int64 // of each file, once finished
}

// Write implements pipeline.Sink.
func (k *tokenSink) Write(_ context.Context, b pipeline.Batch) error {
	sequences, err := k.cutter.Cut(b)
	if err != nil {
		return err
	}
	for _, sequence := range sequences {
		keep, err := k.decide(sequence)
		if err != nil {
			return err
		}
		if !keep {
			continue
		}
		if err := k.writer.Write(sequence); err != nil {
			return err
		}
	}
	return nil
}

// decide counts a sequence and reports whether it is kept. The decisions must
// be of exactly the sequences that the shard has.
func (k *tokenSink) decide(sequence pipeline.Sequence) (bool, error) {
	more, err := k.fill()
	if err != nil {
		return false, err
	}
	if !more {
		return false, fmt.Errorf("the selection ends before sequence %d of %s", sequence.Seq, k.shard)
	}
	d, i := k.decisions, k.at
	if d.Shard != k.shard || d.Row[i] != sequence.Row() || d.Seq[i] != sequence.Seq {
		return false, fmt.Errorf("sequence %d of %s begins in row %d, the selection has sequence %d of %s in row %d: score and select again",
			sequence.Seq, k.shard, sequence.Row(), d.Seq[i], d.Shard, d.Row[i])
	}
	k.at++
	k.counts.RowsIn++
	if !d.Keep[i] {
		k.counts.Dropped[d.Reason[i]]++
		return false, nil
	}
	k.counts.Kept++
	return true, nil
}

// fill makes sure that there is a decision at k.at; false means that there is
// none left.
func (k *tokenSink) fill() (bool, error) {
	for k.decisions == nil || k.at == len(k.decisions.Row) {
		d, err, ok := k.next()
		if err != nil {
			return false, fmt.Errorf("read selection: %w", err)
		}
		if !ok {
			return false, nil
		}
		k.decisions, k.at = d, 0
	}
	return true, nil
}

// Finish implements pipeline.Sink: it completes the files, which the caller
// publishes.
func (k *tokenSink) Finish(context.Context) error {
	more, err := k.fill()
	if err != nil {
		return err
	}
	if more {
		return fmt.Errorf("the selection has sequence %d of %s, which the shard does not have: score and select again", k.decisions.Seq[k.at], k.shard)
	}
	k.rows, err = k.writer.Close()
	return err
}

// Abort implements pipeline.Sink; the caller aborts the files.
func (k *tokenSink) Abort() {}
