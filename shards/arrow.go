package shards

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
)

// arrowReader reads Arrow IPC: files, with one row group per record batch, and
// streams, with one row group in all. What is in memory is one record batch
// and the dictionaries.
type arrowReader struct {
	obj    Object
	file   bool
	blocks arrowBlocks // of a file
	rows   []int64     // of each row group; {-1} for a stream
	plain  []byte      // schema message to decode by instead of the file's, see readPlain
}

// openArrow looks at the content, not the extension, to tell files from streams.
func openArrow(obj Object) (*arrowReader, error) {
	var head [len(arrowMagic)]byte
	n, err := obj.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read Arrow magic: %w", err)
	}
	start := string(head[:n])
	if len(start) >= 4 && start[:4] == featherMagic {
		return nil, fmt.Errorf("%w: Feather version 1; write it again as version 2", ErrUnsupported)
	}
	r := &arrowReader{obj: obj, file: start == arrowMagic, rows: []int64{-1}}
	if r.file {
		if err := guard(r.openFile); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// openFile reads the footer and the length of each record batch.
func (r *arrowReader) openFile() error {
	var err error
	if r.blocks, err = readArrowFooter(r.obj); err != nil {
		return err
	}
	r.rows = make([]int64, len(r.blocks.batches))
	for i, block := range r.blocks.batches {
		m := arrowMessages{in: io.NewSectionReader(r.obj, block.offset, block.meta)}
		meta, err := m.metadata()
		if err == io.EOF {
			err = fmt.Errorf("%w: no message", ErrCorrupt)
		}
		if err != nil {
			return fmt.Errorf("row group %d: %w", i, err)
		}
		message, err := checkArrowMessage(meta)
		if err != nil {
			return fmt.Errorf("row group %d: %w", i, err)
		}
		if message.kind != kindRecordBatch || message.body != block.body {
			return fmt.Errorf("row group %d: %w: message of kind %d and %d bytes, the footer says %d", i, ErrCorrupt, message.kind, message.body, block.body)
		}
		r.rows[i] = message.rows
	}
	return nil
}

func (r *arrowReader) rowGroups() []int64 { return r.rows }

func (r *arrowReader) numRows() int64 {
	total := int64(0)
	for _, n := range r.rows {
		if n < 0 {
			return -1
		}
		total += n
	}
	return total
}

// records decodes the record batches of the row groups from to to-1, in order.
// A yielded record is valid until the next one.
func (r *arrowReader) records(ctx context.Context, mem memory.Allocator, from, to int) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		messages := &arrowMessages{in: io.NewSectionReader(r.obj, 0, r.obj.Size()), mem: boundedAllocator{mem}, file: r.file}
		if r.file {
			if _, err := messages.in.Seek(arrowStart, io.SeekStart); err != nil {
				yield(nil, err)
				return
			}
			messages.blocks = append(append(messages.blocks, r.blocks.dictionaries...), r.blocks.batches[from:to]...)
			messages.schema = r.blocks.schema
		}
		var decoder *ipc.Reader
		err := guard(func() (err error) {
			decoder, err = ipc.NewReaderFromMessageReader(messages.under(r.plain), ipc.WithAllocator(messages.mem))
			return err
		})
		if err != nil {
			messages.Release()
			yield(nil, fmt.Errorf("decode schema: %w", err))
			return
		}
		defer func() { guard(func() error { decoder.Release(); return nil }) }()
		for group := from; ; group++ {
			if ctx.Err() != nil {
				yield(nil, context.Cause(ctx))
				return
			}
			record, err := r.nextRecord(decoder, messages, group)
			if err == io.EOF && (!r.file || group == to) {
				return
			}
			if err == nil && r.file && (group >= to || record.NumRows() != r.rows[group]) {
				err = fmt.Errorf("%w: batch of %d rows", ErrCorrupt, record.NumRows())
			}
			if err != nil {
				yield(nil, fmt.Errorf("row group %d: %w", group, noEOF(err)))
				return
			}
			if !yield(record, nil) {
				return
			}
		}
	}
}

// nextRecord decodes the next record batch; io.EOF after the last.
func (r *arrowReader) nextRecord(decoder *ipc.Reader, messages *arrowMessages, group int) (record arrow.Record, err error) {
	err = guard(func() error {
		if decoder.Next() {
			record = decoder.Record()
			return nil
		}
		// The decoder's own view of an end is too generous: ask the messages.
		if messages.failed != nil {
			return messages.failed
		}
		if err := decoder.Err(); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return fmt.Errorf("%w: no record batch", ErrCorrupt)
	})
	return record, err
}

func (r *arrowReader) batches(ctx context.Context, mem memory.Allocator, cols Columns, from, to int) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		if from == to {
			return
		}
		build := newBatchBuilder(mem)
		defer build.release()
		row, group := int64(0), from
		for i := range from {
			row += r.rows[i]
		}
		for record, err := range r.records(ctx, mem, from, to) {
			if err != nil {
				yield(pipeline.Batch{}, err)
				return
			}
			for at := 0; at < int(record.NumRows()); {
				n := 0
				err := guard(func() (err error) { n, err = appendRecord(build, record, cols, at); return err })
				if err != nil {
					yield(pipeline.Batch{}, fmt.Errorf("row group %d: %w", group, err))
					return
				}
				b := pipeline.Batch{Record: build.record(), FirstRow: row}
				if r.file {
					b.RowGroup = group
				}
				at, row = at+n, row+int64(n)
				if !yield(b, nil) {
					return
				}
			}
			group++
		}
	}
}
