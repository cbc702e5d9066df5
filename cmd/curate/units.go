package main

import (
	"context"
	"fmt"
	"iter"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring"
	"github.com/curate-data/curate/shards"
)

// rowGroups is the half-open range of row groups of a work unit.
type rowGroups struct{ from, to int }

// name is the part of a file name that tells the units of a shard apart.
func (g rowGroups) name() string { return fmt.Sprintf("rg-%05d-%05d", g.from, g.to-1) }

const (
	minUnitRows      = 2048 // an interruption costs at most minutes of scoring
	maxUnitsPerShard = 64   // the number of sidecars stays in proportion to the shards
)

// planUnits cuts a shard into the work units of scoring. The cut depends on
// the shard alone.
func planUnits(s *shards.Shard, unit scoring.Unit) []rowGroups {
	groups := s.NumRowGroups()
	if unit == scoring.Sequence || s.NumRows() < 0 {
		return []rowGroups{{0, groups}}
	}
	least := max(minUnitRows, s.NumRows()/maxUnitsPerShard)
	var units []rowGroups
	var rows int64
	from := 0
	for g := range groups {
		rows += s.RowGroupRows(g)
		if rows >= least || g == groups-1 {
			units = append(units, rowGroups{from, g + 1})
			from, rows = g+1, 0
		}
	}
	return units
}

// shardSource is the pipeline.Source of one work unit. Its errors are the
// shard's: reading failed, not what is done with the rows.
type shardSource struct {
	shard   *shards.Shard
	columns shards.Columns
	groups  rowGroups
}

func (s shardSource) Batches(ctx context.Context) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		for b, err := range s.shard.Batches(ctx, s.columns, s.groups.from, s.groups.to) {
			if err != nil && ctx.Err() == nil {
				err = shardError{err}
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// shardError is a failure to read a shard: the shard is quarantined and the
// others go on.
type shardError struct{ error }

func (e shardError) Unwrap() error { return e.error }

// corpusSource reads whole shards one after the other, for training. It can
// be read any number of times.
type corpusSource struct {
	inputs  []shards.Input
	columns shards.Columns
}

func (c corpusSource) Batches(ctx context.Context) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		for _, in := range c.inputs {
			if !c.shard(ctx, in, yield) {
				return
			}
		}
	}
}

// shard yields the batches of one input; false means stop.
func (c corpusSource) shard(ctx context.Context, in shards.Input, yield func(pipeline.Batch, error) bool) bool {
	shard, err := shards.Open(ctx, in)
	if err != nil {
		yield(pipeline.Batch{}, err)
		return false
	}
	defer shard.Close()
	for b, err := range shard.Batches(ctx, c.columns, 0, shard.NumRowGroups()) {
		if !yield(b, err) || err != nil {
			return false
		}
	}
	return true
}
