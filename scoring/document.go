package scoring

import (
	"context"
	"iter"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// documents are those of Document mode whose scores are not known yet.
type documents struct {
	pending []document
	ids     []int32 // of the windows that wait for the models, one after the other
	windows []documentWindow
}

// document is a row with the losses of its windows so far.
type document struct {
	documentStart
	reason pipeline.Reason
	total  losses
}

// documentWindow is a window that waits, of a pending document.
type documentWindow struct{ document, tokens, seen int }

// scoreDocuments takes the rows of b one after the other and runs the models
// whenever enough windows wait.
func (s *Scorer) scoreDocuments(ctx context.Context, b pipeline.Batch, rows tokenRows) (*pipeline.Scores, error) {
	out, d := newScores(b.Shard), &s.documents
	for i := range b.NumRows() {
		if len(d.pending) >= s.limit.documents {
			if err := s.scorePending(ctx, out, true); err != nil {
				return nil, err
			}
		}
		s.waiting++
		reason := pipeline.Reason(rows.reason.Value(i))
		d.pending = append(d.pending, document{documentStart: rows.start(b, i), reason: reason})
		if reason != "" {
			continue
		}
		for w := range windowsOf(rows.tokens(i), s.opt.SequenceLength, s.opt.Overlap) {
			if len(d.ids)+len(w.Tokens) > s.limit.tokens {
				if err := s.scorePending(ctx, out, false); err != nil {
					return nil, err
				}
			}
			d.ids = append(d.ids, w.Tokens...)
			d.windows = append(d.windows, documentWindow{len(d.pending) - 1, len(w.Tokens), w.Seen})
		}
	}
	return out.Scores, nil
}

// scorePending runs the models over all windows that wait and adds the
// documents to out; without all the last one stays, since windows of it are to come.
func (s *Scorer) scorePending(ctx context.Context, out scores, all bool) error {
	d := &s.documents
	if len(d.pending) == 0 {
		return nil
	}
	windows := make([]pipeline.Window, len(d.windows))
	at := 0
	for i, w := range d.windows {
		windows[i] = pipeline.Window{Tokens: d.ids[at : at+w.tokens], Seen: w.seen}
		at += w.tokens
	}
	sums, err := s.score(ctx, windows, d.pending[0].row, d.pending[len(d.pending)-1].row)
	if err != nil {
		return err
	}
	for i, w := range d.windows {
		d.pending[w.document].total.add(sums[0][i], sums[1][i], windows[i].Counted())
	}
	whole := len(d.pending)
	if !all {
		whole--
	}
	for _, document := range d.pending[:whole] {
		reason, err := s.add(out, document.documentStart, 0, document.total, document.reason)
		if err != nil {
			return err
		}
		switch {
		case reason == "":
			s.counts.Scored++
		case document.reason == "":
			s.counts.Rejected[reason]++
		}
	}
	d.pending = append(d.pending[:0], d.pending[whole:]...)
	d.ids, d.windows = d.ids[:0], d.windows[:0]
	return nil
}

// windowsOf cuts a document's ids into windows of at most length tokens, which
// overlap by so many. Each token after the first is counted by one window;
// without overlap the first ones of windows are by none, and a last window of
// one token is left out.
func windowsOf(ids []int32, length, overlap int) iter.Seq[pipeline.Window] {
	return func(yield func(pipeline.Window) bool) {
		for from, seen := 0, 0; ; {
			to := min(from+length, len(ids))
			w := pipeline.Window{Tokens: ids[from:to], Seen: seen}
			if w.Counted() == 0 || !yield(w) || to == len(ids) {
				return
			}
			from, seen = to-overlap, overlap
		}
	}
}

// start says which document row i is. Its strings are the caller's: the record's
// memory goes back when the batch is released.
func (r tokenRows) start(b pipeline.Batch, i int) documentStart {
	return documentStart{row: b.FirstRow + int64(i), id: strings.Clone(text(r.id, i)), domain: strings.Clone(text(r.domain, i))}
}
