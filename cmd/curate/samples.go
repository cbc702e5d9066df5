package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/curate-data/curate/internal/report"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// samplesPerGroup is how many documents of each kind the report shows.
const samplesPerGroup = 5

// sampleTextBytes is how much of a document the report shows.
const sampleTextBytes = 1200

// scored is one row with its losses and what became of it.
type scored struct {
	at                 pipeline.RowID
	id, domain         string
	tokens             int32
	prior, cond, score float32
	kept               bool
}

// extremes keeps the few rows that come first by an order, in bounded memory.
type extremes struct {
	compare func(a, b scored) int
	rows    []scored
}

func (e *extremes) add(r scored) {
	if len(e.rows) == samplesPerGroup && e.compare(r, e.rows[len(e.rows)-1]) >= 0 {
		return
	}
	at, _ := slices.BinarySearchFunc(e.rows, r, e.compare)
	e.rows = slices.Insert(e.rows, at, r)
	e.rows = e.rows[:min(len(e.rows), samplesPerGroup)]
}

// byScore orders by score, ties by place.
func byScore(a, b scored) int { return cmp.Or(cmp.Compare(a.score, b.score), a.at.Compare(b.at)) }

// byScoreDown orders by score, highest first.
func byScoreDown(a, b scored) int {
	return cmp.Or(cmp.Compare(b.score, a.score), a.at.Compare(b.at))
}

// spread finds the range of a histogram of losses: all values but outliers,
// which would squeeze the picture.
type spread struct {
	low, high    float64
	n            float64
	sum, squares float64
}

func (s *spread) add(v float32) {
	x := float64(v)
	if s.n == 0 {
		s.low, s.high = x, x
	}
	s.low, s.high = min(s.low, x), max(s.high, x)
	s.n++
	s.sum += x
	s.squares += x * x
}

// clip narrows the range to four standard deviations around the mean.
func (s *spread) clip() {
	mean := s.sum / s.n
	deviation := math.Sqrt(max(0, s.squares/s.n-mean*mean))
	s.low, s.high = max(s.low, mean-4*deviation), min(s.high, mean+4*deviation)
}

const lossBins = 48

func (s spread) bins() []report.Bin {
	if s.n == 0 {
		return nil
	}
	bins := make([]report.Bin, lossBins)
	for i := range bins {
		bins[i].Low, bins[i].High = s.low+s.width()*float64(i), s.low+s.width()*float64(i+1)
	}
	return bins
}

func (s spread) width() float64 {
	if s.high == s.low {
		return 1.0 / lossBins
	}
	return (s.high - s.low) / lossBins
}

// index is the bin of a value; outliers count in the outermost bins.
func (s spread) index(v float32) int {
	return max(0, min(lossBins-1, int((float64(v)-s.low)/s.width())))
}

// survey is what the report needs to know about the scores of a pool.
type survey struct {
	best, worst, keptLast, droppedFirst extremes
	prior, conditional                  []report.Bin
}

// surveyScores reads sidecars and selection twice: rows to show and ranges,
// then bins.
func surveyScores(ctx context.Context, scores *sidecars, selected *selection) (*survey, error) {
	s := &survey{
		best: extremes{compare: byScoreDown}, worst: extremes{compare: byScore},
		keptLast: extremes{compare: byScore}, droppedFirst: extremes{compare: byScoreDown},
	}
	var both spread // one range, so that the two histograms can be compared
	err := eachScored(ctx, scores, selected, func(r scored) {
		s.best.add(r)
		s.worst.add(r)
		if r.kept {
			s.keptLast.add(r)
		} else {
			s.droppedFirst.add(r)
		}
		both.add(r.prior)
		both.add(r.cond)
	})
	if err != nil {
		return nil, err
	}
	both.clip()
	s.prior, s.conditional = both.bins(), both.bins()
	return s, eachScored(ctx, scores, selected, func(r scored) {
		count(&s.prior[both.index(r.prior)], r.kept)
		count(&s.conditional[both.index(r.cond)], r.kept)
	})
}

func count(bin *report.Bin, kept bool) {
	if kept {
		bin.Kept++
	} else {
		bin.Dropped++
	}
}

// eachScored calls f for every row that has a score. Sidecars and selection
// hold the same rows in the same order.
func eachScored(ctx context.Context, scores *sidecars, selected *selection, f func(scored)) error {
	next, stop := iter.Pull2(selected.rows(ctx))
	defer stop()
	for chunk, err := range scores.Scores(ctx) {
		if err != nil {
			return err
		}
		if selected.faults[chunk.Shard] != "" {
			continue // an earlier filter could not read it
		}
		for i := range chunk.Row {
			row, err, ok := next()
			if err != nil {
				return err
			}
			at := pipeline.RowID{Shard: chunk.Shard, Row: chunk.Row[i], Seq: chunk.Seq[i]}
			if !ok || row.at != at {
				return fmt.Errorf("selection has row %v where the scores have %v: select again", row.at, at)
			}
			if chunk.Reason[i] != "" {
				continue
			}
			row.id, row.domain, row.tokens = chunk.ID[i], chunk.Domain[i], chunk.TokenCount[i]
			row.prior, row.cond = chunk.Prior[i], chunk.Conditional[i]
			f(row)
		}
	}
	return nil
}

