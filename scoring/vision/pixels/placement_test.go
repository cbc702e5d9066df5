package pixels

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/curate-data/curate/pipeline"
)

// grid is 4 x 4 patches of 8 pixels.
func grid() Grid { return Grid{Rows: 4, Columns: 4, Patch: 8} }

// double is a picture of 16 x 16 pixels, stretched to 32 x 32.
func double() Placement { return Placement{ScaleX: 2, ScaleY: 2, Width: 16, Height: 16} }

// sum is the area that shares stand for, in pixels of the input.
func sum(shares []float32, g Grid) float64 {
	total := 0.0
	for _, s := range shares {
		total += float64(s)
	}
	return total * float64(g.Patch*g.Patch)
}

func TestBoxCoversShares(t *testing.T) {
	shares := double().Box(pipeline.Box{X1: 2, Y1: 3, X2: 6, Y2: 4}, grid()) // 4..12 x 6..8 of the input
	for i, s := range shares {
		want := map[int]float32{0: 4 * 2 / 64., 1: 4 * 2 / 64.}[i]
		if s != want {
			t.Errorf("patch %d: %v, want %v", i, s, want)
		}
	}
	whole := double().Box(pipeline.Box{X1: -5, Y1: -5, X2: 100, Y2: 100}, grid())
	for i, s := range whole {
		if s != 1 {
			t.Errorf("patch %d of a box over everything: %v", i, s)
		}
	}
	nan := float32(math.NaN())
	for name, box := range map[string]pipeline.Box{
		"right of it": {X1: 16, Y1: 0, X2: 20, Y2: 4}, "above": {X1: 0, Y1: -9, X2: 4, Y2: 0}, "no width": {X1: 3, Y1: 1, X2: 3, Y2: 4},
		"inside out": {X1: 5, Y1: 5, X2: 1, Y2: 9}, "NaN": {X1: nan, Y1: 0, X2: 4, Y2: 4}, "infinite": {X1: 0, Y1: 0, X2: float32(math.Inf(1)), Y2: 4},
	} {
		if shares := double().Box(box, grid()); shares != nil {
			t.Errorf("%s: %v", name, shares)
		}
	}
}

