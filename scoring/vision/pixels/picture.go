// Package pixels turns encoded images into what image encoders take: decoding,
// resizing as Pillow does, cropping, normalising, and the regions of objects on
// a grid of patches.
package pixels

import "github.com/curate-data/curate/pipeline"

// Picture is a decoded image, 8 bits per channel.
type Picture struct {
	Width, Height int
	RGB           []uint8 // Height x Width x 3
}

// Request asks an encoder for the vectors of one image and its objects.
type Request struct {
	Picture *Picture
	Objects []Region
}

// Region is where an object is, in pixels of the picture.
type Region struct {
	Box  pipeline.Box
	Mask *pipeline.Mask // nil: the box
}

// Vectors is an encoder's answer to a Request.
type Vectors struct {
	Image   []float32   // of the whole image
	Objects [][]float32 // one per region, in order; nil for a region that no pixel of the picture is in
}
