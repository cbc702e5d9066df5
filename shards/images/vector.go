package images

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/curate-data/curate/shards/half"
)

// parseVector returns a vector that is a list of numbers, or the bytes of one, in
// JSON in base64. It is nil for null, and has the length that it has: who needs
// them all to be of one looks for others.
func parseVector(v any, blob Precision) ([]float32, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []byte:
		return decodeBlob(v, blob)
	case string:
		b, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			return nil, fmt.Errorf("a string that is no base64: %w", err)
		}
		return decodeBlob(b, blob)
	}
	out, ok := floatsOf(v)
	if !ok {
		return nil, fmt.Errorf("it is %s, want a list of numbers", kindOf(v))
	}
	return out, nil
}

// decodeBlob decodes little-endian floats.
func decodeBlob(b []byte, precision Precision) ([]float32, error) {
	size := precision.size()
	if len(b)%size != 0 {
		return nil, fmt.Errorf("%d bytes are no numbers of %d bytes each: say with the precision of blobs what they are", len(b), size)
	}
	out := make([]float32, len(b)/size)
	for i := range out {
		if size == 2 {
			out[i] = half.Float32(binary.LittleEndian.Uint16(b[2*i:]))
		} else {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	}
	return out, nil
}

// size is the number of bytes of a number.
func (p Precision) size() int {
	if p == Float16 {
		return 2
	}
	return 4
}
