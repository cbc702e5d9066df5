package shards

import (
	"context"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// groupWalk hands on the values of the kept rows of one row group of a Parquet
// file, window by window and in each column by column. A row group without a
// kept row is not read.
type groupWalk struct {
	obj     Object
	group   parquet.RowGroup
	meta    *format.RowGroup
	leaves  []*leafColumn   // of the input
	columns []*columnReader // opened at the first kept row
	skipped []bool          // windows without a kept row that columns have not passed yet
}

// groupSink takes the kept rows of row groups.
type groupSink interface {
	// windowRows says how many rows the next window has, where a row has
	// perRow raw bytes by the footer.
	windowRows(perRow int64) int64
	// begin says which rows of a window are kept, before their values come.
	begin(keep []bool)
	// write takes values of a column, which make up whole rows.
	write(column int, values []parquet.Value) error
	// end says that every column got the kept rows, which have these scores.
	end(scores []float32) error
}

// walkGroups calls f for the row groups of a Parquet file, one after the other.
// leaves are those of footer, or, for their names, of what is made of them.
func walkGroups(obj Object, footer *parquetFooter, leaves []*leafColumn, f func(g int, walk *groupWalk) error) error {
	file, err := reopenNarrow(obj, len(leaves))
	if err != nil {
		return err
	}
	for g, group := range file.RowGroups() {
		walk := groupWalk{obj: obj, group: group, meta: &footer.meta.RowGroups[g], leaves: leaves}
		if err := f(g, &walk); err != nil {
			return fmt.Errorf("row group %d: %w", g, err)
		}
	}
	return nil
}

// run walks over the row group. next hands out the decisions of its rows.
func (g *groupWalk) run(ctx context.Context, next func(n int) (keep []bool, scores []float32, err error), sink groupSink) error {
	defer g.close()
	perRow := g.rawPerRow()
	for left := g.meta.NumRows; left > 0; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(sink.windowRows(perRow), left)
		keep, scores, err := next(int(n))
		if err != nil {
			return err
		}
		if left -= n; len(scores) == 0 {
			g.skipped = append(g.skipped, keep...)
			continue
		}
		sink.begin(keep)
		if err := guard(func() error { return g.window(keep, scores, sink) }); err != nil {
			return err
		}
	}
	if len(g.columns) > 0 && len(g.skipped) == 0 {
		return guard(g.checkEnd)
	}
	return nil
}

// rawPerRow is the raw size of a row, by the footer: less than its values where
// a dictionary holds them.
func (g *groupWalk) rawPerRow() int64 { return rawBytes(g.meta) / max(1, g.meta.NumRows) }

// window moves the kept rows of a window.
func (g *groupWalk) window(keep []bool, scores []float32, sink groupSink) error {
	if g.columns == nil {
		if err := g.open(); err != nil {
			return err
		}
	}
	runs, _ := sink.(runSink)
	for i, column := range g.columns {
		if runs != nil && runs.runWidth(i) > 0 {
			if err := column.copyRuns(len(keep), runs.runWidth(i), func(run levelRun) error { return runs.writeRun(i, run) }); err != nil {
				return fmt.Errorf("column %s: %w", g.leaves[i].name(), err)
			}
			continue
		}
		err := column.copyRows(g.skipped, nil)
		if err == nil {
			err = column.copyRows(keep, func(values []parquet.Value) error { return sink.write(i, values) })
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", g.leaves[i].name(), err)
		}
	}
	g.skipped = g.skipped[:0]
	return sink.end(scores)
}

// open starts to read every column, once its page headers are sound.
func (g *groupWalk) open() error {
	prefetch(g.obj, g.meta)
	for i := range g.meta.Columns {
		pages, err := g.pages(i)
		if err != nil {
			return fmt.Errorf("column %s: %w", g.leaves[i].name(), err)
		}
		g.columns = append(g.columns, &columnReader{leaf: g.leaves[i], pages: pages})
	}
	return nil
}

// pages opens a column, once its page headers are sound.
func (g *groupWalk) pages(column int) (parquet.Pages, error) {
	meta := &g.meta.Columns[column].MetaData
	if err := checkPageHeaders(g.obj, meta); err != nil {
		return nil, err
	}
	return pagesOf(g.obj, g.group.ColumnChunks()[column], meta)
}

// prefetch tells an object that the pages of a row group will be read.
func prefetch(obj Object, group *format.RowGroup) {
	ahead, ok := obj.(prefetcher)
	if !ok {
		return
	}
	var ranges []Range
	for i := range group.Columns {
		meta := &group.Columns[i].MetaData
		if meta.TotalCompressedSize > 0 {
			ranges = append(ranges, Range{chunkStart(meta), meta.TotalCompressedSize})
		}
	}
	ahead.Prefetch(ranges)
}

// checkEnd checks that every column ends with the last row of the row group.
func (g *groupWalk) checkEnd() error {
	for i, column := range g.columns {
		if err := column.end(g.meta.Columns[i].MetaData.NumValues); err != nil {
			return fmt.Errorf("column %s: %w", g.leaves[i].name(), err)
		}
	}
	return nil
}

// close gives memory back. After a panic in the decoder its reference counts
// may be off, hence the guard; what mattered was reported before.
func (g *groupWalk) close() {
	for _, column := range g.columns {
		_ = guard(column.close)
	}
}
