// Package safetensors reads and writes files of weights.
//
// A safetensors file is 8 bytes length of the header (little-endian), the
// header (JSON: name -> dtype, shape, data_offsets counted from its end), and
// the data. The reader trusts nothing: sizes are checked against the file
// before anything is allocated.
package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

const (
	maxHeader = 100 << 20 // the format's own bound
	chunk     = 1 << 18   // values converted at a time
)

// Spec is the name and shape of one wanted tensor.
type Spec struct {
	Name  string
	Shape []int
}

// Size returns the number of values.
func (s Spec) Size() int {
	n := 1
	for _, dim := range s.Shape {
		n *= dim
	}
	return n
}

// Tensor is one named weight tensor, row-major float32.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// entry is one tensor of the header.
type entry struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// File is an opened safetensors file. Many goroutines may read it at a time.
type File struct {
	data    io.ReaderAt
	start   int64 // where the data begins
	size    int64 // bytes of data
	entries map[string]entry
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

// Open reads the header of a file of size bytes.
func Open(data io.ReaderAt, size int64) (*File, error) {
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
	f := &File{data: data, start: 8 + int64(length), size: size - 8 - int64(length), entries: map[string]entry{}}
	for name, value := range all {
		if name == "__metadata__" {
			continue
		}
		var e entry
		if err := json.Unmarshal(value, &e); err != nil {
			return nil, fmt.Errorf("parse safetensors header: tensor %q: %w", name, err)
		}
		f.entries[name] = e
	}
	return f, nil
}

// Names returns the names of all tensors, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.entries)) }

// Check returns what is wrong with a wanted tensor: it is missing, has another
// shape, a type that is not read, or bytes that the file does not hold.
func (f *File) Check(spec Spec) error {
	e, ok := f.entries[spec.Name]
	if !ok {
		return fmt.Errorf("tensor %s is missing", spec.Name)
	}
	if width(e.DType) == 0 {
		return fmt.Errorf("tensor %s has type %q: want F32, BF16 or F16", spec.Name, e.DType)
	}
	if !slices.EqualFunc(e.Shape, spec.Shape, func(a int64, b int) bool { return a == int64(b) }) {
		return fmt.Errorf("tensor %s has shape %v, config.json wants %v", spec.Name, e.Shape, spec.Shape)
	}
	from, to, want := e.Offsets[0], e.Offsets[1], int64(spec.Size())*width(e.DType)
	if from < 0 || to > f.size || from > to {
		return fmt.Errorf("tensor %s lies at bytes %d to %d of data, the file has %d: truncated", spec.Name, from, to, f.size)
	}
	if to-from != want {
		return fmt.Errorf("tensor %s has %d bytes, its shape %v of %s takes %d", spec.Name, to-from, e.Shape, e.DType, want)
	}
	return nil
}

// Match lists every fault of the file at once: wanted tensors that Check
// refuses, and tensors that are not wanted, except those that ignored (nil for
// none) accepts.
func (f *File) Match(specs []Spec, ignored func(name string) bool) error {
	var faults []error
	wanted := map[string]bool{}
	for _, spec := range specs {
		wanted[spec.Name] = true
		if err := f.Check(spec); err != nil {
			faults = append(faults, err)
		}
	}
	for _, name := range f.Names() {
		if !wanted[name] && (ignored == nil || !ignored(name)) {
			faults = append(faults, fmt.Errorf("tensor %q has no place in this model", name))
		}
	}
	return errors.Join(faults...)
}

// Read returns a tensor as float32; half types are widened exactly.
func (f *File) Read(spec Spec) ([]float32, error) {
	if err := f.Check(spec); err != nil {
		return nil, err
	}
	e := f.entries[spec.Name]
	w := width(e.DType)
	values := make([]float32, spec.Size())
	raw := make([]byte, min(int64(len(values)), chunk)*w)
	for from := 0; from < len(values); from += chunk {
		part := values[from:min(len(values), from+chunk)]
		raw := raw[:int64(len(part))*w]
		if _, err := f.data.ReadAt(raw, f.start+e.Offsets[0]+int64(from)*w); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read tensor %s: %w", spec.Name, err)
		}
		widen(part, raw, e.DType)
	}
	return values, nil
}

// ReadAll returns the wanted tensors in the order of specs. It names all
// tensors with values that are not finite: whatever such a model computes is NaN.
func (f *File) ReadAll(specs []Spec) ([]Tensor, error) {
	var faults []error
	all := make([]Tensor, 0, len(specs))
	for _, spec := range specs {
		data, err := f.Read(spec)
		if err != nil {
			return nil, err
		}
		if n := NotFinite(data); n > 0 {
			faults = append(faults, fmt.Errorf("tensor %s has %d values that are NaN or infinite", spec.Name, n))
		}
		all = append(all, Tensor{Name: spec.Name, Shape: spec.Shape, Data: data})
	}
	return all, errors.Join(faults...)
}

// NotFinite counts NaN and infinite values.
func NotFinite(data []float32) int {
	n := 0
	for _, v := range data {
		if v-v != 0 { // NaN for both
			n++
		}
	}
	return n
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

// Write writes tensors as F32, in their order. The same tensors give the same
// bytes.
func Write(w io.Writer, all []Tensor) error {
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}} // what transformers asks for
	var at int64
	for _, t := range all {
		e := entry{DType: "F32", Offsets: [2]int64{at, at + 4*int64(len(t.Data))}}
		for _, dim := range t.Shape {
			e.Shape = append(e.Shape, int64(dim))
		}
		header[t.Name] = e
		at = e.Offsets[1]
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
	for _, t := range all {
		for part := range slices.Chunk(t.Data, chunk) {
			buffer = buffer[:0]
			for _, v := range part {
				buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
			}
			if _, err := w.Write(buffer); err != nil {
				return fmt.Errorf("write tensor %s: %w", t.Name, err)
			}
		}
	}
	return nil
}
