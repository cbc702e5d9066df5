package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/dtypes/float16"
)

// Write writes tensors as F32, in their order. The same tensors give the same
// bytes.
func Write(w io.Writer, all []Tensor) error { return WriteAs(w, all, "F32") }

// WriteAs writes tensors as F32, BF16 or F16, rounded to the nearest value. One
// that is too large for F16 is an error.
func WriteAs(w io.Writer, all []Tensor, dtype string) error {
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}} // what transformers asks for
	var at int64
	for _, t := range all {
		e := entry{DType: dtype, Offsets: [2]int64{at, at + width(dtype)*int64(len(t.Data))}}
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
			if buffer, err = narrow(buffer[:0], part, dtype); err != nil {
				return fmt.Errorf("write tensor %s: %w", t.Name, err)
			}
			if _, err := w.Write(buffer); err != nil {
				return fmt.Errorf("write tensor %s: %w", t.Name, err)
			}
		}
	}
	return nil
}

// narrow appends values in a type's bytes.
func narrow(to []byte, values []float32, dtype string) ([]byte, error) {
	switch dtype {
	case "F32":
		for _, v := range values {
			to = binary.LittleEndian.AppendUint32(to, math.Float32bits(v))
		}
	case "BF16":
		for _, v := range values {
			to = binary.LittleEndian.AppendUint16(to, uint16(bfloat16.FromFloat32(v)))
		}
	case "F16":
		for _, v := range values {
			h := float16.FromFloat32(v)
			if math.IsInf(h.Float64(), 0) && !math.IsInf(float64(v), 0) {
				return nil, fmt.Errorf("%v is beyond F16, which ends at 65504; take BF16 or F32", v)
			}
			to = binary.LittleEndian.AppendUint16(to, uint16(h))
		}
	default:
		return nil, fmt.Errorf("type %q: want F32, BF16 or F16", dtype)
	}
	return to, nil
}
