package shards

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// copyArrow copies the kept rows of an Arrow IPC file or stream. The schema
// message goes into the output as it is, so that Arrow readers get back the
// types that Parquet cannot say (dictionary, duration, time zones ...).
//
// Memory: one record batch and the dictionaries of the input, one open page per
// column and the compressed pages of one row group of the output.
func copyArrow(ctx context.Context, in *arrowReader, mem memory.Allocator, target copyTarget) error {
	message, err := in.schemaMessage()
	if err != nil {
		return err
	}
	var c *arrowCopy
	var out *rowWriter
	for record, err := range in.records(ctx, mem, 0, len(in.rows)) {
		if err != nil {
			return err
		}
		if c == nil {
			if c, out, err = newArrowCopy(record.Schema(), message, target); err != nil {
				return err
			}
		}
		if err := c.record(record); err != nil {
			return err
		}
	}
	if err := target.rows.end(); err != nil || c == nil {
		return err
	}
	return out.finish()
}

// schemaMessage reads the FlatBuffer of the schema message.
func (r *arrowReader) schemaMessage() ([]byte, error) {
	if r.blocks.schema != nil {
		return r.blocks.schema, nil
	}
	m := arrowMessages{in: io.NewSectionReader(r.obj, 0, r.obj.Size()), file: r.file}
	if r.file {
		if _, err := m.in.Seek(arrowStart, io.SeekStart); err != nil {
			return nil, err
		}
	}
	message, err := m.metadata()
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", noEOF(err))
	}
	return message, nil
}

// arrowCopy moves rows of records to a Parquet file.
type arrowCopy struct {
	target copyTarget
	root   *shredNode
	out    rowSink
	shred  *shredder
	scores []float32 // of the rows in shred
	rows   int64     // read so far
}

func newArrowCopy(schema *arrow.Schema, message []byte, target copyTarget) (*arrowCopy, *rowWriter, error) {
	root, err := arrowNodes(schema)
	if err != nil {
		return nil, nil, err
	}
	var meta []format.KeyValue
	custom := schema.Metadata()
	for i, key := range custom.Keys() {
		meta = append(meta, format.KeyValue{Key: key, Value: custom.Values()[i]})
	}
	meta = append(meta, format.KeyValue{Key: arrowSchemaKey, Value: encodeArrowSchema(message)})
	out, err := shredWriter(root, target, meta)
	if err != nil {
		return nil, nil, err
	}
	return &arrowCopy{target: target, root: root, out: out, shred: newShredder(root)}, out, nil
}

// record copies the kept rows of one record.
func (c *arrowCopy) record(record arrow.Record) error {
	for at := int64(0); at < record.NumRows(); {
		n := min(shredRows, record.NumRows()-at)
		keep, scores, err := c.target.rows.take(int(n))
		if err != nil {
			return err
		}
		for i, kept := range keep {
			if !kept {
				continue
			}
			err := guard(func() error { return c.row(record, int(at)+i) })
			if err != nil {
				return fmt.Errorf("row %d: %w", c.rows+at+int64(i), err)
			}
			c.scores = append(c.scores, scores[0])
			if scores = scores[1:]; c.shred.full(c.out) {
				if err := c.flush(); err != nil {
					return err
				}
			}
		}
		at += n
	}
	c.rows += record.NumRows()
	return c.flush() // its values are the record's
}

func (c *arrowCopy) flush() error {
	err := c.shred.writeTo(c.out, c.scores, c.target.opt.addedColumn() != "")
	c.scores = c.scores[:0]
	return err
}

func (c *arrowCopy) row(record arrow.Record, i int) error {
	for k, n := range c.root.children {
		if err := c.value(n, record.Column(k), i, 0, 0); err != nil {
			return fmt.Errorf("column %s: %w", n.name, err)
		}
	}
	c.shred.rows++
	return nil
}

