package shards

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// leafType is the type of a column's values, however a writer says it.
type leafType struct {
	physical format.Type
	length   int32 // of fixed-length bytes
	logical  format.LogicalTypeValue
}

// typeOfLeaf returns the type of a schema element. Older writers only have
// converted types, and plain integers may say that they are.
func typeOfLeaf(el *format.SchemaElement) leafType {
	t := leafType{physical: el.Type.V, logical: el.LogicalType.Value}
	if t.physical == format.FixedLenByteArray {
		t.length = el.TypeLength.V
	}
	if t.logical == nil && el.ConvertedType.Valid {
		t.logical = convertedLogical(el)
	}
	if t.logical == nil {
		switch t.physical {
		case format.Int32:
			t.logical = &format.IntType{BitWidth: 32, IsSigned: true}
		case format.Int64:
			t.logical = &format.IntType{BitWidth: 64, IsSigned: true}
		}
	}
	return t
}

// convertedLogical returns the logical type that a converted type stands for.
func convertedLogical(el *format.SchemaElement) format.LogicalTypeValue {
	milli, micro := format.TimeUnit{Value: &format.MilliSeconds{}}, format.TimeUnit{Value: &format.MicroSeconds{}}
	switch c := el.ConvertedType.V; c {
	case deprecated.UTF8:
		return &format.StringType{}
	case deprecated.Enum:
		return &format.EnumType{}
	case deprecated.Json:
		return &format.JsonType{}
	case deprecated.Bson:
		return &format.BsonType{}
	case deprecated.Date:
		return &format.DateType{}
	case deprecated.Decimal:
		return &format.DecimalType{Scale: el.Scale.V, Precision: el.Precision.V}
	case deprecated.TimeMillis:
		return &format.TimeType{IsAdjustedToUTC: true, Unit: milli}
	case deprecated.TimeMicros:
		return &format.TimeType{IsAdjustedToUTC: true, Unit: micro}
	case deprecated.TimestampMillis:
		return &format.TimestampType{IsAdjustedToUTC: true, Unit: milli}
	case deprecated.TimestampMicros:
		return &format.TimestampType{IsAdjustedToUTC: true, Unit: micro}
	case deprecated.Int8, deprecated.Int16, deprecated.Int32, deprecated.Int64:
		return &format.IntType{BitWidth: 8 << (c - deprecated.Int8), IsSigned: true}
	case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64:
		return &format.IntType{BitWidth: 8 << (c - deprecated.Uint8)}
	}
	return nil
}

// isNull tells whether a type says that all values are null.
func (t leafType) isNull() bool {
	_, ok := t.logical.(*format.NullType)
	return ok
}

// integer returns the width in bits and the sign of an integer type.
func (t leafType) integer() (bits int8, signed, ok bool) {
	i, ok := t.logical.(*format.IntType)
	if !ok || t.physical != format.Int32 && t.physical != format.Int64 {
		return 0, false, false
	}
	return i.BitWidth, i.IsSigned, true
}

// String is the type's name in errors.
func (t leafType) String() string {
	if bits, signed, ok := t.integer(); ok {
		if signed {
			return fmt.Sprintf("int%d", bits)
		}
		return fmt.Sprintf("uint%d", bits)
	}
	name := strings.ToLower(t.physical.String())
	if t.length > 0 {
		name = fmt.Sprintf("%s(%d)", name, t.length)
	}
	if t.logical == nil {
		return name
	}
	return fmt.Sprintf("%s (%s)", name, &format.LogicalType{Value: t.logical})
}

// unifyLeaves returns the type that holds the values of two exactly; false where
// there is none: null gives way, integers and floats are widened, and everything
// else must be equal.
func unifyLeaves(a, b leafType) (leafType, bool) {
	switch {
	case reflect.DeepEqual(a, b), b.isNull():
		return a, true
	case a.isNull():
		return b, true
	case a.logical == nil && b.logical == nil && (a.physical == format.Float && b.physical == format.Double || a.physical == format.Double && b.physical == format.Float):
		return leafType{physical: format.Double}, true
	}
	aBits, aSigned, aOK := a.integer()
	bBits, bSigned, bOK := b.integer()
	if !aOK || !bOK {
		return leafType{}, false
	}
	bits, signed := max(aBits, bBits), aSigned || bSigned
	if aSigned != bSigned {
		// The signed one needs a bit more than the other.
		unsigned := aBits
		if aSigned {
			unsigned = bBits
		}
		if bits == unsigned {
			bits *= 2
		}
		if unsigned == 64 {
			return leafType{}, false
		}
	}
	t := leafType{physical: format.Int32, logical: &format.IntType{BitWidth: bits, IsSigned: signed}}
	if bits > 32 {
		t.physical = format.Int64
	}
	return t, true
}

// setLeafType makes a schema element one of this type.
func setLeafType(el *format.SchemaElement, t leafType) {
	el.Type, el.LogicalType.Value = thrift.New(t.physical), t.logical
	el.ConvertedType = thrift.Null[deprecated.ConvertedType]{}
	bits, signed, ok := t.integer()
	if !ok {
		return
	}
	if signed && bits >= 32 {
		el.LogicalType.Value = nil // as writers leave it
		return
	}
	first := deprecated.Uint8
	if signed {
		first = deprecated.Int8
	}
	for width := int8(8); width < bits; width *= 2 {
		first++
	}
	el.ConvertedType = thrift.New(first)
}

// widening returns how values of one type become those of a wider one; nil where
// they stay as they are.
func widening(from, to leafType) func(parquet.Value) parquet.Value {
	if from.physical == to.physical {
		return nil
	}
	if from.physical == format.Float {
		return func(v parquet.Value) parquet.Value { return parquet.DoubleValue(float64(v.Float())) }
	}
	if _, signed, _ := from.integer(); signed {
		return func(v parquet.Value) parquet.Value { return parquet.Int64Value(int64(v.Int32())) }
	}
	return func(v parquet.Value) parquet.Value { return parquet.Int64Value(int64(v.Uint32())) }
}
