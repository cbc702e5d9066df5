package shards

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"

	"github.com/curate-data/curate/pipeline"
)

// Schema returns the columns of a Parquet or Arrow shard, with their types and
// the file's key-value metadata, as Records yields them.
func (s *Shard) Schema() (*arrow.Schema, error) {
	schema, err := s.schema()
	if err != nil {
		return nil, fmt.Errorf("read schema of shard %s: %w", s.in.Shard, err)
	}
	return schema, nil
}

func (s *Shard) schema() (*arrow.Schema, error) {
	switch r := s.reader.(type) {
	case *parquetReader:
		footer, err := readFooter(r.obj)
		if err != nil {
			return nil, err
		}
		schema, _, err := recordTable(footer)
		if err != nil {
			return nil, err
		}
		return decodeSchema(schema.encode())
	case *arrowReader:
		schema, _, err := r.readPlain()
		if err != nil {
			return nil, err
		}
		plain := arrowSchema{meta: schema.meta}
		for _, f := range schema.fields {
			plain.fields = append(plain.fields, f.plain())
		}
		return decodeSchema(plain.encode())
	}
	return nil, s.noRecords()
}

func (s *Shard) noRecords() error {
	if _, ok := s.reader.(*sandboxReader); ok {
		return fmt.Errorf("%w: columns of any type, in a decoder process of its own: run without the sandbox", ErrUnsupported)
	}
	return fmt.Errorf("%w: format %q has no columns of Arrow types", ErrUnsupported, s.in.Format)
}

// decodeSchema decodes the FlatBuffer of a schema message.
func decodeSchema(message []byte) (schema *arrow.Schema, err error) {
	n := (len(message) + 7) &^ 7
	var b bytes.Buffer
	for _, word := range []uint32{arrowContinue, uint32(n)} {
		b.Write(binary.LittleEndian.AppendUint32(nil, word))
	}
	b.Write(message)
	b.Write(make([]byte, n-len(message)))
	b.Write([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0})
	err = guard(func() error {
		r, err := ipc.NewReader(&b)
		if err != nil {
			return fmt.Errorf("%w: decode schema: %w", ErrCorrupt, err)
		}
		schema = r.Schema()
		r.Release()
		return nil
	})
	return schema, err
}

// Records yields columns of the row groups from, ..., to-1 of a Parquet or Arrow
// shard, of any type, in row order. columns are names of columns, or dotted
// paths to fields of structs: of Parquet no other is read or yielded, of Arrow
// the struct is. A record of Parquet has some MB or one row, one of Arrow is a
// record batch of the file. In Parquet dictionaries are decoded, lists of a fixed
// size are lists, and decimals have 128 bits at least; in Arrow decimals of fewer
// are integers. Extension types are their storage. Values of Arrow files are as
// they are in the file: an offset may lead out of its array, so that reading it
// panics.
//
// The receiver owns each batch; after an error nothing more is yielded.
func (s *Shard) Records(ctx context.Context, columns []string, from, to int) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		fail := func(err error) { yield(pipeline.Batch{}, fmt.Errorf("read shard %s: %w", s.in.Shard, err)) }
		if from < 0 || from > to || to > s.NumRowGroups() {
			fail(fmt.Errorf("%w: %d to %d, have %d", ErrRange, from, to, s.NumRowGroups()))
			return
		}
		var batches iter.Seq2[pipeline.Batch, error]
		switch r := s.reader.(type) {
		case *parquetReader:
			batches = r.recordBatches(ctx, s.Memory, columns, from, to)
		case *arrowReader:
			batches = r.recordBatches(ctx, s.Memory, columns, from, to)
		default:
			fail(s.noRecords())
			return
		}
		for b, err := range batches {
			if err != nil {
				fail(err)
				return
			}
			b.Shard = s.in.Shard
			if !yield(b, nil) {
				return
			}
		}
	}
}

// Line is a row of a JSONL shard.
type Line struct {
	Row    int64  // from 0, blank lines not counted
	Number int64  // of the line in the file, from 1
	JSON   []byte // an object; valid until the next line is asked for
}

// Lines yields the rows of a JSONL shard as they are. Each was checked to be one
// JSON object. After an error nothing more is yielded.
func (s *Shard) Lines(ctx context.Context) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		r, ok := s.reader.(*jsonlReader)
		if !ok {
			yield(Line{}, fmt.Errorf("read shard %s: %w: format %q has no lines, or a sandbox", s.in.Shard, ErrUnsupported, s.in.Format))
			return
		}
		row := int64(0)
		err := r.eachLine(ctx, func(line []byte, number int64) error {
			if err := checkObject(line); err != nil {
				return err
			}
			if !yield(Line{Row: row, Number: number, JSON: line}, nil) {
				return errStopped
			}
			row++
			return nil
		})
		if err != nil && !isStopped(err) {
			yield(Line{}, fmt.Errorf("read shard %s: %w", s.in.Shard, err))
		}
	}
}

// Samples yields the rows of a tar as TarSamples does. Members whose extension
// is not wanted have no data, and of an archive that is not compressed they are
// not read.
func (s *Shard) Samples(ctx context.Context, wanted func(ext string) bool) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		r, ok := s.reader.(*tarReader)
		if !ok {
			yield(Sample{}, fmt.Errorf("read shard %s: %w: format %q has no samples, or a sandbox", s.in.Shard, ErrUnsupported, s.in.Format))
			return
		}
		for sample, err := range tarSamples(ctx, r.obj, wanted) {
			if err != nil {
				yield(Sample{}, fmt.Errorf("read shard %s: %w", s.in.Shard, err))
				return
			}
			if !yield(sample, nil) {
				return
			}
		}
	}
}

func (r *arrowReader) recordBatches(ctx context.Context, mem allocator, columns []string, from, to int) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		if from == to {
			return
		}
		_, r, err := r.readPlain()
		if err != nil {
			yield(pipeline.Batch{}, err)
			return
		}
		row, group := int64(0), from
		for i := range from {
			row += r.rows[i]
		}
		for record, err := range r.records(ctx, mem, from, to) {
			if err == nil {
				record, err = pickColumns(record, columns)
			}
			if err != nil {
				yield(pipeline.Batch{}, err)
				return
			}
			b := pipeline.Batch{Record: record, FirstRow: row}
			if r.file {
				b.RowGroup = group
			}
			row += record.NumRows()
			group++
			if !yield(b, nil) {
				return
			}
		}
	}
}

// pickColumns returns a record of some columns. The caller owns it.
func pickColumns(record arrow.Record, columns []string) (arrow.Record, error) {
	var fields []arrow.Field
	var arrays []arrow.Array
	found := make([]bool, len(columns))
	for i, f := range record.Schema().Fields() {
		wanted := false
		for k, name := range columns {
			if name == f.Name || strings.HasPrefix(name, f.Name+".") {
				found[k], wanted = true, true
			}
		}
		if wanted {
			fields, arrays = append(fields, f), append(arrays, record.Column(i))
		}
	}
	if k := slices.Index(found, false); k >= 0 {
		var names []string
		for _, f := range record.Schema().Fields() {
			names = append(names, f.Name)
		}
		return nil, columnError(columns[k], "there is none of this name", names)
	}
	meta := record.Schema().Metadata()
	return array.NewRecord(arrow.NewSchema(fields, &meta), arrays, record.NumRows()), nil
}
