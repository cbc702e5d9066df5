package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// within limits a filter to the rows that an earlier selection kept. Rows that it
// dropped keep their reasons, so that each row is counted once in the end.
type within struct{ *selection }

// readWithin opens the earlier selection, nil where none is given. It must be of
// the same inputs, and of rows.
func readWithin(ctx context.Context, a *app, folder string, unit string, inputs []shards.ManifestInput) (*within, error) {
	if folder == "" {
		return nil, nil
	}
	s, err := readSelection(ctx, a, folder)
	if err != nil {
		return nil, err
	}
	if was := optionOf(s.manifest, "unit"); was != unit {
		return nil, usagef("--within %s: it is a selection by %s, this one is by %s: both must be of one kind", folder, was, unit)
	}
	was := map[string]string{}
	for _, in := range s.manifest.Inputs {
		was[in.Shard] = in.Digest
	}
	var faults []error
	for _, in := range inputs {
		if digest, ok := was[in.Shard]; !ok || digest != in.Digest {
			faults = append(faults, fmt.Errorf("--within %s: shard %s is not in it, or has changed since", folder, in.Shard))
		}
	}
	if len(was) != len(inputs) {
		faults = append(faults, fmt.Errorf("--within %s: it is of %d shards, this selection of %d", folder, len(was), len(inputs)))
	}
	if len(faults) > 0 {
		return nil, usageError{errors.Join(faults...)}
	}
	return &within{s}, nil
}

// failed says whether the earlier selection could not read a shard.
func (w *within) failed(shard string) bool { return w != nil && w.faults[shard] != "" }

// quarantine gives up the shards that the earlier selection could not read.
func (w *within) quarantine(s *stage) {
	if w == nil {
		return
	}
	for _, was := range failedInputs(w.manifest) {
		for i := range s.inputs {
			if in := &s.inputs[i]; in.Shard == was.Shard && in.fault == "" {
				in.fault, in.rows = was.Fault, max(in.rows, was.Rows)
			}
		}
	}
}

// key is what the earlier selection adds to the key of the next.
func (w *within) key() string {
	if w == nil {
		return ""
	}
	return w.manifest.Key
}

// decisions yields the decisions of one shard.
func (w *within) decisions(ctx context.Context, shard string) iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) {
		file, ok := w.files[shard]
		if !ok || file.File == "" {
			yield(nil, fmt.Errorf("earlier selection: it has no decisions about shard %s", shard))
			return
		}
		object, err := w.store.Open(ctx, file.File)
		if err != nil {
			yield(nil, fmt.Errorf("earlier selection: %w", err))
			return
		}
		defer object.Close()
		for d, err := range shards.ReadSelection(ctx, object, shards.ColumnShard, shards.ColumnRow, shards.ColumnSeq, shards.ColumnKeep, shards.ColumnReason) {
			if err != nil {
				err = fmt.Errorf("earlier selection, %s: %w", file.File, err)
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// candidates are scores of which only the rows that an earlier selection kept
// may be selected.
type candidates struct {
	pipeline.ScoreSource
	earlier *within
}

// Scores implements pipeline.ScoreSource.
func (c candidates) Scores(ctx context.Context) iter.Seq2[*pipeline.Scores, error] {
	return func(yield func(*pipeline.Scores, error) bool) {
		var rows reasonsInStep
		defer func() { rows.stop() }()
		for scores, err := range c.ScoreSource.Scores(ctx) {
			if err == nil && c.earlier.failed(scores.Shard) {
				continue
			}
			if err == nil {
				err = rows.apply(ctx, c.earlier, scores)
			}
			if !yield(scores, err) || err != nil {
				return
			}
		}
	}
}

// reasonsInStep walks through the earlier decisions beside the rows of a pool.
type reasonsInStep struct {
	shard string
	next  func() (*pipeline.Decisions, error, bool)
	end   func()
	held  *pipeline.Decisions
	at    int
}

func (r *reasonsInStep) stop() {
	if r.end != nil {
		r.end()
	}
}

// of returns the earlier reason of a row, empty where it was kept. Rows come in
// order; those that nobody asks for are passed over.
func (r *reasonsInStep) of(ctx context.Context, earlier *within, row pipeline.RowID) (pipeline.Reason, error) {
	if r.next == nil || r.shard != row.Shard {
		r.stop()
		r.next, r.end = iter.Pull2(earlier.decisions(ctx, row.Shard))
		r.shard, r.held, r.at = row.Shard, nil, 0
	}
	for {
		for r.held == nil || r.at == len(r.held.Row) {
			d, err, ok := r.next()
			if err != nil {
				return "", err
			}
			if !ok {
				return "", fmt.Errorf("earlier selection: it has no row %d of shard %s", row.Row, row.Shard)
			}
			r.held, r.at = d, 0
		}
		here := pipeline.RowID{Shard: row.Shard, Row: r.held.Row[r.at], Seq: r.held.Seq[r.at]}
		switch order := here.Compare(row); {
		case order > 0:
			return "", fmt.Errorf("earlier selection: it has no row %d of shard %s", row.Row, row.Shard)
		case order == 0:
			reason := r.held.Reason[r.at]
			r.at++
			return reason, nil
		}
		r.at++
	}
}

// apply gives the rows that were dropped before the reason for that.
func (r *reasonsInStep) apply(ctx context.Context, earlier *within, scores *pipeline.Scores) error {
	for i, row := range scores.Row {
		reason, err := r.of(ctx, earlier, pipeline.RowID{Shard: scores.Shard, Row: row, Seq: scores.Seq[i]})
		if err != nil {
			return err
		}
		scores.Reason[i] = cmp.Or(reason, scores.Reason[i])
	}
	return nil
}
