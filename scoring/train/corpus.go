package train

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/tokenizer"
)

// Corpus is text to train on.
type Corpus struct {
	// Source gives batches of pipeline.TextSchema in an order that does not
	// change. Batches is called again when work that was interrupted cannot be
	// reused.
	Source pipeline.Source
	// Key names the content: equal keys mean equal rows (a digest of the input
	// files, say). It lets an interrupted run go on without reading the corpus
	// again. Empty: a resumed run reads and tokenises the corpus again and
	// compares the tokens.
	Key string
}

// Counts says what became of the rows of a corpus. Rows = Trained + Held +
// Unused + the sum of Skipped.
type Counts struct {
	Rows          int64                     `json:"rows"`
	Trained       int64                     `json:"trained_rows"`
	Held          int64                     `json:"held_out_rows"`
	Unused        int64                     `json:"unused_rows"` // not drawn for the token budget
	Skipped       map[pipeline.Reason]int64 `json:"skipped_rows,omitempty"`
	TrainTokens   int64                     `json:"train_tokens"`   // with one end-of-text token a row
	HeldoutTokens int64                     `json:"heldout_tokens"` // likewise
}

// draw says which rows of a corpus to train on and which to hold out.
type draw struct {
	seed            uint64
	budget          int64   // tokens to train on, noBudget for all
	heldoutFraction float64 // of rows
	heldoutMin      int64   // tokens to hold out at least, where half the corpus allows
	heldoutMax      int64   // tokens to hold out at most
}

// reader tokenises a corpus and draws its rows.
type reader struct {
	draw    draw
	pool    *tokenizer.Pool
	eos     int32
	ids     []int32 // of the row that is being encoded
	counts  Counts
	train   *tally
	held    *tally
	nominal int // buckets of the hold-out hash that never train
}

func newReader(d draw, tok *tokenizer.Tokenizer, eos int32) *reader {
	nominal := int(d.heldoutFraction * buckets)
	return &reader{
		draw: d, pool: tok.NewPool(0), eos: eos, nominal: nominal,
		counts: Counts{Skipped: map[pipeline.Reason]int64{}},
		train:  newTally(d.budget, buckets), held: newTally(d.heldoutMax, nominal),
	}
}

// read tokenises all rows that may be drawn and appends them to the spool.
func (r *reader) read(ctx context.Context, src pipeline.Source, to *spoolWriter) error {
	for b, err := range src.Batches(ctx) {
		if err != nil {
			return fmt.Errorf("read corpus: %w", err)
		}
		if err := r.batch(ctx, b, to); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// batch reads one batch and releases it.
func (r *reader) batch(ctx context.Context, b pipeline.Batch, to *spoolWriter) error {
	defer b.Release()
	if b.NumRows() == 0 {
		return nil
	}
	texts, ok := b.Record.Column(0).(*array.Binary)
	if !ok {
		return fmt.Errorf("read corpus %s: column 0 is %s, want binary text", b.Shard, b.Record.Column(0).DataType())
	}
	var rows []drawnRow
	var good [][]byte
	for i := range texts.Len() {
		r.counts.Rows++
		text, reason := textOf(texts, i)
		if reason != "" {
			r.counts.Skipped[reason]++
			continue
		}
		// What is not drawn by now never will be: the cut only falls.
		if row := r.place(b.RowID(i)); row.in.in(row.bucket) {
			rows, good = append(rows, row), append(good, text)
		}
	}
	return r.encode(ctx, rows, good, to)
}

// encode tokenises rows side by side and spools them in order.
func (r *reader) encode(ctx context.Context, rows []drawnRow, texts [][]byte, to *spoolWriter) error {
	var failed error
	done := 0 // rows that are spooled
	finish := func(until int) {
		for ; done < until && failed == nil; done++ {
			if err := r.spool(rows[done], to); err != nil {
				failed = fmt.Errorf("tokenise %s row %d: %w", rows[done].id.Shard, rows[done].id.Row, err)
			}
			r.ids = r.ids[:0]
		}
	}
	r.ids = r.ids[:0]
	err := r.pool.Encode(ctx, texts, func(i int, ids []int32) {
		finish(i)
		r.ids = append(r.ids, ids...)
	})
	if err != nil {
		return err
	}
	finish(len(rows))
	return failed
}

// textOf returns the text of row i, or why it cannot be trained on.
func textOf(texts *array.Binary, i int) ([]byte, pipeline.Reason) {
	if texts.IsNull(i) {
		return nil, pipeline.NullText
	}
	text := texts.Value(i)
	switch {
	case len(text) == 0:
		return nil, pipeline.EmptyText
	case !utf8.Valid(text):
		return nil, pipeline.InvalidUTF8
	}
	return text, ""
}

// drawnRow is a row that may be used, and what for.
type drawnRow struct {
	id     pipeline.RowID
	record spoolRecord
	in     *tally
	bucket int
}

// place finds out what a row may be used for.
func (r *reader) place(id pipeline.RowID) drawnRow {
	record := spoolRecord{
		train: bucketOf(rowHash(r.draw.seed, saltBudget, id)),
		held:  bucketOf(rowHash(r.draw.seed, saltHeldout, id)),
	}
	if record.held < r.nominal {
		return drawnRow{id, record, r.held, record.held}
	}
	return drawnRow{id, record, r.train, record.train}
}

// spool appends the tokens of a row, r.ids, if it may be used still.
func (r *reader) spool(row drawnRow, to *spoolWriter) error {
	if !row.in.in(row.bucket) {
		return nil
	}
	r.ids = append(r.ids, r.eos)
	row.record.ids = r.ids
	row.in.add(row.bucket, int64(len(r.ids)))
	return to.append(row.record)
}

// extend raises the cut of the hold-out hash above its nominal share when the
// rows below it have too few tokens, and returns it. The rows are then taken
// from those that would have been trained on.
func (r *reader) extend(spool *spoolReader) (int, error) {
	missing := r.draw.heldoutMin - r.held.below
	if r.nominal == 0 || missing <= 0 {
		return r.held.cut, nil
	}
	tokens := make([]int64, buckets)
	var all int64
	for record, err := range spool.records() {
		if err != nil {
			return 0, err
		}
		if record.held >= r.nominal && r.train.in(record.train) {
			tokens[record.held] += int64(len(record.ids))
			all += int64(len(record.ids))
		}
	}
	cut, taken := r.nominal, int64(0)
	for ; cut < buckets && taken < missing && 2*(taken+tokens[cut]) <= all; cut++ {
		taken += tokens[cut]
	}
	return cut, nil
}

// split writes the drawn rows of the spool, in corpus order, to the two token
// files.
func (r *reader) split(spool *spoolReader, train, held *tokenWriter) error {
	cut, err := r.extend(spool)
	if err != nil {
		return err
	}
	for record, err := range spool.records() {
		if err != nil {
			return err
		}
		switch {
		case record.held < cut:
			r.counts.Held++
			err = held.append(record.ids)
		case record.held >= r.nominal && r.train.in(record.train):
			r.counts.Trained++
			err = train.append(record.ids)
		}
		if err != nil {
			return err
		}
	}
	var skipped int64
	for _, n := range r.counts.Skipped {
		skipped += n
	}
	r.counts.Unused = r.counts.Rows - skipped - r.counts.Trained - r.counts.Held
	r.counts.TrainTokens, r.counts.HeldoutTokens = train.count, held.count
	return nil
}
