package scoring

import (
	"context"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// stream is the token stream of a shard that is not yet cut into sequences.
type stream struct {
	ids    []int32
	starts []documentStart // in order; the first one covers ids[0]
	next   int32           // index of the next sequence in the shard
}

// documentStart says where in the stream a document begins.
type documentStart struct {
	at         int // index into ids; may be negative once its beginning was cut off
	row        int64
	id, domain string
}

// scoreStream appends the batch's documents to the stream, each followed by
// the end-of-text token, and scores the sequences that are complete.
func (s *Scorer) scoreStream(ctx context.Context, b pipeline.Batch, rows tokenRows) (*pipeline.Scores, error) {
	for i := range b.NumRows() {
		tokens := rows.tokens(i)
		if len(tokens) == 0 {
			continue
		}
		s.stream.starts = append(s.stream.starts, documentStart{
			at: len(s.stream.ids), row: b.FirstRow + int64(i),
			// Clone: the record's memory goes back when the batch is released.
			id: strings.Clone(text(rows.id, i)), domain: strings.Clone(text(rows.domain, i)),
		})
		s.stream.ids = append(append(s.stream.ids, tokens...), s.opt.EndOfText)
	}
	length := s.opt.SequenceLength
	var sequences [][]int32
	for at := 0; at+length <= len(s.stream.ids); at += length {
		sequences = append(sequences, s.stream.ids[at:at+length])
	}
	sums, err := s.score(ctx, b, sequences)
	if err != nil {
		return nil, err
	}
	out := newScores(b.Shard, len(sequences))
	document := 0
	for i := range sequences {
		for document+1 < len(s.stream.starts) && s.stream.starts[document+1].at <= i*length {
			document++
		}
		start := s.stream.starts[document]
		out.Row[i], out.Seq[i] = start.row, s.stream.next+int32(i)
		out.ID[i], out.Domain[i] = start.id, start.domain
		out.set(i, losses{sums[0][i], sums[1][i], length - 1}, &s.counts)
	}
	s.stream.cut(len(sequences), length)
	return out.Scores, nil
}

// cut drops the first n sequences and the documents that end in them.
func (s *stream) cut(n, length int) {
	s.next += int32(n)
	used := n * length
	s.ids = append(s.ids[:0], s.ids[used:]...)
	for i := range s.starts {
		s.starts[i].at -= used
	}
	keep := 0
	for keep+1 < len(s.starts) && s.starts[keep+1].at <= 0 {
		keep++
	}
	if len(s.ids) == 0 {
		keep = len(s.starts)
	}
	s.starts = append(s.starts[:0], s.starts[keep:]...)
}
