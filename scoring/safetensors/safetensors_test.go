package safetensors

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
)

func TestHalfTypesWidenExactly(t *testing.T) {
	for _, c := range []struct {
		dtype string
		bits  uint16
		want  float64
	}{
		{"F16", 0x3c00, 1}, {"F16", 0xc000, -2}, {"F16", 0x7bff, 65504}, {"F16", 0x0001, math.Ldexp(1, -24)},
		{"F16", 0x03ff, math.Ldexp(1023, -24)}, {"F16", 0x0400, math.Ldexp(1, -14)}, {"F16", 0x3555, 0.333251953125},
		{"F16", 0x7c00, math.Inf(1)}, {"F16", 0xfc00, math.Inf(-1)},
		{"BF16", 0x3f80, 1}, {"BF16", 0xc049, -3.140625}, {"BF16", 0x0001, math.Ldexp(1, -133)}, {"BF16", 0x7f80, math.Inf(1)},
	} {
		got := make([]float32, 1)
		widen(got, binary.LittleEndian.AppendUint16(nil, c.bits), c.dtype)
		if float64(got[0]) != c.want {
			t.Errorf("%s %#04x is %v, want %v", c.dtype, c.bits, got[0], c.want)
		}
	}
	if v := widenHalf(0x7e00); v == v {
		t.Errorf("half NaN is %v", v)
	}
}

// Ranges that do not hold their tensor, though they may lie in the file.
func TestOffsetsAreChecked(t *testing.T) {
	for offsets, ok := range map[[2]int64]bool{
		{0, 8}: true, {8, 16}: true, {-8, 0}: false, {12, 20}: false, {8, 0}: false, {0, 4}: false, {0, 12}: false, {math.MinInt64, math.MaxInt64}: false,
	} {
		file := &File{data: bytes.NewReader(make([]byte, 116)), start: 100, size: 16, entries: map[string]entry{
			"a": {DType: "F32", Shape: []int64{2}, Offsets: offsets},
		}}
		if err := file.Check(Spec{"a", []int{2}}); (err == nil) != ok {
			t.Errorf("offsets %v: %v", offsets, err)
		}
	}
}

// FuzzTensors wants no panic and no huge allocation from any file.
func FuzzTensors(f *testing.F) {
	header := func(text string, data int) []byte {
		return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), make([]byte, data)...)
	}
	f.Add(header(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	f.Add(header(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[-4,0]}}`, 8))
	f.Add(header(`{"a":{"dtype":"BF16","shape":[2],"data_offsets":[8,4]}}`, 8))
	f.Add(header(`{"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}}`, 0))
	f.Add(header(`{"a":null,"__metadata__":3}`, 0))
	f.Add(binary.LittleEndian.AppendUint64(nil, math.MaxUint64))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := Open(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return
		}
		spec := Spec{"a", []int{2}}
		if file.Check(spec) != nil {
			return
		}
		values, err := file.Read(spec)
		if err != nil || len(values) != 2 {
			t.Errorf("a checked tensor read as %v, %v", values, err)
		}
	})
}
