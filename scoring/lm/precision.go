package lm

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"

	"github.com/curate-data/curate/scoring/backend"
)

// Precision is the type of weights and of matrix products on the device.
// Norms, rotary angles, activations, softmax and loss are in float32 in any case,
// and so are the sums of a matrix product. float16 is not offered: its range
// ends at 65504, and models trained in bfloat16 exceed it.
type Precision string

// Precisions.
const (
	AutoPrecision Precision = "auto" // bf16 on GPUs, else f32
	Float32       Precision = "f32"
	BFloat16      Precision = "bf16"
)

// On returns the precision that is meant on a backend: never auto.
func (p Precision) On(backendName string) (Precision, error) {
	switch p {
	case Float32, BFloat16:
		return p, nil
	case AutoPrecision, "":
		if backendName == backend.CUDA {
			return BFloat16, nil
		}
		return Float32, nil
	}
	return "", fmt.Errorf("precision %q: want %s, %s or %s", p, AutoPrecision, Float32, BFloat16)
}

// dtype is the type of weights on the device.
func (p Precision) dtype() dtypes.DType {
	if p == BFloat16 {
		return dtypes.BFloat16
	}
	return dtypes.Float32
}

// rounded is room for a tensor in bf16.
type rounded []bfloat16.BFloat16

// bytes returns the values of a tensor as the device takes them; those of bf16
// are rounded to the nearest, ties to even, in buffer, which grows as needed. A
// value that only float32 can hold is an error.
func (p Precision) bytes(t Param, buffer *rounded) ([]byte, error) {
	if p != BFloat16 {
		return dtypes.UnsafeByteSlice(t.Data), nil
	}
	if cap(*buffer) < len(t.Data) {
		*buffer = make(rounded, len(t.Data))
	}
	half := (*buffer)[:len(t.Data)]
	for i, v := range t.Data {
		half[i] = bfloat16.FromFloat32(v)
		if math.IsInf(half[i].Float64(), 0) && !math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("tensor %s has value %g, which bf16 cannot hold: use --precision f32", t.Name, v)
		}
	}
	return dtypes.UnsafeByteSlice([]bfloat16.BFloat16(half)), nil
}
