package shards

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/curate-data/curate/pipeline"
)

// spliceTokens is the size, uncompressed, of the largest row group that is copied
// as bytes when ids are added: those of all its rows are held meanwhile.
const spliceTokens = 128 << 20

// CopyTokens writes all rows of a shard to w as Parquet, as CopyKept does, and adds
// a nullable column list<int32> of token ids after the input's columns. lists are
// those of the rows, in order, a run of rows each, with values of type int32; each
// is used until the next is asked for. They must be as many as the shard has rows.
// Of the options Format and ScoreColumn have no meaning here. Tars and shards in a
// sandbox are ErrUnsupported.
//
// Memory: that of CopyKept, the lists of the rows that are copied at a time, up to
// 128 MB of text, and 24 bytes for each id of a row.
func CopyTokens(ctx context.Context, s *Shard, column string, lists iter.Seq2[*array.List, error], w io.Writer, opt CopyOptions) (CopyCounts, error) {
	switch s.reader.(type) {
	case *tarReader, *sandboxReader:
		return CopyCounts{}, fmt.Errorf("copy shard %s: %w: token ids beside the rows of a tar, or in a sandbox", s.in.Shard, ErrUnsupported)
	}
	ids := &idColumn{name: column}
	defer ids.release()
	opt.Format, opt.ScoreColumn, opt.ids = OutParquet, "", ids
	return CopyKept(ctx, s, ids.decisions(s.in.Shard, lists), w, opt)
}

// idColumn hands the ids of rows from their source to the writer. Rows are decided
// about before they are written: what was taken then waits here.
type idColumn struct {
	name   string
	lists  []*array.List
	at     int // rows of lists[0] that are written
	buffer []parquet.Value
}

// decisions keeps every row that there are ids for.
func (c *idColumn) decisions(shard string, lists iter.Seq2[*array.List, error]) iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) {
		row := int64(0)
		for list, err := range lists {
			if err != nil {
				yield(nil, err)
				return
			}
			n := list.Len()
			d := &pipeline.Decisions{
				Shard: shard, Row: make([]int64, n), Seq: make([]int32, n), Keep: make([]bool, n),
				Reason: make([]pipeline.Reason, n), Score: make([]float32, n),
			}
			for i := range n {
				d.Row[i], d.Keep[i], d.Score[i] = row, true, float32(math.NaN())
				row++
			}
			list.Retain()
			c.lists = append(c.lists, list)
			if !yield(d, nil) {
				return
			}
		}
	}
}

// write writes the ids of the next n rows to the last column.
func (c *idColumn) write(w *rowWriter, n int) error {
	column := len(w.leaves) - 1
	c.buffer = c.buffer[:0]
	flush := func() error {
		err := w.write(column, c.buffer)
		c.buffer = c.buffer[:0]
		return err
	}
	for ; n > 0; n-- {
		for len(c.lists) > 0 && c.at == c.lists[0].Len() {
			c.lists[0].Release()
			c.lists, c.at = c.lists[1:], 0
		}
		if len(c.lists) == 0 {
			return fmt.Errorf("%w: ids of too few rows", ErrDecisions)
		}
		c.row(c.lists[0], c.at, column)
		c.at++
		if len(c.buffer) >= writeBytes/4 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	err := flush()
	if cap(c.buffer) > 1<<20 {
		c.buffer = nil // what one long row needed
	}
	return err
}

// row appends the values of one row: a null list ends at definition level 0, an
// empty one at 1, ids are at 3.
func (c *idColumn) row(list *array.List, i, column int) {
	from, to := list.ValueOffsets(i)
	switch {
	case list.IsNull(i):
		c.buffer = append(c.buffer, parquet.NullValue().Level(0, 0, column))
		return
	case from == to:
		c.buffer = append(c.buffer, parquet.NullValue().Level(0, 1, column))
		return
	}
	repetition := 0
	for _, id := range list.ListValues().(*array.Int32).Int32Values()[from:to] {
		c.buffer = append(c.buffer, parquet.Int32Value(id).Level(repetition, 3, column))
		repetition = 1
	}
}

func (c *idColumn) release() {
	for _, list := range c.lists {
		list.Release()
	}
	c.lists = nil
}

// node is the column in the terms of schemaOf.
func (c *idColumn) node() *shredNode {
	element := &shredNode{name: "element", optional: true, element: format.SchemaElement{Type: thrift.New(format.Int32)}}
	return &shredNode{name: c.name, kind: shredList, optional: true, children: []*shredNode{element}}
}

// addedColumn is the name of the column that a copy adds, empty for none.
func (o CopyOptions) addedColumn() string {
	if o.ids != nil {
		return o.ids.name
	}
	return o.ScoreColumn
}

// addedElements are the schema elements of that column.
func (o CopyOptions) addedElements() []format.SchemaElement {
	if o.ids != nil {
		return o.ids.node().appendElements(nil)
	}
	return []format.SchemaElement{{Name: o.ScoreColumn, Type: thrift.New(format.Float), RepetitionType: thrift.New(format.Optional)}}
}
