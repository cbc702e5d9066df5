package pixels

import (
	"fmt"
	"math"
)

// Filter is the kernel of a resize.
type Filter int

// The filters of Pillow and torchvision that image processors use.
const (
	Bilinear Filter = 2 // the numbers are those of preprocessor_config.json
	Bicubic  Filter = 3
)

// support is the half width of the kernel at scale 1, in pixels.
func (f Filter) support() float64 {
	if f == Bicubic {
		return 2
	}
	return 1
}

// at is the kernel's value at a distance in pixels. Products are converted so
// that no compiler fuses them with a sum: the last bit decides roundings.
func (f Filter) at(x float64) float64 {
	x = math.Abs(x)
	if f == Bicubic {
		const a = -0.5
		switch {
		case x < 1:
			return float64(float64((float64((a+2)*x)-(a+3))*x)*x) + 1
		case x < 2:
			return (float64((float64((x-5)*x)+8)*x) - 4) * a
		}
		return 0
	}
	return max(0, 1-x)
}

// Taps are the weights of the inputs from First on that make one output.
type Taps struct {
	First   int
	Weights []float64
}

// TapsOf computes the antialiased kernel of each output as Pillow does: it
// grows with the scale when an image shrinks, is cut at the border, and its
// weights add up to 1.
func TapsOf(in, out int, filter Filter) []Taps {
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	support, inverse := filter.support()*stretch, 1/stretch
	all := make([]Taps, out)
	for i := range all {
		centre := float64((float64(i) + 0.5) * scale)
		first := max(0, int(centre-support+0.5))
		last := min(in, int(centre+support+0.5))
		weights, sum := make([]float64, last-first), 0.0
		for j := range weights {
			weights[j] = filter.at((float64(j+first) - centre + 0.5) * inverse)
			sum += weights[j]
		}
		for j := range weights {
			if sum != 0 {
				weights[j] /= sum
			}
		}
		all[i] = Taps{first, weights}
	}
	return all
}

// Arithmetic says whose fixed-point numbers a resize uses. They differ in the
// rounding of weights, by at most a few of 255.
type Arithmetic int

// Pillow has weights of 22 bits; Torchvision, which the processors with a name
// in Fast use, has as many as fit into 16 with the sign.
const (
	Pillow Arithmetic = iota
	Torchvision
)

// bits returns the fraction bits of weights.
func (a Arithmetic) bits(all []Taps) int {
	const most = 22
	if a == Pillow {
		return most
	}
	largest := 0.0
	for _, t := range all {
		for _, w := range t.Weights {
			largest = max(largest, w)
		}
	}
	bits := 0
	for bits < most && int(0.5+float64(largest*float64(int(1)<<(bits+1)))) < 1<<15 {
		bits++
	}
	return bits
}

// fixed are taps in fixed point.
type fixed struct {
	first   int
	weights []int32
}

func (a Arithmetic) fix(all []Taps) ([]fixed, int) {
	bits := a.bits(all)
	one := float64(int(1) << bits)
	fix := make([]fixed, len(all))
	for i, t := range all {
		fix[i] = fixed{t.First, make([]int32, len(t.Weights))}
		for j, w := range t.Weights {
			fix[i].weights[j] = int32(float64(w*one) + math.Copysign(0.5, w))
		}
	}
	return fix, bits
}

// Resize returns the picture at another size, byte for byte as Image.resize of
// Pillow 13: two passes of 8 bits, first along rows unless the height loses more
// than twice what the width does. (Older ones always begin with rows; where the order
// differs, so do some values, by 1.) It may return p itself.
func (p *Picture) Resize(width, height int, filter Filter) (*Picture, error) {
	return p.resize(width, height, filter, Pillow)
}

