package pixels

import (
	"errors"
	"fmt"
)

// Fit says how a picture becomes the model's input.
type Fit string

const (
	// Whole stretches the whole picture to the input, so that no object is lost.
	Whole Fit = "whole"
	// Cropped does what the processor says: most cut out the centre, and what
	// lies outside has no vector.
	Cropped Fit = "processor"
)

// Input makes the input of a model: a picture of one size, 3 x Height x Width
// values. It can be used by many goroutines at a time.
type Input struct {
	Processor     Processor
	Fit           Fit
	Height, Width int // pixels
	values        [3][256]float32
}

// Input returns the processor's input. size, if not 0, is the edge of another,
// square input than the processor's, for Whole only: a larger one has more
// patches for small objects.
func (p *Processor) Input(fit Fit, size int) (*Input, error) {
	in := &Input{Processor: *p, Fit: fit, Height: p.Height, Width: p.Width, values: p.table()}
	if p.CropHeight > 0 {
		in.Height, in.Width = p.CropHeight, p.CropWidth
	}
	switch {
	case fit != Whole && fit != Cropped:
		return nil, fmt.Errorf("set up pixels: fit %q: want %s or %s", fit, Whole, Cropped)
	case size < 0 || size > maxEdge:
		return nil, fmt.Errorf("set up pixels: input of %d pixels: want 1 to %d, or 0 for the processor's", size, maxEdge)
	case size > 0 && fit == Cropped:
		return nil, fmt.Errorf("set up pixels: input of %d pixels: with fit %s the processor says the size", size, fit)
	case size > 0:
		in.Height, in.Width = size, size
	case in.Height == 0 && fit == Cropped:
		return nil, errors.New("set up pixels: the processor resizes the shortest edge and crops nothing: pictures would differ in size; use fit " + string(Whole))
	case in.Height == 0:
		in.Height, in.Width = p.Shortest, p.Shortest
	}
	return in, nil
}

// Len returns the number of values, 3 x Height x Width.
func (in *Input) Len() int { return 3 * in.Height * in.Width }

// String names everything that decides the values.
func (in *Input) String() string {
	return fmt.Sprintf("%s of %d x %d by %+v", in.Fit, in.Height, in.Width, in.Processor)
}

// Fill writes the values of a picture to to, channel by channel, row by row.
// The placement says where the picture's pixels went.
func (in *Input) Fill(picture *Picture, to []float32) (Placement, error) {
	if len(to) != in.Len() {
		return Placement{}, fmt.Errorf("fill pixels: %d values, want %d", len(to), in.Len())
	}
	if err := picture.check(); err != nil {
		return Placement{}, fmt.Errorf("fill pixels: %w", err)
	}
	height, width := in.resized(picture)
	if height > maxPixels/width {
		return Placement{}, fmt.Errorf("fill pixels: a picture of %d x %d would be resized to %d x %d pixels before its centre is cut out; use fit %s",
			picture.Width, picture.Height, width, height, Whole)
	}
	resized, err := picture.resize(width, height, in.Processor.Filter, in.Processor.Arithmetic)
	if err != nil {
		return Placement{}, fmt.Errorf("fill pixels: %w", err)
	}
	left, top := 0, 0
	if in.Fit == Cropped {
		left, top = in.margin(width, in.Width), in.margin(height, in.Height)
	}
	in.convert(resized, left, top, to)
	return Placement{
		ScaleX: float64(width) / float64(picture.Width), ScaleY: float64(height) / float64(picture.Height),
		OffsetX: float64(-left), OffsetY: float64(-top), Width: picture.Width, Height: picture.Height,
	}, nil
}

// resized is the size of the resized picture, before anything is cut.
func (in *Input) resized(picture *Picture) (height, width int) {
	p := in.Processor
	switch {
	case in.Fit == Whole:
		return in.Height, in.Width
	case p.Shortest == 0:
		return p.Height, p.Width
	case picture.Width <= picture.Height:
		return p.Shortest * picture.Height / picture.Width, p.Shortest
	}
	return p.Shortest, p.Shortest * picture.Width / picture.Height
}

// margin is what is cut before the centre, negative where there is too little
// and black is put before it. The classes of transformers round that differently.
func (in *Input) margin(have, want int) int {
	if have >= want {
		return (have - want) / 2
	}
	if in.Processor.Arithmetic == Torchvision {
		return -((want - have) / 2)
	}
	return -((want - have + 1) / 2)
}

// convert looks the values of the cut-out up.
func (in *Input) convert(picture *Picture, left, top int, to []float32) {
	plane := in.Height * in.Width
	for y := range in.Height {
		for x := range in.Width {
			var pixel [3]uint8
			if fx, fy := x+left, y+top; fx >= 0 && fx < picture.Width && fy >= 0 && fy < picture.Height {
				pixel = [3]uint8(picture.RGB[3*(fy*picture.Width+fx):])
			}
			for c, v := range pixel {
				to[c*plane+y*in.Width+x] = in.values[c][v]
			}
		}
	}
}