// value shreds element i of a.
func (c *arrowCopy) value(n *shredNode, a arrow.Array, i, rep, def int) error {
	a, i, null := unwrapArrow(a, i)
	if n.optional {
		if null {
			c.shred.null(n, rep, def)
			return nil
		}
		def++
	} else if null {
		return fmt.Errorf("%w: a null in %s, which the schema says has none", ErrCorrupt, n.name)
	}
	switch n.kind {
	case shredGroup:
		s := a.(*array.Struct)
		for k, child := range n.children {
			if err := c.value(child, s.Field(k), i, rep, def); err != nil {
				return err
			}
		}
		return nil
	case shredLeaf:
		v, err := leafValue(a, i)
		if err == nil {
			c.shred.add(n, v, rep, def)
		}
		return err
	}
	parts, start, end := arrowElements(a, i)
	if start == end {
		c.shred.null(n, rep, def)
		return nil
	}
	if n.kind == shredList && c.numbers(n, parts[0], start, end, rep, def+1) {
		return nil
	}
	for at := start; at < end; at++ {
		for k, child := range n.children {
			if err := c.value(child, parts[k], at, rep, def+1); err != nil {
				return err
			}
		}
		rep = n.repeated + 1
	}
	return nil
}

// numbers shreds a list of floats of 16 or 32 bits, as vectors are; false for any
// other, and where some are null. Element by element it takes twice as long.
func (c *arrowCopy) numbers(n *shredNode, values arrow.Array, start, end, rep, def int) bool {
	leaf := n.children[0]
	if leaf.kind != shredLeaf {
		return false
	}
	for at := start; at < end && values.NullN() > 0; at++ {
		if values.IsNull(at) {
			return false
		}
	}
	if leaf.optional {
		def++
	}
	switch v := values.(type) {
	case *array.Float32:
		for _, f := range v.Float32Values()[start:end] {
			c.shred.add(leaf, parquet.FloatValue(f), rep, def)
			rep = n.repeated + 1
		}
		return true
	case *array.Float16:
		b := v.Data().Buffers()[1].Bytes()[2*v.Data().Offset():]
		for at := start; at < end; at++ {
			c.shred.add(leaf, parquet.FixedLenByteArrayValue(b[2*at:2*at+2]), rep, def)
			rep = n.repeated + 1
		}
		return true
	}
	return false
}

// unwrapArrow follows element i of a through extensions and dictionaries.
func unwrapArrow(a arrow.Array, i int) (arrow.Array, int, bool) {
	for {
		if a.IsNull(i) || a.DataType().ID() == arrow.NULL { // array.Null.IsNull says false
			return a, i, true
		}
		switch wrapped := a.(type) {
		case array.ExtensionArray:
			a = wrapped.Storage()
		case *array.Dictionary:
			k := wrapped.GetValueIndex(i)
			if a = wrapped.Dictionary(); k < 0 || k >= a.Len() {
				panic(fmt.Errorf("%w: dictionary index %d of %d", ErrCorrupt, k, a.Len()))
			}
			i = k
		default:
			return a, i, false
		}
	}
}

// arrowElements returns the arrays that the elements of a list or the entries
// of a map are in, and where those of element i begin and end.
func arrowElements(a arrow.Array, i int) (parts []arrow.Array, start, end int) {
	var from, to int64
	switch a := a.(type) {
	case *array.Map:
		parts = []arrow.Array{a.Keys(), a.Items()}
		from, to = a.ValueOffsets(i)
	case array.ListLike:
		parts = []arrow.Array{a.ListValues()}
		from, to = a.ValueOffsets(i)
	}
	if from < 0 || to < from || to > int64(parts[0].Len()) {
		panic(fmt.Errorf("%w: list of elements %d to %d of %d", ErrCorrupt, from, to, parts[0].Len()))
	}
	return parts, int(from), int(to)
}

// leafValue returns element i of an array that does not nest, as arrowLeaf
// says that it is stored.
func leafValue(a arrow.Array, i int) (parquet.Value, error) {
	switch a := a.(type) {
	case *array.Boolean:
		return parquet.BooleanValue(a.Value(i)), nil
	case *array.Int8:
		return parquet.Int32Value(int32(a.Value(i))), nil
	case *array.Int16:
		return parquet.Int32Value(int32(a.Value(i))), nil
	case *array.Int32:
		return parquet.Int32Value(a.Value(i)), nil
	case *array.Int64:
		return parquet.Int64Value(a.Value(i)), nil
	case *array.Uint8:
		return parquet.Int32Value(int32(a.Value(i))), nil
	case *array.Uint16:
		return parquet.Int32Value(int32(a.Value(i))), nil
	case *array.Uint32:
		return parquet.Int32Value(int32(a.Value(i))), nil
	case *array.Uint64:
		return parquet.Int64Value(int64(a.Value(i))), nil
	case *array.Float16:
		return parquet.FixedLenByteArrayValue(binary.LittleEndian.AppendUint16(nil, a.Value(i).Uint16())), nil
	case *array.Float32:
		return parquet.FloatValue(a.Value(i)), nil
	case *array.Float64:
		return parquet.DoubleValue(a.Value(i)), nil
	case *array.Duration:
		return parquet.Int64Value(int64(a.Value(i))), nil
	case *array.Date32, *array.Date64, *array.Time32, *array.Time64, *array.Timestamp:
		return timeValue(a, i)
	case *array.Decimal128:
		v := a.Value(i)
		b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(v.HighBits())), v.LowBits())
		return decimalValue(b, a.DataType().(arrow.DecimalType))
	case *array.Decimal256:
		var b []byte
		words := a.Value(i).Array()
		for k := range words {
			b = binary.BigEndian.AppendUint64(b, words[len(words)-1-k])
		}
		return decimalValue(b, a.DataType().(arrow.DecimalType))
	}
	return bytesValue(a, i)
}

