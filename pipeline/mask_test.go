package pipeline

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

type maskCase struct {
	Height, Width int
	Polygons      [][]float32
	Counts        []uint32
	Pixels        int
	Bounds        [4]float32 // x, y, width, height
}

func maskCases(t *testing.T) []maskCase {
	t.Helper()
	text, err := os.ReadFile("testdata/masks.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []maskCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 100 {
		t.Fatalf("%d cases", len(cases))
	}
	return cases
}

// pixelsOf returns the pixels of runs that take turns, column by column.
func pixelsOf(counts []uint32, size int) []bool {
	pixels := make([]bool, 0, size)
	for i, n := range counts {
		for range n {
			pixels = append(pixels, i%2 == 1)
		}
	}
	return pixels
}

func pixelsIn(spans []span, size int) []bool {
	pixels := make([]bool, size)
	for _, s := range spans {
		for i := s.from; i < s.to; i++ {
			pixels[i] = true
		}
	}
	return pixels
}

// TestPolygonPixels compares filled polygons with those of pycocotools.
func TestPolygonPixels(t *testing.T) {
	for i, c := range maskCases(t) {
		m := Mask{Polygons: c.Polygons}
		got, want := pixelsIn(m.polygonSpans(c.Width, c.Height), c.Width*c.Height), pixelsOf(c.Counts, c.Width*c.Height)
		for at := range want {
			if got[at] != want[at] {
				t.Fatalf("case %d %v: pixel %d, %d is %t, want %t", i, c.Polygons, at/c.Height, at%c.Height, got[at], want[at])
			}
		}
	}
}

func TestRunMask(t *testing.T) {
	for i, c := range maskCases(t) {
		m := Mask{Counts: c.Counts, Height: c.Height, Width: c.Width}
		if got := m.Area(); got != float64(c.Pixels) {
			t.Errorf("case %d: area %v, want %d", i, got, c.Pixels)
		}
		want := Box{c.Bounds[0], c.Bounds[1], c.Bounds[0] + c.Bounds[2], c.Bounds[1] + c.Bounds[3]}
		if c.Pixels == 0 {
			want = Box{}
		}
		if got := m.Bounds(); got != want {
			t.Errorf("case %d: bounds %v, want %v", i, got, want)
		}
	}
}

// coverSlowly adds up the cells of a grid pixel by pixel.
func coverSlowly(pixels []bool, width, height, gridWidth, gridHeight int) []float64 {
	cover := make([]float64, gridWidth*gridHeight)
	w, h := float64(width)/float64(gridWidth), float64(height)/float64(gridHeight)
	overlap := func(a1, a2, b1, b2 float64) float64 { return max(0, min(a2, b2)-max(a1, b1)) }
	for at, in := range pixels {
		if !in {
			continue
		}
		x, y := float64(at/height), float64(at%height)
		for row := range gridHeight {
			for column := range gridWidth {
				cover[row*gridWidth+column] += overlap(x, x+1, float64(column)*w, float64(column+1)*w) *
					overlap(y, y+1, float64(row)*h, float64(row+1)*h) / (w * h)
			}
		}
	}
	return cover
}

func TestCover(t *testing.T) {
	grids := [][2]int{{1, 1}, {3, 2}, {4, 4}, {7, 5}, {50, 60}}
	for i, c := range maskCases(t) {
		grid := grids[i%len(grids)]
		pixels := pixelsOf(c.Counts, c.Width*c.Height)
		want := coverSlowly(pixels, c.Width, c.Height, grid[0], grid[1])
		for name, m := range map[string]*Mask{"polygons": {Polygons: c.Polygons}, "runs": {Counts: c.Counts, Height: c.Height, Width: c.Width}} {
			got := m.Cover(c.Width, c.Height, grid[0], grid[1])
			for cell := range want {
				if math.Abs(float64(got[cell])-want[cell]) > 1e-5 {
					t.Fatalf("case %d, %s: cell %d of %v is %v, want %v", i, name, cell, grid, got[cell], want[cell])
				}
			}
		}
	}
}

// TestCoverOfFarPolygons wants polygons far out of the image to cost no more
// than the image has pixels, and to cover what lies inside.
func TestCoverOfFarPolygons(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		polygon []float32
		want    []float32
	}{
		{[]float32{-1e9, -1e9, 1e9, -1e9, 1e9, 1e9, -1e9, 1e9}, []float32{1, 1, 1, 1}},
		{[]float32{-1e30, -1e30, 50, -1e30, 50, 1e30, -1e30, 1e30}, []float32{1, 0, 1, 0}},
		{[]float32{1e9, 1e9, 2e9, 1e9, 2e9, 2e9}, []float32{0, 0, 0, 0}},
		{[]float32{inf, inf, 2, 2, -inf, 4}, []float32{0, 0, 0, 0}},
		{[]float32{1}, []float32{0, 0, 0, 0}},
	} {
		m := Mask{Polygons: [][]float32{c.polygon}}
		got := m.Cover(100, 100, 2, 2)
		for i := range c.want {
			if math.Abs(float64(got[i]-c.want[i])) > 0.05 {
				t.Errorf("%v covers %v, want %v", c.polygon, got, c.want)
				break
			}
		}
	}
	if got := (&Mask{}).Cover(0, 1, 1, 1); got != nil {
		t.Errorf("cover of no image is %v", got)
	}
}

func TestPolygonAreaAndBounds(t *testing.T) {
	m := Mask{Polygons: [][]float32{{1, 1, 5, 1, 5, 4, 1, 4}, {10, 10, 12, 10, 12, 12}}}
	if got := m.Area(); got != 14 {
		t.Errorf("area %v, want 14", got)
	}
	if got, want := m.Bounds(), (Box{1, 1, 12, 12}); got != want {
		t.Errorf("bounds %v, want %v", got, want)
	}
	if got := (&Mask{Polygons: [][]float32{{}}}).Bounds(); got != (Box{}) {
		t.Errorf("bounds of nothing are %v", got)
	}
}

func FuzzCover(f *testing.F) {
	f.Add(float32(1), float32(2), float32(30), float32(4), float32(-1e20), float32(7), uint32(3), uint32(900))
	f.Add(float32(0), float32(0), float32(10), float32(0), float32(10), float32(10), uint32(0), uint32(4294967295))
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g float32, n, k uint32) {
		for _, m := range []*Mask{{Polygons: [][]float32{{a, b, c, d, e, g}, {g, a}}}, {Counts: []uint32{n, k, n}, Height: 9, Width: 11}} {
			for _, share := range m.Cover(31, 17, 5, 3) {
				if !(share >= 0 && share <= 1) {
					t.Fatalf("share %v", share)
				}
			}
			m.Area()
			m.Bounds()
		}
	})
}
