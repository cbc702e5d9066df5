package pipeline

import (
	"context"
	"iter"
)

// Image is one row that holds an image, and what is labelled in it.
type Image struct {
	RowID
	Rows          int64  // rows of the shard that it takes, where each of its objects has one; 0 means 1
	Reason        Reason // why it cannot be selected, such as bytes that are no image; empty for most
	ID            string // of the dataset, unique in a pool; the file name or the row's address where it has none
	URI           string // where the image file is; empty where the row holds its bytes
	Data          []byte // the encoded image; nil unless it was asked for
	Width, Height int    // pixels; 0 where nothing tells
	Group         string // scene or video; empty for none
	Vector        []float32
	Objects       []Object
	Unlabelled    []string // classes about which the labels say nothing here (LVIS: not exhaustive, nor negative)
}

// Object is a labelled box or region of an image.
type Object struct {
	ID     string // unique in its image: the dataset's id, or the object's index
	Class  string
	Score  float32 // confidence of a detector from 0 to 1; 1 for labels that people made
	Box    Box
	Area   float32 // of the mask in square pixels; 0 where there is no mask
	Mask   *Mask   // nil for none
	Source string  // what made the label; empty where unknown
	Ignore bool    // a crowd, a group, a difficult one: not selected for
	Vector []float32
}

// Box is the upper left and the lower right corner of a rectangle, in pixels;
// X2 and Y2 are exclusive.
type Box struct{ X1, Y1, X2, Y2 float32 }

// Width returns X2 - X1, which is negative for a box inside out.
func (b Box) Width() float32 { return b.X2 - b.X1 }

// Height returns Y2 - Y1.
func (b Box) Height() float32 { return b.Y2 - b.Y1 }

// Area returns the box's area in square pixels, 0 for a box inside out.
func (b Box) Area() float32 { return max(0, b.Width()) * max(0, b.Height()) }

// IoU returns the area that two boxes share, divided by the area that they
// cover together; 0 where neither has any.
func (b Box) IoU(o Box) float32 {
	shared := Box{max(b.X1, o.X1), max(b.Y1, o.Y1), min(b.X2, o.X2), min(b.Y2, o.Y2)}.Area()
	if shared == 0 {
		return 0
	}
	return shared / (b.Area() + o.Area() - shared)
}

// Mask is the region of an object: polygons, or run lengths as in COCO.
type Mask struct {
	Polygons      [][]float32 // x and y in turns, in pixels; the region is their union
	Counts        []uint32    // runs of pixels outside and inside in turns, beginning with outside, column by column
	Height, Width int         // of the grid that Counts runs over
}

// ImageSource gives the images of a pool in (shard, row) order. It can be read
// any number of times and gives the same images each time.
type ImageSource interface {
	Images(ctx context.Context) iter.Seq2[*Image, error]
}
