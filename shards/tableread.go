package shards

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/pipeline"
)

// readTable yields the rows of a table in chunks of one shard and one row group.
// Columns that are not wanted are not read; no names mean all. begin is called
// once per iteration.
func readTable[T any](ctx context.Context, obj Object, columns []tableColumn[T], wanted []string, begin func() tableChunk[T]) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		chunk := begin()
		r, err := openParquet(obj)
		if err != nil {
			yield(nil, err)
			return
		}
		var leaves []*leaf
		columns := columns // those that are wanted
		err = guard(func() (err error) { leaves, columns, err = tableLeaves(r, columns, wanted); return err })
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.prefetch(leaves, 0, len(r.rows))()
		for group := range r.rows {
			if r.rows[group] == 0 {
				continue
			}
			for t, err := range readTableGroup(ctx, r, group, leaves, columns, chunk) {
				if err != nil {
					yield(nil, fmt.Errorf("row group %d: %w", group, err))
					return
				}
				if !yield(t, nil) {
					return
				}
			}
		}
	}
}

// tableChunk says how rows gather in a T.
type tableChunk[T any] struct {
	reset func() *T                // an empty T, which may be the last one again
	shard func(t *T, shard string) // sets the shard of an empty T
	check func(t *T) error         // checks a whole chunk
}

// tableLeaves finds the wanted columns, the shard column always first.
func tableLeaves[T any](r *parquetReader, columns []tableColumn[T], wanted []string) ([]*leaf, []tableColumn[T], error) {
	var leaves []*leaf
	var chosen []tableColumn[T]
	for i, column := range columns {
		if i > 0 && len(wanted) > 0 && !slices.Contains(wanted, column.name) {
			continue
		}
		c, err := r.lookup(column.name)
		if err != nil {
			return nil, nil, err
		}
		if !c.Leaf() || c.MaxRepetitionLevel() > 0 || c.Type().Kind() != column.kind {
			return nil, nil, columnError(column.name, "it is "+c.String()+", want "+column.kind.String(), r.columns())
		}
		l := &leaf{name: column.name, column: c.Index()}
		if err := r.checkStorage(l); err != nil {
			return nil, nil, err
		}
		leaves, chosen = append(leaves, l), append(chosen, column)
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(chosen, func(c tableColumn[T]) bool { return c.name == name }) {
			return nil, nil, columnError(name, "there is no such column", r.columns())
		}
	}
	return leaves, chosen, nil
}

func readTableGroup[T any](ctx context.Context, r *parquetReader, group int, leaves []*leaf, columns []tableColumn[T], chunk tableChunk[T]) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		cursors := make([]*cursor, len(leaves))
		defer func() {
			for _, c := range cursors {
				c.close()
			}
		}()
		for i, l := range leaves {
			if err := guard(func() error { return r.checkPages(l, group) }); err != nil {
				yield(nil, fmt.Errorf("column %s: %w", l.name, err))
				return
			}
			var err error
			if cursors[i], err = r.newCursor(l, group); err != nil {
				yield(nil, err)
				return
			}
		}
		for row := int64(0); row < r.rows[group]; {
			if err := ctx.Err(); err != nil {
				yield(nil, context.Cause(ctx))
				return
			}
			t := chunk.reset()
			n, err := fillTable(t, cursors, columns, min(tableReadRows, r.rows[group]-row), chunk)
			if err == nil {
				err = chunk.check(t)
			}
			if err != nil {
				yield(nil, fmt.Errorf("rows from %d: %w", row, err))
				return
			}
			row += n
			if !yield(t, nil) {
				return
			}
		}
		for _, c := range cursors {
			if err := c.expectEnd(); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// fillTable takes up to limit rows of one shard, at least one, and returns how
// many.
func fillTable[T any](t *T, cursors []*cursor, columns []tableColumn[T], limit int64, chunk tableChunk[T]) (int64, error) {
	n, err := fillShard(t, cursors[0], limit, chunk)
	if err != nil {
		return 0, err
	}
	for i, c := range cursors[1:] {
		for left := n; left > 0; {
			vs, err := c.some(left)
			if err != nil {
				return 0, err
			}
			columns[1+i].take(t, vs)
			left -= int64(len(vs))
		}
	}
	return n, nil
}

// fillShard sets the shard of t and returns how many of the next rows, at most
// limit, are of it.
func fillShard[T any](t *T, c *cursor, limit int64, chunk tableChunk[T]) (int64, error) {
	v, err := c.peek()
	if err != nil {
		return 0, err
	}
	shard := string(v.ByteArray())
	chunk.shard(t, shard)
	n := int64(0)
	for ; n < limit; n++ {
		v, err := c.peek()
		if err != nil {
			return 0, err
		}
		if string(v.ByteArray()) != shard {
			break
		}
		c.advance()
	}
	return n, nil
}

// rowOrder checks that rows rise by (shard, row, seq) over many chunks.
type rowOrder struct {
	last pipeline.RowID
	any  bool
}

// check takes the next rows. Where a column was not read its slice is empty
// and does not count.
func (o *rowOrder) check(shard string, row []int64, seq []int32) error {
	for i := range row {
		id := pipeline.RowID{Shard: shard, Row: row[i]}
		if len(seq) > 0 {
			id.Seq = seq[i]
		}
		if order := o.last.Compare(id); o.any && (order > 0 || order == 0 && len(seq) > 0) {
			return fmt.Errorf("%w: shard %s row %d seq %d comes after shard %s row %d seq %d",
				ErrOrder, id.Shard, id.Row, id.Seq, o.last.Shard, o.last.Row, o.last.Seq)
		}
		o.last, o.any = id, true
	}
	return nil
}

// ErrOrder says that rows of a sidecar or selection do not rise by (shard, row, seq).
var ErrOrder = errors.New("rows out of order")

// floatOf is the inverse of floatValue.
func floatOf(v parquet.Value) float32 {
	if v.IsNull() {
		return float32(math.NaN())
	}
	return v.Float()
}

// interned returns strings that repeat, like domains, without copying each.
type interned map[string]string

func (n interned) string(v parquet.Value) string {
	if v.IsNull() {
		return ""
	}
	if s, ok := n[string(v.ByteArray())]; ok {
		return s
	}
	s := string(v.ByteArray())
	if len(n) < maxInterned {
		n[s] = s
	}
	return s
}

// maxInterned bounds the memory of interned strings.
const maxInterned = 1 << 12
