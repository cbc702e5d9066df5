package shards

import (
	"context"
)

// copyJSONRows copies the kept rows of a JSONL file as Arrow, with the columns
// and types that a copy to Parquet has (see copyJSONL).
//
// Memory: one line, the rows of a table and the levels of 1024 rows.
func copyJSONRows(ctx context.Context, in *jsonlReader, out OutputFormat, target copyTarget) error {
	var inferred jsonSchema
	if err := in.eachLine(ctx, inferred.observe); err != nil {
		return err
	}
	if inferred.root.first[jsonObject] == 0 { // no rows
		return target.rows.end()
	}
	root, err := inferred.nodes()
	if err != nil {
		return err
	}
	shred := newShredder(root.shredNode)
	footer := new(parquetFooter)
	if footer.schema, err = schemaOf(root.shredNode); err != nil {
		return err
	}
	t, rows, err := newAssembledTable(footer, out, target)
	if err != nil {
		return err
	}
	c := &jsonTable{jsonCopy: jsonCopy{target: target, root: root, shred: shred}, rows: rows}
	if err := in.eachLine(ctx, c.line); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	if err := target.rows.end(); err != nil {
		return err
	}
	return t.finish(target.rows.count.Kept)
}

// jsonTable moves lines to a table. It takes them apart as a copy to Parquet
// does, so that both find the same values and refuse the same lines.
type jsonTable struct {
	jsonCopy
	rows *assembler
}

// line copies one row, if it is kept.
func (c *jsonTable) line(line []byte, _ int64) error {
	kept, err := c.take(line)
	if err != nil || !kept {
		return err
	}
	c.rows.table.note(c.target.rows, []bool{true})
	if c.shred.rows >= shredRows || c.shred.size >= takeBytes {
		return c.flush()
	}
	return nil
}

func (c *jsonTable) flush() error {
	for i, values := range c.shred.columns {
		if err := c.rows.add(i, values); err != nil {
			return err
		}
		clear(values)
		c.shred.columns[i] = values[:0]
	}
	rows, scores := c.shred.rows, c.scores
	c.shred.rows, c.shred.size, c.scores = 0, 0, c.scores[:0]
	return c.rows.endRows(rows, scores)
}
