package shards

import (
	"context"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// copyArrowRows copies the kept rows of an Arrow file or stream as Arrow or as
// JSON. The schema message of the input, with all that it says of types,
// dictionaries, extensions and metadata, becomes the output's.
//
// Memory: one record batch and the dictionaries of the input, and the rows and
// dictionaries of a table.
func copyArrowRows(ctx context.Context, in *arrowReader, mem memory.Allocator, format OutputFormat, target copyTarget) error {
	schema, in, err := in.readPlain()
	if err != nil {
		return err
	}
	t, err := newOutTable(schema, format, target)
	if err != nil {
		return err
	}
	if w, ok := t.sink.(*ipcWriter); ok && target.opt.Format == OutSame {
		if w.codec, err = in.bodyCodec(); err != nil {
			return err
		}
	}
	row := int64(0)
	for record, err := range in.records(ctx, mem, 0, len(in.rows)) {
		if err != nil {
			return err
		}
		if err := copyRecord(t, record, target.rows); err != nil {
			return fmt.Errorf("rows from %d on: %w", row, err)
		}
		row += record.NumRows()
	}
	if err := target.rows.end(); err != nil {
		return err
	}
	return t.finish(target.rows.count.Kept)
}

// copyRecord moves the kept rows of one record, some at a time.
func copyRecord(t *outTable, record arrow.Record, decisions *rowDecisions) error {
	met := false
	step := recordStep(record)
	for at := 0; at < int(record.NumRows()); at += step {
		keep, scores, err := decisions.take(min(step, int(record.NumRows())-at))
		if err != nil {
			return err
		}
		rows := make([]int, 0, len(scores))
		for i, kept := range keep {
			if kept {
				rows = append(rows, at+i)
			}
		}
		if len(rows) == 0 {
			continue
		}
		err = guard(func() error {
			if !met {
				met = true
				if err := t.meet(record); err != nil {
					return err
				}
			}
			t.note(decisions, keep)
			return t.takeRecord(record, rows, scores)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// recordStep is how many rows of a record are moved at once.
func recordStep(record arrow.Record) int {
	var size int64
	for _, c := range record.Columns() {
		size += int64(c.Data().SizeInBytes())
	}
	perRow := max(1, size/max(1, record.NumRows()))
	return int(max(1, min(tableRows, takeBytes/perRow)))
}

// bodyCodec is what the first record batch is compressed with, nil for nothing.
func (r *arrowReader) bodyCodec() (codec *bodyCodec, err error) {
	err = guard(func() error {
		id, found, err := r.compression()
		if found && err == nil {
			codec, err = newBodyCodec(id)
		}
		return err
	})
	return codec, err
}

// compression returns the codec's number of the first record batch.
func (r *arrowReader) compression() (id byte, found bool, err error) {
	m := arrowMessages{in: io.NewSectionReader(r.obj, 0, r.obj.Size()), file: r.file}
	if r.file {
		if len(r.blocks.batches) == 0 {
			return 0, false, nil
		}
		if _, err := m.in.Seek(r.blocks.batches[0].offset, io.SeekStart); err != nil {
			return 0, false, err
		}
	}
	for {
		meta, err := m.metadata()
		if err == io.EOF { // the end of a stream without batches
			return 0, false, nil
		}
		if err != nil {
			return 0, false, err
		}
		message, err := checkArrowMessage(meta)
		if err != nil {
			return 0, false, err
		}
		if message.kind == kindRecordBatch {
			header, _ := flatRoot(meta).table(slotHeader)
			of, found := header.table(slotCompression)
			if found {
				id = of.byte(0)
			}
			return id, found, nil
		}
		if _, err := m.in.Seek(message.body, io.SeekCurrent); err != nil {
			return 0, false, err
		}
	}
}

// readPlain returns the schema of the input and a reader that decodes its values
// by their layout alone: decimals of 32 and 64 bits, which the Arrow library
// does not know, are integers for it, and extensions their storage.
func (r *arrowReader) readPlain() (arrowSchema, *arrowReader, error) {
	message, err := r.schemaMessage()
	if err != nil {
		return arrowSchema{}, nil, err
	}
	schema, err := parseArrowSchema(message)
	if err != nil {
		return arrowSchema{}, nil, err
	}
	for _, f := range schema.fields {
		if err := f.unknown(); err != nil {
			return arrowSchema{}, nil, err
		}
	}
	if schema.swapped {
		return schema, r, nil // its values are turned as the file's own schema asks
	}
	var plain arrowSchema
	for _, f := range schema.fields {
		plain.fields = append(plain.fields, f.plain())
	}
	reader := *r
	reader.plain = plain.encode()
	return schema, &reader, nil
}

func (f *arrowField) plain() *arrowField {
	p := *f
	p.meta, p.children = nil, nil
	if p.kind == kindDecimal && p.bits < 128 {
		p.kind, p.signed = kindInt, true
	}
	for _, c := range f.children {
		p.children = append(p.children, c.plain())
	}
	return &p
}

// under makes messages begin with this schema, if there is one, instead of
// their own.
func (r *arrowMessages) under(schema []byte) *arrowMessages {
	if schema == nil {
		return r
	}
	if !r.file {
		if _, err := r.metadata(); err != nil {
			r.failed = noEOF(err)
		}
	}
	r.schema = schema
	return r
}
