package shards

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// setLeaf sets the type that pyarrow reads a Parquet leaf as.
func (f *arrowField) setLeaf(el *format.SchemaElement) error {
	if is[*format.NullType](&el.LogicalType) {
		f.kind, f.nullable = kindNull, true
		return nil
	}
	switch el.Type.V {
	case format.Boolean:
		f.kind = kindBool
		return nil
	case format.Float, format.Double:
		f.kind, f.unit = kindFloat, unitSingle
		if el.Type.V == format.Double {
			f.unit = unitDouble
		}
		return nil
	case format.Int96:
		f.kind, f.unit = kindTimestamp, unitNano
		return nil
	}
	before := *f
	if f.setAnnotated(el) {
		return nil
	}
	*f = before // the annotation does not fit: the plain type, as other readers do
	switch el.Type.V {
	case format.Int32, format.Int64:
		f.kind, f.bits, f.signed = kindInt, 32, true
		if el.Type.V == format.Int64 {
			f.bits = 64
		}
	case format.ByteArray:
		f.kind = kindBinary
	case format.FixedLenByteArray:
		f.kind, f.size = kindFixedBinary, el.TypeLength.V
	default:
		return fmt.Errorf("%w: schema: %s has the unknown physical type %d", ErrUnsupported, el.Name, el.Type.V)
	}
	return nil
}

// setAnnotated sets the type of an integer or of bytes that have an annotation.
func (f *arrowField) setAnnotated(el *format.SchemaElement) bool {
	bits := 0 // of the physical type
	switch el.Type.V {
	case format.Int32:
		bits = 32
	case format.Int64:
		bits = 64
	}
	switch t := el.LogicalType.Value.(type) {
	case nil:
		return f.setConverted(el, bits)
	case *format.IntType:
		f.kind, f.bits, f.signed = kindInt, int(t.BitWidth), t.IsSigned
		return f.bits <= bits && f.width() > 0
	case *format.DecimalType:
		return f.setDecimal(t.Precision, t.Scale)
	case *format.DateType:
		f.kind, f.unit = kindDate, unitDay
		return bits == 32
	case *format.TimeType:
		f.kind, f.unit, f.bits = kindTime, arrowUnit(t.Unit), bits
		return bits > 0 && (bits == 32) == (f.unit == unitMilli)
	case *format.TimestampType:
		if f.kind, f.unit = kindTimestamp, arrowUnit(t.Unit); t.IsAdjustedToUTC {
			f.zone = "UTC"
		}
		return bits == 64
	case *format.Float16Type:
		f.kind, f.unit = kindFloat, unitHalf
		return el.TypeLength.V == 2
	case *format.StringType:
		f.kind = kindUtf8
		return el.Type.V == format.ByteArray
	case *format.JsonType:
		f.kind = kindUtf8
		f.meta = append(f.meta, KeyValue{extensionName, "arrow.json"}, KeyValue{extensionMeta, ""})
		return el.Type.V == format.ByteArray
	case *format.UUIDType:
		f.kind, f.size = kindFixedBinary, el.TypeLength.V
		f.meta = append(f.meta, KeyValue{extensionName, "arrow.uuid"}, KeyValue{extensionMeta, ""})
		return el.TypeLength.V == 16
	}
	return false
}

func (f *arrowField) setDecimal(digits, scale int32) bool {
	f.kind, f.digits, f.scale, f.bits = kindDecimal, digits, scale, 128
	if digits > 38 {
		f.bits = 256
	}
	return true
}

// setConverted is setAnnotated for files of older writers.
func (f *arrowField) setConverted(el *format.SchemaElement, bits int) bool {
	if !el.ConvertedType.Valid {
		return false
	}
	c := el.ConvertedType.V
	switch c {
	case deprecated.UTF8, deprecated.Json:
		f.kind = kindUtf8
		return el.Type.V == format.ByteArray
	case deprecated.Decimal:
		return f.setDecimal(el.Precision.V, el.Scale.V)
	case deprecated.Date:
		f.kind, f.unit = kindDate, unitDay
		return bits == 32
	case deprecated.TimeMillis, deprecated.TimeMicros:
		f.kind, f.unit, f.bits = kindTime, unitMilli, bits
		if c == deprecated.TimeMicros {
			f.unit = unitMicro
		}
		return bits > 0 && (bits == 32) == (f.unit == unitMilli)
	case deprecated.TimestampMillis, deprecated.TimestampMicros:
		f.kind, f.unit, f.zone = kindTimestamp, unitMilli, "UTC"
		if c == deprecated.TimestampMicros {
			f.unit = unitMicro
		}
		return bits == 64
	}
	if c >= deprecated.Uint8 && c <= deprecated.Int64 {
		f.kind, f.signed = kindInt, c >= deprecated.Int8
		f.bits = 8 << ((c - deprecated.Uint8) % 4)
		return f.bits <= bits
	}
	return false
}

