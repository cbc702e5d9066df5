package pixels

import (
	"image"
	"image/color"
)

// chroma turns an image with colour at a lower resolution into RGB. The two
// libraries behind Pillow smooth the colour planes, each in its own way, and
// Go's decoders do not.
type chroma interface {
	toRGB(p *Picture, from *image.YCbCr)
}

// halved says along which axes the colour planes have half the resolution; ok
// is false for other ratios.
func halved(ratio image.YCbCrSubsampleRatio) (across, down, ok bool) {
	switch ratio {
	case image.YCbCrSubsampleRatio444:
		return false, false, true
	case image.YCbCrSubsampleRatio422:
		return true, false, true
	case image.YCbCrSubsampleRatio440:
		return false, true, true
	case image.YCbCrSubsampleRatio420:
		return true, true, true
	}
	return false, false, false
}

// libjpeg smooths and converts as libjpeg-turbo does by default ("fancy
// upsampling").
type libjpeg struct{}

func (libjpeg) toRGB(p *Picture, from *image.YCbCr) {
	across, down, smooth := halved(from.SubsampleRatio)
	width, height := p.Width, p.Height
	if across {
		width = (width + 1) / 2
	}
	if down {
		height = (height + 1) / 2
	}
	cb, cr := make([]uint8, p.Width+1), make([]uint8, p.Width+1)
	sums := make([]int, width)
	for y := range p.Height {
		if smooth {
			origin := from.COffset(from.Rect.Min.X, from.Rect.Min.Y)
			plane := func(values []uint8) halfPlane { return halfPlane{values[origin:], from.CStride, width, height} }
			plane(from.Cb).row(cb, sums, y, across, down)
			plane(from.Cr).row(cr, sums, y, across, down)
		}
		to := p.RGB[3*y*p.Width:][:3*p.Width]
		for x := range p.Width {
			if !smooth {
				at := from.COffset(from.Rect.Min.X+x, from.Rect.Min.Y+y)
				cb[x], cr[x] = from.Cb[at], from.Cr[at]
			}
			luma := int32(from.Y[from.YOffset(from.Rect.Min.X+x, from.Rect.Min.Y+y)])
			b, r := int32(cb[x])-128, int32(cr[x])-128
			// libjpeg's constants are rounded to 16 bits.
			to[3*x] = clip(luma + (91881*r+1<<15)>>16)
			to[3*x+1] = clip(luma + (-22554*b-46802*r+1<<15)>>16)
			to[3*x+2] = clip(luma + (116130*b+1<<15)>>16)
		}
	}
}

// halfPlane is a colour plane without the padding of its last blocks.
type halfPlane struct {
	values                []uint8
	stride, width, height int
}

// row computes a row at full resolution: each value is three quarters of the
// nearest one and a quarter of the next nearest, along each halved axis.
func (h halfPlane) row(to []uint8, sums []int, y int, across, down bool) {
	near, far := y, y
	if down {
		near = y / 2
		far = min(max(near-1+2*(y&1), 0), h.height-1)
	}
	for x := range sums {
		sums[x] = int(h.values[near*h.stride+x])
		if down {
			sums[x] = 3*sums[x] + int(h.values[far*h.stride+x])
		}
	}
	switch {
	case across && h.width <= 2 && !down: // too narrow for libjpeg to smooth
		for x := range h.width {
			to[2*x], to[2*x+1] = uint8(sums[x]), uint8(sums[x])
		}
	case across && h.width <= 2: // here too, and then it does not smooth down either
		for x := range h.width {
			v := h.values[near*h.stride+x]
			to[2*x], to[2*x+1] = v, v
		}
	case across:
		spread(to, sums, down)
	case down:
		bias := 1 + y&1 // alternates, so that rounding is unbiased
		for x, s := range sums {
			to[x] = uint8((s + bias) >> 2)
		}
	default:
		for x, s := range sums {
			to[x] = uint8(s)
		}
	}
}

// spread doubles a row; the sums are four times the values where the row is a
// mix of two.
func spread(to []uint8, sums []int, mixed bool) {
	shift, left, right := 2, 1, 2
	if mixed {
		shift, left, right = 4, 8, 7
	}
	last := len(sums) - 1
	for x, s := range sums {
		before, after := sums[max(0, x-1)], sums[min(last, x+1)]
		to[2*x] = uint8((3*s + before + left) >> shift)
		to[2*x+1] = uint8((3*s + after + right) >> shift)
	}
}

// libwebp smooths and converts as libwebp does: VP8 has luma from 16 to 235.
type libwebp struct{}

func (libwebp) toRGB(p *Picture, from *image.YCbCr) {
	width, height := (p.Width+1)/2, (p.Height+1)/2
	for y := range p.Height {
		near := y / 2
		far := min(max(near-1+2*(y&1), 0), height-1)
		for x := range p.Width {
			at := x / 2
			beside := min(max(at-1+2*(x&1), 0), width-1)
			corner := func(plane []uint8, x, y int) int32 { return int32(plane[y*from.CStride+x]) }
			mix := func(plane []uint8) int32 {
				if beside == at { // the border: along the column only
					return (3*corner(plane, at, near) + corner(plane, at, far) + 2) >> 2
				}
				a, b := corner(plane, at, near), corner(plane, beside, near)
				c, d := corner(plane, at, far), corner(plane, beside, far)
				return ((a+b+c+d+8+2*(b+c))>>3 + a) >> 1
			}
			u, v := mix(from.Cb), mix(from.Cr)
			luma := int32(from.Y[y*from.YStride+x]) * 19077 >> 8
			to := p.RGB[3*(y*p.Width+x):]
			to[0] = clip((luma + v*26149>>8 - 14234) >> 6)
			to[1] = clip((luma - u*6419>>8 - v*13320>>8 + 8708) >> 6)
			to[2] = clip((luma + u*33050>>8 - 17685) >> 6)
		}
	}
}

// palette looks colours up once; alpha is dropped.
func palette(from *image.Paletted) func(x, y int) (r, g, b uint8) {
	table := make([][3]uint8, 256) // indices beyond the palette are black, as in Pillow
	for i, c := range from.Palette {
		switch c := c.(type) {
		case color.NRGBA:
			table[i] = [3]uint8{c.R, c.G, c.B}
		default:
			r, g, b, _ := c.RGBA()
			table[i] = [3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}
		}
	}
	return func(x, y int) (r, g, b uint8) {
		c := table[from.ColorIndexAt(x, y)]
		return c[0], c[1], c[2]
	}
}

// inked is what one ink and black leave of white, with Pillow's division by 255.
func inked(ink, black uint8) uint8 {
	rest := int32(255 - black)
	product := int32(ink)*rest + 128
	return clip(rest - (product>>8+product)>>8)
}
