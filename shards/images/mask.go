package images

import (
	"errors"
	"fmt"
	"math"

	"github.com/curate-data/curate/pipeline"
)

// maxMaskPixels bounds the grid of a mask, which readers may unfold.
const maxMaskPixels = 1 << 30

// parseMask returns a mask of COCO's kinds: polygons, or run lengths as numbers or
// packed into a string; nil for null and for no polygons.
func parseMask(v any) (*pipeline.Mask, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case fields:
		return parseRuns(v)
	case list:
		var polygons [][]float32
		for i, p := range v {
			points, ok := floatsOf(p)
			if !ok {
				return nil, fmt.Errorf("polygon %d is %s, want a list of numbers", i, kindOf(p))
			}
			polygons = append(polygons, points)
		}
		return polygonMask(polygons)
	}
	points, ok := floatsOf(v)
	if !ok {
		return nil, fmt.Errorf("it is %s, want polygons or run lengths", kindOf(v))
	}
	return polygonMask([][]float32{points})
}

func polygonMask(polygons [][]float32) (*pipeline.Mask, error) {
	for i, p := range polygons {
		if len(p) < 6 || len(p)%2 != 0 {
			return nil, fmt.Errorf("polygon %d has %d numbers, want pairs for 3 points or more", i, len(p))
		}
	}
	if len(polygons) == 0 {
		return nil, nil
	}
	return &pipeline.Mask{Polygons: polygons}, nil
}

// parseRuns reads {"size": [height, width], "counts": runs}.
func parseRuns(f fields) (*pipeline.Mask, error) {
	size, ok := f["size"]
	if n, isList := lengthOf(size); !ok || !isList || n != 2 {
		return nil, errors.New("run lengths without a size of [height, width]")
	}
	h, okH := integerOf(elementOf(size, 0))
	w, okW := integerOf(elementOf(size, 1))
	if !okH || !okW || h <= 0 || w <= 0 || h > maxMaskPixels/w {
		return nil, fmt.Errorf("run lengths of a size that is not [height, width], or beyond %d pixels", maxMaskPixels)
	}
	var counts []uint32
	var err error
	switch c := f["counts"].(type) {
	case string:
		counts, err = pipeline.UnpackRuns(c)
	case []byte:
		counts, err = pipeline.UnpackRuns(string(c))
	default:
		n, ok := lengthOf(c)
		if !ok {
			return nil, fmt.Errorf("run lengths that are %s", kindOf(c))
		}
		for i := range n {
			run, ok := integerOf(elementOf(c, i))
			if !ok || run < 0 || run > math.MaxUint32 {
				return nil, fmt.Errorf("run %d is no length", i)
			}
			counts = append(counts, uint32(run))
		}
	}
	if err != nil {
		return nil, err
	}
	total := int64(0)
	for _, c := range counts {
		total += int64(c)
	}
	if total != h*w {
		return nil, fmt.Errorf("runs of %d pixels in all, for %d x %d", total, h, w)
	}
	return &pipeline.Mask{Counts: counts, Height: int(h), Width: int(w)}, nil
}
