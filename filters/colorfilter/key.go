package colorfilter

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// sortKey maps a finite score to an integer in the same order: IEEE 754 floats
// compare like sign and magnitude, so negative ones are inverted and positive
// ones get the top bit. Minus zero and zero are equal scores and get one key.
func sortKey(score float32) uint32 {
	if score == 0 {
		return sign
	}
	bits := math.Float32bits(score)
	if bits>>31 == 1 {
		return ^bits
	}
	return bits | sign
}

// keyScore is the inverse of sortKey.
func keyScore(key uint32) float32 {
	if key>>31 == 1 {
		return math.Float32frombits(key &^ sign)
	}
	return math.Float32frombits(^key)
}

// Random ranks by 32 hash bits, which a float32 could not hold: all of them
// order the rows, and the score shown is their upper 24 bits as a fraction.
//
//	base = first 8 bytes, little-endian, of SHA-256(seed as 8 bytes little-endian, shard name)
//	key  = upper 32 bits of mix(mix(base + row*g) + seq*g), g = 0x9e3779b97f4a7c15
//
// with mix the finalizer of SplitMix64 (Steele, Lea, Flood 2014). In a pool of a
// billion rows a key at the cut is shared with a quarter of a row on average;
// such ties break by address, like all ties.

const golden = 0x9e3779b97f4a7c15

// shardBase starts the hashes of the rows of one shard.
func shardBase(seed uint64, shard string) uint64 {
	text := binary.LittleEndian.AppendUint64(make([]byte, 0, 64), seed)
	sum := sha256.Sum256(append(text, shard...))
	return binary.LittleEndian.Uint64(sum[:])
}

func randomKey(base uint64, row int64, seq int32) uint32 {
	return uint32(mix(mix(base+uint64(row)*golden)+uint64(seq)*golden) >> 32)
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func randomScore(key uint32) float32 { return float32(key>>8) / (1 << 24) }
