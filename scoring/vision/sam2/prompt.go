package sam2

import (
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

// prompt is a box as the decoder takes it.
type prompt struct {
	box   pipeline.Box // in pixels of the model's input, cut at its edges
	cells []float32    // [g*g]: how the box spreads over the cells of the image embedding, sum 1
}

// prompt returns what a box is in the input. It is false for a box that no pixel
// of the picture is in: outside, empty, inside out, or not finite.
func (c Config) prompt(at pixels.Placement, box pipeline.Box) (prompt, bool) {
	cells := at.Box(box, pixels.Grid{Rows: c.cells(), Columns: c.cells(), Patch: int(c.Prompt.PatchSize)})
	if cells == nil {
		return prompt{}, false
	}
	sum := float32(0)
	for _, share := range cells {
		sum += share
	}
	for i := range cells {
		cells[i] /= sum
	}
	across := func(x float32) float32 { return float32(float64(min(max(x, 0), float32(at.Width))) * at.ScaleX) }
	down := func(y float32) float32 { return float32(float64(min(max(y, 0), float32(at.Height))) * at.ScaleY) }
	return prompt{pipeline.Box{X1: across(box.X1), Y1: down(box.Y1), X2: across(box.X2), Y2: down(box.Y2)}, cells}, true
}

// corners writes the embeddings of a box's two corners, [2,C]. Coordinates are
// moved by half a pixel, as transformers and the original code do.
func (c Config) corners(matrix []float32, box pipeline.Box, out []float32) {
	side, width := float64(c.Prompt.ImageSize), len(out)/2
	fourier(matrix, (float64(box.X1)+0.5)/side, (float64(box.Y1)+0.5)/side, out[:width])
	fourier(matrix, (float64(box.X2)+0.5)/side, (float64(box.Y2)+0.5)/side, out[width:])
}
