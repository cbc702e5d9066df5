package shards

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// arrowValues gives the value of a row: false when it is null. The bytes are
// valid as long as the record.
type arrowValues func(i int) ([]byte, bool)

// appendRecord adds the rows of a record from row at on until the batch is full
// and returns how many it took.
func appendRecord(build *batchBuilder, record arrow.Record, cols Columns, at int) (int, error) {
	text, err := arrowColumn(record, cols.Text, false)
	if err != nil {
		return 0, err
	}
	build.begin()
	n := 0
	for ; at+n < int(record.NumRows()) && !build.full(); n++ {
		if v, ok := text(at + n); ok {
			build.text.Append(v)
		} else {
			build.text.AppendNull()
		}
	}
	labels := build.labels()
	for i, name := range []string{cols.ID, cols.Domain} {
		values := arrowValues(func(int) ([]byte, bool) { return nil, false })
		if name != "" {
			if values, err = arrowColumn(record, name, true); err != nil {
				return 0, err
			}
		}
		for k := range n {
			if v, ok := values(at + k); ok {
				appendLabel(labels[i], string(v))
			} else {
				labels[i].AppendNull()
			}
		}
	}
	return n, nil
}

// arrowColumn finds a column by its name or dotted path. A name that contains
// dots itself wins over a path. Integers will do where label is set.
func arrowColumn(record arrow.Record, name string, label bool) (arrowValues, error) {
	schema := record.Schema()
	var column arrow.Array
	var parents []arrow.Array
	if i := schema.FieldIndices(name); len(i) > 0 {
		column = record.Column(i[0])
	} else {
		part, rest, more := strings.Cut(name, ".")
		if i := schema.FieldIndices(part); len(i) > 0 {
			column = record.Column(i[0])
		}
		for more && column != nil {
			part, rest, more = strings.Cut(rest, ".")
			parents = append(parents, column)
			column = structField(column, part)
		}
	}
	if column == nil {
		return nil, columnError(name, "there is no such column", arrowColumns(schema.Fields(), ""))
	}
	values := arrowBytes(column, label)
	if values == nil {
		want := "want string or binary"
		if label {
			want = "want string, binary or integer"
		}
		return nil, columnError(name, "its type is "+column.DataType().String()+", "+want, arrowColumns(schema.Fields(), ""))
	}
	return func(i int) ([]byte, bool) {
		for _, p := range parents {
			if p.IsNull(i) {
				return nil, false
			}
		}
		return values(i)
	}, nil
}

// structField returns a field of a struct column, nil when there is none.
func structField(column arrow.Array, name string) arrow.Array {
	s, ok := column.(*array.Struct)
	if !ok {
		return nil
	}
	i, ok := s.DataType().(*arrow.StructType).FieldIdx(name)
	if !ok {
		return nil
	}
	return s.Field(i)
}

// arrowColumns lists the dotted paths of fields, for error messages.
func arrowColumns(fields []arrow.Field, prefix string) []string {
	var names []string
	for _, f := range fields {
		if s, ok := f.Type.(*arrow.StructType); ok {
			names = append(names, arrowColumns(s.Fields(), prefix+f.Name+".")...)
		} else {
			names = append(names, prefix+f.Name)
		}
	}
	return names
}

// arrowBytes returns the values of a column as bytes, integers in decimal where
// label is set; nil for types that will not do.
func arrowBytes(column arrow.Array, label bool) arrowValues {
	switch c := column.(type) {
	case *array.String:
		return unlessNull(c, stringBytes(c, c.ValueOffset))
	case *array.LargeString:
		return unlessNull(c, stringBytes(c, func(i int) int { return int(c.ValueOffset64(i)) }))
	case *array.Binary:
		return unlessNull(c, c.Value)
	case *array.LargeBinary:
		return unlessNull(c, c.Value)
	case *array.StringView:
		return unlessNull(c, func(i int) []byte { return viewBytes(c.ValueHeader(i), c.Data().Buffers()) })
	case *array.BinaryView:
		return unlessNull(c, func(i int) []byte { return viewBytes(c.ValueHeader(i), c.Data().Buffers()) })
	case *array.Null:
		return func(int) ([]byte, bool) { return nil, false }
	case *array.Dictionary:
		values := arrowBytes(c.Dictionary(), label)
		if values == nil {
			return nil
		}
		return func(i int) ([]byte, bool) {
			if c.IsNull(i) {
				return nil, false
			}
			k := c.GetValueIndex(i)
			if k < 0 || k >= c.Dictionary().Len() {
				panic(fmt.Errorf("%w: dictionary index %d of %d", ErrCorrupt, k, c.Dictionary().Len()))
			}
			return values(k)
		}
	}
	if !label {
		return nil
	}
	return arrowIntegers(column)
}

// stringBytes returns the values of a string column without copying each.
func stringBytes(column arrow.Array, offset func(i int) int) func(i int) []byte {
	var data []byte
	if buffer := column.Data().Buffers()[2]; buffer != nil {
		data = buffer.Bytes()
	}
	return func(i int) []byte { return data[offset(i):offset(i+1)] }
}

// viewBytes returns the value of a string or binary view: up to 12 bytes are in
// the view itself, longer ones in one of the buffers after it. It panics, for
// guard to catch, where a view leads outside of them.
func viewBytes(view *arrow.ViewHeader, buffers []*memory.Buffer) []byte {
	if view.IsInline() {
		return view.InlineBytes()
	}
	data := buffers[2+int(view.BufferIndex())].Bytes()
	start := int64(view.BufferOffset())
	return data[start : start+int64(view.Len())]
}

// arrowIntegers returns the decimal form of an integer column, nil for others.
func arrowIntegers(column arrow.Array) arrowValues {
	signed := func(v func(i int) int64) arrowValues {
		return unlessNull(column, func(i int) []byte { return strconv.AppendInt(nil, v(i), 10) })
	}
	unsigned := func(v func(i int) uint64) arrowValues {
		return unlessNull(column, func(i int) []byte { return strconv.AppendUint(nil, v(i), 10) })
	}
	switch c := column.(type) {
	case *array.Int8:
		return signed(func(i int) int64 { return int64(c.Value(i)) })
	case *array.Int16:
		return signed(func(i int) int64 { return int64(c.Value(i)) })
	case *array.Int32:
		return signed(func(i int) int64 { return int64(c.Value(i)) })
	case *array.Int64:
		return signed(c.Value)
	case *array.Uint8:
		return unsigned(func(i int) uint64 { return uint64(c.Value(i)) })
	case *array.Uint16:
		return unsigned(func(i int) uint64 { return uint64(c.Value(i)) })
	case *array.Uint32:
		return unsigned(func(i int) uint64 { return uint64(c.Value(i)) })
	case *array.Uint64:
		return unsigned(c.Value)
	}
	return nil
}

// unlessNull is value, where the column has one.
func unlessNull(column arrow.Array, value func(i int) []byte) arrowValues {
	return func(i int) ([]byte, bool) {
		if column.IsNull(i) {
			return nil, false
		}
		return value(i), true
	}
}
