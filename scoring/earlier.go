package scoring

import (
	"errors"
	"fmt"
	"iter"

	"github.com/curate-data/curate/pipeline"
)

// NewConditionalScorer returns a Scorer for one work unit that was scored before
// with the same prior: losses run one model, the conditional, and the prior's
// losses are those of the unit's earlier scores, which are read in their order.
// The result is the same as with both models, bit for bit. Close must be called.
func NewConditionalScorer(losses Losses, earlier iter.Seq2[*pipeline.Scores, error], opt Options) (*Scorer, error) {
	s, err := NewScorer(losses, opt)
	if err != nil {
		return nil, err
	}
	s.earlier = &earlierScores{}
	s.earlier.next, s.earlier.stop = iter.Pull2(earlier)
	return s, nil
}

// ErrEarlier says that earlier scores are not of the unit that is scored.
var ErrEarlier = errors.New("the earlier scores are not of these rows")

// earlierScores walks over the rows of a unit's earlier scores.
type earlierScores struct {
	next func() (*pipeline.Scores, error, bool)
	stop func()
	run  *pipeline.Scores // valid until the next call of next
	at   int              // index of the next row in run
}

// take moves on by one row, which must be that of the arguments, and returns the
// prior's mean loss in nats per token, as it was stored.
func (e *earlierScores) take(row int64, seq int32, tokens int, reason pipeline.Reason) (float64, error) {
	for e.run == nil || e.at == e.run.Len() {
		run, err, ok := e.next()
		if err != nil {
			return 0, fmt.Errorf("read earlier scores: %w", err)
		}
		if !ok {
			return 0, fmt.Errorf("%w: they end before row %d", ErrEarlier, row)
		}
		e.run, e.at = run, 0
	}
	i := e.at
	e.at++
	if e.run.Row[i] != row || e.run.Seq[i] != seq || int(e.run.TokenCount[i]) != tokens || e.run.Reason[i] != reason {
		return 0, fmt.Errorf("%w: row %d, sequence %d, %d tokens, reason %q, not row %d, sequence %d, %d tokens, reason %q", ErrEarlier,
			e.run.Row[i], e.run.Seq[i], e.run.TokenCount[i], e.run.Reason[i], row, seq, tokens, reason)
	}
	return float64(e.run.Prior[i]), nil
}

// end is an error if rows are left.
func (e *earlierScores) end() error {
	if e.run != nil && e.at < e.run.Len() {
		return fmt.Errorf("%w: there are more of them", ErrEarlier)
	}
	_, err, more := e.next()
	if err == nil && more {
		err = fmt.Errorf("%w: there are more of them", ErrEarlier)
	}
	return err
}

// Reusable reports whether a NewConditionalScorer can go on from a row's earlier
// score: rows whose loss was not finite hold nothing of the prior.
func Reusable(reason pipeline.Reason) bool {
	return reason != pipeline.NaNScore && reason != pipeline.InfScore
}
