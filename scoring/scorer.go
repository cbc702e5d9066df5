package scoring

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// Unit names what gets one score.
type Unit string

const (
	// Document scores each row's text: padding is masked, and a document
	// longer than the sequence length is scored in windows, averaged by tokens.
	Document Unit = "document"
	// Sequence scores consecutive tokens of the shard's documents, joined by
	// the end-of-text token, as in the paper: nothing is masked, the tail
	// shorter than the sequence length is dropped and counted.
	Sequence Unit = "sequence"
)

// Losses runs all models over the same batches. Score returns for each model
// and each sequence the sum of its token losses in nats over the len-1
// next-token positions. lm.Scorer is the implementation.
type Losses interface {
	Score(ctx context.Context, sequences [][]int32) ([][]float64, error)
}

// Options of a Scorer.
type Options struct {
	Unit           Unit
	SequenceLength int   // T, tokens of a window or sequence; the paper's is 512
	EndOfText      int32 // id that joins documents in Sequence mode
}

// Validate lists every fault of the options.
func (o Options) Validate() error {
	var faults []error
	if o.Unit != Document && o.Unit != Sequence {
		faults = append(faults, fmt.Errorf("unit %q: want %q or %q", o.Unit, Document, Sequence))
	}
	if o.SequenceLength < 2 {
		faults = append(faults, fmt.Errorf("sequence length %d: want at least 2", o.SequenceLength))
	}
	return errors.Join(faults...)
}

// Counts says what became of the rows of a unit. In Document mode Scored plus
// Rejected is the number of rows; in Sequence mode Rejected counts documents
// that gave no tokens, and TailTokens the tokens after the last whole sequence.
type Counts struct {
	Rows       int64                     // documents read
	Tokens     int64                     // tokens of all documents
	Scored     int64                     // rows of Scores with a score
	Rejected   map[pipeline.Reason]int64 // documents without a score, by reason
	TailTokens int64
}

// add counts the documents of a batch.
func (c *Counts) add(b pipeline.Batch, rows tokenRows, unit Unit) {
	c.Rows += int64(b.NumRows())
	for i := range b.NumRows() {
		c.Tokens += int64(len(rows.tokens(i)))
		reason := pipeline.Reason(rows.reason.Value(i))
		// One token is no document to score, but it is part of a stream.
		if reason != "" && !(unit == Sequence && reason == pipeline.TooShort) {
			c.Rejected[reason]++
		}
	}
}

// Scorer turns tokenised batches of one work unit into Scores. It is used by
// one goroutine and keeps state between batches in Sequence mode.
type Scorer struct {
	opt    Options
	losses Losses
	counts Counts
	stream stream

	earlier *earlierScores // has the prior's losses; nil: losses gives them
}

// NewScorer returns a Scorer for one work unit. losses must run two models:
// prior first, conditional second.
func NewScorer(losses Losses, opt Options) (*Scorer, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("score options: %w", err)
	}
	return &Scorer{opt: opt, losses: losses, counts: Counts{Rejected: map[pipeline.Reason]int64{}}}, nil
}

// Finish is called after the last batch. It is an error when earlier scores have
// rows that the unit does not have.
func (s *Scorer) Finish() error {
	if s.earlier == nil {
		return nil
	}
	return s.earlier.end()
}

// Close ends the reading of earlier scores.
func (s *Scorer) Close() {
	if s.earlier != nil {
		s.earlier.stop()
	}
}

// Counts returns the counts so far.
func (s *Scorer) Counts() Counts {
	c := s.counts
	c.TailTokens = s.stream.tail()
	return c
}

// Score scores a batch made by TokenizeStage and releases it. In Sequence mode
// the result holds the sequences that were completed, possibly none.
func (s *Scorer) Score(ctx context.Context, b pipeline.Batch) (*pipeline.Scores, error) {
	defer b.Release()
	rows, err := tokenRowsOf(b)
	if err != nil {
		return nil, err
	}
	s.counts.add(b, rows, s.opt.Unit)
	if s.opt.Unit == Sequence {
		return s.scoreStream(ctx, b, rows)
	}
	return s.scoreDocuments(ctx, b, rows)
}

