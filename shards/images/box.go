package images

import (
	"fmt"
	"math"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// layout is the order of a box's numbers.
type layout int

const (
	corners  layout = iota // x1, y1, x2, y2
	sizes                  // x, y, width, height
	centered               // cx, cy, width, height
)

func (f BoxForm) layout() layout {
	switch BoxForm(strings.TrimPrefix(string(f), "relative_")) {
	case XYWH:
		return sizes
	case CXCYWH:
		return centered
	}
	return corners
}

func (f BoxForm) relative() bool { return strings.HasPrefix(string(f), "relative_") }

// boxKeys are the names that the numbers of a box have in structs, and as columns
// of the flat form.
var boxKeys = []struct {
	keys   [4]string
	layout layout
}{
	{[4]string{"xmin", "ymin", "xmax", "ymax"}, corners},
	{[4]string{"x_min", "y_min", "x_max", "y_max"}, corners},
	{[4]string{"x1", "y1", "x2", "y2"}, corners},
	{[4]string{"left", "top", "right", "bottom"}, corners},
	{[4]string{"x", "y", "width", "height"}, sizes},
	{[4]string{"x", "y", "w", "h"}, sizes},
	{[4]string{"cx", "cy", "w", "h"}, centered},
}

// keyedBox finds four numbers by their names.
func keyedBox(f fields) (values [4]any, l layout, ok bool) {
	for _, k := range boxKeys {
		ok = true
		for i, key := range k.keys {
			v, there := f[key]
			values[i], ok = v, ok && there
		}
		if ok {
			return values, k.layout, true
		}
	}
	return values, corners, false
}

// parseBox returns a box in pixels of an image of this size. A box that is null,
// and a number of it that is, is not a number.
func parseBox(v any, form BoxForm, width, height int) (pipeline.Box, error) {
	layout := form.layout()
	var numbers [4]any
	switch v := v.(type) {
	case nil:
		nan := float32(math.NaN())
		return pipeline.Box{X1: nan, Y1: nan, X2: nan, Y2: nan}, nil
	case fields:
		values, l, ok := keyedBox(v)
		if !ok {
			return pipeline.Box{}, fmt.Errorf("a struct without xmin, ymin, xmax, ymax or x, y, width, height")
		}
		numbers, layout = values, l
	default:
		n, ok := lengthOf(v)
		if !ok {
			return pipeline.Box{}, fmt.Errorf("it is %s, want a list of 4 numbers", kindOf(v))
		}
		if n != 4 {
			return pipeline.Box{}, fmt.Errorf("it has %d numbers, want 4", n)
		}
		for i := range numbers {
			numbers[i] = elementOf(v, i)
		}
	}
	var b [4]float64
	for i, e := range numbers {
		f, ok := floatOf(e)
		if e == nil {
			f, ok = math.NaN(), true
		}
		if !ok {
			return pipeline.Box{}, fmt.Errorf("number %d of it is %s", i, kindOf(e))
		}
		b[i] = f
	}
	if form.relative() {
		if width <= 0 || height <= 0 {
			return pipeline.Box{}, fmt.Errorf("it is a fraction of an image whose width and height are not known: add columns for them")
		}
		w, h := float64(width), float64(height)
		b = [4]float64{b[0] * w, b[1] * h, b[2] * w, b[3] * h}
	}
	return layout.box(b), nil
}

func (l layout) box(b [4]float64) pipeline.Box {
	switch l {
	case sizes:
		b[2], b[3] = b[0]+b[2], b[1]+b[3]
	case centered:
		b = [4]float64{b[0] - b[2]/2, b[1] - b[3]/2, b[0] + b[2]/2, b[1] + b[3]/2}
	}
	return pipeline.Box{X1: float32(b[0]), Y1: float32(b[1]), X2: float32(b[2]), Y2: float32(b[3])}
}

// checkCorners refuses a box that ends before it begins and makes sense as x, y,
// width, height. It is for files of which nobody has said how boxes are meant:
// taken wrongly, most boxes of COCO are not inside out and would go through.
func checkCorners(b pipeline.Box, width, height int) error {
	if b.X2 >= b.X1 && b.Y2 >= b.Y1 || b.X2 <= 0 || b.Y2 <= 0 || b.X1 < 0 || b.Y1 < 0 {
		return nil
	}
	if width > 0 && b.X1+b.X2 > float32(width)+1 || height > 0 && b.Y1+b.Y2 > float32(height)+1 {
		return nil
	}
	return fmt.Errorf("[%v %v %v %v] ends before it begins as x1, y1, x2, y2, but makes sense as x, y, width, height: set the box form to %s, or to %s if the box is wrong",
		b.X1, b.Y1, b.X2, b.Y2, XYWH, XYXY)
}
