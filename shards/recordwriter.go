package shards

import (
	"bytes"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
)

// RecordWriter writes Arrow records of one schema to a Parquet file, as CopyKept
// writes an Arrow file: the schema is kept beside the columns, so that Arrow
// readers get its types back. The bytes depend on the rows and on how they are cut
// into records.
type RecordWriter struct {
	copy *arrowCopy
	out  *rowWriter
}

// NewRecordWriter begins a file. The schema's metadata becomes the file's. Of the
// options Format and ScoreColumn have no meaning here.
func NewRecordWriter(w io.Writer, schema *arrow.Schema, opt CopyOptions) (*RecordWriter, error) {
	opt.Format, opt.ScoreColumn = OutParquet, ""
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("begin Parquet file: %w", err)
	}
	var b bytes.Buffer
	if err := ipc.NewWriter(&b, ipc.WithSchema(schema)).Close(); err != nil {
		return nil, fmt.Errorf("begin Parquet file: encode schema: %w", err)
	}
	message, err := (&arrowMessages{in: io.NewSectionReader(bytes.NewReader(b.Bytes()), 0, int64(b.Len()))}).metadata()
	if err != nil {
		return nil, fmt.Errorf("begin Parquet file: encode schema: %w", err)
	}
	c, out, err := newArrowCopy(schema, message, copyTarget{w: w, opt: opt})
	if err != nil {
		return nil, fmt.Errorf("begin Parquet file: %w", err)
	}
	return &RecordWriter{c, out}, nil
}

// Write appends the rows of a record, which may be released afterwards.
func (w *RecordWriter) Write(record arrow.Record) error {
	c := w.copy
	for i := range int(record.NumRows()) {
		if err := guard(func() error { return c.row(record, i) }); err != nil {
			return fmt.Errorf("write row %d: %w", c.rows, err)
		}
		if c.rows++; c.shred.full(c.out) {
			if err := c.flush(); err != nil {
				return fmt.Errorf("write rows up to %d: %w", c.rows, err)
			}
		}
	}
	if err := c.flush(); err != nil { // its values are the record's
		return fmt.Errorf("write rows up to %d: %w", c.rows, err)
	}
	return nil
}

// Close writes the footer; where there were no rows, nothing is written at all.
// It does not close the underlying writer.
func (w *RecordWriter) Close() error { return w.out.finish() }
