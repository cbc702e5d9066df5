package shards

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow/memory"
)

// checkOtherRows is CheckRows for the formats beside Parquet.
func checkOtherRows(ctx context.Context, in Input, obj Object) (int64, error) {
	reader, err := openFormat(in, obj)
	if err != nil {
		return 0, err
	}
	switch r := reader.(type) {
	case *jsonlReader:
		var rows int64
		err := r.eachLine(ctx, func(line []byte, _ int64) error {
			rows++
			_, err := walkObject(line)
			return err
		})
		return rows, err
	case *arrowReader:
		return r.countValues(ctx)
	case *tarReader:
		var rows int64
		for _, err := range tarSamples(ctx, r.obj, func(string) bool { return false }) {
			if err != nil {
				return rows, err
			}
			rows++
		}
		return rows, nil
	}
	return 0, fmt.Errorf("%w: format %q", ErrUnsupported, in.Format)
}

// countValues decodes every value of an Arrow file or stream and returns the
// number of rows.
func (r *arrowReader) countValues(ctx context.Context) (rows int64, err error) {
	schema, r, err := r.readPlain()
	if err != nil {
		return 0, err
	}
	t := &outTable{schema: schema, dicts: &dictSet{replace: true}, limit: tableBytes, sink: noSink{}}
	for _, f := range schema.fields {
		t.columns = append(t.columns, newOutColumn(f, t.dicts))
	}
	for record, err := range r.records(ctx, memory.DefaultAllocator, 0, len(r.rows)) {
		if err != nil {
			return rows, err
		}
		if err := guard(func() error { return t.meet(record) }); err != nil {
			return rows, fmt.Errorf("rows from %d on: %w", rows, err)
		}
		step := recordStep(record)
		for at := 0; at < int(record.NumRows()); at += step {
			var all []int
			for i := at; i < min(at+step, int(record.NumRows())); i++ {
				all = append(all, i)
			}
			if err := guard(func() error { return t.takeRecord(record, all, nil) }); err != nil {
				return rows, fmt.Errorf("rows from %d on: %w", rows, err)
			}
		}
		rows += record.NumRows()
	}
	return rows, nil
}

// noSink lets rows go.
type noSink struct{}

func (noSink) write(*outTable) error  { return nil }
func (noSink) finish(*outTable) error { return nil }
