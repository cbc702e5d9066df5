package colorfilter

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"

	"github.com/curate-data/curate/pipeline"
)

// Decide makes the third pass and yields the decision for every row, run by
// run as src gives them. What it yields is valid until the next is asked for.
// When the loop has ended without an error, the Outcome of the cut is filled in. An error, also of a source that gives other rows than Fit saw,
// comes last, and makes the decisions before it worthless.
func (f *Filter) Decide(ctx context.Context, src pipeline.ScoreSource, cut *Cut) iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) {
		if cut.Method != f.options.Method || cut.Seed != f.options.Seed {
			yield(nil, fmt.Errorf("decide: the cut is of method %s, seed %d, not of method %s, seed %d",
				cut.Method, cut.Seed, f.options.Method, f.options.Seed))
			return
		}
		scan := scanner{options: f.options}
		d := newDecider(cut)
		for run, err := range scan.rows(ctx, src) {
			if err != nil {
				yield(nil, fmt.Errorf("decide: %w", err))
				return
			}
			if !yield(d.decide(run), nil) {
				return
			}
		}
		if err := d.finish(scan.totals); err != nil {
			yield(nil, fmt.Errorf("decide: %w", err))
		}
	}
}

// decider holds what one pass of decisions carries from run to run.
type decider struct {
	cut     *Cut
	ties    tieBudget
	above   Bin
	tied    Bin
	plot    plotCounter
	domains domainCounts
	buffer  pipeline.Decisions
}

func newDecider(cut *Cut) *decider {
	d := &decider{cut: cut, plot: newPlotCounter(cut.Low, cut.High), domains: domainCounts{all: make(map[string]*DomainCount)}}
	d.ties = tieBudget{left: cut.Budget - cut.Above.Rows}
	if cut.Unit == "tokens" {
		d.ties = tieBudget{left: cut.Budget - cut.Above.Tokens, tokens: true}
	}
	return d
}

func (d *decider) decide(run rankedRun) *pipeline.Decisions {
	out := &d.buffer
	n := run.Len()
	if cap(out.Keep) < n {
		out.Keep, out.Reason, out.Score = make([]bool, n), make([]pipeline.Reason, n), make([]float32, n)
	}
	out.Shard, out.Row, out.Seq = run.Shard, run.Row, run.Seq
	out.Keep, out.Reason, out.Score = out.Keep[:n], out.Reason[:n], out.Score[:n]
	d.keep(run, out)
	d.score(run, out)
	d.plot.add(out)
	d.domains.add(run.Scores, out)
	return out
}

// keep sets Keep and Reason of every row.
func (d *decider) keep(run rankedRun, out *pipeline.Decisions) {
	cut, above := d.cut.Key, d.above
	for i, key := range run.key {
		reason := run.why[i]
		switch {
		case reason != "":
		case key < cut:
			reason = pipeline.BelowCut
		case key == cut:
			reason = d.tie(run.TokenCount[i])
		default:
			above.Rows++
			above.Tokens += int64(run.TokenCount[i])
		}
		out.Reason[i] = reason
		out.Keep[i] = reason == ""
	}
	d.above = above
}

// tie decides about a row that has exactly the score of the cut.
func (d *decider) tie(tokens int32) pipeline.Reason {
	d.tied.Rows++
	d.tied.Tokens += int64(tokens)
	switch {
	case d.ties.take(tokens):
		return ""
	case d.ties.kept.Rows > 0:
		return pipeline.TieAtCut
	}
	return pipeline.BelowCut
}

// score sets Score of every row.
func (d *decider) score(run rankedRun, out *pipeline.Decisions) {
	nan := float32(math.NaN())
	for i, key := range run.key {
		switch {
		case run.why[i] != "":
			out.Score[i] = nan
		case d.cut.Method == Random:
			out.Score[i] = randomScore(key)
		default:
			out.Score[i] = keyScore(key)
		}
	}
}

// finish checks that this pass saw what Fit saw, and fills in the cut.
func (d *decider) finish(totals Totals) error {
	if err := d.cut.Totals.same(totals); err != nil {
		return err
	}
	if d.above != d.cut.Above || d.tied != d.cut.Ties {
		return fmt.Errorf("the cut does not fit the pool: %+v rows above and %+v at it, expected %+v and %+v",
			d.above, d.tied, d.cut.Above, d.cut.Ties)
	}
	out := Outcome{
		Kept:        d.above.Rows + d.ties.kept.Rows,
		KeptTokens:  d.above.Tokens + d.ties.kept.Tokens,
		TiesKept:    d.ties.kept.Rows,
		TiesDropped: d.tied.Rows - d.ties.kept.Rows,
		Dropped:     maps.Clone(totals.Rejected),
		Domains:     d.domains.list(),
	}
	below := totals.Eligible - out.Kept
	if out.TiesKept > 0 && out.TiesDropped > 0 {
		out.Dropped[pipeline.TieAtCut] += out.TiesDropped
		below -= out.TiesDropped
	}
	if below > 0 {
		out.Dropped[pipeline.BelowCut] += below
	}
	if totals.Eligible > 0 {
		out.Plot = d.plot.plot()
	}
	d.cut.Outcome = out
	return nil
}

// tieBudget is what the rows above the cut leave for rows at the cut, in rows
// or tokens.
type tieBudget struct {
	left   int64
	tokens bool
	over   bool // a row did not fit, so no later one may be kept
	kept   Bin
}

func (b *tieBudget) take(tokens int32) bool {
	need := int64(1)
	if b.tokens {
		need = int64(tokens)
	}
	if b.over || need > b.left {
		b.over = true
		return false
	}
	b.left -= need
	b.kept.Rows++
	b.kept.Tokens += int64(tokens)
	return true
}
