package shards

import (
	"context"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
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
	file, err := reopenNarrow(in.obj, len(leaves))
	if err != nil {
		return err
	}
	for g, group := range file.RowGroups() {
		c := groupRows{obj: in.obj, group: group, meta: &footer.meta.RowGroups[g], leaves: leaves, out: a}
		err := c.run(ctx, target.rows)
		c.close()
		if err != nil {
			return fmt.Errorf("row group %d: %w", g, err)
		}
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

// groupRows moves the kept rows of one row group to a table, some at a time.
type groupRows struct {
	obj     Object
	group   parquet.RowGroup
	meta    *format.RowGroup
	leaves  []*leafColumn
	out     *assembler
	columns []*columnReader // opened at the first kept row
	skipped []bool          // rows that columns have not passed yet
}

func (c *groupRows) run(ctx context.Context, rows *rowDecisions) error {
	var raw int64
	for i := range c.meta.Columns {
		raw += max(0, c.meta.Columns[i].MetaData.TotalUncompressedSize)
	}
	stored, step := raw/max(1, c.meta.NumRows), int64(firstStep)
	perRow := stored
	for left := c.meta.NumRows; left > 0; {
		step = max(1, min(2*step, tableRows, takeBytes/max(1, perRow)))
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n := min(step, left)
		keep, scores, err := rows.take(int(n))
		if err != nil {
			return err
		}
		if left -= n; len(scores) == 0 {
			c.skipped = append(c.skipped, keep...)
			continue
		}
		c.out.table.note(rows, keep)
		if err := guard(func() error { return c.move(keep, scores) }); err != nil {
			return err
		}
		perRow = max(stored, c.out.table.grown/int64(len(scores)))
	}
	if len(c.columns) > 0 && len(c.skipped) == 0 {
		return guard(c.checkEnd)
	}
	return nil
}

func (c *groupRows) move(keep []bool, scores []float32) error {
	if c.columns == nil {
		if err := c.open(); err != nil {
			return err
		}
	}
	for i, column := range c.columns {
		err := column.copyRows(c.skipped, nil)
		if err == nil {
			err = column.copyRows(keep, func(values []parquet.Value) error { return c.out.add(i, values) })
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", c.leaves[i].name(), err)
		}
	}
	c.skipped = c.skipped[:0]
	return c.out.endRows(len(scores), scores)
}

// open starts to read every column, once its page headers are sound.
func (c *groupRows) open() error {
	prefetch(c.obj, c.meta)
	for i, chunk := range c.group.ColumnChunks() {
		meta := &c.meta.Columns[i].MetaData
		err := checkPageHeaders(c.obj, meta)
		if err != nil {
			return fmt.Errorf("column %s: %w", c.leaves[i].name(), err)
		}
		pages, err := pagesOf(c.obj, chunk, meta)
		if err != nil {
			return fmt.Errorf("column %s: %w", c.leaves[i].name(), err)
		}
		c.columns = append(c.columns, &columnReader{leaf: c.leaves[i], pages: pages})
	}
	return nil
}

// checkEnd checks that every column ends with the last row of the row group.
func (c *groupRows) checkEnd() error {
	for i, column := range c.columns {
		if err := column.end(c.meta.Columns[i].MetaData.NumValues); err != nil {
			return fmt.Errorf("column %s: %w", c.leaves[i].name(), err)
		}
	}
	return nil
}

// close gives memory back. After a panic in the decoder its reference counts
// may be off, hence the guard; what mattered was reported before.
func (c *groupRows) close() {
	for _, column := range c.columns {
		_ = guard(column.close)
	}
}