// arrowUnit is the number of a Parquet time unit in Arrow.
func arrowUnit(u format.TimeUnit) int16 {
	switch u.Value.(type) {
	case *format.MicroSeconds:
		return unitMicro
	case *format.NanoSeconds:
		return unitNano
	}
	return unitMilli
}

// parquetAppender returns what appends a Parquet value that is not null.
func (c *outColumn) parquetAppender(el *format.SchemaElement) func(v parquet.Value) error {
	var buf [32]byte
	switch {
	case c.dict != nil:
		return func(v parquet.Value) error {
			k, err := c.dict.lookup(v.ByteArray())
			if err != nil {
				return err
			}
			return c.index(k)
		}
	case c.field.kind == kindDecimal:
		return func(v parquet.Value) error {
			b, ok := littleEndian(buf[:c.width], decimalBytesOf(v, el.Type.V))
			if !ok {
				return fmt.Errorf("%w: a decimal of more than %d bytes", ErrCorrupt, c.width)
			}
			return c.bytes(b)
		}
	}
	switch el.Type.V {
	case format.Boolean:
		return func(v parquet.Value) error { c.bool(v.Boolean()); return nil }
	case format.Int32:
		return func(v parquet.Value) error { return c.integer(int64(v.Int32())) }
	case format.Int64:
		return func(v parquet.Value) error { return c.integer(v.Int64()) }
	case format.Float:
		return func(v parquet.Value) error {
			return c.bytes(binary.LittleEndian.AppendUint32(buf[:0], math.Float32bits(v.Float())))
		}
	case format.Double:
		return func(v parquet.Value) error {
			return c.bytes(binary.LittleEndian.AppendUint64(buf[:0], math.Float64bits(v.Double())))
		}
	case format.Int96:
		return func(v parquet.Value) error {
			nanos, err := int96Nanos(v.Int96())
			if err != nil {
				return err
			}
			return c.integer(nanos)
		}
	}
	return func(v parquet.Value) error { return c.bytes(v.ByteArray()) }
}

// integer appends an integer in the bytes that the column has for it.
func (c *outColumn) integer(v int64) error {
	if bits := 8 * c.width; bits < 32 {
		low, high := int64(-1)<<(bits-1), int64(1)<<(bits-1)
		if !c.field.signed {
			low, high = 0, 1<<bits
		}
		if v < low || v >= high {
			return fmt.Errorf("%w: the value %d in a column of %d bits", ErrCorrupt, v, bits)
		}
	}
	return c.bytes(binary.LittleEndian.AppendUint64(nil, uint64(v))[:c.width])
}

// decimalBytesOf returns a decimal as big-endian two's complement.
func decimalBytesOf(v parquet.Value, physical format.Type) []byte {
	switch physical {
	case format.Int32:
		return binary.BigEndian.AppendUint32(nil, uint32(v.Int32()))
	case format.Int64:
		return binary.BigEndian.AppendUint64(nil, uint64(v.Int64()))
	}
	return v.ByteArray()
}

// littleEndian fills to with a big-endian two's complement number; false if it
// does not fit.
func littleEndian(to, b []byte) ([]byte, bool) {
	sign := byte(0)
	if len(b) > 0 {
		sign = byte(int8(b[0]) >> 7)
	}
	for i := range to {
		to[i] = sign
	}
	for i, x := range b {
		if at := len(b) - 1 - i; at < len(to) {
			to[at] = x
		} else if x != sign {
			return nil, false
		}
	}
	return to, len(to) == 0 || len(b) == 0 || byte(int8(to[len(to)-1])>>7) == sign
}

// int96Nanos returns the nanoseconds since 1970 of Parquet's old timestamps:
// nanoseconds of the day, then the Julian day.
func int96Nanos(v deprecated.Int96) (int64, error) {
	const day, epoch = int64(86400e9), 2440588
	days, nanos := int64(v[2])-epoch, int64(v[1])<<32|int64(v[0])
	if days > math.MaxInt64/day-1 || days < math.MinInt64/day+1 || nanos < 0 || nanos >= day {
		return 0, fmt.Errorf("%w: an INT96 timestamp of Julian day %d, which nanoseconds since 1970 in 64 bits do not reach", ErrUnsupported, v[2])
	}
	return days*day + nanos, nil
}