// bytesValue is leafValue for strings and bytes.
func bytesValue(a arrow.Array, i int) (parquet.Value, error) {
	switch a := a.(type) {
	case *array.String:
		return parquet.ByteArrayValue([]byte(a.Value(i))), nil
	case *array.LargeString:
		return parquet.ByteArrayValue([]byte(a.Value(i))), nil
	case *array.StringView:
		return parquet.ByteArrayValue([]byte(a.Value(i))), nil
	case *array.Binary:
		return parquet.ByteArrayValue(a.Value(i)), nil
	case *array.LargeBinary:
		return parquet.ByteArrayValue(a.Value(i)), nil
	case *array.BinaryView:
		return parquet.ByteArrayValue(a.Value(i)), nil
	case *array.FixedSizeBinary:
		return parquet.FixedLenByteArrayValue(a.Value(i)), nil
	}
	return parquet.Value{}, fmt.Errorf("%w: Arrow type %s", ErrUnsupported, a.DataType())
}

// timeValue is leafValue for dates and times. Parquet has no seconds: they
// become milliseconds; and dates are days.
func timeValue(a arrow.Array, i int) (parquet.Value, error) {
	switch a := a.(type) {
	case *array.Date32:
		return parquet.Int32Value(int32(a.Value(i))), nil
	case *array.Date64:
		const day = 24 * 60 * 60 * 1000
		v := int64(a.Value(i))
		if v%day != 0 || v/day != int64(int32(v/day)) {
			return parquet.Value{}, fmt.Errorf("%w: a date64 of %d ms is not a whole day that Parquet can store", ErrUnsupported, v)
		}
		return parquet.Int32Value(int32(v / day)), nil
	case *array.Time32:
		v := int32(a.Value(i))
		if a.DataType().(*arrow.Time32Type).Unit == arrow.Second {
			if v > math.MaxInt32/1000 || v < math.MinInt32/1000 {
				return parquet.Value{}, fmt.Errorf("%w: a time of %d s is too large for Parquet's milliseconds", ErrUnsupported, v)
			}
			v *= 1000
		}
		return parquet.Int32Value(v), nil
	case *array.Time64:
		return parquet.Int64Value(int64(a.Value(i))), nil
	case *array.Timestamp:
		v := int64(a.Value(i))
		if a.DataType().(*arrow.TimestampType).Unit == arrow.Second {
			if v > math.MaxInt64/1000 || v < math.MinInt64/1000 {
				return parquet.Value{}, fmt.Errorf("%w: a timestamp of %d s is too large for Parquet's milliseconds", ErrUnsupported, v)
			}
			v *= 1000
		}
		return parquet.Int64Value(v), nil
	}
	return parquet.Value{}, fmt.Errorf("%w: Arrow type %s", ErrUnsupported, a.DataType())
}

// decimalValue cuts a big-endian two's complement number to the bytes that its
// precision needs.
func decimalValue(b []byte, t arrow.DecimalType) (parquet.Value, error) {
	cut := len(b) - decimalBytes(t.GetPrecision())
	sign := byte(int8(b[cut]) >> 7)
	for _, x := range b[:cut] {
		if x != sign {
			return parquet.Value{}, fmt.Errorf("%w: a decimal of more than %d digits", ErrCorrupt, t.GetPrecision())
		}
	}
	return parquet.FixedLenByteArrayValue(b[cut:]), nil
}
