package scoring

import (
	"context"
	"fmt"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// stream is the token stream of a shard that is not yet cut into sequences.
type stream struct {
	ids    []int32
	starts []documentStart // in order; the first one covers ids[0]
	next   int32           // index of the next sequence in the shard

	usedIDs, usedStarts int // handed out by take, dropped by the next append
}

// documentStart says where in the stream a document begins.
type documentStart struct {
	at         int // index into ids; may be negative once its beginning was cut off
	row        int64
	id, domain string
}

// append adds the batch's documents to the stream, each followed by the
// end-of-text token. Documents without tokens leave no trace.
func (s *stream) append(b pipeline.Batch, rows tokenRows, endOfText int32) {
	s.dropUsed()
	for i := range b.NumRows() {
		tokens := rows.tokens(i)
		if len(tokens) == 0 {
			continue
		}
		s.starts = append(s.starts, documentStart{
			at: len(s.ids), row: b.FirstRow + int64(i),
			// Clone: the record's memory goes back when the batch is released.
			id: strings.Clone(text(rows.id, i)), domain: strings.Clone(text(rows.domain, i)),
		})
		s.ids = append(append(s.ids, tokens...), endOfText)
	}
}

// take returns the sequences that are complete. They are valid until the next
// call of append.
func (s *stream) take(length int) []pipeline.Sequence {
	var sequences []pipeline.Sequence
	at, document := s.usedIDs, s.usedStarts
	for ; at+length <= len(s.ids); at += length {
		sequence := pipeline.Sequence{Seq: s.next, Tokens: s.ids[at : at+length : at+length]}
		for from := at; from < at+length; {
			start, end := s.starts[document], s.end(document)
			to := min(end, at+length)
			sequence.Pieces = append(sequence.Pieces, pipeline.Piece{Row: start.row, ID: start.id, Domain: start.domain, Tokens: to - from})
			from = to
			if to == end {
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
	s.ids = append(s.ids[:0], s.ids[s.usedIDs:]...)
	s.starts = append(s.starts[:0], s.starts[s.usedStarts:]...)
	for i := range s.starts {
		s.starts[i].at -= s.usedIDs
	}
	s.usedIDs, s.usedStarts = 0, 0
}

// scoreStream appends the batch's documents to the stream and scores the
// sequences that are complete.
func (s *Scorer) scoreStream(ctx context.Context, b pipeline.Batch, rows tokenRows) (*pipeline.Scores, error) {
	s.stream.append(b, rows, s.opt.EndOfText)
	length := s.opt.SequenceLength
	sequences := s.stream.take(length)
	tokens := make([][]int32, len(sequences))
	for i := range sequences {
		tokens[i] = sequences[i].Tokens
	}
	sums, err := s.score(ctx, b, tokens)
	if err != nil {
		return nil, err
	}
	out := newScores(b.Shard, len(sequences))
	// Counts are of documents: a sequence without a finite score is in the
	// sidecar, with its reason, but drops no document.
	scored := Counts{Rejected: map[pipeline.Reason]int64{}}
	for i, sequence := range sequences {
		first := sequence.Pieces[0]
		out.Row[i], out.Seq[i] = first.Row, sequence.Seq
		out.ID[i], out.Domain[i] = first.ID, first.Domain
		prior, err := s.prior(sums[0][i], out.Row[i], out.Seq[i], length-1, "")
		if err != nil {
			return nil, fmt.Errorf("score %s: %w", b.Shard, err)
		}
		out.set(i, prior, sums[1][i]/float64(length-1), length-1, &scored)
	}
	s.counts.Scored += scored.Scored
	return out.Scores, nil
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
	c.stream.append(b, rows, c.opt.EndOfText)
	return c.stream.take(c.opt.SequenceLength), nil
}

// Counts returns the counts so far; nothing is scored.
func (c *Cutter) Counts() Counts {
	counts := c.counts
	counts.TailTokens = c.stream.tail()
	return counts
}
