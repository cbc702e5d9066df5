package scoring

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/curate-data/curate/pipeline"
)

// Unit names what gets one score.
type Unit string

const (
	// Document scores each row's text: padding is masked, and a document
	// longer than the sequence length is scored in windows, averaged by tokens.
	// Windows follow each other, or begin Overlap tokens before the end of the
	// last one, which gives the tokens after them more context.
	Document Unit = "document"
	// Sequence scores consecutive tokens of the shard's documents, joined by
	// the end-of-text token, as in the paper: nothing is masked, the tail
	// shorter than the sequence length is dropped and counted.
	Sequence Unit = "sequence"
)

// Losses runs all models over the same batches and returns losses in the order
// of windows. done, if not nil, hears of every batch how many of the windows'
// tokens it had. lm.Scorer is the implementation.
type Losses interface {
	Score(ctx context.Context, windows []pipeline.Window, done func(tokens int)) (pipeline.WindowLosses, error)
}

// Options of a Scorer.
type Options struct {
	Unit           Unit
	SequenceLength int   // T, tokens of a window or sequence; the paper's is 512
	Overlap        int   // of the windows of a document, in tokens, less than SequenceLength
	EndOfText      int32 // id that joins documents in Sequence mode
	// Progress, if not nil, hears how many more documents were scored, roughly:
	// documents are counted by their share of the tokens that are scored together.
	Progress func(documents int)
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
	switch {
	case o.Overlap < 0 || o.Overlap > 0 && o.Overlap >= o.SequenceLength:
		faults = append(faults, fmt.Errorf("overlap %d: want 0 to %d, less than the sequence length", o.Overlap, o.SequenceLength-1))
	case o.Overlap > 0 && o.Unit == Sequence:
		faults = append(faults, fmt.Errorf("overlap %d: only windows of documents overlap; unit %q cuts a stream", o.Overlap, Sequence))
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
	// DeviceTokens is how many tokens each model computed; Padding of them were no text's.
	DeviceTokens, Padding int64
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

// What goes to the models in one call. Windows of a call share device batches,
// so a call ends where the unit's content says, wherever record batches end. It
// is long enough for device batches to be full, and for texts of all lengths to
// fill rows, and short enough to be held: 4 MB of ids.
const (
	callTokens    = 1 << 20
	callDocuments = 1 << 15
)

// Scorer turns tokenised batches of one work unit into Scores. It is used by
// one goroutine and keeps documents between batches; Finish ends the unit.
type Scorer struct {
	opt       Options
	losses    Losses
	counts    Counts
	limit     limits
	shard     string
	documents documents
	stream    stream
	waiting   int            // documents read that Progress did not hear of
	earlier   *earlierScores // has the prior's losses; nil: losses gives them
}

// limits are of what goes to the models in one call.
type limits struct{ tokens, documents int }

// NewScorer returns a Scorer for one work unit. losses must run two models:
// prior first, conditional second.
func NewScorer(losses Losses, opt Options) (*Scorer, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("score options: %w", err)
	}
	return &Scorer{opt: opt, losses: losses, counts: Counts{Rejected: map[pipeline.Reason]int64{}}, limit: limits{callTokens, callDocuments}}, nil
}

// Counts returns the counts so far.
func (s *Scorer) Counts() Counts {
	c := s.counts
	c.TailTokens = s.stream.tail()
	return c
}

// Score takes a batch made by TokenizeStage and releases it. The result holds
// the documents or sequences whose losses are known by now, in order, possibly none.
func (s *Scorer) Score(ctx context.Context, b pipeline.Batch) (*pipeline.Scores, error) {
	defer b.Release()
	rows, err := tokenRowsOf(b)
	if err != nil {
		return nil, err
	}
	s.shard = b.Shard
	s.counts.add(b, rows, s.opt.Unit)
	if s.opt.Unit == Sequence {
		return s.scoreStream(ctx, b, rows)
	}
	return s.scoreDocuments(ctx, b, rows)
}

// Finish returns the scores that were not returned yet.
func (s *Scorer) Finish(ctx context.Context) (*pipeline.Scores, error) {
	out := newScores(s.shard)
	var err error
	if s.opt.Unit == Sequence {
		err = s.scoreWhole(ctx, out, 1)
	} else {
		err = s.scorePending(ctx, out, true)
	}
	if err != nil {
		return nil, err
	}
	if s.earlier != nil {
		if err := s.earlier.end(); err != nil {
			return nil, fmt.Errorf("score %s: %w", s.shard, err)
		}
	}
	s.progress(s.waiting)
	return out.Scores, nil
}

// Close ends the reading of earlier scores.
func (s *Scorer) Close() {
	if s.earlier != nil {
		s.earlier.stop()
	}
}

func (s *Scorer) progress(documents int) {
	if s.opt.Progress != nil && documents > 0 {
		s.opt.Progress(documents)
	}
	s.waiting -= documents
}

// score runs the models and names the rows when that fails.
func (s *Scorer) score(ctx context.Context, windows []pipeline.Window, first, last int64) ([][]float64, error) {
	if len(windows) == 0 {
		return [][]float64{nil, nil}, nil
	}
	total := 0
	for _, w := range windows {
		total += len(w.Tokens)
	}
	waiting, scored, told := s.waiting, 0, 0
	result, err := s.losses.Score(ctx, windows, func(tokens int) {
		scored += tokens
		now := int(int64(waiting) * int64(scored) / int64(total))
		s.progress(now - told)
		told = now
	})
	if err != nil {
		return nil, fmt.Errorf("score %s rows %d-%d: %w", s.shard, first, last, err)
	}
	models := 2
	if s.earlier != nil {
		models = 1
	}
	if len(result.Sums) != models {
		return nil, fmt.Errorf("score %s: %d models gave losses, want %d", s.shard, len(result.Sums), models)
	}
	if s.earlier != nil { // the prior's come later
		result.Sums = [][]float64{make([]float64, len(windows)), result.Sums[0]}
	}
	s.counts.DeviceTokens += result.DeviceTokens
	s.counts.Padding += result.DeviceTokens - int64(total)
	return result.Sums, nil
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

// add appends a row with its mean losses, of the windows or of earlier scores. It
// returns the reason for which the row has no score.
func (s *Scorer) add(out scores, row documentStart, seq int32, total losses, reason pipeline.Reason) (pipeline.Reason, error) {
	prior, conditional := total.prior/float64(total.tokens), total.conditional/float64(total.tokens)
	if s.earlier != nil {
		var err error
		if prior, err = s.earlier.take(row.row, seq, total.tokens, reason); err != nil {
			return "", fmt.Errorf("score %s: %w", s.shard, err)
		}
	}
	return out.add(row, seq, prior, conditional, total.tokens, reason), nil
}

// scores appends rows to pipeline.Scores.
type scores struct{ *pipeline.Scores }

func newScores(shard string) scores { return scores{&pipeline.Scores{Shard: shard}} }

// add appends a row with mean losses; one that is not finite rejects it, and so
// does reason. It returns the reason for which the row has no score.
func (s scores) add(row documentStart, seq int32, priorMean, conditionalMean float64, tokens int, reason pipeline.Reason) pipeline.Reason {
	nan := float32(math.NaN())
	// The score is the difference of the stored float32 losses, so that anyone
	// can recompute it from the sidecar, bit for bit.
	prior, conditional := float32(priorMean), float32(conditionalMean)
	color := prior - conditional
	if reason == "" {
		switch score := priorMean - conditionalMean; {
		case math.IsNaN(score):
			reason = pipeline.NaNScore
		case math.IsInf(score, 0):
			reason = pipeline.InfScore
		}
	}
	if reason != "" {
		prior, conditional, color = nan, nan, nan
	}
	s.Row, s.Seq = append(s.Row, row.row), append(s.Seq, seq)
	s.ID, s.Domain = append(s.ID, row.id), append(s.Domain, row.domain)
	s.TokenCount = append(s.TokenCount, int32(tokens))
	s.Prior, s.Conditional, s.Color = append(s.Prior, prior), append(s.Conditional, conditional), append(s.Color, color)
	s.Reason = append(s.Reason, reason)
	return reason
}
