package shards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/curate-data/curate/pipeline"
)

// CopyOptions are the choices of CopyKept.
type CopyOptions struct {
	// Format is what the rows are written as. Empty means OutParquet.
	Format OutputFormat
	// ScoreColumn is the name of a nullable float32 column that is added after
	// the input's columns, in JSONL a last key, and holds the score that the
	// decision names (null where that is NaN). Empty means that none is added.
	ScoreColumn string
	// MaxRowGroupBytes is the size, uncompressed, at which a row group of the
	// output ends. 0 means 64 MB: large enough that readers of one column make
	// few requests, small enough that a compressed row group, which is held in
	// memory until it is complete, stays near 30 MB. Record batches of Arrow end
	// at a quarter of it.
	MaxRowGroupBytes int64
	// SpliceBytes decides whether row groups of a Parquet file that are kept
	// whole are copied as bytes, with the compression they have, instead of
	// being decoded and written anew: they are, where the row groups of the
	// input have this size or more on average, uncompressed. 0 means 8 MB;
	// negative means never.
	SpliceBytes int64
	// BloomColumn is the dotted path of a column that gets Bloom filters, such
	// as the id: readers then skip row groups that do not have a value. Empty
	// means none but those that a copied row group had.
	BloomColumn string
	// KeyValues are added to the file's key-value metadata, in Arrow that of the
	// schema, in this order; the input's entry of the same name gives way. JSONL
	// has no place for them.
	KeyValues []KeyValue

	ids *idColumn // is added in place of a score; see CopyTokens
}

// KeyValue is one entry of a Parquet file's key-value metadata.
type KeyValue struct{ Key, Value string }

// Bounds of CopyOptions.MaxRowGroupBytes.
const (
	defaultRowGroupBytes = 64 << 20
	largestRowGroupBytes = 1 << 30
)

// Validate lists every fault of the options.
func (o CopyOptions) Validate() error {
	var faults []error
	if err := o.Format.Validate(); err != nil {
		faults = append(faults, err)
	}
	if o.MaxRowGroupBytes < 0 || o.MaxRowGroupBytes > largestRowGroupBytes {
		faults = append(faults, fmt.Errorf("row group size %d: want 0 (default) to %d bytes", o.MaxRowGroupBytes, largestRowGroupBytes))
	}
	seen := map[string]bool{arrowSchemaKey: true}
	for _, kv := range o.KeyValues {
		if seen[kv.Key] || kv.Key == "" {
			faults = append(faults, fmt.Errorf("metadata key %q: empty, given twice, or reserved", kv.Key))
		}
		seen[kv.Key] = true
	}
	return errors.Join(faults...)
}

func (o CopyOptions) rowGroupBytes() int64 {
	if o.MaxRowGroupBytes > 0 {
		return o.MaxRowGroupBytes
	}
	return defaultRowGroupBytes
}

// spliceBytes is negative where nothing is to be spliced.
func (o CopyOptions) spliceBytes() int64 {
	if o.SpliceBytes == 0 {
		return defaultSpliceBytes
	}
	return o.SpliceBytes
}

// CopyCounts accounts for every row of a shard.
type CopyCounts struct {
	RowsIn  int64
	Kept    int64
	Dropped map[pipeline.Reason]int64
}

// ErrDecisions says that decisions do not fit the shard that they are for.
var ErrDecisions = errors.New("decisions do not fit the shard")

// rowDecisions hands out the decisions of one shard in runs of any length. It
// checks that they cover its rows from 0 on, in order, each once.
type rowDecisions struct {
	shard string
	next  func() (*pipeline.Decisions, error, bool)
	batch *pipeline.Decisions
	at    int // rows of batch handed out
	count CopyCounts
	row   int64      // rows handed out
	part  *partRange // which rows count; nil for all

	keep   []bool
	scores []float32
}

// newRowDecisions begins to pull decisions; the caller calls stop in the end.
func newRowDecisions(shard string, decisions iter.Seq2[*pipeline.Decisions, error]) (d *rowDecisions, stop func()) {
	next, stop := iter.Pull2(decisions)
	return &rowDecisions{shard: shard, next: next, count: CopyCounts{Dropped: map[pipeline.Reason]int64{}}}, stop
}

// take returns, for the next n rows, whether each is kept, and the scores of
// those that are. Both are valid until the next call.
func (d *rowDecisions) take(n int) (keep []bool, scores []float32, err error) {
	d.keep, d.scores = d.keep[:0], d.scores[:0]
	for len(d.keep) < n {
		ok, err := d.fill()
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			return nil, nil, fmt.Errorf("%w: they end before row %d", ErrDecisions, d.row)
		}
		if err := d.one(); err != nil {
			return nil, nil, err
		}
	}
	return d.keep, d.scores, nil
}

// end checks that no decisions are left.
func (d *rowDecisions) end() error {
	ok, err := d.fill()
	if err == nil && ok {
		err = fmt.Errorf("%w: one for row %d, but the shard has only %d rows", ErrDecisions, d.batch.Row[d.at], d.row)
	}
	return err
}

