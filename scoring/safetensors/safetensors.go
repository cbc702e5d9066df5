// Package safetensors reads and writes files of weights.
//
// A safetensors file is 8 bytes length of the header (little-endian), the
// header (JSON: name -> dtype, shape, data_offsets counted from its end), and
// the data. The reader trusts nothing: sizes are checked against the file
// before anything is allocated.
package safetensors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

const chunk = 1 << 18 // values converted at a time

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

// File is the weights of a model: one opened safetensors file, or several that
// an index joins. Many goroutines may read it at a time.
type File struct {
	entries map[string]entry
}

// entry is one tensor of a header.
type entry struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`

	part *part
}

// part is the data of one file.
type part struct {
	name  string // of the file, where there are several
	data  io.ReaderAt
	start int64 // where the data begins
	size  int64 // bytes of data
}

// width is the bytes of an element type that can be read, 0 for others.
func width(dtype string) int64 {
	switch dtype {
	case "F32":
		return 4
	case "BF16", "F16":
		return 2
	}
	return 0
}

// Names returns the names of all tensors, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.entries)) }

// Check returns what is wrong with a wanted tensor: it is missing, or has
// another shape or a type that is not read.
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
	if len(faults) > 0 && f.isQuantised() {
		faults = append(faults, errors.New("the weights are quantised: take the checkpoint that they were made from"))
	}
	return errors.Join(faults...)
}

// isQuantised reports whether there are tensors as GPTQ, AWQ, FP8 and bitsandbytes have them.
func (f *File) isQuantised() bool {
	for name, e := range f.entries {
		switch {
		case strings.HasSuffix(name, ".qweight"), strings.HasSuffix(name, ".weight") && (strings.HasPrefix(e.DType, "F8_") || e.DType == "I8" || e.DType == "U8"):
			return true
		}
	}
	return false
}

// Read returns a tensor as float32; half types are widened exactly.
func (f *File) Read(spec Spec) ([]float32, error) {
	if err := f.Check(spec); err != nil {
		return nil, err
	}
	values := make([]float32, spec.Size())
	return values, f.read(spec.Name, values, make([]byte, 4*min(len(values), chunk)))
}

// read fills values, which has the size of the tensor, by way of buffer.
func (f *File) read(name string, values []float32, buffer []byte) error {
	e := f.entries[name]
	w := width(e.DType)
	for from := 0; from < len(values); from += chunk {
		piece := values[from:min(len(values), from+chunk)]
		raw := buffer[:int64(len(piece))*w]
		if n, err := e.part.data.ReadAt(raw, e.part.start+e.Offsets[0]+int64(from)*w); n < len(raw) {
			return fmt.Errorf("read tensor %s: %w", name, err)
		}
		widen(piece, raw, e.DType)
	}
	return nil
}

// ReadAll returns the wanted tensors in the order of specs. It names all
// tensors with values that are not finite: whatever such a model computes is NaN.
func (f *File) ReadAll(specs []Spec) ([]Tensor, error) {
	all := make([]Tensor, 0, len(specs))
	err := f.each(specs, func(n int) []float32 { return make([]float32, n) }, func(t Tensor) error {
		all = append(all, t)
		return nil
	})
	return all, err
}

// ReadEach hands the wanted tensors to use, one by one in the order of specs. The
// data of a tensor is valid until use returns: the memory that this takes is that
// of the largest tensor. Errors of use end it. Tensors with values that are not
// finite are handed over as well, and named together in the end.
func (f *File) ReadEach(specs []Spec, use func(Tensor) error) error {
	var buffer []float32
	return f.each(specs, func(n int) []float32 {
		if cap(buffer) < n {
			buffer = make([]float32, n)
		}
		return buffer[:n]
	}, use)
}

// each reads tensors into slices that room makes.
func (f *File) each(specs []Spec, room func(n int) []float32, use func(Tensor) error) error {
	var faults []error
	raw := make([]byte, 4*chunk)
	for _, spec := range specs {
		if err := f.Check(spec); err != nil {
			return err
		}
		t := Tensor{spec.Name, spec.Shape, room(spec.Size())}
		if err := f.read(spec.Name, t.Data, raw); err != nil {
			return err
		}
		if n := NotFinite(t.Data); n > 0 {
			faults = append(faults, fmt.Errorf("tensor %s has %d values that are NaN or infinite", spec.Name, n))
		}
		if err := use(t); err != nil {
			return err
		}
	}
	return errors.Join(faults...)
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
