package metrics

import (
	"context"
	"fmt"
	"math"

	"github.com/curate-data/curate/filters/ofds"
)

// Method is a selector under a name.
type Method struct {
	Name     string
	Selector ofds.Selector
}

// Curve says how a method does at several budgets.
type Curve struct {
	Name   string       `json:"name"`
	Points []CurvePoint `json:"points"` // one per budget, in the order of the budgets; fewer where Failed is not empty
	Failed string       `json:"failed,omitempty"`
}

// CurvePoint averages over the seeds the figures of selections on the true objects
// where the evaluator has them, and on proposals otherwise. Those of vectors are
// on proposals too when the truth has no vectors.
type CurvePoint struct {
	Budget        int      `json:"budget"`
	Seeds         int      `json:"seeds"`
	Images        Estimate `json:"images"` // that were chosen
	ClassCoverage Estimate `json:"class_coverage"`
	RareRecall    Estimate `json:"rare_recall"` // Recall of the rare classes
	Recall        Estimate `json:"recall"`
	Balance       Estimate `json:"balance"`
	CoverP95      Estimate `json:"cover_p95"`
	ModeRecall    Estimate `json:"mode_recall"`
	NearestMean   Estimate `json:"nearest_mean"`
}

// Estimate is a mean over seeds with its standard error, s / sqrt(n), which is
// missing below two seeds. Seeds without the figure are left out.
type Estimate struct {
	Mean  Number `json:"mean"`
	Error Number `json:"se"`
}

// Curves runs every method at every budget with every seed and measures what it
// chose. A method that fails is reported in its curve and the others go on, so
// that a pool without image vectors still gets the curves that it can have; only
// the end of the context is an error.
func (e *Evaluator) Curves(ctx context.Context, methods []Method, budgets []int, seeds []uint64) ([]Curve, error) {
	var curves []Curve
	for _, m := range methods {
		curve := Curve{Name: m.Name}
		for _, budget := range budgets {
			point, err := e.point(ctx, m, budget, seeds)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				curve.Failed = err.Error()
				break
			}
			curve.Points = append(curve.Points, point)
		}
		curves = append(curves, curve)
	}
	return curves, nil
}

// point measures one method at one budget.
func (e *Evaluator) point(ctx context.Context, m Method, budget int, seeds []uint64) (CurvePoint, error) {
	var all []*Metrics
	for _, seed := range seeds {
		s, err := m.Selector.Select(ctx, e.pool, budget, seed)
		if err != nil {
			return CurvePoint{}, fmt.Errorf("select %d images: %w", budget, err)
		}
		measured, err := e.Measure(ctx, Of(m.Name, s))
		if err != nil {
			return CurvePoint{}, err
		}
		all = append(all, measured)
	}
	counts := func(figure func(*Figures) Number) Estimate {
		return estimate(all, func(m *Metrics) Number {
			if m.Truth != nil {
				return figure(m.Truth)
			}
			return figure(&m.Proposals)
		})
	}
	distances := func(figure func(*Figures) Number) Estimate {
		if e.truth != nil && e.truth.pool.Vectors.Rows() > 0 {
			return counts(figure)
		}
		return estimate(all, func(m *Metrics) Number { return figure(&m.Proposals) })
	}
	return CurvePoint{
		Budget: budget, Seeds: len(seeds),
		Images:        estimate(all, func(m *Metrics) Number { return Number(m.Images) }),
		ClassCoverage: counts(func(f *Figures) Number { return f.Overall.ClassCoverage }),
		RareRecall:    counts(func(f *Figures) Number { return f.Bins[0].Recall }),
		Recall:        counts(func(f *Figures) Number { return f.Overall.Recall }),
		Balance:       counts(func(f *Figures) Number { return f.Overall.Balance }),
		CoverP95:      distances(func(f *Figures) Number { return f.Overall.CoverP95 }),
		ModeRecall:    distances(func(f *Figures) Number { return f.Overall.ModeRecall }),
		NearestMean:   distances(func(f *Figures) Number { return f.Overall.NearestMean }),
	}, nil
}

func estimate(all []*Metrics, figure func(*Metrics) Number) Estimate {
	n, sum, squares := 0.0, 0.0, 0.0
	var values []float64
	for _, m := range all {
		if x := figure(m); x.Exists() {
			values = append(values, float64(x))
			sum += float64(x)
			n++
		}
	}
	mean := sum / n
	for _, x := range values {
		squares += (x - mean) * (x - mean)
	}
	out := Estimate{ratio(sum, n), missing()}
	if n > 1 {
		out.Error = Number(math.Sqrt(squares / (n - 1) / n))
	}
	return out
}