// fill makes sure that batch has a row at d.at; false means that there is none.
func (d *rowDecisions) fill() (bool, error) {
	for d.batch == nil || d.at == len(d.batch.Row) {
		batch, err, ok := d.next()
		if !ok {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read decisions: %w", err)
		}
		n := len(batch.Row)
		if len(batch.Seq) != n || len(batch.Keep) != n || len(batch.Reason) != n || len(batch.Score) != n {
			return false, fmt.Errorf("%w: columns of different lengths", ErrDecisions)
		}
		d.batch, d.at = batch, 0
	}
	return true, nil
}

// one moves one decision to keep and scores, and counts it.
func (d *rowDecisions) one() error {
	b, i := d.batch, d.at
	if b.Shard != d.shard || b.Row[i] != d.row || b.Seq[i] != 0 {
		return fmt.Errorf("%w: want that for row %d of %s, got that for row %d of %s, seq %d", ErrDecisions,
			d.row, d.shard, b.Row[i], b.Shard, b.Seq[i])
	}
	if b.Keep[i] != (b.Reason[i] == "") {
		return fmt.Errorf("%w: row %d: keep is %t, but the reason is %q", ErrDecisions, b.Row[i], b.Keep[i], b.Reason[i])
	}
	d.at++
	d.row++
	if d.part != nil && !d.part.has(b.Keep[i]) {
		d.keep = append(d.keep, false)
		return nil
	}
	d.count.RowsIn++
	d.keep = append(d.keep, b.Keep[i])
	if b.Keep[i] {
		d.count.Kept++
		d.scores = append(d.scores, b.Score[i])
	} else {
		d.count.Dropped[b.Reason[i]]++
	}
	return nil
}

// partRange picks the rows of a CopyPart.
type partRange struct {
	from, to int64
	last     bool
	kept     int64 // kept rows so far
}

// has tells whether the next row, which is kept or not, is of the part.
func (p *partRange) has(keep bool) bool {
	ok := p.kept >= p.from && (p.kept < p.to || p.last && !keep)
	if keep {
		p.kept++
	}
	return ok
}

// isNaN32 is math.IsNaN for scores.
func isNaN32(f float32) bool { return math.IsNaN(float64(f)) }

// copyTarget is what a copy is made with, whatever it is made from.
type copyTarget struct {
	rows *rowDecisions
	w    io.Writer
	opt  CopyOptions
}

// CopyKept writes the rows of a shard that the decisions keep, in order, to w
// in the format of the options, Parquet unless they say otherwise, with every
// column, type, nesting and key-value metadata of the input as far as the
// format has them; what it has not is refused by name, never changed. The
// decisions are those of this shard, one for every row (seq 0), in row order.
// After an error what was written to w is worthless. If no row is kept, nothing
// is written: there is no file to make.
//
// The output is the same bytes for the same input, decisions and options.
// Parquet is compressed with zstd, level 3, and has page bounds and statistics.
//
// A tar becomes a tar instead, compressed as the input is, with the kept samples'
// members as they are; the score is a member of its own, KEY.SCORECOLUMN.
func CopyKept(ctx context.Context, s *Shard, decisions iter.Seq2[*pipeline.Decisions, error], w io.Writer, opt CopyOptions) (CopyCounts, error) {
	if err := opt.Validate(); err != nil {
		return CopyCounts{}, fmt.Errorf("copy shard %s: %w", s.in.Shard, err)
	}
	rows, stop := newRowDecisions(s.in.Shard, decisions)
	defer stop()
	if err := s.copyKept(ctx, copyTarget{rows, w, opt}); err != nil {
		return rows.count, fmt.Errorf("copy shard %s: %w", s.in.Shard, err)
	}
	return rows.count, nil
}

// copyKept picks the way from the input's format to the output's.
func (s *Shard) copyKept(ctx context.Context, target copyTarget) error {
	format := s.outputOf(target.opt.Format)
	if format != OutParquet && target.opt.BloomColumn != "" {
		return fmt.Errorf("%w: Bloom filters in %s; Parquet has them", ErrUnsupported, format)
	}
	if format.lines() && len(target.opt.KeyValues) > 0 {
		return fmt.Errorf("%w: JSONL has no place for key-value metadata", ErrUnsupported)
	}
	switch reader := s.reader.(type) {
	case *parquetReader:
		if format == OutParquet {
			return copyParquet(ctx, reader, target)
		}
		return copyParquetRows(ctx, reader, format, target)
	case *jsonlReader:
		switch {
		case format == OutParquet:
			return copyJSONL(ctx, reader, target)
		case format.lines():
			return copyLines(ctx, reader, format, target)
		}
		return copyJSONRows(ctx, reader, format, target)
	case *arrowReader:
		if format == OutParquet {
			return copyArrow(ctx, reader, s.Memory, target)
		}
		return copyArrowRows(ctx, reader, s.Memory, format, target)
	case *tarReader:
		if f := target.opt.Format; f == "" || f == OutSame {
			return copyTar(ctx, reader, target)
		}
	case *sandboxReader:
		return reader.copy(ctx, target)
	}
	return fmt.Errorf("%w: cannot copy rows of format %q as %s", ErrUnsupported, s.in.Format, format)
}
