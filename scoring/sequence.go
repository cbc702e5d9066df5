package scoring

import (
	"context"
	"fmt"
	"slices"

	"github.com/curate-data/curate/pipeline"
)

// stream is the token stream of a shard that is not yet cut into sequences.
type stream struct {
	ids    []int32
	starts []documentStart // in order; the first one covers ids[0]
	open   bool            // the last one goes on
	next   int32           // index of the next sequence in the shard

	usedIDs, usedStarts int // handed out by take, dropped when the stream grows
}

// documentStart says where in the stream a document begins.
type documentStart struct {
	at         int // index into ids; may be negative once its beginning was cut off
	row        int64
	id, domain string
}

// begin starts a document; the one before has ended.
func (s *stream) begin(document documentStart) {
	s.dropUsed()
	document.at = len(s.ids)
	s.starts, s.open = append(s.starts, document), true
}

// extend adds tokens to the document that began last.
func (s *stream) extend(tokens ...int32) {
	s.dropUsed()
	s.ids = append(s.ids, tokens...)
}

// finish ends the document that began last with the end-of-text token.
func (s *stream) finish(endOfText int32) {
	s.extend(endOfText)
	s.open = false
}

// whole is how many sequences are complete.
func (s *stream) whole(length int) int { return (len(s.ids) - s.usedIDs) / length }

// take returns the first n sequences, which must be complete. They are valid
// until a document begins, grows or ends.
func (s *stream) take(n, length int) []pipeline.Sequence {
	var sequences []pipeline.Sequence
	at, document := s.usedIDs, s.usedStarts
	for ; len(sequences) < n; at += length {
		sequence := pipeline.Sequence{Seq: s.next, Tokens: s.ids[at : at+length : at+length]}
		for from := at; from < at+length; {
			start, end := s.starts[document], s.end(document)
			to := min(end, at+length)
			sequence.Pieces = append(sequence.Pieces, pipeline.Piece{Row: start.row, ID: start.id, Domain: start.domain, Tokens: to - from})
			from = to
			if to == end && !(s.open && document == len(s.starts)-1) {
				document++
			}
		}
		s.next++
		sequences = append(sequences, sequence)
	}
	s.usedIDs, s.usedStarts = at, document
	return sequences
}

// end is the index into ids after document i and its end-of-text token.
func (s *stream) end(i int) int {
	if i+1 < len(s.starts) {
		return s.starts[i+1].at
	}
	return len(s.ids)
}

// tail is how many tokens are left after the last sequence that was taken.
func (s *stream) tail() int64 { return int64(len(s.ids) - s.usedIDs) }

// dropUsed drops the sequences that were taken and the documents that end in
// them.
func (s *stream) dropUsed() {
	if s.usedIDs == 0 {
		return
	}
	s.ids = append(s.ids[:0], s.ids[s.usedIDs:]...)
	s.starts = append(s.starts[:0], s.starts[s.usedStarts:]...)
	for i := range s.starts {
		s.starts[i].at -= s.usedIDs
	}
	s.usedIDs, s.usedStarts = 0, 0
}

// scoreStream appends the batch's documents to the stream, those without tokens
// left out, and runs the models whenever enough sequences are complete. A long
// document is taken in parts.
func (s *Scorer) scoreStream(ctx context.Context, b pipeline.Batch, rows tokenRows) (*pipeline.Scores, error) {
	out := newScores(b.Shard)
	enough := max(1, s.limit.tokens/s.opt.SequenceLength)
	for i := range b.NumRows() {
		s.waiting++
		tokens := rows.tokens(i)
		if len(tokens) == 0 {
			continue
		}
		s.stream.begin(rows.start(b, i))
		for part := range slices.Chunk(tokens, s.limit.tokens) {
			s.stream.extend(part...)
			if err := s.scoreWhole(ctx, out, enough); err != nil {
				return nil, err
			}
		}
		s.stream.finish(s.opt.EndOfText)
	}
	return out.Scores, s.scoreWhole(ctx, out, enough)
}

// scoreWhole scores complete sequences, as many as make a call, while there are
// at least so many.
func (s *Scorer) scoreWhole(ctx context.Context, out scores, least int) error {
	length := s.opt.SequenceLength
	for s.stream.whole(length) >= least {
		n := min(s.stream.whole(length), max(1, s.limit.tokens/length))
		sequences := s.stream.take(n, length)
		windows := make([]pipeline.Window, n)
		for i := range sequences {
			windows[i].Tokens = sequences[i].Tokens
		}
		sums, err := s.score(ctx, windows, sequences[0].Row(), sequences[n-1].Row())
		if err != nil {
			return err
		}
		for i, sequence := range sequences {
			first := sequence.Pieces[0]
			row := documentStart{row: first.Row, id: first.ID, domain: first.Domain}
			// Counts are of documents: a sequence without a finite score is in the
			// sidecar, with its reason, but drops no document.
			reason, err := s.add(out, row, sequence.Seq, losses{sums[0][i], sums[1][i], length - 1}, "")
			if err != nil {
				return err
			}
			if reason == "" {
				s.counts.Scored++
			}
		}
	}
	return nil
}

// Cutter cuts the documents of one shard into the sequences that a Scorer in
// Sequence mode gives scores to: the same tokens under the same numbers, tail
// and rejected documents left out alike. It serves one goroutine.
type Cutter struct {
	opt    Options
	counts Counts
	stream stream
}

// NewCutter returns a Cutter for one shard, from its first batch on. The
// options are those of the scoring.
func NewCutter(opt Options) (*Cutter, error) {
	err := opt.Validate()
	if err == nil && opt.Unit != Sequence {
		err = fmt.Errorf("unit %q has no sequences", opt.Unit)
	}
	if err != nil {
		return nil, fmt.Errorf("sequence options: %w", err)
	}
	return &Cutter{opt: opt, counts: Counts{Rejected: map[pipeline.Reason]int64{}}}, nil
}

// Cut takes a batch made by TokenizeStage, releases it, and returns the
// sequences that are complete with it, valid until the next call.
func (c *Cutter) Cut(b pipeline.Batch) ([]pipeline.Sequence, error) {
	defer b.Release()
	rows, err := tokenRowsOf(b)
	if err != nil {
		return nil, err
	}
	c.counts.add(b, rows, Sequence)
	for i := range b.NumRows() {
		if tokens := rows.tokens(i); len(tokens) > 0 {
			c.stream.begin(rows.start(b, i))
			c.stream.extend(tokens...)
			c.stream.finish(c.opt.EndOfText)
		}
	}
	return c.stream.take(c.stream.whole(c.opt.SequenceLength), c.opt.SequenceLength), nil
}

// Counts returns the counts so far; nothing is scored.
func (c *Cutter) Counts() Counts {
	counts := c.counts
	counts.TailTokens = c.stream.tail()
	return counts
}
