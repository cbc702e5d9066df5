package colorfilter

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"

	"github.com/curate-data/curate/pipeline"
)

// Totals are the counts of a whole pool, or of a part of one.
type Totals struct {
	Rows     int64                     `json:"rows"`     // all rows, rejected ones included
	Tokens   int64                     `json:"tokens"`   // of all rows
	Eligible int64                     `json:"eligible"` // rows that may be selected
	Rejected map[pipeline.Reason]int64 `json:"rejected"` // rows that may not, by reason

	// Checksum is the sum of a hash of every row's address, token count and, if
	// eligible, rank key. Passes over one pool agree on it, in whatever parts
	// they come.
	Checksum uint64 `json:"checksum"`
}

func (t *Totals) add(u Totals) {
	t.Rows += u.Rows
	t.Tokens += u.Tokens
	t.Eligible += u.Eligible
	t.Checksum += u.Checksum
	rejected := make(map[pipeline.Reason]int64)
	maps.Copy(rejected, t.Rejected)
	for reason, rows := range u.Rejected {
		rejected[reason] += rows
	}
	t.Rejected = rejected
}

// same says whether two passes saw the same rows, and if not, what differs.
func (t *Totals) same(u Totals) error {
	switch {
	case t.Rows != u.Rows:
		return fmt.Errorf("the source changed between passes: %d rows, then %d", t.Rows, u.Rows)
	case t.Eligible != u.Eligible:
		return fmt.Errorf("the source changed between passes: %d rows with a score, then %d", t.Eligible, u.Eligible)
	case t.Tokens != u.Tokens:
		return fmt.Errorf("the source changed between passes: %d tokens, then %d", t.Tokens, u.Tokens)
	case t.Checksum != u.Checksum || !maps.Equal(t.Rejected, u.Rejected):
		return fmt.Errorf("the source changed between passes: same counts, other scores or addresses")
	}
	return nil
}

// rankedRun is a run of rows with their rank keys. It is valid until the scan
// goes on.
type rankedRun struct {
	*pipeline.Scores
	key []uint32
	why []pipeline.Reason // empty where the row may be selected; else the key means nothing
}

// scanner makes one pass over a source: it ranks, rejects, counts and checks.
type scanner struct {
	options Options
	totals  Totals // complete when rows has ended without an error
	reject  reasonCounts
	last    pipeline.RowID
	keys    []uint32
	whys    []pipeline.Reason
}

// rows yields the runs of src. After an error nothing more is yielded.
func (c *scanner) rows(ctx context.Context, src pipeline.ScoreSource) iter.Seq2[rankedRun, error] {
	return func(yield func(rankedRun, error) bool) {
		for scores, err := range src.Scores(ctx) {
			if err == nil {
				err = ctx.Err()
			}
			var run rankedRun
			if err == nil {
				run, err = c.rank(scores)
			}
			if !yield(run, err) || err != nil {
				return
			}
		}
		c.totals.Rejected = c.reject.all()
	}
}

func (c *scanner) rank(s *pipeline.Scores) (rankedRun, error) {
	if err := c.checkColumns(s); err != nil {
		return rankedRun{}, err
	}
	if err := c.checkOrder(s); err != nil {
		return rankedRun{}, err
	}
	n := s.Len()
	if cap(c.keys) < n {
		c.keys, c.whys = make([]uint32, n), make([]pipeline.Reason, n)
	}
	base := shardBase(c.options.Seed, s.Shard)
	run := rankedRun{Scores: s, key: c.keys[:n], why: c.rejectNonFinite(s)}
	switch c.options.Method {
	case Color:
		for i, score := range s.Color {
			run.key[i] = sortKey(score)
		}
	case Conditional:
		for i, loss := range s.Conditional {
			run.key[i] = sortKey(-loss)
		}
	case Perplexity:
		for i, loss := range s.Prior {
			run.key[i] = sortKey(-loss)
		}
	case Random:
		for i, row := range s.Row {
			run.key[i] = randomKey(base, row, s.Seq[i])
		}
	}
	return run, c.count(run, base)
}

// count adds a run to the totals.
func (c *scanner) count(run rankedRun, base uint64) error {
	t := c.totals // a copy, so that the sums stay in registers
	t.Rows += int64(run.Len())
	for i, tokens := range run.TokenCount {
		if tokens < 0 {
			return fmt.Errorf("count tokens of shard %q row %d: %d is negative", run.Shard, run.Row[i], tokens)
		}
		t.Tokens += int64(tokens)
		key := uint64(run.key[i])
		if why := run.why[i]; why != "" {
			c.reject.add(why)
			key = 0 // the score is not ours to look at
		} else {
			t.Eligible++
		}
		hash := (base + uint64(run.Row[i]) + uint64(run.Seq[i])<<40) * golden
		hash = (hash ^ hash>>32 ^ key<<32 ^ uint64(tokens)) * golden
		t.Checksum += hash ^ hash>>29
	}
	c.totals = t
	return nil
}

