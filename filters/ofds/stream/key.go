package stream

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
)

// key is a hash of what an object or image is called: a fixed order among them
// that has nothing to do with where they are.
type key [2]uint64

func (a key) compare(b key) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }

// hasher makes keys. It is for one goroutine.
type hasher struct{ buffer []byte }

// key hashes names; their lengths keep ("ab", "c") apart from ("a", "bc").
func (h *hasher) key(seed uint64, names ...string) key {
	h.buffer = binary.LittleEndian.AppendUint64(h.buffer[:0], seed)
	for _, name := range names {
		h.buffer = binary.AppendUvarint(h.buffer, uint64(len(name)))
		h.buffer = append(h.buffer, name...)
	}
	sum := sha256.Sum256(h.buffer)
	return key{binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])}
}

// seed returns a seed for something that has a name.
func (h *hasher) seed(seed uint64, names ...string) uint64 { return h.key(seed, names...)[0] }
