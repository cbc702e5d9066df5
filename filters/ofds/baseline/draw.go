package baseline

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// hash is the first 8 bytes, little-endian, of the SHA-256 of the seed (8 bytes,
// little-endian), the class, a zero byte and the ID. A uniform draw without
// replacement takes the images with the lowest hashes.
func hash(seed uint64, class, id string) uint64 {
	text := binary.LittleEndian.AppendUint64(make([]byte, 0, 64), seed)
	text = append(text, class...)
	text = append(text, 0)
	sum := sha256.Sum256(append(text, id...))
	return binary.LittleEndian.Uint64(sum[:])
}

// generator returns the numbers of a method for a seed.
func generator(seed uint64, method string) *rand.Rand {
	return rand.New(rand.NewPCG(seed, hash(0, method, "")))
}
