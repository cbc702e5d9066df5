package report

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// ofdsDemo is the report of an invented selection: six classes of discs in
// pictures, a hundred times as many of the first as of the last.
func ofdsDemo(t *testing.T) OFDS {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"erythrocyte", "lymphocyte", "platelet", "monocyte", "eosinophil", "basophil"}
	frequency := []int{9, 3, 3, 2, 1, 1}
	r := OFDS{
		Title: "demo-ofds", Version: "0.5.0", Backend: "go", Method: "OFDS (reconstruction)", Asked: "30 images",
		Config:   "filters: [ofds]\nbudget: 30",
		Options:  []Fact{{"class_order", "rare_first"}, {"quota", "uniform_rollover"}, {"k_policy", "adaptive_uncovered"}, {"representative", "nearest_centroid"}, {"leftover", "repeat"}, {"seed", "17"}},
		Facts:    []Fact{{"vectors", "sam2_object_pointer, 256 dimensions, f16"}, {"fits of k-means", "22"}},
		Warnings: []string{"class neutrophil has no objects in the pool: it cannot be covered"},
		Images:   Counts{RowsIn: 364, Kept: 30, Dropped: []ReasonCount{{"not_chosen", 301}, {"no_proposals", 31}, {"preselected", 2}}},
		Objects:  Counts{RowsIn: 4888, Kept: 4302, Dropped: []ReasonCount{{"low_score", 401}, {"duplicate", 160}, {"small_box", 25}}},
		Figures: Coverage{Reachable: 6, Covered: 6, RareRecall: 0.412, RareLift: 5, ModeRecall: 0.79, Modes: 61, ModesHit: 49,
			CoverP95: 0.7044, Balance: 0.71},
		Classes: []Class{{Name: "neutrophil", Unreachable: true}},
	}
	for c, n := range []int64{3510, 322, 361, 71, 31, 7} {
		class := Class{Name: names[c], Bin: []string{"frequent", "frequent", "frequent", "common", "common", "rare"}[c], Objects: n, Images: min(n, 340), Quota: 5, Chosen: 5, Achieved: n/12 + 5}
		class.Achieved = min(class.Achieved, n)
		r.ChosenObjects += class.Achieved
		r.Classes = append(r.Classes, class)
		r.Maps = append(r.Maps, demoMap(random, names[c], int(min(n, 900))))
	}
	r.Curves = demoCurves(random)
	for i := range 30 {
		r.Picks = append(r.Picks, demoPick(t, random, i, names, frequency))
	}
	r.Picks[7].Thumbnail, r.Picks[7].Problem = Thumbnail{}, "the image is cut short after 4,096 bytes"
	return r
}

// demoPick draws a picture of discs.
func demoPick(t *testing.T, random *rand.Rand, i int, names []string, frequency []int) Pick {
	t.Helper()
	w, h := 640, 480
	if i%5 == 3 {
		w, h = 480, 640
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(226 + x*20/w), uint8(214 + y*20/h), 222, 255})
		}
	}
	p := Pick{ID: fmt.Sprintf("BloodImage_%05d.jpg", i*11), Reason: Reason{Kind: "coverage", Class: names[i/5],
		Cluster: i % 5, K: 5 + i%3, Size: 3 + i*7%60, Distance: 0.2 + random.Float64()/3, Round: i / 20}}
	colors := []color.RGBA{{205, 130, 140, 255}, {120, 90, 170, 255}, {150, 100, 190, 255}, {90, 70, 150, 255}, {220, 100, 90, 255}, {60, 50, 120, 255}}
	for c, name := range names {
		for range frequency[c] {
			if c > 0 && name != p.Reason.Class && random.Float64() < 0.7 {
				continue
			}
			radius := 18 + random.Float64()*30
			x, y := radius+random.Float64()*(float64(w)-2*radius), radius+random.Float64()*(float64(h)-2*radius)
			disc(img, x, y, radius, colors[c])
			p.Boxes = append(p.Boxes, Box{name, float32(0.35 + random.Float64()*0.6), float32(x - radius), float32(y - radius), float32(x + radius), float32(y + radius), false})
		}
	}
	own := slices.IndexFunc(p.Boxes, func(b Box) bool { return b.Class == p.Reason.Class })
	p.Boxes[own].Representative = true
	var err error
	if p.Thumbnail, err = NewThumbnail(img); err != nil {
		t.Fatal(err)
	}
	return p
}

func disc(img *image.RGBA, cx, cy, radius float64, c color.RGBA) {
	for y := int(cy - radius); y <= int(cy+radius); y++ {
		for x := int(cx - radius); x <= int(cx+radius); x++ {
			if math.Hypot(float64(x)-cx, float64(y)-cy) < radius {
				img.SetRGBA(x, y, c)
			}
		}
	}
}

// demoMap has four groups of points.
func demoMap(random *rand.Rand, class string, n int) ClassMap {
	m := ClassMap{Class: class, Shown: 0.37}
	for i := range n {
		g := i % 4
		p := MapPoint{X: math.Cos(float64(g)*1.7) + random.NormFloat64()*0.2, Y: 0.7*math.Sin(float64(g)*1.7) + random.NormFloat64()*0.13,
			Chosen: random.Float64() < 0.1, Representative: i < 5, Label: fmt.Sprintf("object %d", i)}
		p.Chosen = p.Chosen || p.Representative
		m.Points = append(m.Points, p)
	}
	return m
}

// demoCurves has four figures of ten methods.
func demoCurves(random *rand.Rand) []CoverageChart {
	methods := []string{"ofds", "random", "class_balanced_random", "k-center", "k-means image", "TypiClust", "ProbCover", "FreeSel", "ActiveFT", "object-D2"}
	charts := []CoverageChart{
		{Name: "Class coverage", Meaning: "Classes with an object in a chosen image, of those that have objects."},
		{Name: "Recall of rare classes", Meaning: "Objects of rare classes that are in chosen images."},
		{Name: "Cover radius", Meaning: "95 % of a class's objects are this near to a chosen one; mean over classes.", Lower: true},
		{Name: "Clusters hit", Meaning: "Clusters of a class with an object in a chosen image; mean over classes."},
	}
	for i := range charts {
		for m, method := range methods {
			s := Series{Name: method}
			gain := 1 + 0.5*random.Float64()
			if m == 0 {
				gain = 2.2
			}
			for _, budget := range []int64{5, 10, 20, 40, 80} {
				x := 1 - math.Exp(-gain*float64(budget)/40)
				if charts[i].Lower {
					x = 1.4 - x
				}
				s.Points = append(s.Points, BudgetPoint{budget, x, 0.01 + 0.02*random.Float64()})
			}
			if method == "ActiveFT" {
				s.Points, s.Failed = s.Points[:0], "the pool has no image vectors"
			}
			charts[i].Series = append(charts[i].Series, s)
		}
	}
	return charts
}
