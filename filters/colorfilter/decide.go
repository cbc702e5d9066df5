package colorfilter

import (
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/curate-data/curate/pipeline"
)

// Decide makes the third pass and yields the decision for every row, run by
// run as src gives them. What it yields is valid until the next is asked for.
// When the loop has ended without an error, the Outcome and the Plot of the cut
// are filled in. An error, also of a source that gives other rows than Fit saw,
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
	score   func(key uint32) float32
	ties    tieBudget
	above   Bin
	tied    Bin
	plot    Plot
	outcome tally
	buffer  pipeline.Decisions
}

func newDecider(cut *Cut) *decider {
	d := &decider{cut: cut, score: keyScore, plot: cut.Plot.empty(), outcome: newTally()}
	if cut.Method == Random {
		d.score = randomScore
	}
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
	for i, key := range run.key {
		reason := run.why[i]
		score := float32(math.NaN())
		if reason == "" {
			score = d.score(key)
			reason = d.reason(key, run.TokenCount[i])
			d.plot.add(score, reason == "")
		}
		out.Keep[i], out.Reason[i], out.Score[i] = reason == "", reason, score
	}
	d.outcome.add(run.Scores, out)
	return out
}

// reason decides about a row that has a score; an empty reason keeps it.
func (d *decider) reason(key uint32, tokens int32) pipeline.Reason {
	switch {
	case key > d.cut.Key:
		d.above.Rows++
		d.above.Tokens += int64(tokens)
		return ""
	case key < d.cut.Key:
		return pipeline.BelowCut
	}
	d.tied.Rows++
	d.tied.Tokens += int64(tokens)
	switch {
	case d.ties.take(tokens):
		return ""
	case d.ties.taken > 0:
		return pipeline.TieAtCut
	}
	return pipeline.BelowCut
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
	outcome := d.outcome.result()
	outcome.TiesKept = d.ties.taken
	outcome.TiesDropped = d.tied.Rows - d.ties.taken
	d.cut.Outcome, d.cut.Plot = outcome, d.plot
	return nil
}

// tieBudget is what the rows above the cut leave for rows at the cut, in rows
// or tokens.
type tieBudget struct {
	left   int64
	tokens bool
	taken  int64 // rows
	over   bool  // a row did not fit, so no later one may be kept
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
	b.taken++
	return true
}
