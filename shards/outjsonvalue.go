package shards

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/curate-data/curate/shards/half"
)

// rowLines writes the rows of a table as JSON objects, one a line. FORMAT.md
// has the table of what becomes what.
type rowLines struct {
	out    *lineWriter
	keys   [][]byte // of the columns: literal and colon
	values []jsonAppender
	buffer []byte
}

// jsonAppender appends value i of a column.
type jsonAppender func(to []byte, i int) ([]byte, error)

func newRowLines(t *outTable, out *lineWriter) (tableSink, error) {
	l := &rowLines{out: out}
	var err error
	l.keys, err = jsonKeys(t.schema.fields)
	for _, c := range t.columns {
		l.values = append(l.values, c.jsonValue())
	}
	return l, err
}

// jsonKeys returns the keys of an object, which must differ and be Unicode.
func jsonKeys(fields []*arrowField) (keys [][]byte, err error) {
	seen := map[string]bool{}
	for _, f := range fields {
		switch {
		case seen[f.name]:
			return nil, fmt.Errorf("column %s: %w: two columns of this name, which a JSON object cannot have: write Arrow", f.name, ErrUnsupported)
		case !utf8.ValidString(f.name):
			return nil, fmt.Errorf("column %q: %w: a name that is not UTF-8, which JSON cannot hold", f.name, ErrUnsupported)
		}
		seen[f.name] = true
		keys = append(keys, append(appendJSONString(nil, []byte(f.name)), ':'))
		inner := f.children
		switch f.kind {
		case kindStruct:
			if _, err := jsonKeys(inner); err != nil {
				return nil, fmt.Errorf("column %s: %w", f.name, err)
			}
		default:
			for _, c := range inner {
				if _, err := jsonKeys([]*arrowField{c}); err != nil {
					return nil, fmt.Errorf("column %s: %w", f.name, err)
				}
			}
		}
	}
	return keys, nil
}

func (l *rowLines) write(t *outTable) error {
	for i := range t.rows {
		line, err := appendObject(l.buffer[:0], l.keys, l.values, t.columns, i)
		if err == nil {
			err = l.out.line(line)
		}
		if err != nil {
			return fmt.Errorf("row %d: %w", t.kept[i], err)
		}
		l.buffer = line
	}
	if cap(l.buffer) > 4*tableBytes {
		l.buffer = nil
	}
	return nil
}

func (l *rowLines) finish(*outTable) error { return l.out.finish() }

// appendObject appends value i of every column under its key.
func appendObject(to []byte, keys [][]byte, values []jsonAppender, columns []*outColumn, i int) ([]byte, error) {
	to = append(to, '{')
	var err error
	for k, value := range values {
		if k > 0 {
			to = append(to, ',')
		}
		if to, err = value(append(to, keys[k]...), i); err != nil {
			return nil, fmt.Errorf("column %s: %w", columns[k].field.name, err)
		}
	}
	return append(to, '}'), nil
}

// jsonValue returns what appends the values of a column, nulls included.
func (c *outColumn) jsonValue() jsonAppender {
	value := c.jsonKind()
	return func(to []byte, i int) ([]byte, error) {
		if c.isNull(i) {
			return append(to, "null"...), nil
		}
		return value(to, i)
	}
}

// jsonKind returns what appends values that are not null.
func (c *outColumn) jsonKind() jsonAppender {
	if c.dict != nil {
		values := c.dict.values.jsonValue()
		return func(to []byte, i int) ([]byte, error) { return values(to, int(c.signed(i))) }
	}
	switch c.field.kind {
	case kindBool:
		return func(to []byte, i int) ([]byte, error) { return strconv.AppendBool(to, c.data[i>>3]>>(i&7)&1 == 1), nil }
	case kindInt:
		if !c.field.signed {
			return func(to []byte, i int) ([]byte, error) { return strconv.AppendUint(to, c.unsigned(i), 10), nil }
		}
		return func(to []byte, i int) ([]byte, error) { return strconv.AppendInt(to, c.signed(i), 10), nil }
	case kindDuration:
		return func(to []byte, i int) ([]byte, error) { return strconv.AppendInt(to, c.signed(i), 10), nil }
	case kindFloat:
		return func(to []byte, i int) ([]byte, error) { return appendJSONFloat(to, c.unsigned(i), c.width) }
	case kindUtf8, kindLargeUtf8, kindUtf8View:
		return c.jsonText
	case kindBinary, kindLargeBinary, kindBinaryView, kindFixedBinary:
		return func(to []byte, i int) ([]byte, error) {
			to = base64.StdEncoding.AppendEncode(append(to, '"'), c.raw(i))
			return append(to, '"'), nil
		}
	case kindDecimal:
		return func(to []byte, i int) ([]byte, error) { return appendJSONDecimal(to, c.raw(i), c.field.scale), nil }
	case kindDate, kindTime, kindTimestamp, kindInterval:
		return c.jsonTime()
	}
	return c.jsonNested()
}

// signed returns an integer of at most 8 bytes.
func (c *outColumn) signed(i int) int64 {
	shift := 64 - 8*c.width
	return int64(c.unsigned(i)<<shift) >> shift
}

func (c *outColumn) unsigned(i int) uint64 {
	var b [8]byte
	copy(b[:], c.raw(i))
	return binary.LittleEndian.Uint64(b[:])
}

// jsonText appends a string. Bytes that are not UTF-8 would not come back.
func (c *outColumn) jsonText(to []byte, i int) ([]byte, error) {
	s := c.raw(i)
	if !utf8.Valid(s) {
		return nil, fmt.Errorf("%w: a string that is not UTF-8, which JSON cannot hold: write Parquet or Arrow", ErrUnsupported)
	}
	return appendJSONString(to, s), nil
}

// appendJSONFloat appends the shortest number that reads back as the float of
// so many bytes.
func appendJSONFloat(to []byte, bits uint64, width int) ([]byte, error) {
	var f float64
	size := 32
	switch width {
	case 2:
		f = float64(half.Float32(uint16(bits)))
	case 4:
		f = float64(math.Float32frombits(uint32(bits)))
	default:
		f, size = math.Float64frombits(bits), 64
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%w: the value %v, which JSON has no number for: write Parquet or Arrow", ErrUnsupported, f)
	}
	if f == 0 && math.Signbit(f) {
		return append(to, "-0.0"...), nil // -0 is an integer for many readers
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(to, f, 'e', -1, size), nil
	}
	start := len(to)
	if to = strconv.AppendFloat(to, f, 'f', -1, size); !bytes.ContainsRune(to[start:], '.') {
		to = append(to, ".0"...) // so that readers that infer types see a fraction
	}
	return to, nil
}

// appendJSONDecimal appends a string with all digits: readers take numbers for
// doubles. b is little-endian two's complement.
func appendJSONDecimal(to, b []byte, scale int32) []byte {
	reversed := bytes.Clone(b)
	slices.Reverse(reversed)
	v := new(big.Int).SetBytes(reversed)
	if reversed[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	to = append(to, '"')
	if v.Sign() < 0 {
		to = append(to, '-')
		v.Neg(v)
	}
	digits := v.Append(nil, 10)
	switch n := int(scale); {
	case n <= 0:
		to = append(to, digits...)
		if v.Sign() != 0 {
			to = append(to, bytes.Repeat([]byte("0"), -n)...)
		}
	case len(digits) <= n:
		to = append(to, '0', '.')
		to = append(append(to, bytes.Repeat([]byte("0"), n-len(digits))...), digits...)
	default:
		to = append(append(append(to, digits[:len(digits)-n]...), '.'), digits[len(digits)-n:]...)
	}
	return append(to, '"')
}
