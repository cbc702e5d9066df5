package colorfilter

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"
	"testing"

	"github.com/curate-data/curate/pipeline"
)

// memoryPool is a ScoreSource over rows in memory, given out in runs of at most
// runLength rows (0: whole shards).
type memoryPool struct {
	rows      []poolRow
	runLength int
	passes    int
	// edit, if set, may change a run before it is given out in that pass (from 1).
	edit func(pass int, s *pipeline.Scores)
}

type poolRow struct {
	id                        pipeline.RowID
	domain                    string
	tokens                    int32
	prior, conditional, color float32
	reason                    pipeline.Reason
}

func (p *memoryPool) Scores(ctx context.Context) iter.Seq2[*pipeline.Scores, error] {
	return func(yield func(*pipeline.Scores, error) bool) {
		p.passes++
		for start := 0; start < len(p.rows); {
			s := &pipeline.Scores{Shard: p.rows[start].id.Shard}
			for start < len(p.rows) && p.rows[start].id.Shard == s.Shard && (p.runLength == 0 || s.Len() < p.runLength) {
				r := p.rows[start]
				s.Row, s.Seq = append(s.Row, r.id.Row), append(s.Seq, r.id.Seq)
				s.ID, s.Domain = append(s.ID, ""), append(s.Domain, r.domain)
				s.TokenCount, s.Reason = append(s.TokenCount, r.tokens), append(s.Reason, r.reason)
				s.Prior, s.Conditional, s.Color = append(s.Prior, r.prior), append(s.Conditional, r.conditional), append(s.Color, r.color)
				start++
			}
			if p.edit != nil {
				p.edit(p.passes, s)
			}
			reasons := slices.Clone(s.Reason)
			if !yield(s, nil) {
				return
			}
			if !slices.Equal(reasons, s.Reason) {
				panic("the filter wrote to the source's reasons")
			}
			// What was yielded is no longer valid: a filter that still reads it should fail.
			fill(s.Row, -1)
			fill(s.Seq, -1)
			fill(s.TokenCount, math.MaxInt32)
			fill(s.Domain, "gone")
			fill(s.Reason, "gone")
			fill(s.Color, math.MaxFloat32)
		}
	}
}

func fill[T any](values []T, v T) {
	for i := range values {
		values[i] = v
	}
}

// losses makes a pool of one shard of rows with these prior and conditional losses.
func losses(pairs ...[2]float32) *memoryPool {
	p := &memoryPool{}
	for i, l := range pairs {
		p.rows = append(p.rows, poolRow{id: pipeline.RowID{Shard: "a", Row: int64(i)}, tokens: 10, prior: l[0], conditional: l[1], color: l[0] - l[1]})
	}
	return p
}

// decision is what a filter said about one row.
type decision struct {
	ID     pipeline.RowID
	Keep   bool
	Reason pipeline.Reason
	Score  float32
}

// selectAll runs a selection to its end.
func selectAll(o Options, p *memoryPool) ([]decision, *Cut, error) {
	f, err := New(o)
	if err != nil {
		return nil, nil, err
	}
	cut, err := f.Fit(context.Background(), p)
	if err != nil {
		return nil, nil, err
	}
	var all []decision
	for d, err := range f.Decide(context.Background(), p, cut) {
		if err != nil {
			return nil, nil, err
		}
		for i := range d.Row {
			all = append(all, decision{pipeline.RowID{Shard: d.Shard, Row: d.Row[i], Seq: d.Seq[i]}, d.Keep[i], d.Reason[i], d.Score[i]})
		}
	}
	return all, cut, nil
}

func mustSelect(t testing.TB, o Options, p *memoryPool) ([]decision, *Cut) {
	t.Helper()
	all, cut, err := selectAll(o, p)
	if err != nil {
		t.Fatal(err)
	}
	return all, cut
}

// reference is selection said plainly: sort everything, keep from the top.
func reference(o Options, p *memoryPool) []decision {
	out := make([]decision, len(p.rows))
	var order []int
	for i, r := range p.rows {
		out[i] = decision{ID: r.id, Reason: rejection(r), Score: float32(math.NaN())}
		if out[i].Reason == "" {
			out[i].Score = plainScore(o, r)
			out[i].Reason = pipeline.BelowCut
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		if o.Method == Random {
			x, y := p.rows[a].id, p.rows[b].id
			return cmp.Or(-cmp.Compare(randomKey(shardBase(o.Seed, x.Shard), x.Row, x.Seq), randomKey(shardBase(o.Seed, y.Shard), y.Row, y.Seq)), x.Compare(y))
		}
		return cmp.Or(-cmp.Compare(out[a].Score, out[b].Score), p.rows[a].id.Compare(p.rows[b].id))
	})
	left := int64(math.Floor(o.KeepFraction*float64(len(p.rows)) + 1e-9))
	if o.KeepRows > 0 {
		left = o.KeepRows
	}
	if o.KeepTokens > 0 {
		left = o.KeepTokens
	}
	last := math.Inf(1) // score of the last row kept
	for _, i := range order {
		cost := int64(1)
		if o.KeepTokens > 0 {
			cost = int64(p.rows[i].tokens)
		}
		if cost > left {
			left = -1 // nothing after the first row that does not fit
			if float64(out[i].Score) == last && o.Method != Random {
				out[i].Reason = pipeline.TieAtCut
			}
			continue
		}
		left -= cost
		last = float64(out[i].Score)
		out[i].Keep, out[i].Reason = true, ""
	}
	return out
}

func rejection(r poolRow) pipeline.Reason {
	values := []float64{float64(r.prior), float64(r.conditional), float64(r.color)}
	switch {
	case r.reason != "":
		return r.reason
	case slices.ContainsFunc(values, math.IsNaN):
		return pipeline.NaNScore
	case slices.ContainsFunc(values, func(v float64) bool { return math.IsInf(v, 0) }):
		return pipeline.InfScore
	}
	return ""
}

func plainScore(o Options, r poolRow) float32 {
	switch o.Method {
	case Conditional:
		return 0 - r.conditional
	case Perplexity:
		return 0 - r.prior
	case Random:
		return randomScore(randomKey(shardBase(o.Seed, r.id.Shard), r.id.Row, r.id.Seq))
	}
	return r.color
}
