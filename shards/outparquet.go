package shards

import (
	"context"

	"github.com/parquet-go/parquet-go"
)

// copyParquetRows copies the kept rows of a Parquet file as Arrow or as JSON.
// Arrow gets the types that pyarrow reads the file with.
//
// Memory: the footer, one decoded page and its dictionary per column of the
// input, the rows of a table, and the dictionaries of an Arrow file.
func copyParquetRows(ctx context.Context, in *parquetReader, out OutputFormat, target copyTarget) error {
	footer, err := readFooter(in.obj)
	if err != nil {
		return err
	}
	leaves, err := footer.schema.leaves()
	if err != nil {
		return err
	}
	t, a, err := newAssembledTable(footer, out, target)
	if err != nil {
		return err
	}
	err = walkGroups(in.obj, footer, leaves, func(_ int, walk *groupWalk) error {
		return walk.run(ctx, target.rows.take, &assembleSink{assembler: a, rows: target.rows, step: firstStep})
	})
	if err != nil {
		return err
	}
	if err := target.rows.end(); err != nil {
		return err
	}
	return t.finish(target.rows.count.Kept)
}

// newAssembledTable makes a table for rows of a Parquet schema. JSON gets
// values, not dictionaries.
func newAssembledTable(footer *parquetFooter, out OutputFormat, target copyTarget) (*outTable, *assembler, error) {
	schema, roots, err := parquetTable(footer)
	if err != nil {
		return nil, nil, err
	}
	if out.lines() {
		for _, f := range schema.fields {
			f.dropDicts()
		}
	}
	t, err := newOutTable(schema, out, target)
	if err != nil {
		return nil, nil, err
	}
	return t, newAssembler(t, roots), nil
}

func (f *arrowField) dropDicts() {
	f.dict = nil
	for _, c := range f.children {
		c.dropDicts()
	}
}

// firstStep is half the number of rows that are moved to a table first. The
// footer tells the size of a row as it is stored; where a dictionary holds large
// values, rows are as large as the first ones turn out to be.
const firstStep = 32

// assembleSink moves the kept rows of a row group to a table, some at a time.
type assembleSink struct {
	*assembler
	rows   *rowDecisions
	step   int64
	perRow int64 // raw bytes that the last rows took
}

func (s *assembleSink) windowRows(perRow int64) int64 {
	s.step = max(1, min(2*s.step, tableRows, takeBytes/max(1, perRow, s.perRow)))
	return s.step
}

func (s *assembleSink) begin(keep []bool) { s.table.note(s.rows, keep) }

func (s *assembleSink) write(column int, values []parquet.Value) error { return s.add(column, values) }

func (s *assembleSink) end(scores []float32) error {
	if err := s.endRows(len(scores), scores); err != nil {
		return err
	}
	s.perRow = s.table.grown / int64(len(scores))
	return nil
}
