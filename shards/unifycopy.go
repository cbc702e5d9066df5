package shards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/curate-data/curate/pipeline"
)

// CopyPart is a run of kept rows of one shard: those numbered From, ..., To-1
// among its kept rows. Rows that are dropped count to the part that has the next
// kept row, those after the last one to the part that is Last of its shard.
type CopyPart struct {
	Shard     *Shard
	Decisions iter.Seq2[*pipeline.Decisions, error] // of the whole shard, as CopyKept wants them
	From, To  int64
	Last      bool
}

// Copy writes the kept rows of the parts, one after the other, to w as one
// Parquet file, as CopyKept does for one shard. The shards must be among those
// that were unified; each may be closed once the next part is asked for. It
// returns the counts of each part. If there is no kept row, nothing is written.
func (u *UnifiedSchema) Copy(ctx context.Context, parts iter.Seq2[CopyPart, error], w io.Writer, opt CopyOptions) ([]CopyCounts, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("copy shards: %w", err)
	}
	if len(u.parts) == 0 { // no shard has a row
		return u.copyParts(ctx, parts, nil, copyTarget{w: w, opt: opt})
	}
	out, err := u.begin(w, opt)
	if err != nil {
		return nil, fmt.Errorf("copy shards: %w", err)
	}
	counts, err := u.copyParts(ctx, parts, out, copyTarget{w: w, opt: opt})
	if err != nil {
		return counts, err
	}
	if err := guard(out.finish); err != nil {
		return counts, fmt.Errorf("copy shards: %w", err)
	}
	return counts, nil
}

func (u *UnifiedSchema) copyParts(ctx context.Context, parts iter.Seq2[CopyPart, error], out *rowWriter, target copyTarget) (counts []CopyCounts, err error) {
	for part, err := range parts {
		if err != nil {
			return counts, fmt.Errorf("copy shards: %w", err)
		}
		rows, stop := newRowDecisions(part.Shard.in.Shard, part.Decisions)
		rows.part = &partRange{from: part.From, to: part.To, last: part.Last}
		target.rows = rows
		err = u.copyPart(ctx, part.Shard, target, out)
		stop()
		counts = append(counts, rows.count)
		if want := part.To - part.From; err == nil && rows.count.Kept != want {
			err = fmt.Errorf("%w: %d kept rows from %d on, want %d", ErrDecisions, rows.count.Kept, part.From, want)
		}
		if err != nil {
			return counts, fmt.Errorf("copy shard %s: %w", part.Shard.in.Shard, err)
		}
	}
	return counts, nil
}

// begin makes the writer of an output.
func (u *UnifiedSchema) begin(w io.Writer, opt CopyOptions) (*rowWriter, error) {
	meta, err := copiedMetadata(u.meta, opt)
	if err != nil {
		return nil, err
	}
	schema := u.schema
	if opt.ScoreColumn != "" {
		if schema, err = withScore(schema, opt.ScoreColumn); err != nil {
			return nil, err
		}
	}
	leaves, err := schema.leaves()
	if err != nil {
		return nil, err
	}
	for _, c := range leaves {
		if c.element.Type.V == format.ByteArray {
			c.encoding = &parquet.RLEDictionary // given up where it saves nothing
		}
	}
	return newRowWriter(w, schema, leaves, meta, opt.rowGroupBytes())
}

// copyPart copies the rows of one part.
func (u *UnifiedSchema) copyPart(ctx context.Context, s *Shard, target copyTarget, out *rowWriter) error {
	part := u.parts[s.in.Shard]
	if part == nil { // a shard without rows
		return target.rows.end()
	}
	sink := newUnifiedSink(part.tree, part.columns, out)
	switch reader := s.reader.(type) {
	case *parquetReader:
		return unifyParquet(ctx, reader, target, out, sink)
	case *jsonlReader:
		root, err := part.json.nodes()
		if err != nil {
			return err
		}
		c := &jsonCopy{target: target, root: root, out: sink, shred: newShredder(root.shredNode)}
		if err := reader.eachLine(ctx, c.line); err != nil {
			return err
		}
		return errors.Join(c.flush(), target.rows.end())
	case *arrowReader:
		c := &arrowCopy{target: target, root: part.root, out: sink, shred: newShredder(part.root)}
		for record, err := range reader.records(ctx, s.Memory, 0, len(reader.rows)) {
			if err == nil {
				err = c.record(record)
			}
			if err != nil {
				return err
			}
		}
		return target.rows.end()
	}
	return fmt.Errorf("%w: format %q", ErrUnsupported, s.in.Format)
}

