package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring"
	"github.com/curate-data/curate/shards"
)

// maxMerged bounds --shards: their names have five digits.
const maxMerged = 99_999

// checkMerged makes sure that --shards goes with the other options.
func checkMerged(unit string, opt writeOptions) error {
	switch {
	case opt.Shards < 0 || opt.Shards > maxMerged:
		return usagef("--shards %d: want 1 to %d, or 0 for an output per input", opt.Shards, maxMerged)
	case opt.Shards == 0:
		return nil
	case unit == string(scoring.Sequence):
		return usagef("--shards is for rows, not for sequences")
	case opt.Format != "" && opt.Format != string(shards.OutParquet):
		return usagef("--shards writes parquet, not %s", opt.Format)
	}
	return nil
}

// merged writes the kept rows of all shards to a number of files.
type merged struct {
	stage     *stage
	selection *selection
	opt       writeOptions
	task      *progress.Task
	inputs    []*stageInput // those that could be scored

	mu     sync.Mutex
	schema *shards.UnifiedSchema // once it is known
	rows   int64                 // that outputs account for
}

// writeMerged deals the kept rows of all shards to opt.Shards files, in their
// order. A shard that cannot be read ends it: the files share their rows.
func writeMerged(ctx context.Context, s *stage, selection *selection, opt writeOptions, task *progress.Task) error {
	m := &merged{stage: s, selection: selection, opt: opt, task: task}
	var kept []int64
	total := int64(0)
	digests := []string{}
	for i := range s.inputs {
		in := &s.inputs[i]
		if in.fault = selection.faults[in.Shard]; in.fault != "" {
			in.rows = selection.rowsIn(in.Shard)
			continue
		}
		unit := selection.files[in.Shard]
		in.rows = unit.Rows
		m.inputs = append(m.inputs, in)
		kept = append(kept, unit.Counts.Kept)
		total += unit.Rows
		digests = append(digests, in.Shard, in.digest, unit.SHA256)
	}
	all := &stageInput{digest: shards.UnitKey(digests...)}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, opt.Workers))
	for i, runs := range shards.AssignKept(kept, opt.Shards) {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return m.output(ctx, all, fmt.Sprintf("shard-%05d-of-%05d.parquet", i, opt.Shards), runs)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if m.rows != total {
		return fmt.Errorf("write kept rows: the files account for %d rows, the selection has %d", m.rows, total)
	}
	return nil
}

// output writes one file.
func (m *merged) output(ctx context.Context, all *stageInput, name string, runs []shards.KeptRun) error {
	record, err := m.stage.unit(ctx, all, name, fmt.Sprint(runs), rowGroups{}, func(ctx context.Context, out shards.Pending, record *shards.Unit) (bool, error) {
		schema, err := m.unify(ctx)
		if err != nil {
			return false, err
		}
		counts, err := schema.Copy(ctx, m.parts(ctx, runs), out, shards.CopyOptions{ScoreColumn: m.opt.ScoreColumn, BloomColumn: m.opt.BloomColumn})
		if err != nil {
			return false, fmt.Errorf("write %s: %w", name, err)
		}
		for _, c := range counts {
			record.Rows += c.Kept
			record.Counts.Add(shards.Counts{RowsIn: c.RowsIn, Kept: c.Kept, Dropped: c.Dropped})
		}
		return record.Rows > 0, nil
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows += record.Counts.RowsIn
	return nil
}

// unify finds the common schema when the first output needs it.
func (m *merged) unify(ctx context.Context) (*shards.UnifiedSchema, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.schema != nil {
		return m.schema, nil
	}
	schema, err := shards.UnifySchemas(ctx, m.open(ctx, slices.Values(m.inputs)))
	if err != nil {
		return nil, err
	}
	for _, notice := range schema.Notices {
		m.stage.app.log.Warn(notice)
	}
	m.schema = schema
	return schema, nil
}

// open yields the shards of inputs, each open until the next one.
func (m *merged) open(ctx context.Context, inputs iter.Seq[*stageInput]) iter.Seq2[*shards.Shard, error] {
	return func(yield func(*shards.Shard, error) bool) {
		for in := range inputs {
			shard, err := shards.Open(ctx, in.Input)
			if err != nil {
				yield(nil, err)
				return
			}
			more := yield(shard, nil)
			if err := shard.Close(); err != nil && more {
				yield(nil, err)
				return
			}
			if !more {
				return
			}
		}
	}
}

// parts yields the parts of an output, with its shards and their decisions open.
func (m *merged) parts(ctx context.Context, runs []shards.KeptRun) iter.Seq2[shards.CopyPart, error] {
	return func(yield func(shards.CopyPart, error) bool) {
		for _, run := range runs {
			in := m.inputs[run.Input]
			more, err := m.part(ctx, in, run, yield)
			if err != nil {
				yield(shards.CopyPart{}, fmt.Errorf("shard %s: %w", in.Shard, err))
				return
			}
			if !more {
				return
			}
		}
	}
}

func (m *merged) part(ctx context.Context, in *stageInput, run shards.KeptRun, yield func(shards.CopyPart, error) bool) (more bool, err error) {
	shard, err := shards.Open(ctx, in.Input)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, shard.Close()) }()
	object, err := m.selection.store.Open(ctx, m.selection.files[in.Shard].File)
	if err != nil {
		return false, fmt.Errorf("open selection: %w", err)
	}
	defer func() { err = errors.Join(err, object.Close()) }()
	decisions := iter.Seq2[*pipeline.Decisions, error](shards.ReadSelection(ctx, object))
	if run.Last { // of several parts of a shard one counts its rows
		decisions = counted(decisions, m.task)
	}
	return yield(shards.CopyPart{Shard: shard, Decisions: decisions, From: run.From, To: run.To, Last: run.Last}, nil), nil
}

// mergedOptions adds --shards to the options that decide the output's bytes.
func mergedOptions(options map[string]any, opt writeOptions) map[string]any {
	if opt.Shards > 0 {
		options = maps.Clone(options)
		options["shards"] = opt.Shards
	}
	return options
}
