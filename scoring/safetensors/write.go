package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
)

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
