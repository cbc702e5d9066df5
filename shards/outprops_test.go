package shards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"pgregory.net/rapid"

	"github.com/curate-data/curate/shards/half"
)

// drawType draws a type that Arrow and Parquet both have, and what draws its
// values as JSON that array.FromJSON understands.
func drawType(t *rapid.T, depth int) (arrow.DataType, func(t *rapid.T) any) {
	kinds := 8
	if depth == 0 {
		kinds = 5
	}
	nullable := func(draw func(t *rapid.T) any) func(t *rapid.T) any {
		return func(t *rapid.T) any {
			if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
				return nil
			}
			return draw(t)
		}
	}
	elements := func(draw func(t *rapid.T) any, n *rapid.Generator[int]) func(t *rapid.T) any {
		return nullable(func(t *rapid.T) any {
			list := []any{}
			for range n.Draw(t, "length") {
				list = append(list, draw(t))
			}
			return list
		})
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return arrow.PrimitiveTypes.Int64, nullable(func(t *rapid.T) any { return rapid.Int64().Draw(t, "int64") })
	case 1:
		return arrow.FixedWidthTypes.Boolean, nullable(func(t *rapid.T) any { return rapid.Bool().Draw(t, "bool") })
	case 2:
		return arrow.BinaryTypes.String, nullable(func(t *rapid.T) any { return rapid.String().Draw(t, "string") })
	case 3:
		return arrow.PrimitiveTypes.Uint8, nullable(func(t *rapid.T) any { return rapid.Uint8().Draw(t, "uint8") })
	case 4:
		return arrow.BinaryTypes.LargeString, nullable(func(t *rapid.T) any {
			return rapid.SampledFrom([]string{"", "é", "long enough not to be in a view"}).Draw(t, "large")
		})
	case 5:
		of, draw := drawType(t, depth-1)
		return arrow.ListOf(of), elements(draw, rapid.IntRange(0, 3))
	case 6:
		of, draw := drawType(t, depth-1)
		return arrow.FixedSizeListOf(2, of), elements(draw, rapid.Just(2))
	}
	var fields []arrow.Field
	var draws []func(t *rapid.T) any
	for i := range rapid.IntRange(1, 3).Draw(t, "fields") {
		of, draw := drawType(t, depth-1)
		fields, draws = append(fields, arrow.Field{Name: fmt.Sprint("f", i), Type: of, Nullable: true}), append(draws, draw)
	}
	return arrow.StructOf(fields...), nullable(func(t *rapid.T) any {
		object := map[string]any{}
		for i, draw := range draws {
			object[fields[i].Name] = draw(t)
		}
		return object
	})
}

// drawRecords draws record batches of one schema, as an IPC file or stream, and
// returns its rows as text.
func drawRecords(t *rapid.T) (file []byte, rows []string) {
	var fields []arrow.Field
	var draws []func(t *rapid.T) any
	for i := range rapid.IntRange(1, 3).Draw(t, "columns") {
		of, draw := drawType(t, 2)
		fields, draws = append(fields, arrow.Field{Name: fmt.Sprint("c", i), Type: of, Nullable: true}), append(draws, draw)
	}
	schema := arrow.NewSchema(fields, nil)
	var b bytes.Buffer
	w := ipc.NewWriter(&b, ipc.WithSchema(schema))
	for range rapid.IntRange(0, 3).Draw(t, "batches") {
		n := rapid.IntRange(0, 6).Draw(t, "rows")
		columns := make([]arrow.Array, len(fields))
		for k, draw := range draws {
			values := make([]any, n)
			for i := range values {
				values[i] = draw(t)
			}
			text, err := json.Marshal(values)
			if err == nil {
				columns[k], _, err = array.FromJSON(memory.DefaultAllocator, fields[k].Type, bytes.NewReader(text), array.WithUseNumber())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		record := array.NewRecord(schema, columns, int64(n))
		rows = append(rows, rowTexts(record)...)
		if err := w.Write(record); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), rows
}

func rowTexts(record arrow.Record) []string {
	rows := make([]string, record.NumRows())
	for i := range rows {
		for _, c := range record.Columns() {
			rows[i] += c.ValueStr(i) + "; "
		}
	}
	return rows
}

// readTexts reads Arrow output with the library's own readers.
func readTexts(t *rapid.T, b []byte, format OutputFormat) (rows []string) {
	if format == OutArrowStream {
		r, err := ipc.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		for r.Next() {
			rows = append(rows, rowTexts(r.Record())...)
		}
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		return rows
	}
	r, err := ipc.NewFileReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.NumRecords() {
		record, err := r.RecordAt(i)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, rowTexts(record)...)
	}
	return rows
}

// TestArrowRoundTrips copies random tables to Arrow, and to Arrow by way of
// Parquet, and reads them back with the library.
func TestArrowRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		input, rows := drawRecords(t)
		kept := rapid.SliceOfN(rapid.Bool(), len(rows), len(rows)).Draw(t, "kept")
		format := rapid.SampledFrom([]OutputFormat{OutArrowFile, OutArrowStream}).Draw(t, "format")
		limit := rapid.SampledFrom([]int64{0, 1, 500}).Draw(t, "limit")
		keep := func(i int) bool { return kept[i] }
		var want []string
		for i, row := range rows {
			if kept[i] {
				want = append(want, row)
			}
		}
		check := func(b []byte, f Format, n int, keep func(int) bool) {
			got, counts, err := copyBytes(b, f, n, keep, CopyOptions{Format: format, MaxRowGroupBytes: limit})
			if err != nil {
				t.Fatal(err)
			}
			if counts.Kept != int64(len(want)) || len(want) == 0 && len(got) > 0 {
				t.Fatalf("counts %+v and %d bytes, want %d rows", counts, len(got), len(want))
			}
			if len(want) == 0 {
				return
			}
			if back := readTexts(t, got, format); !slices.Equal(back, want) {
				t.Fatalf("from %s:\n got %q\nwant %q", f, back, want)
			}
		}
		check(input, Arrow, len(rows), keep)
		parquet, _, err := copyBytes(input, Arrow, len(rows), keep, CopyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(want) > 0 {
			check(parquet, Parquet, len(want), masks["all"])
		}
	})
}

func TestJSONNumbersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
		g := math.Float32frombits(rapid.Uint32().Draw(t, "bits of 32"))
		for _, c := range []struct {
			value float64
			bits  uint64
			size  int
		}{{f, math.Float64bits(f), 8}, {float64(g), uint64(math.Float32bits(g)), 4}} {
			text, err := appendJSONFloat(nil, c.bits, c.size)
			if bad := math.IsNaN(c.value) || math.IsInf(c.value, 0); bad != (err != nil) {
				t.Fatalf("%v: %s, %v", c.value, text, err)
			} else if bad {
				continue
			}
			back, err := strconv.ParseFloat(string(text), c.size*8)
			if err != nil || math.Float64bits(back) != math.Float64bits(c.value) || !json.Valid(text) || !strings.ContainsAny(string(text), ".e") {
				t.Fatalf("%v: %s, %v", c.value, text, err)
			}
		}
	})
}

// TestJSONHalvesRoundTrip writes every half, those below 2^-14 too, as a number
// that reads back as it.
func TestJSONHalvesRoundTrip(t *testing.T) {
	for bits := range 1 << 16 {
		text, err := appendJSONFloat(nil, uint64(bits), 2)
		if bad := bits&0x7C00 == 0x7C00; bad != (err != nil) {
			t.Fatalf("%#x: %s, %v", bits, text, err)
		} else if bad {
			continue
		}
		if back, err := strconv.ParseFloat(string(text), 32); err != nil || half.FromFloat32(float32(back)) != uint16(bits) {
			t.Fatalf("%#x: %s, %v", bits, text, err)
		}
	}
}

func TestJSONDecimals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]int{4, 8, 16, 32}).Draw(t, "width")
		raw := rapid.SliceOfN(rapid.Byte(), width, width).Draw(t, "raw")
		scale := rapid.Int32Range(-5, 40).Draw(t, "scale")
		text := string(appendJSONDecimal(nil, raw, scale))
		back, ok := new(big.Rat).SetString(strings.Trim(text, `"`))
		if !ok {
			t.Fatalf("%s is no number", text)
		}
		big10 := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale, -scale))), nil))
		if scale < 0 {
			big10.Inv(big10)
		}
		back.Mul(back, big10)
		if !back.IsInt() {
			t.Fatalf("%s has more digits than the scale %d", text, scale)
		}
		bits := back.Num()
		if bits.Sign() < 0 {
			bits = new(big.Int).Add(bits, new(big.Int).Lsh(big.NewInt(1), uint(8*width)))
		}
		want := bits.FillBytes(make([]byte, width))
		slices.Reverse(want)
		if !bytes.Equal(want, raw) {
			t.Fatalf("%x with scale %d: %s", raw, scale, text)
		}
		if _, digits, _ := strings.Cut(strings.Trim(text, `"`), "."); scale > 0 && len(digits) != int(scale) {
			t.Fatalf("%s: want %d digits after the point", text, scale)
		}
	})
}

func TestJSONDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day := rapid.Int64Range(-4_000_000, 4_000_000).Draw(t, "day")
		date := time.Unix(day*86400, 0).UTC()
		want := date.Format("2006-01-02")
		if date.Year() > 9999 {
			want = "+" + want
		}
		if date.Year() < 0 { // Format writes -1 as -001
			want = fmt.Sprintf("-%04d-%02d-%02d", -date.Year(), date.Month(), date.Day())
		}
		if got := string(appendDay(nil, day)); got != want {
			t.Fatalf("%d: %s, want %s", day, got, want)
		}
	})
	for seconds, want := range map[int64]string{math.MaxInt64: "+292277026596-12-04", math.MinInt64: "-292277022657-01-27"} {
		day := seconds / 86400
		if seconds%86400 < 0 {
			day--
		}
		if got := string(appendDay(nil, day)); got != want {
			t.Errorf("%d s: %s, want %s", seconds, got, want)
		}
	}
}
