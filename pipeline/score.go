package pipeline

import (
	"context"
	"iter"
)

// Reason says why a row is not kept. The empty Reason means that it is kept
// (in Decisions) or that it has a score (in Scores).
type Reason string

// Reasons to reject a row before selection. Such a row counts as a row of the
// pool and is never selected.
const (
	NullText    Reason = "null_text"    // the text is null
	EmptyText   Reason = "empty_text"   // the text has no bytes
	InvalidUTF8 Reason = "invalid_utf8" // the text is not valid UTF-8
	TooShort    Reason = "too_short"    // fewer than two tokens: no token has a loss
	NaNScore    Reason = "nan_score"    // a loss or the score is not a number
	InfScore    Reason = "inf_score"    // a loss or the score is infinite
)

// Reasons to reject an image before selection.
const (
	BrokenImage Reason = "broken_image" // it cannot be decoded
	NoImage     Reason = "no_image"     // the row has neither its bytes nor the name of its file
)

// Reasons to drop a row that has a score.
const (
	BelowCut Reason = "below_cut"  // the score is below the cut
	TieAtCut Reason = "tie_at_cut" // the score equals the cut, and rows before it filled the budget
)

// Scores is a run of scored rows of one shard, in (row, seq) order, one slice
// element per row. All slices have the same length. Losses are nats per token.
type Scores struct {
	Shard       string
	Row         []int64
	Seq         []int32
	ID          []string // empty where the input has no id
	Domain      []string // empty where the input has no domain
	TokenCount  []int32  // tokens that have a loss
	Prior       []float32
	Conditional []float32
	Color       []float32 // prior minus conditional loss: higher means keep
	Reason      []Reason  // empty where the row has a score; else losses are NaN
}

// Len returns the number of rows.
func (s *Scores) Len() int { return len(s.Row) }

// ScoreSource gives all scores of a pool, ordered by (shard, row, seq). It can
// be read any number of times and gives the same rows each time. A yielded
// *Scores is valid until the next one is asked for.
type ScoreSource interface {
	Scores(ctx context.Context) iter.Seq2[*Scores, error]
}

// Decisions is the outcome for a run of rows of one shard, in (row, seq) order.
type Decisions struct {
	Shard  string
	Row    []int64
	Seq    []int32
	Keep   []bool
	Reason []Reason  // empty exactly where Keep is true
	Score  []float32 // the score that the method ranked by, NaN for rejected rows
}
