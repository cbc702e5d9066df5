package safetensors

import (
	"encoding/binary"
	"fmt"
	"hash"
	"math"
	"slices"
)

// Digest adds a tensor to a hash: a name, its shape, and all values bit for bit.
func (t Tensor) Digest(h hash.Hash, name string) {
	fmt.Fprintf(h, "%s %v\n", name, t.Shape)
	buffer := make([]byte, 0, 1<<16)
	for chunk := range slices.Chunk(t.Data, 1<<14) {
		buffer = buffer[:0]
		for _, v := range chunk {
			buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
		}
		h.Write(buffer)
	}
}
