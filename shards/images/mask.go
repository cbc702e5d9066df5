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
		counts, err = unpackRuns([]byte(c))
	case []byte:
		counts, err = unpackRuns(c)
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

// unpackRuns decodes COCO's string of run lengths: 5 bits a character, the lowest
// first, a sixth for more; from the third run on as differences to the run two
// before.
func unpackRuns(s []byte) ([]uint32, error) {
	var counts []uint32
	for at := 0; at < len(s); {
		var v int64
		for shift := 0; ; shift += 5 {
			if at == len(s) || shift > 35 {
				return nil, errors.New("run lengths cut short, or one too long")
			}
			c := int64(s[at]) - 48
			if c < 0 || c > 63 {
				return nil, fmt.Errorf("run lengths with the character %q", s[at])
			}
			at++
			v |= c & 31 << shift
			if c&32 == 0 {
				if c&16 != 0 {
					v |= -1 << (shift + 5)
				}
				break
			}
		}
		if n := len(counts); n > 2 {
			v += int64(counts[n-2])
		}
		if v < 0 || v > math.MaxUint32 {
			return nil, fmt.Errorf("run %d is no length", len(counts))
		}
		counts = append(counts, uint32(v))
	}
	return counts, nil
}

// maskArea returns the area of a mask in square pixels. That of polygons is by
// their corners; where they overlap it counts twice, as in COCO's own files.
func maskArea(m *pipeline.Mask) float32 {
	total := 0.0
	for i := 1; i < len(m.Counts); i += 2 {
		total += float64(m.Counts[i])
	}
	for _, p := range m.Polygons {
		twice := 0.0
		for i := 0; i < len(p); i += 2 {
			k := (i + 2) % len(p)
			twice += float64(p[i])*float64(p[k+1]) - float64(p[k])*float64(p[i+1])
		}
		total += math.Abs(twice) / 2
	}
	return float32(total)
}
