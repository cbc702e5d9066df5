package annotations

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/curate-data/curate/pipeline"
)

// segmentation reads COCO's mask: a list of polygons, or run lengths. Polygons of
// fewer than three points, which hold no area, are left out; nil means that
// nothing is left.
func segmentation(raw json.RawMessage) (*pipeline.Mask, error) {
	if absent(raw) {
		return nil, nil
	}
	switch raw[0] {
	case '[':
		return polygons(raw)
	case '{':
		return runLengths(raw)
	}
	return nil, fmt.Errorf("want polygons or run lengths, found %s", brief(raw))
}

// polygons reads [[x,y,...],...], and [x,y,...] for a single one.
func polygons(raw json.RawMessage) (*pipeline.Mask, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return nil, err
	}
	if len(parts) > 0 && parts[0][0] != '[' {
		parts = []json.RawMessage{raw}
	}
	var m pipeline.Mask
	for i, part := range parts {
		points, err := floats(part)
		if err == nil && len(points)%2 != 0 {
			err = fmt.Errorf("%d numbers are no pairs of x and y", len(points))
		}
		if err != nil {
			return nil, fmt.Errorf("polygon %d: %w", i, err)
		}
		if len(points) >= 6 {
			m.Polygons = append(m.Polygons, points)
		}
	}
	if len(m.Polygons) == 0 {
		return nil, nil
	}
	return &m, checkBorder(&m)
}

// maxBorder bounds the border of a mask in pixels, on which the time to fill it depends.
const maxBorder = 1 << 24

// checkBorder refuses polygons that take too long to fill.
func checkBorder(m *pipeline.Mask) error {
	within := func(x float32) float64 { return float64(max(-maxSide, min(maxSide, x))) }
	var length float64
	for _, p := range m.Polygons {
		for i := 0; i+3 < len(p); i += 2 {
			length += max(math.Abs(within(p[i+2])-within(p[i])), math.Abs(within(p[i+3])-within(p[i+1])))
		}
	}
	if length > maxBorder {
		return fmt.Errorf("the border of the polygons has some %.0f pixels, more than %d", length, maxBorder)
	}
	return nil
}

// runLengths reads {"size": [height, width], "counts": ...}, where counts are a
// list or COCO's compressed string.
func runLengths(raw json.RawMessage) (*pipeline.Mask, error) {
	var rle struct{ Size, Counts json.RawMessage }
	if err := json.Unmarshal(raw, &rle); err != nil {
		return nil, err
	}
	if absent(rle.Size) && absent(rle.Counts) {
		return nil, nil
	}
	size, err := floats(rle.Size)
	if err == nil && len(size) != 2 {
		err = errors.New("want height and width")
	}
	if err != nil {
		return nil, fmt.Errorf("size of run lengths: %w", err)
	}
	var m pipeline.Mask
	if m.Height, err = checkSide(float64(size[0])); err != nil {
		return nil, fmt.Errorf("height of run lengths: %w", err)
	}
	if m.Width, err = checkSide(float64(size[1])); err != nil {
		return nil, fmt.Errorf("width of run lengths: %w", err)
	}
	m.Counts, err = counts(rle.Counts)
	if err != nil {
		return nil, fmt.Errorf("counts of run lengths: %w", err)
	}
	return &m, checkRuns(&m)
}

// counts reads run lengths, plain or compressed.
func counts(raw json.RawMessage) ([]uint32, error) {
	if absent(raw) {
		return nil, errors.New("there are none")
	}
	if raw[0] == '"' {
		packed, err := text(raw)
		if err != nil {
			return nil, err
		}
		return pipeline.UnpackRuns(packed)
	}
	var list []uint32
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("want a list of whole numbers or a string, found %s", brief(raw))
	}
	return list, nil
}

// checkRuns wants run lengths to add up to the mask's pixels.
func checkRuns(m *pipeline.Mask) error {
	var sum int64
	for _, n := range m.Counts {
		sum += int64(n)
	}
	if pixels := int64(m.Width) * int64(m.Height); sum != pixels {
		return fmt.Errorf("run lengths cover %d pixels of %d x %d", sum, m.Width, m.Height)
	}
	return nil
}
