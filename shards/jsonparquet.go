package shards

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// copyJSONL copies the kept rows of a JSONL file. It reads the file twice: for
// the schema of all rows, and for the values of those that are kept.
//
// Columns are the union of the keys, in the order in which they first appear:
// null, bool, int64, double, string, list, struct. Integers and fractions in
// one column make it double if every integer is exact. Nothing is converted
// otherwise: a column of two types, or a number that does not fit, is an error
// that names line and column. A missing key and a null are both null; a key
// whose value is always {} becomes an empty map, since Parquet has no struct
// without fields. Fractions are the nearest doubles, as for every JSON reader.
//
// Memory: one line, 4 MiB of rows, one open page per column and the compressed
// pages of one row group of the output.
func copyJSONL(ctx context.Context, in *jsonlReader, target copyTarget) error {
	var schema jsonSchema
	if err := in.eachLine(ctx, schema.observe); err != nil {
		return err
	}
	if schema.root.first[jsonObject] == 0 { // no rows
		return target.rows.end()
	}
	root, err := schema.nodes()
	if err != nil {
		return err
	}
	out, err := shredWriter(root.shredNode, target, nil)
	if err != nil {
		return err
	}
	c := &jsonCopy{target: target, root: root, out: out, shred: newShredder(root.shredNode)}
	if err := in.eachLine(ctx, c.line); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	if err := target.rows.end(); err != nil {
		return err
	}
	return out.finish()
}

// eachLine calls f for every row of the file with the number of its line.
func (r *jsonlReader) eachLine(ctx context.Context, f func(line []byte, number int64) error) error {
	lines, err := openLines(r.in, r.obj)
	if err != nil {
		return err
	}
	defer lines.close()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(line, lines.line); err != nil {
			return fmt.Errorf("line %d: %w", lines.line, err)
		}
	}
}

// jsonCopy moves lines to a Parquet file.
type jsonCopy struct {
	target copyTarget
	root   *jsonNode
	out    rowSink
	shred  *shredder
	scores []float32 // of the rows in shred
}

// line copies one row, if it is kept.
func (c *jsonCopy) line(line []byte, _ int64) error {
	kept, err := c.take(line)
	if err == nil && kept && c.shred.full(c.out) {
		return c.flush()
	}
	return err
}

// take shreds the next row if it is kept.
func (c *jsonCopy) take(line []byte) (kept bool, err error) {
	keep, scores, err := c.target.rows.take(1)
	if err != nil || !keep[0] {
		return false, err
	}
	w, err := walkObject(line)
	if err != nil {
		return false, err
	}
	if err := c.value(c.root, w, 0, 0); err != nil {
		return false, err
	}
	c.scores = append(c.scores, scores...)
	c.shred.rows++
	return true, nil
}

func (c *jsonCopy) flush() error {
	err := c.shred.writeTo(c.out, c.scores, c.target.opt.addedColumn() != "")
	c.scores = c.scores[:0]
	return err
}

// value shreds the next value of a line.
func (c *jsonCopy) value(n *jsonNode, w *jsonWalk, rep, def int) error {
	if w.kind() == 'n' {
		w.scalar()
		c.shred.null(n.shredNode, rep, def)
		return nil
	}
	if n.optional {
		def++
	}
	switch n.kind {
	case shredGroup:
		return c.object(n, w, rep, def)
	case shredList:
		empty := true
		err := w.list(func() error {
			empty = false
			r := rep
			rep = n.repeated + 1
			return c.value(n.inner, w, r, def+1)
		})
		if empty {
			c.shred.null(n.shredNode, rep, def)
		}
		return err
	case shredMap: // always {}
		c.shred.null(n.shredNode, rep, def)
		return w.object(func([]byte) error { return fmt.Errorf("%w: the file changed while it was read", ErrCorrupt) })
	}
	v, err := jsonLeaf(n, w)
	if err == nil {
		c.shred.add(n.shredNode, v, rep, def)
	}
	return err
}

// object shreds an object: the keys that it has in its order, then the others.
func (c *jsonCopy) object(n *jsonNode, w *jsonWalk, rep, def int) error {
	n.object++
	this := n.object
	err := w.object(func(key []byte) error {
		i, ok := n.index[string(key)]
		if !ok {
			return fmt.Errorf("%w: the file changed while it was read", ErrCorrupt)
		}
		if n.seen[i] == this {
			return fmt.Errorf("column %s: %w: the key is in its object twice", n.fields[i].path, ErrUnsupported)
		}
		n.seen[i] = this
		return c.value(n.fields[i], w, rep, def)
	})
	if err != nil {
		return err
	}
	for i, field := range n.fields {
		if n.seen[i] != this {
			c.shred.null(field.shredNode, rep, def)
		}
	}
	return nil
}

// jsonLeaf returns the next value of a line, which is a scalar.
func jsonLeaf(n *jsonNode, w *jsonWalk) (parquet.Value, error) {
	switch physical := n.element.Type.V; {
	case w.kind() == '"' && physical == format.ByteArray:
		s := bytes.Clone(unquote(w.str())) // the line is overwritten by the next
		if !utf8.Valid(s) {
			return parquet.Value{}, fmt.Errorf("column %s: %w: a string that is not Unicode (bytes that are not UTF-8, or a lone surrogate)", n.path, ErrUnsupported)
		}
		return parquet.ByteArrayValue(s), nil
	case physical == format.Boolean:
		return parquet.BooleanValue(w.scalar()[0] == 't'), nil
	case physical == format.Int64:
		v, err := strconv.ParseInt(string(w.scalar()), 10, 64)
		return parquet.Int64Value(v), err
	case physical == format.Double:
		v, err := strconv.ParseFloat(string(w.scalar()), 64)
		return parquet.DoubleValue(v), err
	}
	return parquet.Value{}, fmt.Errorf("column %s: %w: the file changed while it was read", n.path, ErrCorrupt)
}
