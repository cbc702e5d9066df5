package train

import "math/bits"

// permutation is a pseudo-random order of 0..n-1 that needs no memory and can
// be entered anywhere, so that a resumed run goes on where it stopped: a
// Feistel network over the next power of four, walked until it lands below n.
// It depends on nothing but n, seed and epoch.
type permutation struct {
	n    uint64
	half uint // bits of each half
	keys [feistelRounds]uint64
}

// feistelRounds: four make a network indistinguishable from random with ideal
// rounds (Luby and Rackoff); eight leave room for a cheap round function.
const feistelRounds = 8

func newPermutation(n, seed, epoch uint64) permutation {
	p := permutation{n: n, half: max(1, uint(bits.Len64(n-1)+1)/2)}
	key := mix(seed^saltOrder) + mix(epoch+1)
	for i := range p.keys {
		key = mix(key + increment)
		p.keys[i] = key
	}
	return p
}

// at returns element i of the order.
func (p permutation) at(i uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	for {
		left, right := i>>p.half, i&mask
		for _, key := range p.keys {
			left, right = right, left^(mix(right+key)&mask)
		}
		i = left<<p.half | right
		if i < p.n {
			return i
		}
	}
}
