package lm

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// A safetensors file is 8 bytes length of the header (little-endian), the
// header (JSON: name -> dtype, shape, data_offsets counted from its end), and
// the data. The reader trusts nothing: sizes are checked against the file
// before anything is allocated.

const (
	maxHeader = 100 << 20 // the format's own bound
	chunk     = 1 << 18   // values converted at a time
)

// tensorEntry is one tensor of the header.
type tensorEntry struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// tensorFile is an opened safetensors file with a checked header.
type tensorFile struct {
	data    io.ReaderAt
	start   int64 // where the data begins
	size    int64 // bytes of data
	entries map[string]tensorEntry
}

// widths are the bytes of the element types that can be read.
func width(dtype string) int64 {
	switch dtype {
	case "F32":
		return 4
	case "BF16", "F16":
		return 2
	}
	return 0
}

// openTensors reads the header of a file of size bytes.
func openTensors(data io.ReaderAt, size int64) (*tensorFile, error) {
	var prefix [8]byte
	if size < 8 {
		return nil, fmt.Errorf("read safetensors header: the file has %d bytes: truncated", size)
	}
	if _, err := data.ReadAt(prefix[:], 0); err != nil {
		return nil, fmt.Errorf("read safetensors header: %w", err)
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length > maxHeader || int64(length) > size-8 {
		return nil, fmt.Errorf("read safetensors header: it claims %d bytes, the file has %d: truncated, or no safetensors file", length, size)
	}
	raw := make([]byte, length)
	if _, err := data.ReadAt(raw, 8); err != nil {
		return nil, fmt.Errorf("read safetensors header: %w", err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("parse safetensors header: %w", err)
	}
	f := &tensorFile{data: data, start: 8 + int64(length), size: size - 8 - int64(length), entries: map[string]tensorEntry{}}
	for name, value := range all {
		if name == "__metadata__" {
			continue
		}
		var entry tensorEntry
		if err := json.Unmarshal(value, &entry); err != nil {
			return nil, fmt.Errorf("parse safetensors header: tensor %q: %w", name, err)
		}
		f.entries[name] = entry
	}
	return f, nil
}

// check returns what is wrong with a wanted tensor.
func (f *tensorFile) check(spec ParamSpec) error {
	entry, ok := f.entries[spec.Name]
	if !ok {
		return fmt.Errorf("tensor %s is missing", spec.Name)
	}
	if width(entry.DType) == 0 {
		return fmt.Errorf("tensor %s has type %q: want F32, BF16 or F16", spec.Name, entry.DType)
	}
	if !slices.EqualFunc(entry.Shape, spec.Shape, func(a int64, b int) bool { return a == int64(b) }) {
		return fmt.Errorf("tensor %s has shape %v, config.json wants %v", spec.Name, entry.Shape, spec.Shape)
	}
	from, to, want := entry.Offsets[0], entry.Offsets[1], int64(spec.Size())*width(entry.DType)
	if from < 0 || to > f.size || from > to {
		return fmt.Errorf("tensor %s lies at bytes %d to %d of data, the file has %d: truncated", spec.Name, from, to, f.size)
	}
	if to-from != want {
		return fmt.Errorf("tensor %s has %d bytes, its shape %v of %s takes %d", spec.Name, to-from, entry.Shape, entry.DType, want)
	}
	return nil
}

// read returns a checked tensor as float32; half types are widened exactly.
func (f *tensorFile) read(spec ParamSpec) ([]float32, error) {
	entry := f.entries[spec.Name]
	w := width(entry.DType)
	values := make([]float32, spec.Size())
	raw := make([]byte, min(int64(len(values)), chunk)*w)
	for from := 0; from < len(values); from += chunk {
		part := values[from:min(len(values), from+chunk)]
		raw := raw[:int64(len(part))*w]
		if _, err := f.data.ReadAt(raw, f.start+entry.Offsets[0]+int64(from)*w); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read tensor %s: %w", spec.Name, err)
		}
		widen(part, raw, entry.DType)
	}
	return values, nil
}

// widen converts the little-endian values of raw.
func widen(values []float32, raw []byte, dtype string) {
	switch dtype {
	case "F32":
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case "BF16":
		for i := range values {
			values[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
	case "F16":
		for i := range values {
			values[i] = widenHalf(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	}
}

// widenHalf converts IEEE 754 binary16.
func widenHalf(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0: // zero and subnormal numbers: fraction x 2^-24
		return math.Float32frombits(math.Float32bits(float32(fraction)/(1<<24)) | sign)
	case 31: // infinity and NaN
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// writeTensors writes parameters as F32, in their order.
func writeTensors(w io.Writer, params []Param) error {
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}} // what transformers asks for
	var at int64
	for _, p := range params {
		entry := tensorEntry{DType: "F32", Offsets: [2]int64{at, at + 4*int64(len(p.Data))}}
		for _, dim := range p.Shape {
			entry.Shape = append(entry.Shape, int64(dim))
		}
		header[p.Name] = entry
		at = entry.Offsets[1]
	}
	raw, err := json.Marshal(header) // names sorted: the same bytes every time
	if err != nil {
		return fmt.Errorf("write safetensors header: %w", err)
	}
	for len(raw)%8 != 0 {
		raw = append(raw, ' ')
	}
	head := binary.LittleEndian.AppendUint64(nil, uint64(len(raw)))
	if _, err := w.Write(append(head, raw...)); err != nil {
		return fmt.Errorf("write safetensors header: %w", err)
	}
	buffer := make([]byte, 0, 4*chunk)
	for _, p := range params {
		for part := range slices.Chunk(p.Data, chunk) {
			buffer = buffer[:0]
			for _, v := range part {
				buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
			}
			if _, err := w.Write(buffer); err != nil {
				return fmt.Errorf("write tensor %s: %w", p.Name, err)
			}
		}
	}
	return nil
}
