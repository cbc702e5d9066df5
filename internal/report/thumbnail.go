package report

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
)

// thumbWidth and thumbHeight are the most pixels that a thumbnail has.
const (
	thumbWidth  = 240
	thumbHeight = 360
)

// Thumbnail is a small copy of an image.
type Thumbnail struct {
	JPEG          []byte
	Width, Height int // of the whole image, in pixels; boxes are drawn on this grid
}

// NewThumbnail scales an image down to at most 240 pixels across and 360 down,
// each pixel the mean of those that it stands for, and packs it as JPEG. What is
// transparent becomes white. Smaller images keep their size.
func NewThumbnail(img image.Image) (Thumbnail, error) {
	size := img.Bounds()
	w, h := size.Dx(), size.Dy()
	if w <= 0 || h <= 0 {
		return Thumbnail{}, fmt.Errorf("make a thumbnail: the image is %d x %d pixels", w, h)
	}
	out := Thumbnail{Width: w, Height: h}
	across, down := w, h
	if across > thumbWidth {
		across, down = thumbWidth, max(1, h*thumbWidth/w)
	}
	if down > thumbHeight {
		across, down = max(1, w*thumbHeight/h), thumbHeight
	}
	var buffer bytes.Buffer
	if err := jpeg.Encode(&buffer, shrink(img, across, down), &jpeg.Options{Quality: 82}); err != nil {
		return Thumbnail{}, fmt.Errorf("pack a thumbnail: %w", err)
	}
	out.JPEG = buffer.Bytes()
	return out, nil
}

// shrink averages the pixels of an image in boxes, on white. One band of rows is
// converted at a time, so that a large image is not held twice.
func shrink(img image.Image, across, down int) *image.RGBA {
	size := img.Bounds()
	w, h := size.Dx(), size.Dy()
	out := image.NewRGBA(image.Rect(0, 0, across, down))
	for y := range down {
		top, bottom := y*h/down, max(y*h/down+1, (y+1)*h/down)
		band := image.NewRGBA(image.Rect(0, 0, w, bottom-top))
		draw.Draw(band, band.Bounds(), image.White, image.Point{}, draw.Src)
		draw.Draw(band, band.Bounds(), img, image.Point{X: size.Min.X, Y: size.Min.Y + top}, draw.Over)
		for x := range across {
			left, right := x*w/across, max(x*w/across+1, (x+1)*w/across)
			var sum [3]int
			for row := range bottom - top {
				for at := left; at < right; at++ {
					p := band.Pix[row*band.Stride+4*at:]
					sum[0], sum[1], sum[2] = sum[0]+int(p[0]), sum[1]+int(p[1]), sum[2]+int(p[2])
				}
			}
			n := (bottom - top) * (right - left)
			out.SetRGBA(x, y, color.RGBA{uint8((sum[0] + n/2) / n), uint8((sum[1] + n/2) / n), uint8((sum[2] + n/2) / n), 255})
		}
	}
	return out
}

// check says what is wrong with a thumbnail that came from elsewhere.
func (t Thumbnail) check() error {
	if t.Width <= 0 || t.Height <= 0 {
		return fmt.Errorf("thumbnail of an image of %d x %d pixels", t.Width, t.Height)
	}
	if len(t.JPEG) > 1<<20 {
		return errors.New("thumbnail of more than a megabyte: make it with NewThumbnail")
	}
	if _, err := jpeg.DecodeConfig(bytes.NewReader(t.JPEG)); err != nil {
		return fmt.Errorf("thumbnail is no JPEG: %w", err)
	}
	return nil
}