// scoreDocuments returns one row per document.
func (s *Scorer) scoreDocuments(ctx context.Context, b pipeline.Batch, rows tokenRows) (*pipeline.Scores, error) {
	var windows [][]int32
	first := make([]int, b.NumRows()+1) // windows of document i: first[i]..first[i+1]
	for i := range b.NumRows() {
		if rows.reason.Value(i) == "" {
			windows = appendWindows(windows, rows.tokens(i), s.opt.SequenceLength)
		}
		first[i+1] = len(windows)
	}
	sums, err := s.score(ctx, b, windows)
	if err != nil {
		return nil, err
	}
	out := newScores(b.Shard, b.NumRows())
	for i := range b.NumRows() {
		out.Row[i] = b.FirstRow + int64(i)
		// Clone: the record's memory goes back when the batch is released.
		out.ID[i], out.Domain[i] = strings.Clone(text(rows.id, i)), strings.Clone(text(rows.domain, i))
		if reason := pipeline.Reason(rows.reason.Value(i)); reason != "" {
			if _, err := s.prior(0, out.Row[i], 0, 0, reason); err != nil {
				return nil, fmt.Errorf("score %s: %w", b.Shard, err)
			}
			out.reject(i, reason)
			continue
		}
		var total losses
		for w := first[i]; w < first[i+1]; w++ {
			total.add(sums[0][w], sums[1][w], len(windows[w])-1)
		}
		prior, err := s.prior(total.prior, out.Row[i], 0, total.tokens, "")
		if err != nil {
			return nil, fmt.Errorf("score %s: %w", b.Shard, err)
		}
		out.set(i, prior, total.conditional/float64(total.tokens), total.tokens, &s.counts)
	}
	return out.Scores, nil
}

// prior returns the prior's mean loss of a row, from the sum over its tokens or
// from its earlier score.
func (s *Scorer) prior(sum float64, row int64, seq int32, tokens int, reason pipeline.Reason) (float64, error) {
	if s.earlier == nil {
		return sum / float64(tokens), nil
	}
	return s.earlier.take(row, seq, tokens, reason)
}

// score runs the models and names the rows when that fails.
func (s *Scorer) score(ctx context.Context, b pipeline.Batch, sequences [][]int32) ([][]float64, error) {
	if len(sequences) == 0 {
		return [][]float64{nil, nil}, nil
	}
	models := 2
	if s.earlier != nil {
		models = 1
	}
	sums, err := s.losses.Score(ctx, sequences)
	if err != nil {
		return nil, fmt.Errorf("score %s rows %d-%d: %w", b.Shard, b.FirstRow, b.FirstRow+int64(b.NumRows())-1, err)
	}
	if len(sums) != models {
		return nil, fmt.Errorf("score %s: %d models gave losses, want %d", b.Shard, len(sums), models)
	}
	if s.earlier != nil {
		return [][]float64{make([]float64, len(sequences)), sums[0]}, nil
	}
	return sums, nil
}

// appendWindows cuts ids into windows of at most length tokens. A last window
// of one token has no next-token position and is left out.
func appendWindows(windows [][]int32, ids []int32, length int) [][]int32 {
	for len(ids) >= 2 {
		n := min(length, len(ids))
		windows = append(windows, ids[:n])
		ids = ids[n:]
	}
	return windows
}

// losses is a sum over windows, in float64.
type losses struct {
	prior, conditional float64
	tokens             int
}

func (l *losses) add(prior, conditional float64, tokens int) {
	l.prior += prior
	l.conditional += conditional
	l.tokens += tokens
}

// scores adds the arithmetic of one row to pipeline.Scores.
type scores struct{ *pipeline.Scores }

func newScores(shard string, n int) scores {
	return scores{&pipeline.Scores{
		Shard: shard, Row: make([]int64, n), Seq: make([]int32, n), ID: make([]string, n), Domain: make([]string, n),
		TokenCount: make([]int32, n), Prior: make([]float32, n), Conditional: make([]float32, n), Color: make([]float32, n),
		Reason: make([]pipeline.Reason, n),
	}}
}

func (s scores) reject(i int, reason pipeline.Reason) {
	nan := float32(math.NaN())
	s.Prior[i], s.Conditional[i], s.Color[i], s.Reason[i] = nan, nan, nan, reason
}

// set stores the mean losses of row i. A loss that is not finite rejects the row.
func (s scores) set(i int, prior, conditional float64, tokens int, counts *Counts) {
	s.TokenCount[i] = int32(tokens)
	reason := pipeline.Reason("")
	switch score := prior - conditional; {
	case math.IsNaN(score):
		reason = pipeline.NaNScore
	case math.IsInf(score, 0):
		reason = pipeline.InfScore
	}
	if reason != "" {
		s.reject(i, reason)
		counts.Rejected[reason]++
		return
	}
	// The score is the difference of the stored float32 losses, so that
	// anyone can recompute it from the sidecar, bit for bit.
	s.Prior[i], s.Conditional[i] = float32(prior), float32(conditional)
	s.Color[i] = s.Prior[i] - s.Conditional[i]
	counts.Scored++
}
