package shards

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/pipeline"
)

// scanBuffer is the size of one read from a Parquet file: small enough for
// three columns at a time, large enough for object stores.
const scanBuffer = 1 << 20

// parquetReader reads Parquet through parquet-go, page by page: what is in
// memory is one page of each column, never a row group.
type parquetReader struct {
	file *parquet.File
	obj  Object  // what is read: the file, or a view of it, see unpackColumns
	rows []int64 // of each row group
}

// openParquet opens a file whose footer passes checkFooter.
func openParquet(obj Object) (*parquetReader, error) {
	if err := guard(func() error { return checkFooter(obj) }); err != nil {
		return nil, err
	}
	r := &parquetReader{obj: obj}
	err := guard(func() error {
		if err := r.openFile(); err != nil {
			return err
		}
		unpacked, err := unpackColumns(obj, r.file.Metadata())
		if err != nil || unpacked == nil {
			return err
		}
		r.obj = unpacked
		return r.openFile()
	})
	if err != nil {
		return nil, fmt.Errorf("open Parquet: %w", err)
	}
	for i := range r.file.Metadata().RowGroups {
		r.rows = append(r.rows, r.file.Metadata().RowGroups[i].NumRows)
	}
	return r, nil
}

// openFile opens r.obj.
func (r *parquetReader) openFile() (err error) {
	// Page indexes and bloom filters are for lookups; we read everything.
	r.file, err = parquet.OpenFile(r.obj, r.obj.Size(), &parquet.FileConfig{
		SkipPageIndex: true, SkipBloomFilters: true, ReadBufferSize: scanBuffer, ReadMode: parquet.ReadModeSync,
	})
	return err
}

func (r *parquetReader) numRows() int64     { return r.file.NumRows() }
func (r *parquetReader) rowGroups() []int64 { return r.rows }

// columns returns the dotted paths of the leaf columns.
func (r *parquetReader) columns() []string {
	var names []string
	for _, path := range r.file.Schema().Columns() {
		names = append(names, strings.Join(path, "."))
	}
	return names
}

func (r *parquetReader) batches(ctx context.Context, mem memory.Allocator, cols Columns, from, to int) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		var plan textPlan
		err := guard(func() (err error) { plan, err = r.plan(cols); return err })
		if err != nil {
			yield(pipeline.Batch{}, err)
			return
		}
		defer r.prefetch(plan[:], from, to)()
		first := int64(0)
		for group := range from {
			first += r.rows[group]
		}
		for group := from; group < to; group++ {
			if r.rows[group] == 0 {
				continue
			}
			for b, err := range r.groupBatches(ctx, mem, plan, group) {
				if err != nil {
					yield(pipeline.Batch{}, fmt.Errorf("row group %d: %w", group, err))
					return
				}
				b.RowGroup, b.FirstRow = group, first+b.FirstRow
				if !yield(b, nil) {
					return
				}
			}
			first += r.rows[group]
		}
	}
}

// prefetch tells a remote object that the chunks of some leaves, nil ones aside,
// are read next, in the row groups from, ..., to-1. stop tells that no more are.
func (r *parquetReader) prefetch(leaves []*leaf, from, to int) (stop func()) {
	remote, ok := r.obj.(prefetcher)
	if !ok {
		return func() {}
	}
	var ranges []Range
	for group := from; group < to; group++ {
		for _, l := range leaves {
			if l != nil {
				meta := &r.file.Metadata().RowGroups[group].Columns[l.column].MetaData
				ranges = append(ranges, Range{Offset: chunkStart(meta), Length: meta.TotalCompressedSize})
			}
		}
	}
	remote.Prefetch(ranges)
	return func() { remote.Prefetch(nil) }
}

// groupBatches yields the batches of one row group, FirstRow counted in it.
func (r *parquetReader) groupBatches(ctx context.Context, mem memory.Allocator, plan textPlan, group int) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		var cursors [3]*cursor
		defer func() {
			for _, c := range cursors {
				c.close()
			}
		}()
		for i, leaf := range plan {
			if leaf == nil {
				continue
			}
			err := guard(func() error { return r.checkPages(leaf, group) })
			if err != nil {
				yield(pipeline.Batch{}, fmt.Errorf("column %s: %w", leaf.name, err))
				return
			}
			if cursors[i], err = r.newCursor(leaf, group); err != nil {
				yield(pipeline.Batch{}, err)
				return
			}
		}
		build := newBatchBuilder(mem)
		defer build.release()
		for row := int64(0); row < r.rows[group]; {
			if err := ctx.Err(); err != nil {
				yield(pipeline.Batch{}, context.Cause(ctx))
				return
			}
			build.begin()
			n, err := fillBatch(build, cursors, r.rows[group]-row)
			if err != nil {
				yield(pipeline.Batch{}, err)
				return
			}
			b := pipeline.Batch{Record: build.record(), FirstRow: row}
			row += n
			if !yield(b, nil) {
				return
			}
		}
		for _, c := range cursors {
			if err := c.expectEnd(); err != nil {
				yield(pipeline.Batch{}, err)
				return
			}
		}
	}
}

// fillBatch moves up to limit rows from the cursors of text, id and domain
// into the builder and returns how many: the text decides.
func fillBatch(build *batchBuilder, cursors [3]*cursor, limit int64) (int64, error) {
	n := int64(0)
	for ; n < limit && !build.full(); n++ {
		v, err := cursors[0].next()
		if err != nil {
			return 0, err
		}
		if v.IsNull() {
			build.text.AppendNull()
		} else {
			build.text.Append(v.ByteArray())
		}
	}
	for i, labels := range build.labels() {
		c := cursors[1+i]
		for range n {
			if c == nil {
				labels.AppendNull()
				continue
			}
			v, err := c.next()
			if err != nil {
				return 0, err
			}
			if v.IsNull() {
				labels.AppendNull()
			} else {
				appendLabel(labels, c.leaf.render(v))
			}
		}
	}
	return n, nil
}
