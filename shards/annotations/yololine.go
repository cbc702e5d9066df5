package annotations

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// farOut is the largest share of the image's side that a coordinate may have.
// Parts of an object can lie outside; numbers beyond this are pixels by mistake.
const farOut = 4

// parseYOLO reads the labels of an image of a size in pixels: per line a class and
// a box of 4 numbers (center, size), a box and its confidence, or a polygon of 3
// or more points, where an odd number after the class is a polygon and its confidence.
func parseYOLO(data []byte, classes []string, width, height int) ([]pipeline.Object, error) {
	var objects []pipeline.Object
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		n++
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		o, err := parseYOLOLine(words, classes, float32(width), float32(height))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		o.ID = strconv.Itoa(len(objects))
		objects = append(objects, o)
	}
	return objects, nil
}

func parseYOLOLine(words, classes []string, width, height float32) (pipeline.Object, error) {
	o := pipeline.Object{Score: 1}
	class, err := strconv.ParseFloat(words[0], 64) // some tools write 3.0
	if err != nil || class != math.Trunc(class) || class < 0 {
		return o, fmt.Errorf("want the number of a class, found %q", brief([]byte(words[0])))
	}
	if class >= float64(len(classes)) {
		return o, fmt.Errorf("there is no class %v; the %d names end at %d", class, len(classes), len(classes)-1)
	}
	o.Class = classes[int(class)]
	values := make([]float32, len(words)-1)
	for i, word := range words[1:] {
		x, err := strconv.ParseFloat(word, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return o, fmt.Errorf("column %d: want a number, found %q", i+2, brief([]byte(word)))
		}
		values[i] = float32(x)
	}
	if n := len(values); n == 5 || n > 6 && n%2 != 0 {
		if o.Score, err = checkScore(float64(values[n-1])); err != nil {
			return o, fmt.Errorf("column %d, the confidence: %w", n+1, err)
		}
		values = values[:n-1]
	}
	if len(values) < 4 {
		return o, errors.New("want 5 columns (class and box), 6 (and confidence) or a class and a polygon")
	}
	for i, x := range values {
		if x < -farOut || x > farOut {
			return o, fmt.Errorf("column %d: %v is no share of the image's side; are these pixels?", i+2, x)
		}
	}
	if len(values) == 4 {
		x, y, w, h := values[0], values[1], values[2], values[3]
		o.Box = pipeline.Box{X1: (x - w/2) * width, Y1: (y - h/2) * height, X2: (x + w/2) * width, Y2: (y + h/2) * height}
		return o, nil
	}
	for i := range values {
		if i%2 == 0 {
			values[i] *= width
		} else {
			values[i] *= height
		}
	}
	o.Mask = &pipeline.Mask{Polygons: [][]float32{values}}
	o.Box, o.Area = o.Mask.Bounds(), float32(o.Mask.Area())
	return o, checkBorder(o.Mask)
}
