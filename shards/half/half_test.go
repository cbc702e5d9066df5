package half

import (
	"math"
	"testing"
)

// TestHalves takes every half to a float and back. The values are those of the
// definition: (1+fraction/1024) * 2^(exponent-15), below 2^-14 fraction * 2^-24.
func TestHalves(t *testing.T) {
	for bits := range 1 << 16 {
		half := uint16(bits)
		exponent, fraction := int(half>>10&31), float64(half&1023)
		want := math.Ldexp(1+fraction/1024, exponent-15)
		switch exponent {
		case 0:
			want = math.Ldexp(fraction, -24)
		case 31:
			want = math.Inf(1)
			if fraction > 0 {
				want = math.NaN()
			}
		}
		if half>>15 == 1 {
			want = -want
		}
		got := Float32(half)
		if want != want {
			if got == got || FromFloat32(got)&0x7C00 != 0x7C00 || FromFloat32(got)&1023 == 0 {
				t.Fatalf("%#x: %g, want a NaN", half, got)
			}
			continue
		}
		if float64(got) != want || math.Signbit(float64(got)) != (half>>15 == 1) || FromFloat32(got) != half {
			t.Fatalf("%#x: %g, want %g; back %#x", half, got, want, FromFloat32(got))
		}
	}
}

// TestHalvesAreNearest rounds what lies between two halves, to the even one in
// the middle.
func TestHalvesAreNearest(t *testing.T) {
	for half := uint16(0); half < 0x7BFF; half++ {
		low, high := Float32(half), Float32(half+1)
		middle := (low + high) / 2 // exact: 12 bits of 24
		even := half + half&1
		for f, want := range map[float32]uint16{middle: even, math.Nextafter32(middle, 0): half, math.Nextafter32(middle, high): half + 1} {
			if got := FromFloat32(f); got != want {
				t.Fatalf("%g between %g and %g: %#x, want %#x", f, low, high, got, want)
			}
		}
	}
	for f, want := range map[float32]uint16{65504: 0x7BFF, 65519.996: 0x7BFF, 65520: 0x7C00, 1e38: 0x7C00, -65520: 0xFC00} {
		if got := FromFloat32(f); got != want {
			t.Errorf("%g: %#x, want %#x", f, got, want)
		}
	}
}
