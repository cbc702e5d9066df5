package pixels

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/webp"
)

// maxPixels is the limit of a Decoder that sets none: 100 megapixels, 300 MB
// decoded.
const maxPixels = 100_000_000

// ErrFormat says that data is none of the formats that can be decoded.
var ErrFormat = errors.New("not a JPEG, PNG or WebP file")

// Decoder decodes images up to a size.
type Decoder struct {
	MaxPixels int // width x height that a file may claim; 0 means 100,000,000
}

// Decode decodes a JPEG, PNG or WebP file with the default limit.
func Decode(data []byte) (*Picture, error) { return Decoder{}.Decode(data) }

// Decode decodes a JPEG, PNG or WebP file to what Pillow's convert("RGB")
// gives: alpha is dropped, not blended; 16 bits keep the upper 8 (grey alone is
// cut at 255); an EXIF orientation is not applied. PNG and WebP give the same
// bytes, JPEG differs by the rounding of the transform, 2 of 255 at most. The
// dimensions that a file claims are checked before anything of that size is
// made. A truncated file is an error.
func (d Decoder) Decode(data []byte) (p *Picture, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			p, err = nil, fmt.Errorf("decode image: damaged file: %v", cause)
		}
	}()
	format, err := formatOf(data)
	if err != nil {
		return nil, fmt.Errorf("decode image: %w", err)
	}
	config, err := format.config(data)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", format.name, err)
	}
	limit := d.MaxPixels
	if limit == 0 {
		limit = maxPixels
	}
	if config.Width < 1 || config.Height < 1 || config.Width > limit/config.Height {
		return nil, fmt.Errorf("decode %s: the file claims %d x %d pixels, the limit is %d in all", format.name, config.Width, config.Height, limit)
	}
	decoded, err := format.decode(data)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", format.name, err)
	}
	if size := decoded.Bounds().Size(); size.X != config.Width || size.Y != config.Height {
		return nil, fmt.Errorf("decode %s: the header says %d x %d pixels, the data %d x %d", format.name, config.Width, config.Height, size.X, size.Y)
	}
	return toRGB(decoded, format.chroma), nil
}

// format is one kind of file.
type format struct {
	name   string
	config func([]byte) (image.Config, error)
	decode func([]byte) (image.Image, error)
	chroma chroma
}

// formatOf tells formats apart by their first bytes.
func formatOf(data []byte) (format, error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8")):
		return format{
			"JPEG",
			func(b []byte) (image.Config, error) { return jpeg.DecodeConfig(bytes.NewReader(b)) },
			func(b []byte) (image.Image, error) { return jpeg.Decode(bytes.NewReader(b)) },
			libjpeg{},
		}, nil
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return format{
			"PNG",
			func(b []byte) (image.Config, error) { return png.DecodeConfig(bytes.NewReader(b)) },
			func(b []byte) (image.Image, error) { return png.Decode(bytes.NewReader(b)) },
			libjpeg{},
		}, nil
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		return format{
			"WebP",
			func(b []byte) (image.Config, error) { return webp.DecodeConfig(bytes.NewReader(b)) },
			func(b []byte) (image.Image, error) { return webp.Decode(bytes.NewReader(b)) },
			libwebp{},
		}, nil
	case len(data) == 0:
		return format{}, fmt.Errorf("%w: no bytes", ErrFormat)
	}
	return format{}, fmt.Errorf("%w: it begins with % x", ErrFormat, data[:min(8, len(data))])
}

// toRGB is Pillow's convert("RGB") of the kinds of image that the decoders give.
func toRGB(decoded image.Image, chroma chroma) *Picture {
	bounds := decoded.Bounds()
	p := &Picture{Width: bounds.Dx(), Height: bounds.Dy(), RGB: make([]uint8, 3*bounds.Dx()*bounds.Dy())}
	switch from := decoded.(type) {
	case *image.YCbCr:
		chroma.toRGB(p, from)
	case *image.NYCbCrA:
		chroma.toRGB(p, &from.YCbCr)
	default:
		pixel := pixelOf(decoded)
		at := 0
		for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
			for x := bounds.Min.X; x < bounds.Max.X; x++ {
				p.RGB[at], p.RGB[at+1], p.RGB[at+2] = pixel(x, y)
				at += 3
			}
		}
	}
	return p
}

// pixelOf returns the pixels of an image without chroma planes.
func pixelOf(decoded image.Image) func(x, y int) (r, g, b uint8) {
	switch from := decoded.(type) {
	case *image.Gray:
		return func(x, y int) (r, g, b uint8) {
			v := from.GrayAt(x, y).Y
			return v, v, v
		}
	case *image.Gray16:
		return func(x, y int) (r, g, b uint8) {
			v := uint8(min(255, from.Gray16At(x, y).Y))
			return v, v, v
		}
	case *image.NRGBA:
		return func(x, y int) (r, g, b uint8) {
			c := from.NRGBAAt(x, y)
			return c.R, c.G, c.B
		}
	case *image.NRGBA64:
		return func(x, y int) (r, g, b uint8) {
			c := from.NRGBA64At(x, y)
			return uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8)
		}
	case *image.RGBA:
		return func(x, y int) (r, g, b uint8) {
			c := from.RGBAAt(x, y)
			return c.R, c.G, c.B
		}
	case *image.RGBA64:
		return func(x, y int) (r, g, b uint8) {
			c := from.RGBA64At(x, y)
			return uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8)
		}
	case *image.Paletted:
		return palette(from)
	case *image.CMYK:
		return func(x, y int) (r, g, b uint8) {
			c := from.CMYKAt(x, y)
			return inked(c.C, c.K), inked(c.M, c.K), inked(c.Y, c.K)
		}
	}
	return func(x, y int) (r, g, b uint8) {
		r32, g32, b32, _ := decoded.At(x, y).RGBA()
		return uint8(r32 >> 8), uint8(g32 >> 8), uint8(b32 >> 8)
	}
}