func (p *Picture) resize(width, height int, filter Filter, arithmetic Arithmetic) (*Picture, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("resize picture: %w", err)
	}
	if width < 1 || height < 1 {
		return nil, fmt.Errorf("resize picture to %d x %d: want at least 1 x 1", width, height)
	}
	if filter != Bilinear && filter != Bicubic {
		return nil, fmt.Errorf("resize picture: filter %d is not implemented, only bilinear (2) and bicubic (3)", filter)
	}
	out := p
	columnsFirst := arithmetic == Pillow && p.Height-height > 2*max(0, p.Width-width)
	if columnsFirst {
		out = out.alongColumns(height, filter, arithmetic)
	}
	if width != out.Width {
		out = out.alongRows(width, filter, arithmetic)
	}
	if height != out.Height {
		out = out.alongColumns(height, filter, arithmetic)
	}
	return out, nil
}

// check refuses a picture whose pixels are not all there.
func (p *Picture) check() error {
	if p == nil {
		return fmt.Errorf("no picture")
	}
	if p.Width < 1 || p.Height < 1 || len(p.RGB) != 3*p.Width*p.Height {
		return fmt.Errorf("%d bytes for %d x %d pixels, want 3 for each of at least one", len(p.RGB), p.Width, p.Height)
	}
	return nil
}

func (p *Picture) alongRows(width int, filter Filter, arithmetic Arithmetic) *Picture {
	all, bits := arithmetic.fix(TapsOf(p.Width, width, filter))
	out := &Picture{Width: width, Height: p.Height, RGB: make([]uint8, 3*width*p.Height)}
	half := int32(1) << (bits - 1)
	for y := range p.Height {
		row, to := p.RGB[3*y*p.Width:3*(y+1)*p.Width], out.RGB[3*y*width:3*(y+1)*width]
		for x, t := range all {
			r, g, b := half, half, half
			from := row[3*t.first : 3*(t.first+len(t.weights))]
			for j, w := range t.weights {
				pixel := from[3*j : 3*j+3 : 3*j+3]
				r += int32(pixel[0]) * w
				g += int32(pixel[1]) * w
				b += int32(pixel[2]) * w
			}
			to[3*x], to[3*x+1], to[3*x+2] = clip(r>>bits), clip(g>>bits), clip(b>>bits)
		}
	}
	return out
}

func (p *Picture) alongColumns(height int, filter Filter, arithmetic Arithmetic) *Picture {
	all, bits := arithmetic.fix(TapsOf(p.Height, height, filter))
	stride := 3 * p.Width
	out := &Picture{Width: p.Width, Height: height, RGB: make([]uint8, stride*height)}
	sums := make([]int32, stride)
	for y, t := range all {
		for i := range sums {
			sums[i] = 1 << (bits - 1)
		}
		for j, w := range t.weights {
			row := p.RGB[(t.first+j)*stride:][:stride]
			for i, v := range row {
				sums[i] += int32(v) * w
			}
		}
		to := out.RGB[y*stride:][:stride]
		for i, s := range sums {
			to[i] = clip(s >> bits)
		}
	}
	return out
}

func clip(v int32) uint8 { return uint8(max(0, min(255, v))) }

// Crop returns the pixels from (left, top) up to (right, bottom), exclusive,
// which must lie in the picture.
func (p *Picture) Crop(left, top, right, bottom int) (*Picture, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("crop picture: %w", err)
	}
	if left < 0 || top < 0 || right > p.Width || bottom > p.Height || left >= right || top >= bottom {
		return nil, fmt.Errorf("crop picture of %d x %d to [%d,%d) x [%d,%d): want a rectangle inside", p.Width, p.Height, left, right, top, bottom)
	}
	out := &Picture{Width: right - left, Height: bottom - top, RGB: make([]uint8, 0, 3*(right-left)*(bottom-top))}
	for y := top; y < bottom; y++ {
		out.RGB = append(out.RGB, p.RGB[3*(y*p.Width+left):3*(y*p.Width+right)]...)
	}
	return out, nil
}
