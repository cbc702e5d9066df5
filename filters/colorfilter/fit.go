package colorfilter

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/curate-data/curate/pipeline"
)

// Cut is where the budget ends, and after Decide also what came of it.
//
// Every eligible row with a score above Threshold is kept, and of those with
// exactly this score the first in (shard, row, seq) order, as far as the budget
// goes.
type Cut struct {
	Method Method `json:"method"`
	Seed   uint64 `json:"seed"`
	Unit   string `json:"unit"`   // what Budget counts: "rows" or "tokens"
	Budget int64  `json:"budget"` // most that may be kept

	Totals
	Threshold float32 `json:"threshold"` // score at which the budget ends; 0 when no row is eligible
	Key       uint32  `json:"key"`       // rank key of Threshold, which for Random is finer than the score
	Above     Bin     `json:"above"`     // rows with a higher score: all kept
	Ties      Bin     `json:"ties"`      // rows with exactly this score

	Low  float32 `json:"low"`  // about the 0.1 percentile of the eligible scores
	High float32 `json:"high"` // about the 99.9 percentile

	Outcome // zero until Decide has filled it in
}

// Fit finds the cut of a pool in two passes over src.
func (f *Filter) Fit(ctx context.Context, src pipeline.ScoreSource) (*Cut, error) {
	coarse, err := f.Coarse(ctx, src)
	if err != nil {
		return nil, err
	}
	fine, err := f.Fine(ctx, src, coarse)
	if err != nil {
		return nil, err
	}
	return f.Cut(coarse, fine)
}

// Coarse makes the first pass over a pool, or over a part of it.
func (f *Filter) Coarse(ctx context.Context, src pipeline.ScoreSource) (*Histogram, error) {
	h := newHistogram(f.options, false, 0)
	scan := scanner{options: f.options}
	for run, err := range scan.rows(ctx, src) {
		if err == nil {
			err = checkDifference(run)
		}
		if err != nil {
			return nil, fmt.Errorf("count scores: %w", err)
		}
		h.count(run)
	}
	h.Totals = scan.totals
	return h, nil
}

// Fine makes the second pass over a pool, or over a part of it. The argument
// coarse is the histogram of the whole pool.
func (f *Filter) Fine(ctx context.Context, src pipeline.ScoreSource, coarse *Histogram) (*Histogram, error) {
	if err := f.checkHistogram(coarse, false); err != nil {
		return nil, err
	}
	budget, tokens := f.options.budget(coarse.Totals.Rows)
	upper, _, _ := coarse.cut(budget, tokens)
	h := newHistogram(f.options, true, uint16(upper))
	scan := scanner{options: f.options}
	for run, err := range scan.rows(ctx, src) {
		if err != nil {
			return nil, fmt.Errorf("count scores near the cut: %w", err)
		}
		h.count(run)
	}
	h.Totals = scan.totals
	return h, nil
}

// Cut finds the cut from the histograms of the whole pool.
func (f *Filter) Cut(coarse, fine *Histogram) (*Cut, error) {
	if err := errors.Join(f.checkHistogram(coarse, false), f.checkHistogram(fine, true)); err != nil {
		return nil, err
	}
	if err := coarse.Totals.same(fine.Totals); err != nil {
		return nil, fmt.Errorf("find the cut: %w", err)
	}
	budget, tokens := f.options.budget(coarse.Totals.Rows)
	cut := &Cut{Method: f.options.Method, Seed: f.options.Seed, Unit: "rows", Budget: budget, Totals: coarse.Totals}
	if tokens {
		cut.Unit = "tokens"
	}
	upper, above, ok := coarse.cut(budget, tokens)
	if !ok {
		return cut, nil
	}
	if fine.Upper != uint16(upper) || fine.sum() != coarse.Bins[upper] {
		return nil, fmt.Errorf("find the cut: the fine histogram counts bin %d, the cut is in bin %d", fine.Upper, upper)
	}
	left := budget - above.Rows
	if tokens {
		left = budget - above.Tokens
	}
	lower, between, _ := fine.cut(left, tokens)
	cut.Key = uint32(upper)<<16 | uint32(lower)
	cut.Threshold = coarse.score(cut.Key)
	cut.Above = Bin{Rows: above.Rows + between.Rows, Tokens: above.Tokens + between.Tokens}
	cut.Ties = fine.Bins[lower]
	cut.Low, cut.High = coarse.quantile(0.001, false), coarse.quantile(0.999, true)
	return cut, nil
}

func (f *Filter) checkHistogram(h *Histogram, fine bool) error {
	if h.Method != f.options.Method || h.Seed != f.options.Seed || h.Fine != fine || len(h.Bins) != bins {
		return fmt.Errorf("use histogram: it has method %s, seed %d, fine %t, %d bins; want method %s, seed %d, fine %t, %d bins",
			h.Method, h.Seed, h.Fine, len(h.Bins), f.options.Method, f.options.Seed, fine, bins)
	}
	return nil
}

// checkDifference fails where all three of a row's values are there and the
// color score is not prior minus conditional loss. Selection by the wrong sign
// keeps the worst rows and looks fine (a fork of the paper's code does that).
func checkDifference(run rankedRun) error {
	if len(run.Prior) == 0 || len(run.Conditional) == 0 || len(run.Color) == 0 {
		return nil
	}
	for i, why := range run.why {
		prior, conditional, color := float64(run.Prior[i]), float64(run.Conditional[i]), float64(run.Color[i])
		off := math.Abs(prior - conditional - color)
		// Rounding each value to float32 on its own gives at most 1.2e-7 of the losses.
		if why == "" && off > 1e-6*(math.Abs(prior)+math.Abs(conditional))+math.SmallestNonzeroFloat32 {
			return fmt.Errorf("check shard %q row %d: color score %g is not prior loss %g minus conditional loss %g",
				run.Shard, run.Row[i], color, prior, conditional)
		}
	}
	return nil
}
