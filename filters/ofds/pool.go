// Package ofds selects images for labelling so that the objects of every target
// class are covered: OFDS (reconstruction), after "Object-Focused Data
// Selection" (arXiv 2412.10032), whose every unknown is a named option.
package ofds

import (
	"context"

	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/curate-data/curate/pipeline"
)

// Pool holds the candidate images and their objects. Images are sorted by ID,
// the objects of an image by ID, classes by name.
type Pool struct {
	Images  []Image
	Objects []Object
	Classes []string
	// Vectors has a row for each object. It is empty when the pool has none.
	Vectors kmeans.Matrix
	// ImageVectors has a row for each image, for methods that work on whole
	// images. It is empty when the pool has none, or when ImageFaults has any.
	ImageVectors kmeans.Matrix
	// Filtered counts objects that were left out, by reason.
	Filtered map[Filter]int64
	// ImageFaults counts images whose vector cannot be used, by reason, in a pool
	// where other images have one.
	ImageFaults map[Filter]int64
}

// Image is a candidate. Its objects are Pool.Objects[First:End].
type Image struct {
	RowID         pipeline.RowID
	ID            string
	Group         string // scene or video; empty for none
	Width, Height int32  // pixels, 0 where unknown
	First, End    int32
}

// Object is a proposal that passed the filters.
type Object struct {
	Image int32 // index in Pool.Images
	Class int32 // index in Pool.Classes
	Score float32
	Box   pipeline.Box
	Area  float32 // of the mask, or of the box where there is none, in square pixels
	ID    string
}

// Filter says why an object is left out before selection.
type Filter string

// Reasons to leave an object out.
const (
	LowScore     Filter = "low_score"     // below ScoreMin
	NaNScore     Filter = "nan_score"     // a score that is not a finite number
	SmallBox     Filter = "small_box"     // a side below MinBoxPixels, or the area below MinAreaFraction of the image
	EmptyBox     Filter = "empty_box"     // no area inside the image, or coordinates that are not finite
	Duplicate    Filter = "duplicate"     // overlaps a better one of its image and class
	OtherClass   Filter = "other_class"   // not a target class
	NoClass      Filter = "no_class"      // the name of its class is empty
	Ignored      Filter = "ignored"       // a crowd, a group, a difficult one
	NullVector   Filter = "null_vector"   // no vector, though others have one
	NaNVector    Filter = "nan_vector"    // a vector with a NaN or an infinity
	ZeroVector   Filter = "zero_vector"   // a vector of length 0, which has no direction
	RaggedVector Filter = "ragged_vector" // another dimension than most have
)

// NewPool reads a source once and keeps the objects that count. The result does
// not depend on the order of the source's images. Objects are filtered by their
// class, score, box and vector, in this order, and then compared with the others
// of their image; each that is left out is counted once. A class of opt.Classes
// that no object has stays in the pool, without objects.
//
// It fails on options that are not valid, on an image without ID, and on two
// images with the same ID. Memory is the pool's, and the vectors a second time
// until they are sorted.
func NewPool(ctx context.Context, source pipeline.ImageSource, opt PoolOptions) (*Pool, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	b := newBuilder(opt.WithDefaults())
	if err := b.read(ctx, source); err != nil {
		return nil, err
	}
	return b.assemble()
}
