package images

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/half"
)

// A value of a row, of whatever format, is one of: nil, bool, int64, float64,
// string, []byte, []int64, []float32, []float64, list and fields. Numbers of a
// list that are null are NaN. What is none of them, such as a time, is foreign.
type (
	list    []any
	fields  map[string]any
	foreign string // the type's name
)

// maxInt is where integers end that a float64 tells apart.
const maxInt = 1 << 53

// arrowValue returns element i of an array. It panics where the array leads out
// of itself, but for lists, which would take memory first. Bytes are those of the
// array.
func arrowValue(a arrow.Array, i int) (any, error) {
	if a.IsNull(i) || a.DataType().ID() == arrow.NULL {
		return nil, nil
	}
	switch a := a.(type) {
	case array.ExtensionArray:
		return arrowValue(a.Storage(), i)
	case *array.Dictionary:
		return arrowValue(a.Dictionary(), a.GetValueIndex(i))
	case *array.RunEndEncoded:
		return arrowValue(a.Values(), a.GetPhysicalIndex(i))
	case *array.Struct:
		t := a.DataType().(*arrow.StructType)
		f := make(fields, a.NumField())
		for k := range a.NumField() {
			v, err := arrowValue(a.Field(k), i)
			if err != nil {
				return nil, fmt.Errorf("field %s: %w", t.Field(k).Name, err)
			}
			f[t.Field(k).Name] = v
		}
		return f, nil
	case *array.Map:
		return foreign(a.DataType().String()), nil
	case array.ListLike:
		from, to := a.ValueOffsets(i)
		if from < 0 || to < from || to > int64(a.ListValues().Len()) {
			return nil, fmt.Errorf("%w: a list of the elements %d to %d of %d", shards.ErrCorrupt, from, to, a.ListValues().Len())
		}
		return arrowList(a.ListValues(), int(from), int(to))
	}
	return arrowScalar(a, i), nil
}

func arrowScalar(a arrow.Array, i int) any {
	switch a := a.(type) {
	case *array.Boolean:
		return a.Value(i)
	case *array.Int8:
		return int64(a.Value(i))
	case *array.Int16:
		return int64(a.Value(i))
	case *array.Int32:
		return int64(a.Value(i))
	case *array.Int64:
		return a.Value(i)
	case *array.Uint8:
		return int64(a.Value(i))
	case *array.Uint16:
		return int64(a.Value(i))
	case *array.Uint32:
		return int64(a.Value(i))
	case *array.Uint64:
		if v := a.Value(i); v <= math.MaxInt64 {
			return int64(v)
		}
		return foreign("uint64 beyond 9223372036854775807")
	case *array.Float16:
		return float64(half.Float32(a.Value(i).Uint16()))
	case *array.Float32:
		return float64(a.Value(i))
	case *array.Float64:
		return a.Value(i)
	case *array.String:
		return strings.Clone(a.Value(i)) // its memory is the record's
	case *array.LargeString:
		return strings.Clone(a.Value(i))
	case *array.StringView:
		return strings.Clone(a.Value(i))
	case *array.Binary:
		return a.Value(i)
	case *array.LargeBinary:
		return a.Value(i)
	case *array.BinaryView:
		return a.Value(i)
	case *array.FixedSizeBinary:
		return a.Value(i)
	}
	return foreign(a.DataType().String())
}

// arrowList returns the elements from, ..., to-1 of an array.
func arrowList(a arrow.Array, from, to int) (any, error) {
	switch floats := a.(type) {
	case *array.Float32:
		out := slices.Clone(floats.Float32Values()[from:to])
		return withNaNs(a, from, out, float32(math.NaN())), nil
	case *array.Float64:
		out := slices.Clone(floats.Float64Values()[from:to])
		return withNaNs(a, from, out, math.NaN()), nil
	case *array.Float16:
		out := make([]float32, to-from)
		for k := range out {
			out[k] = half.Float32(floats.Value(from + k).Uint16())
		}
		return withNaNs(a, from, out, float32(math.NaN())), nil
	case *array.Int64:
		if a.NullN() == 0 {
			return slices.Clone(floats.Int64Values()[from:to]), nil
		}
	}
	out := make(list, to-from)
	integers := len(out) > 0
	for k := range out {
		var err error
		if out[k], err = arrowValue(a, from+k); err != nil {
			return nil, fmt.Errorf("element %d: %w", k, err)
		}
		_, ok := out[k].(int64)
		integers = integers && ok
	}
	if !integers {
		return out, nil
	}
	numbers := make([]int64, len(out))
	for k, v := range out {
		numbers[k] = v.(int64)
	}
	return numbers, nil
}

// withNaNs puts NaN where an array, whose values from on out has, has nulls.
func withNaNs[F float32 | float64](a arrow.Array, from int, out []F, nan F) []F {
	if a.NullN() > 0 {
		for k := range out {
			if a.IsNull(from + k) {
				out[k] = nan
			}
		}
	}
	return out
}

// kindOf names a value for messages.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	case string:
		return "a string"
	case []byte:
		return "bytes"
	case []int64, []float32, []float64:
		return "a list of numbers"
	case list:
		return "a list"
	case fields:
		return "a struct"
	case foreign:
		return "of type " + string(v)
	}
	return fmt.Sprintf("a %T", v)
}

// lengthOf returns the number of elements of a list of any kind.
func lengthOf(v any) (int, bool) {
	switch v := v.(type) {
	case []int64:
		return len(v), true
	case []float32:
		return len(v), true
	case []float64:
		return len(v), true
	case list:
		return len(v), true
	}
	return 0, false
}

// elementOf returns element i of a list of any kind.
func elementOf(v any, i int) any {
	switch v := v.(type) {
	case []int64:
		return v[i]
	case []float32:
		return float64(v[i])
	case []float64:
		return v[i]
	case list:
		return v[i]
	}
	return nil
}

// floatOf returns a number.
func floatOf(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// integerOf returns a whole number.
func integerOf(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) <= maxInt
	}
	return 0, false
}

// floatsOf returns a list of numbers; nulls in it are NaN.
func floatsOf(v any) ([]float32, bool) {
	switch v := v.(type) {
	case []float32:
		return v, true
	case []float64:
		out := make([]float32, len(v))
		for i, f := range v {
			out[i] = float32(f)
		}
		return out, true
	case []int64:
		out := make([]float32, len(v))
		for i, n := range v {
			out[i] = float32(n)
		}
		return out, true
	case list:
		out := make([]float32, len(v))
		for i, e := range v {
			f, ok := floatOf(e)
			if e == nil {
				f, ok = math.NaN(), true
			}
			if !ok {
				return nil, false
			}
			out[i] = float32(f)
		}
		return out, true
	}
	return nil, false
}
