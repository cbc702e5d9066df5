package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
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

// header is a safetensors file with the given header and bytes of data.
func header(text string, data int) []byte {
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), make([]byte, data)...)
}

// TestHeaders: what a header claims is checked against the file, and all faults
// are named at once. "" is no fault.
func TestHeaders(t *testing.T) {
	f32 := func(offsets string) string {
		return `{"a":{"dtype":"F32","shape":[2],"data_offsets":[` + offsets + `]}}`
	}
	for name, c := range map[string]struct {
		header string
		data   int
		want   []string
	}{
		"good":         {f32("0,8"), 8, nil},
		"no tensors":   {`{}`, 0, nil},
		"empty tensor": {`{"a":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]},"b":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`, 8, nil},
		"metadata":     {`{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   `, 4, nil},
		"one truncated": {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},
			"c":{"dtype":"F32","shape":[2],"data_offsets":[16,24]}}`, 12, []string{"truncated: the tensors take 24 bytes, the file has 12 of them; missing or cut: b, c"}},
		"negative":   {f32("-8,0"), 16, []string{"tensor a lies at bytes -8 to 0"}},
		"backwards":  {f32("8,0"), 16, []string{"tensor a lies at bytes 8 to 0"}},
		"too short":  {f32("0,4"), 4, []string{"tensor a has 4 bytes, its shape [2] of F32 takes 8"}},
		"too long":   {f32("0,12"), 12, []string{"tensor a has 12 bytes"}},
		"far":        {f32("-9223372036854775808,9223372036854775807"), 16, []string{"tensor a lies at"}},
		"huge shape": {`{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}}`, 0, []string{"tensor a has 0 bytes"}},
		"gap":        {f32("8,16"), 16, []string{"tensor a begins at byte 8 of data, the one before it ends at 0"}},
		"overlap": {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12,
			[]string{"tensor b begins at byte 4 of data, the one before it ends at 8"}},
		"something behind": {f32("0,8"), 9, []string{"1 bytes follow the last tensor"}},
		"twice":            {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8, []string{`tensor "a" is there twice`}},
		"two faults":       {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[2],"data_offsets":[4,12]}}`, 12, []string{"tensor a has 4 bytes", "tensor b has 8 bytes"}},
		"no tensor":        {`{"a":7}`, 0, []string{`tensor "a"`}},
		"list":             {`[]`, 0, []string{"no JSON object"}},
		"cut JSON":         {`{"a":`, 0, []string{"parse safetensors header"}},
		"more JSON":        {`{} {}`, 0, []string{"something follows"}},
	} {
		raw := header(c.header, c.data)
		_, err := Open(bytes.NewReader(raw), int64(len(raw)))
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error lacks %q: %v", name, want, err)
			}
		}
	}
}

// TestUnreadTypes: types that are not read are named with the tensor, and what
// quantised weights need.
func TestUnreadTypes(t *testing.T) {
	for dtype, bytesOf := range map[string]int{"I8": 1, "F8_E4M3": 1, "F64": 8, "I32": 4} {
		raw := header(fmt.Sprintf(`{"a.weight":{"dtype":%q,"shape":[2],"data_offsets":[0,%d]}}`, dtype, 2*bytesOf), 2*bytesOf)
		file, err := Open(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		err = file.Match([]Spec{{"a.weight", []int{2}}}, nil)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("tensor a.weight has type %q: want F32, BF16 or F16", dtype)) {
			t.Errorf("%s: %v", dtype, err)
		}
		if quantised := dtype == "I8" || dtype == "F8_E4M3"; err != nil && strings.Contains(err.Error(), "quantised") != quantised {
			t.Errorf("%s: %v", dtype, err)
		}
		if _, err := file.Read(Spec{"a.weight", []int{2}}); err == nil {
			t.Errorf("%s was read", dtype)
		}
	}
	raw := header(`{"q_proj.qweight":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}}`, 8)
	file, err := Open(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Match([]Spec{{"q_proj.weight", []int{2}}}, nil); err == nil || !strings.Contains(err.Error(), "quantised") {
		t.Errorf("GPTQ: %v", err)
	}
}

// FuzzTensors wants no panic and no huge allocation from any file.
func FuzzTensors(f *testing.F) {
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