// rows yields every row of a selection with its score and fate.
func (s *selection) rows(ctx context.Context) iter.Seq2[scored, error] {
	return func(yield func(scored, error) bool) {
		for _, unit := range s.manifest.Units {
			if !s.shardRows(ctx, unit, yield) {
				return
			}
		}
	}
}

// shardRows yields the rows of one file; false means stop.
func (s *selection) shardRows(ctx context.Context, unit shards.Unit, yield func(scored, error) bool) bool {
	object, err := s.store.Open(ctx, unit.File)
	if err != nil {
		yield(scored{}, fmt.Errorf("open selection: %w", err))
		return false
	}
	defer object.Close()
	for d, err := range shards.ReadSelection(ctx, object) {
		if err != nil {
			yield(scored{}, fmt.Errorf("read selection %s: %w", unit.File, err))
			return false
		}
		for i := range d.Row {
			at := pipeline.RowID{Shard: unit.Shard, Row: d.Row[i], Seq: d.Seq[i]}
			if !yield(scored{at: at, score: d.Score[i], kept: d.Keep[i]}, nil) {
				return false
			}
		}
	}
	return true
}

// groups fetches the texts of the rows to show.
func (s *survey) groups(ctx context.Context, inputs []shards.Input, columns shards.Columns) ([]report.SampleGroup, error) {
	var rows []scored
	border := append(slices.Clone(s.keptLast.rows[:min(3, len(s.keptLast.rows))]), s.droppedFirst.rows[:min(3, len(s.droppedFirst.rows))]...)
	slices.SortFunc(border, byScoreDown)
	all := []struct {
		name string
		rows []scored
	}{{"best", s.best.rows}, {"borderline", border}, {"worst", s.worst.rows}}
	for _, g := range all {
		rows = append(rows, g.rows...)
	}
	texts, err := fetchTexts(ctx, inputs, columns, rows)
	if err != nil {
		return nil, err
	}
	var groups []report.SampleGroup
	for _, g := range all {
		group := report.SampleGroup{Name: g.name}
		for _, r := range g.rows {
			group.Samples = append(group.Samples, report.Sample{
				Shard: r.at.Shard, Row: r.at.Row, ID: r.id, Domain: r.domain, Tokens: int64(r.tokens), Kept: r.kept,
				Score: r.score, Prior: r.prior, Conditional: r.cond, Text: texts[pipeline.RowID{Shard: r.at.Shard, Row: r.at.Row}],
			})
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// fetchTexts reads the beginnings of the named documents, and no row group
// without one of them.
func fetchTexts(ctx context.Context, inputs []shards.Input, columns shards.Columns, rows []scored) (map[pipeline.RowID]string, error) {
	texts := map[pipeline.RowID]string{}
	wanted := map[string][]int64{}
	for _, r := range rows {
		wanted[r.at.Shard] = append(wanted[r.at.Shard], r.at.Row)
	}
	for _, in := range inputs {
		if len(wanted[in.Shard]) == 0 {
			continue
		}
		if err := fetchShardTexts(ctx, in, columns, wanted[in.Shard], texts); err != nil {
			return nil, fmt.Errorf("read samples: %w", err)
		}
	}
	return texts, nil
}

func fetchShardTexts(ctx context.Context, in shards.Input, columns shards.Columns, rows []int64, texts map[pipeline.RowID]string) error {
	shard, err := shards.Open(ctx, in)
	if err != nil {
		return err
	}
	defer shard.Close()
	first := int64(0)
	for group := range shard.NumRowGroups() {
		end := first + shard.RowGroupRows(group)
		single := shard.NumRows() < 0
		if !single && !slices.ContainsFunc(rows, func(r int64) bool { return r >= first && r < end }) {
			first = end
			continue
		}
		for b, err := range shard.Batches(ctx, columns, group, group+1) {
			if err != nil {
				return err
			}
			column := b.Record.Column(0).(*array.Binary)
			for _, row := range rows {
				if i := row - b.FirstRow; i >= 0 && i < int64(b.NumRows()) && !column.IsNull(int(i)) {
					text := column.Value(int(i))
					texts[pipeline.RowID{Shard: in.Shard, Row: row}] = string(text[:min(len(text), sampleTextBytes)])
				}
			}
			b.Release()
		}
		first = end
	}
	return nil
}
