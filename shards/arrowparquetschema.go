package shards

import (
	"fmt"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// fieldIDKey is the field metadata in which Arrow keeps Parquet's field id.
const fieldIDKey = "PARQUET:field_id"

// arrowNodes returns the tree that records of an Arrow schema are shredded by,
// or an error naming the first column whose type Parquet has no place for.
func arrowNodes(schema *arrow.Schema) (*shredNode, error) {
	root := &shredNode{kind: shredGroup}
	for _, f := range schema.Fields() {
		n, err := arrowNode(f, f.Name)
		if err != nil {
			return nil, err
		}
		root.children = append(root.children, n)
	}
	if len(root.children) == 0 {
		return nil, fmt.Errorf("%w: a schema without columns", ErrUnsupported)
	}
	return root, nil
}

// arrowNode returns the node of one field; path is its name for errors.
func arrowNode(f arrow.Field, path string) (*shredNode, error) {
	n := &shredNode{name: f.Name, optional: f.Nullable}
	if id, ok := f.Metadata.GetValue(fieldIDKey); ok {
		if v, err := strconv.ParseInt(id, 10, 32); err == nil {
			n.fieldID = int32(v)
		}
	}
	var inner []arrow.Field
	switch t := storage(f.Type).(type) {
	case *arrow.StructType:
		n.kind, inner = shredGroup, t.Fields()
		if len(inner) == 0 {
			return nil, fmt.Errorf("%w: column %s: Parquet cannot store a struct without fields", ErrUnsupported, path)
		}
	case *arrow.MapType:
		key, item := t.KeyField(), t.ItemField()
		key.Name, item.Name = "key", "value"
		n.kind, inner = shredMap, []arrow.Field{key, item}
	case arrow.ListLikeType:
		element := t.ElemField()
		element.Name = "element"
		n.kind, inner = shredList, []arrow.Field{element}
		switch t.(type) {
		case *arrow.ListType, *arrow.LargeListType, *arrow.FixedSizeListType:
		default:
			return nil, fmt.Errorf("%w: column %s: Parquet cannot store the Arrow type %s; cast it to a list", ErrUnsupported, path, f.Type)
		}
	default:
		var ok bool
		if n.element, ok = arrowLeaf(t); !ok {
			return nil, fmt.Errorf("%w: column %s: Parquet cannot store the Arrow type %s; cast the column", ErrUnsupported, path, f.Type)
		}
		n.optional = n.optional || t.ID() == arrow.NULL
		return n, nil
	}
	for _, c := range inner {
		child, err := arrowNode(c, path+"."+c.Name)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, child)
	}
	return n, nil
}

// storage strips what only the ARROW:schema metadata can say: extensions and
// dictionaries are stored as their values.
func storage(t arrow.DataType) arrow.DataType {
	for {
		switch wrapped := t.(type) {
		case arrow.ExtensionType:
			t = wrapped.StorageType()
		case *arrow.DictionaryType:
			t = wrapped.ValueType
		default:
			return t
		}
	}
}

// arrowLeaf returns how Parquet stores an Arrow type that does not nest, as
// pyarrow does with format version 2.6; false where it cannot.
func arrowLeaf(t arrow.DataType) (el format.SchemaElement, ok bool) {
	set := func(physical format.Type, logical format.LogicalTypeValue, converted ...deprecated.ConvertedType) {
		el.Type, el.LogicalType.Value = thrift.New(physical), logical
		if len(converted) > 0 {
			el.ConvertedType = thrift.New(converted[0])
		}
	}
	integer := func(physical format.Type, bits int8, signed bool, converted deprecated.ConvertedType) {
		set(physical, &format.IntType{BitWidth: bits, IsSigned: signed}, converted)
	}
	switch t := t.(type) {
	case *arrow.NullType:
		set(format.Int32, &format.NullType{})
	case *arrow.BooleanType:
		set(format.Boolean, nil)
	case *arrow.Int8Type:
		integer(format.Int32, 8, true, deprecated.Int8)
	case *arrow.Int16Type:
		integer(format.Int32, 16, true, deprecated.Int16)
	case *arrow.Int32Type:
		set(format.Int32, nil)
	case *arrow.Int64Type, *arrow.DurationType:
		set(format.Int64, nil)
	case *arrow.Uint8Type:
		integer(format.Int32, 8, false, deprecated.Uint8)
	case *arrow.Uint16Type:
		integer(format.Int32, 16, false, deprecated.Uint16)
	case *arrow.Uint32Type:
		integer(format.Int32, 32, false, deprecated.Uint32)
	case *arrow.Uint64Type:
		integer(format.Int64, 64, false, deprecated.Uint64)
	case *arrow.Float16Type:
		set(format.FixedLenByteArray, &format.Float16Type{})
		el.TypeLength = thrift.New(int32(2))
	case *arrow.Float32Type:
		set(format.Float, nil)
	case *arrow.Float64Type:
		set(format.Double, nil)
	case *arrow.StringType, *arrow.LargeStringType, *arrow.StringViewType:
		set(format.ByteArray, &format.StringType{}, deprecated.UTF8)
	case *arrow.BinaryType, *arrow.LargeBinaryType, *arrow.BinaryViewType:
		set(format.ByteArray, nil)
	case *arrow.FixedSizeBinaryType:
		set(format.FixedLenByteArray, nil)
		el.TypeLength = thrift.New(int32(t.ByteWidth))
		return el, t.ByteWidth > 0
	case *arrow.Date32Type, *arrow.Date64Type:
		set(format.Int32, &format.DateType{}, deprecated.Date)
	case *arrow.Time32Type:
		set(format.Int32, &format.TimeType{Unit: timeUnit(t.Unit)})
	case *arrow.Time64Type:
		set(format.Int64, &format.TimeType{Unit: timeUnit(t.Unit)})
	case *arrow.TimestampType:
		set(format.Int64, &format.TimestampType{IsAdjustedToUTC: t.TimeZone != "", Unit: timeUnit(t.Unit)})
		switch t.Unit {
		case arrow.Second, arrow.Millisecond:
			el.ConvertedType = thrift.New(deprecated.TimestampMillis)
		case arrow.Microsecond:
			el.ConvertedType = thrift.New(deprecated.TimestampMicros)
		}
	case arrow.DecimalType:
		set(format.FixedLenByteArray, &format.DecimalType{Scale: t.GetScale(), Precision: t.GetPrecision()}, deprecated.Decimal)
		el.TypeLength = thrift.New(int32(decimalBytes(t.GetPrecision())))
		el.Scale, el.Precision = thrift.New(t.GetScale()), thrift.New(t.GetPrecision())
		return el, t.GetPrecision() > 0 && t.GetScale() >= 0
	default:
		return el, false
	}
	return el, true
}

// timeUnit is the unit that Parquet has for an Arrow unit: it has no seconds.
func timeUnit(u arrow.TimeUnit) format.TimeUnit {
	switch u {
	case arrow.Microsecond:
		return format.TimeUnit{Value: &format.MicroSeconds{}}
	case arrow.Nanosecond:
		return format.TimeUnit{Value: &format.NanoSeconds{}}
	}
	return format.TimeUnit{Value: &format.MilliSeconds{}}
}

// decimalBytes is the least number of bytes that hold every two's complement
// number of so many decimal digits.
func decimalBytes(precision int32) int {
	bits := 1 + float64(precision)*3.3219280948873623 // log2(10)
	return int(bits/8) + 1
}