// checkColumns wants every column that the method needs in full length. Losses
// and domains that it does not need may be absent (length 0).
func (c *scanner) checkColumns(s *pipeline.Scores) error {
	needed := map[Method]string{Color: "color_score", Conditional: "conditional_loss", Perplexity: "prior_loss"}[c.options.Method]
	for _, column := range []struct {
		name   string
		length int
		needed bool
	}{
		{"seq", len(s.Seq), true},
		{"token_count", len(s.TokenCount), true},
		{"reason", len(s.Reason), true},
		{"domain", len(s.Domain), false},
		{"prior_loss", len(s.Prior), false},
		{"conditional_loss", len(s.Conditional), false},
		{"color_score", len(s.Color), false},
	} {
		absent := column.length == 0 && !column.needed && column.name != needed
		if column.length != s.Len() && !absent {
			return fmt.Errorf("read scores of shard %q for method %s: column %s has %d values for %d rows",
				s.Shard, c.options.Method, column.name, column.length, s.Len())
		}
	}
	return nil
}

// checkOrder wants strictly ascending addresses, across runs too: ties break by
// order, and a row that comes twice could be kept twice.
func (c *scanner) checkOrder(s *pipeline.Scores) error {
	if s.Len() == 0 {
		return nil
	}
	first := pipeline.RowID{Shard: s.Shard, Row: s.Row[0], Seq: s.Seq[0]}
	if c.totals.Rows > 0 && c.last.Compare(first) >= 0 {
		return outOfOrder(c.last, first)
	}
	for i := 1; i < s.Len(); i++ {
		if s.Row[i] > s.Row[i-1] || s.Row[i] == s.Row[i-1] && s.Seq[i] > s.Seq[i-1] {
			continue
		}
		return outOfOrder(pipeline.RowID{Shard: s.Shard, Row: s.Row[i-1], Seq: s.Seq[i-1]},
			pipeline.RowID{Shard: s.Shard, Row: s.Row[i], Seq: s.Seq[i]})
	}
	end := s.Len() - 1
	c.last = pipeline.RowID{Shard: s.Shard, Row: s.Row[end], Seq: s.Seq[end]}
	return nil
}

func outOfOrder(a, b pipeline.RowID) error {
	return fmt.Errorf("read scores: shard %q row %d seq %d comes after shard %q row %d seq %d: scores must ascend by shard, row, seq",
		b.Shard, b.Row, b.Seq, a.Shard, a.Row, a.Seq)
}

// rejectNonFinite returns the reasons of the run, with one for each row that
// has a score but a NaN or Inf among its losses and score. It does not depend
// on the method, so that methods compare on one pool.
func (c *scanner) rejectNonFinite(s *pipeline.Scores) []pipeline.Reason {
	why := s.Reason
	for _, column := range [][]float32{s.Prior, s.Conditional, s.Color} {
		if allFinite(column) {
			continue
		}
		for i, v := range column {
			finite := math.Float32bits(v)&^sign < infinity
			if finite || why[i] != "" && why[i] != pipeline.InfScore {
				continue
			}
			if &why[0] == &s.Reason[0] { // the source's slice is not ours to write
				why = c.whys[:copy(c.whys, s.Reason)]
			}
			why[i] = pipeline.InfScore
			if v != v {
				why[i] = pipeline.NaNScore
			}
		}
	}
	return why
}

// Bits of a float32: without its sign, infinities and NaNs are the largest.
const (
	sign     = 1 << 31
	infinity = 0x7f800000
)

func allFinite(values []float32) bool {
	var largest uint32
	for _, v := range values {
		largest = max(largest, math.Float32bits(v)&^sign)
	}
	return largest < infinity
}

// reasonCounts counts rows by reason. Neighbours mostly share their reason, so
// it asks the map only at a change.
type reasonCounts struct {
	counts map[pipeline.Reason]int64
	last   pipeline.Reason
	run    int64 // rows with the last reason that are not yet in counts
}

func (c *reasonCounts) add(reason pipeline.Reason) {
	if reason != c.last {
		c.all()
		c.last = reason
	}
	c.run++
}

// all returns the counts, never nil.
func (c *reasonCounts) all() map[pipeline.Reason]int64 {
	if c.counts == nil {
		c.counts = make(map[pipeline.Reason]int64)
	}
	if c.run > 0 {
		c.counts[c.last] += c.run
		c.run = 0
	}
	return c.counts
}