// unifyParquet copies the kept rows of a Parquet file to a sink. Row groups
// without one are not read.
func unifyParquet(ctx context.Context, in *parquetReader, target copyTarget, out *rowWriter, sink rowSink) error {
	footer, err := readFooter(in.obj)
	if err != nil {
		return err
	}
	leaves, err := footer.schema.leaves()
	if err != nil {
		return err
	}
	file, err := reopenNarrow(in.obj, len(leaves))
	if err != nil {
		return err
	}
	for g, group := range file.RowGroups() {
		c := unifiedGroup{
			obj: in.obj, chunks: group.ColumnChunks(), meta: &footer.meta.RowGroups[g], leaves: leaves,
			out: out, sink: sink, score: target.opt.ScoreColumn != "",
		}
		err := c.run(ctx, target.rows)
		for _, column := range c.columns {
			_ = guard(column.close)
		}
		if err != nil {
			return fmt.Errorf("row group %d: %w", g, err)
		}
	}
	return target.rows.end()
}

// unifiedGroup copies the kept rows of one row group.
type unifiedGroup struct {
	obj     Object
	chunks  []parquet.ColumnChunk
	meta    *format.RowGroup
	leaves  []*leafColumn
	out     *rowWriter
	sink    rowSink
	score   bool
	columns []*columnReader // opened at the first kept row
	skipped []bool          // rows that columns have not passed yet
}

func (c *unifiedGroup) run(ctx context.Context, rows *rowDecisions) error {
	raw := int64(0)
	for i := range c.meta.Columns {
		raw += max(0, c.meta.Columns[i].MetaData.TotalUncompressedSize)
	}
	for left := c.meta.NumRows; left > 0; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(c.out.windowRows(raw/max(1, c.meta.NumRows)), left)
		keep, scores, err := rows.take(int(n))
		if err != nil {
			return err
		}
		if left -= n; len(scores) == 0 {
			c.skipped = append(c.skipped, keep...)
			continue
		}
		if err := guard(func() error { return c.window(keep, scores) }); err != nil {
			return err
		}
	}
	if len(c.columns) == 0 || len(c.skipped) > 0 {
		return nil
	}
	return guard(func() error {
		for i, column := range c.columns {
			if err := column.end(c.meta.Columns[i].MetaData.NumValues); err != nil {
				return fmt.Errorf("column %s: %w", c.leaves[i].name(), err)
			}
		}
		return nil
	})
}

// window copies the kept rows of a window.
func (c *unifiedGroup) window(keep []bool, scores []float32) error {
	for i := len(c.columns); i < len(c.chunks); i++ {
		meta := &c.meta.Columns[i].MetaData
		err := checkPageHeaders(c.obj, meta)
		var pages *parquet.FilePages
		if err == nil {
			pages, err = pagesOf(c.obj, c.chunks[i], meta)
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", c.leaves[i].name(), err)
		}
		c.columns = append(c.columns, &columnReader{leaf: c.leaves[i], pages: pages})
	}
	for i, column := range c.columns {
		err := column.copyRows(c.skipped, nil)
		if err == nil {
			err = column.copyRows(keep, func(values []parquet.Value) error { return c.sink.write(i, values) })
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", c.leaves[i].name(), err)
		}
	}
	c.skipped = c.skipped[:0]
	if c.score {
		if err := c.sink.writeScores(scores); err != nil {
			return err
		}
	}
	return c.sink.endRows(int64(len(scores)))
}
