package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/shards"
)

func (m *models) close() error {
	var faults []error
	for _, scorer := range []*lm.Scorer{m.both, m.prior, m.conditional} {
		if scorer != nil {
			faults = append(faults, scorer.Close())
		}
	}
	return errors.Join(append(faults, m.device.Close())...)
}

// losses are those of both models.
func (m *models) losses() (_ scoring.Losses, err error) {
	if m.both != nil {
		return m.both, nil
	}
	if m.prior == nil {
		if m.prior, err = lm.NewScorer(m.device, m.folders[:1], m.computing); err != nil {
			return nil, err
		}
	}
	return lossesOfTwo{m.prior, m.conditional}, nil
}

// lossesOfTwo runs two scorers of one model each. Batches depend on the sequences
// alone, so the losses are those of one scorer with both.
type lossesOfTwo struct{ prior, conditional scoring.Losses }

// Score implements scoring.Losses.
func (l lossesOfTwo) Score(ctx context.Context, windows []pipeline.Window, done func(tokens int)) (pipeline.WindowLosses, error) {
	prior, err := l.prior.Score(ctx, windows, nil)
	if err != nil {
		return prior, fmt.Errorf("prior: %w", err)
	}
	conditional, err := l.conditional.Score(ctx, windows, done)
	if err != nil {
		return conditional, fmt.Errorf("conditional: %w", err)
	}
	conditional.Sums = append(prior.Sums, conditional.Sums...)
	return conditional, nil
}

// unitScorer returns the scorer of one unit, with the prior's losses from earlier
// scores where there are some. end is called when the unit is done, or failed.
func (m *models) unitScorer(ctx context.Context, s *stage, options scoring.Options, priorKey string, before shards.Unit) (_ *scoring.Scorer, end func(), err error) {
	if m.both == nil {
		object, err := m.earlier.open(ctx, s, priorKey, before)
		if err != nil {
			return nil, nil, err
		}
		if object != nil {
			scorer, err := scoring.NewConditionalScorer(m.conditional, earlierRows(ctx, object), options)
			if err != nil {
				return nil, nil, errors.Join(err, object.Close())
			}
			m.earlier.reused++
			return scorer, func() { scorer.Close(); object.Close() }, nil
		}
	}
	losses, err := m.losses()
	if err != nil {
		return nil, nil, err
	}
	scorer, err := scoring.NewScorer(losses, options)
	return scorer, func() {}, err
}
