// Package half converts floats of 16 bits (IEEE 754 binary16). Arrow's own
// conversion cuts off instead of rounding, and loses what is below 2^-14.
package half

import "math"

// Float32 returns the value of a half, exactly.
func Float32(bits uint16) float32 {
	sign := uint32(bits>>15) << 31
	exponent, fraction := uint32(bits>>10)&31, uint32(bits)&1023
	switch exponent {
	case 0: // fraction * 2^-24, exact in 32 bits
		f := float32(fraction) / (1 << 24)
		return math.Float32frombits(sign | math.Float32bits(f))
	case 31:
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// FromFloat32 returns the half that is nearest to f, of two the even one; infinite
// where f is too large.
func FromFloat32(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>31) << 15
	b &= math.MaxInt32
	switch {
	case b > 255<<23: // a NaN keeps the upper bits of its payload, and stays one
		return sign | 31<<10 | 1<<9 | uint16(b>>13)&1023
	case b >= 143<<23: // 2^16 and more
		return sign | 31<<10
	case b < 113<<23: // below 2^-14: a multiple of 2^-24
		scaled := math.Float32frombits(b) * (1 << 24)
		return sign | uint16(math.RoundToEven(float64(scaled)))
	}
	half := (b - 112<<23) >> 13
	if rest := b & (1<<13 - 1); rest > 1<<12 || rest == 1<<12 && half&1 == 1 {
		half++ // may carry into the exponent, up to infinity, as it should
	}
	return sign | uint16(half)
}