// A centre crop loses what lies outside; the fit for objects loses nothing.
func TestCropLosesObjectsAndWholeDoesNot(t *testing.T) {
	p, err := ParseProcessor([]byte(`{"image_processor_type":"BitImageProcessor","size":{"shortest_edge":32},"crop_size":32}`))
	if err != nil {
		t.Fatal(err)
	}
	picture := &Picture{Width: 64, Height: 16, RGB: make([]uint8, 3*64*16)} // becomes 128 x 32, of which 48..80 stay
	corner, middle := pipeline.Box{X1: 0, Y1: 0, X2: 10, Y2: 10}, pipeline.Box{X1: 20, Y1: 4, X2: 28, Y2: 8}
	for _, fit := range []Fit{Cropped, Whole} {
		in, err := p.Input(fit, 0)
		if err != nil {
			t.Fatal(err)
		}
		placement, err := in.Fill(picture, make([]float32, in.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if got := placement.Box(corner, grid()); (got == nil) != (fit == Cropped) {
			t.Errorf("%s: the object in the corner has %v", fit, got)
		}
		// Of the one in the middle, 40..56 of 128, the crop shows 48..56, at 0..8.
		got := placement.Box(middle, grid())
		if want := map[Fit]float64{Cropped: 8 * 8, Whole: 8 / 2 * 8}[fit]; math.Abs(sum(got, grid())-want) > 1e-4 {
			t.Errorf("%s: the object in the middle covers %v pixels, want %v", fit, sum(got, grid()), want)
		}
	}
}

// A picture smaller than the crop has black around it, which no region covers.
func TestRegionsEndWhereThePictureEnds(t *testing.T) {
	small := Placement{ScaleX: 1, ScaleY: 1, OffsetX: 8, OffsetY: 8, Width: 10, Height: 16}
	everything := pipeline.Box{X1: -100, Y1: -100, X2: 100, Y2: 100}
	polygon := []float32{-100, -100, 100, -100, 100, 100, -100, 100}
	for name, region := range map[string]Region{
		"box": {Box: everything}, "polygon": {Mask: &pipeline.Mask{Polygons: [][]float32{polygon}}},
		"runs": {Mask: &pipeline.Mask{Counts: []uint32{0, 160}, Width: 10, Height: 16}},
	} {
		shares, err := small.Region(region, grid())
		if err != nil {
			t.Fatal(err)
		}
		if got := sum(shares, grid()); math.Abs(got-160) > 1e-3 {
			t.Errorf("%s covers %v pixels, the picture has 160", name, got)
		}
	}
}

func TestMasksThatContradictThemselvesAreErrors(t *testing.T) {
	for want, mask := range map[string]pipeline.Mask{
		"add up to 7 pixels, the mask has 4 x 2": {Counts: []uint32{3, 4}, Width: 4, Height: 2},
		"the mask has 0 x 0":                     {Counts: []uint32{3, 4}},
		"4000000000 x 1 pixels, the limit":       {Counts: []uint32{4_000_000_000}, Width: 4_000_000_000, Height: 1},
		"polygon 1 has 5 numbers":                {Polygons: [][]float32{{0, 0, 1, 1, 2, 0}, {1, 2, 3, 4, 5}}},
		"coordinate NaN":                         {Polygons: [][]float32{{0, 0, 1, float32(math.NaN()), 2, 0}}},
	} {
		if _, err := double().Region(Region{Mask: &mask}, grid()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A mask is the union of its polygons, whichever way around their corners go.
func TestPolygonsThatOverlapCountOnce(t *testing.T) {
	left, right := []float32{1, 1, 9, 1, 9, 7, 1, 7}, []float32{4, 7, 13, 7, 13, 2, 4, 2}
	shares, err := double().Region(Region{Mask: &pipeline.Mask{Polygons: [][]float32{left, right, left}}}, grid())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sum(shares, grid()), 4.*(8*6+9*5-5*5); math.Abs(got-want) > 1e-3 {
		t.Errorf("covers %v pixels, want %v", got, want)
	}
}

// An object whose mask shows nothing still has its box.
func TestThinMasksFallBackToTheBox(t *testing.T) {
	box := pipeline.Box{X1: 1, Y1: 1, X2: 3, Y2: 2}
	want := double().Box(box, grid())
	for name, mask := range map[string]pipeline.Mask{
		"empty": {}, "a line": {Polygons: [][]float32{{1, 1, 3, 1, 3, 1}}}, "a point": {Polygons: [][]float32{{1, 1}}}, "no polygon": {Polygons: [][]float32{{}}},
		"no pixel": {Counts: []uint32{256}, Width: 16, Height: 16},
	} {
		got, err := double().Region(Region{Box: box, Mask: &mask}, grid())
		if err != nil {
			t.Fatal(err)
		}
		if sum(got, grid()) != sum(want, grid()) {
			t.Errorf("%s: %v, want the box's %v", name, got, want)
		}
	}
}

// TestMasksEqualPixels compares both kinds of masks with a count of small cells.
func TestMasksEqualPixels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Placement{
			ScaleX: rapid.Float64Range(0.3, 3).Draw(t, "sx"), ScaleY: rapid.Float64Range(0.3, 3).Draw(t, "sy"),
			OffsetX: rapid.Float64Range(-20, 9).Draw(t, "ox"), OffsetY: rapid.Float64Range(-20, 9).Draw(t, "oy"), Width: 12, Height: 16,
		}
		mask := &pipeline.Mask{Width: 6, Height: 8} // half the picture's resolution
		inside := make([]bool, 48)                  // column by column
		run := uint32(0)
		for i := range inside {
			inside[i] = rapid.Bool().Draw(t, "pixel")
			if i > 0 && inside[i] != inside[i-1] || i == 0 && inside[i] {
				mask.Counts, run = append(mask.Counts, run), 0
			}
			run++
		}
		mask.Counts = append(mask.Counts, run)
		squares := &pipeline.Mask{} // the same region as a polygon for each pixel
		for i, in := range inside {
			if x, y := float32(i/8*2), float32(i%8*2); in {
				squares.Polygons = append(squares.Polygons, []float32{x, y, x + 2, y, x + 2, y + 2, x, y + 2})
			}
		}
		want := make([]float64, 16)
		const fine = 10
		for cell := range 32 * fine * 32 * fine {
			x, y := (float64(cell%(32*fine))+0.5)/fine, (float64(cell/(32*fine))+0.5)/fine
			mx, my := (x-p.OffsetX)/p.ScaleX/2, (y-p.OffsetY)/p.ScaleY/2
			if mx >= 0 && my >= 0 && mx < 6 && my < 8 && inside[int(mx)*8+int(my)] {
				want[int(y)/8*4+int(x)/8] += 1. / fine / fine / 64
			}
		}
		for name, m := range map[string]*pipeline.Mask{"runs": mask, "polygons": squares} {
			if name == "polygons" && len(m.Polygons) == 0 {
				continue
			}
			shares, err := p.Region(Region{Mask: m}, grid())
			if err != nil {
				t.Fatal(err)
			}
			for i, w := range want {
				got := 0.0
				if shares != nil {
					got = float64(shares[i])
				}
				// Cells of a tenth of a pixel; lines of a quarter pixel through up to 13 edges.
				if tolerance := map[string]float64{"runs": 0.03, "polygons": 0.1}[name]; math.Abs(got-w) > tolerance {
					t.Fatalf("%s: patch %d is covered to %v, counted %v", name, i, got, w)
				}
			}
		}
	})
}
