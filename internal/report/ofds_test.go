package report

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
)

var ofdsFile = flag.String("ofds-page", "", "write the page of the invented selection to this file, to look at it")

func ofdsPage(t *testing.T, r OFDS) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteOFDS(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// ofdsHostile is a report in which every text attacks the page, and every number
// that can be absurd is.
func ofdsHostile(t *testing.T) OFDS {
	t.Helper()
	evil := "<script>alert(1)</script>\" onload='x' </style></svg>--> {{.Config}} javascript:alert(1) url(https://evil.example)"
	bad := "bad \xff bytes \x00 \u202e reversed \ufffe"
	nan, inf := math.NaN(), math.Inf(1)
	thumb, err := NewThumbnail(image.NewGray(image.Rect(0, 0, 3, 2000)))
	if err != nil {
		t.Fatal(err)
	}
	r := OFDS{
		Title: evil, Version: bad, Backend: evil, Method: evil, Config: evil + bad, Asked: evil, Warnings: []string{evil, bad, "", strings.Repeat("y", 5000)},
		Options: []Fact{{evil, bad}}, Facts: []Fact{{bad, evil}},
		Images:  Counts{RowsIn: 3, Kept: math.MaxInt64, Dropped: []ReasonCount{{evil, -1}, {bad, 3}}},
		Objects: Counts{RowsIn: 0, Kept: -3}, ChosenObjects: math.MinInt64,
		Figures: Coverage{Reachable: -1, Covered: 7, RareRecall: inf, RareLift: nan, ModeRecall: nan, Modes: -1, CoverP95: -inf, Balance: nan},
	}
	for i := range int64(60) {
		r.Warnings = append(r.Warnings, fmt.Sprint(bad, i))
		r.Classes = append(r.Classes, Class{Name: evil, Bin: bad, Objects: i - 1, Images: -i, Achieved: 2 * i, Quota: math.MaxInt64, Starved: true, Unreachable: i%2 == 0})
		m := ClassMap{Class: evil, Shown: nan, Points: []MapPoint{{nan, 1, true, true, evil}, {inf, 0, true, true, bad}, {1e300, 0, false, false, ""}}}
		if i%2 == 0 {
			m.Points = append(m.Points, MapPoint{5, 5, true, true, evil})
		}
		r.Maps = append(r.Maps, m)
		r.Picks = append(r.Picks, Pick{ID: evil, URI: bad, Group: evil, Problem: evil,
			Reason: Reason{Kind: bad, Class: evil, Representative: evil, Round: int(-i), Cluster: -5, K: 1, Size: -1, Distance: nan}})
	}
	r.Picks[0].Thumbnail = thumb
	r.Picks[0].Reason.Kind = "coverage"
	for i := range 200 {
		r.Picks[0].Boxes = append(r.Picks[0].Boxes, Box{Class: evil + fmt.Sprint(i%20), Score: float32(nan), X1: -5, X2: 1e30, Y2: float32(i)})
	}
	r.Picks[0].Boxes = append(r.Picks[0].Boxes, Box{X1: float32(nan), X2: 1, Y2: 1}, Box{X2: float32(inf), Y2: 1}, Box{X1: 3, X2: 1, Y2: 1})
	for i := range 25 {
		s := Series{Name: fmt.Sprint(evil, i), Failed: bad, Points: []BudgetPoint{
			{-1, 0, 0}, {0, nan, nan}, {1, inf, 1}, {2, 1e300, 1}, {3, -4, inf}, {3, 1e14, 1e300}, {1 << 60, 0.5, -1}}}
		r.Curves = append(r.Curves, CoverageChart{Name: evil, Meaning: bad, Lower: true, Series: []Series{{Name: "none"}}})
		r.Curves[0].Series = append(r.Curves[0].Series, s)
	}
	return r
}

func TestOFDSPage(t *testing.T) {
	r := ofdsDemo(t)
	html := ofdsPage(t, r)
	if *ofdsFile != "" {
		if err := os.WriteFile(*ofdsFile, []byte(html), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for what, want := range map[string]int{
		`<td data-name="got">`: 7, `<article class="card pick">`: 30, `<image href="data:image/jpeg;base64,`: 29, `class="box own"`: 29,
		`<figure class="map">`: 6, `class="dots rest"`: 6, `<circle class="ring"`: 30, `<path class="band"`: 4,
		`<path class="method `: 40, `<circle class="method `: 4 * 9 * 5, `<span class="entry s`: 10, "class=\"flag\">no objects<": 1,
	} {
		if got := strings.Count(html, what); got != want {
			t.Errorf("%d of %s, want %d", got, what, want)
		}
	}
	text := plainText(html)
	for _, want := range []string{
		"OFDS (reconstruction) chose 30 of 364 images (8.2\u00a0%), which show all 6 classes.",
		"5 for erythrocyte: nearest to the centre of cluster 5 of 6, 31 objects; distance ",
		"26 for basophil: nearest to the centre of cluster 1 of 6, 58 objects; distance ",
		"; round 2 1 basophil 9 erythrocyte",
		"364 images in = 30 chosen + 334 dropped", "4,888 objects in = 4,302 in the pool + 586 dropped",
		"ActiveFT (stopped: the pool has no image vectors)", "the image is cut short after 4,096 bytes",
		"platelet frequent", "361 340 5 5 35 9.7\u00a0%", "BloodImage_00011.jpg",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(text, "do not add up") {
		t.Error("the counts add up, the page says they do not")
	}
	if again := ofdsPage(t, ofdsDemo(t)); again != html {
		t.Error("the same report gave another page")
	}
}

// plainText is what a page says, without its elements.
func plainText(html string) string {
	html = regexp.MustCompile(`(?s)<style>.*?</style>|<title.*?</title>|<desc.*?</desc>`).ReplaceAllString(html, " ")
	html = regexp.MustCompile(`</?(strong|bdi|small|span)[^>]*>`).ReplaceAllString(html, "")
	html = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(html, " ")
	html = strings.NewReplacer("&#43;", "+", "&#39;", "'", "&lt;", "<", "&gt;", ">").Replace(html)
	return strings.Join(strings.FieldsFunc(html, func(r rune) bool { return r == ' ' || r == '\n' }), " ")
}

func TestOFDSHostileTexts(t *testing.T) {
	html := ofdsPage(t, ofdsHostile(t))
	if strings.Contains(html, "<script") || len(html) > 1_000_000 {
		t.Errorf("page of %d bytes holds a script or a long text", len(html))
	}
	for _, r := range html {
		if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == 0xfffe {
			t.Errorf("page holds %U", r)
		}
	}
	text := plainText(html)
	for _, want := range []string{
		"<script>alert(1)</script>", "[U+202E]", "53 boxes are not drawn", "The first 48 of 9,223,372,036,854,775,807.",
		"36 more classes are not drawn.", "20 more classes", "The counts do not add up", "60 more warnings",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("page lacks %q", want)
		}
	}
	if m := regexp.MustCompile(`(width|height|r)="-[^"]*"`).FindString(html); m != "" {
		t.Errorf("page holds %s", m)
	}
	for _, bad := range []string{"NaN", "Inf", "+∞"} {
		if strings.Contains(text, bad) {
			t.Errorf("page says %q", bad)
		}
	}
}

func TestReasonInWords(t *testing.T) {
	for want, r := range map[string]Reason{
		"nearest to the centre of cluster 3 of 12, 14 objects; distance 0.31":    {Kind: "coverage", Cluster: 2, K: 12, Size: 14, Distance: 0.312},
		"highest score in cluster 1 of 1, 1 object; round 2":                     {Kind: "coverage", Representative: "max_score", K: 1, Size: 1, Round: 1, Distance: -1},
		"nearest to all others of its cluster":                                   {Kind: "coverage", Representative: "medoid", Distance: math.NaN()},
		"by new_rule from cluster 1 of 2; distance 0.00":                         {Kind: "coverage", Representative: "new_rule", K: 2},
		"fills the budget that coverage could not spend; round 3":                {Kind: "leftover", Round: 2, Distance: -1},
		"an image without objects, for the background":                           {Kind: "background", Distance: -1},
		"by the method, which gives no reason":                                   {Kind: "method", Distance: -1},
		"stands in for another":                                                  {Kind: "stands in for another", Distance: math.Inf(1)},
		"drawn at random from cluster 1,000 of 2,000, 14 objects; distance 0.31": {Kind: "coverage", Representative: "random", Cluster: 999, K: 2000, Size: 14, Distance: 0.31},
	} {
		if got := r.words(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestThumbnail(t *testing.T) {
	// Four quarters of plain colors, and the last one half transparent.
	img := image.NewNRGBA(image.Rect(10, 20, 10+960, 20+480))
	for y := range 480 {
		for x := range 960 {
			c := color.NRGBA{255, 0, 0, 255}
			switch {
			case y >= 240 && x >= 480:
				c = color.NRGBA{0, 0, 0, 128}
			case y >= 240:
				c = color.NRGBA{0, 0, 255, 255}
			case x >= 480:
				c = color.NRGBA{uint8(255 * (x % 2)), uint8(255 * (x % 2)), uint8(255 * (x % 2)), 255}
			}
			img.SetNRGBA(10+x, 20+y, c)
		}
	}
	thumb, err := NewThumbnail(img)
	if err != nil {
		t.Fatal(err)
	}
	small, err := jpeg.Decode(bytes.NewReader(thumb.JPEG))
	if err != nil {
		t.Fatal(err)
	}
	if size := small.Bounds(); size.Dx() != 240 || size.Dy() != 120 || thumb.Width != 960 || thumb.Height != 480 {
		t.Fatalf("thumbnail %v of %d x %d", size, thumb.Width, thumb.Height)
	}
	for at, want := range map[image.Point][3]float64{{60, 30}: {255, 0, 0}, {60, 90}: {0, 0, 255}, {180, 90}: {127, 127, 127}, {180, 30}: {127, 127, 127}} {
		r, g, b, _ := small.At(at.X, at.Y).RGBA()
		for i, got := range []uint32{r >> 8, g >> 8, b >> 8} {
			if math.Abs(float64(got)-want[i]) > 8 { // JPEG rounds
				t.Errorf("pixel %v is %d %d %d, want %v", at, r>>8, g>>8, b>>8, want)
				break
			}
		}
	}
	for _, size := range []image.Point{{3, 2}, {1, 5000}, {5000, 1}, {241, 400}} {
		thumb, err := NewThumbnail(image.NewGray(image.Rectangle{Max: size}))
		if err != nil {
			t.Fatal(err)
		}
		config, err := jpeg.DecodeConfig(bytes.NewReader(thumb.JPEG))
		if err != nil || config.Width > thumbWidth || config.Height > thumbHeight || thumb.Width != size.X {
			t.Errorf("%v became %d x %d, %v", size, config.Width, config.Height, err)
		}
	}
	if _, err := NewThumbnail(image.NewGray(image.Rectangle{})); err == nil {
		t.Error("an empty image has a thumbnail")
	}
}

func TestBadThumbnail(t *testing.T) {
	good, err := NewThumbnail(image.NewGray(image.Rect(0, 0, 9, 9)))
	if err != nil {
		t.Fatal(err)
	}
	for want, thumb := range map[string]Thumbnail{
		"no JPEG":       {JPEG: []byte("<svg onload=alert(1)>"), Width: 1, Height: 1},
		"0 x 9 pixels":  {JPEG: good.JPEG, Height: 9},
		"more than a m": {JPEG: append(bytes.Clone(good.JPEG), make([]byte, 1<<20)...), Width: 9, Height: 9},
	} {
		err := WriteOFDS(io.Discard, OFDS{Method: "random", Picks: []Pick{{ID: "a.png", Thumbnail: thumb}}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `make report of random: image "a.png"`) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := WriteOFDS(failing{}, OFDS{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// The drawing by hand: budgets of 1, 10 and 100 on a logarithmic axis.
func TestCoverageGeometry(t *testing.T) {
	points := []BudgetPoint{{1, 0, math.NaN()}, {10, 0.5, 0.1}, {100, 1, 0.1}}
	charts := []CoverageChart{{Name: "x", Series: []Series{{Name: "a", Points: points}, {Name: "b", Points: points[:1]}}}}
	_, class := legend(charts)
	v := newCoverageView(charts[0], "id", "objects", class)
	a := v.Lines[1] // drawn last
	if v.XLabel != "budget in objects" || a.Dots[1].Tip != "a, 10 objects: 0.500 ± 0.100" {
		t.Errorf("%q, %q", v.XLabel, a.Dots[1].Tip)
	}
	if len(v.X) != 3 || v.X[1].At != 50 || v.X[1].Label != "10" || a.Name != "a" || a.Class != "s0" || len(a.Dots) != 3 {
		t.Fatalf("ticks %v, line %+v", v.X, a)
	}
	if a.Dots[0].Y != 220 || a.Dots[2].Y >= a.Dots[1].Y || a.Dots[2].Y <= 0 {
		t.Errorf("dots at %v", a.Dots)
	}
	if want := fmt.Sprintf("M0 220L500 %vL1000 %v", a.Dots[1].Y, a.Dots[2].Y); a.Path != want {
		t.Errorf("path %s, want %s", a.Path, want)
	}
	var upper, top, bottomRight, lower float64
	if _, err := fmt.Sscanf(v.Band, "M500 %gL1000 %gL1000 %gL500 %gZ", &upper, &top, &bottomRight, &lower); err != nil {
		t.Fatalf("band %s: %v", v.Band, err)
	}
	// Twice the error is 0.2, a fifth of what lies between the first dot and the last.
	want := 0.2 * float64(a.Dots[0].Y-a.Dots[2].Y)
	for _, edge := range []float64{float64(a.Dots[1].Y) - upper, lower - float64(a.Dots[1].Y), float64(a.Dots[2].Y) - top, bottomRight - float64(a.Dots[2].Y)} {
		if math.Abs(edge-want) > 0.02 {
			t.Errorf("the band ends %v from the line, want %v", edge, want)
		}
	}
	if got := strings.Join(v.Table[0].Cells, "|"); got != "0.000|0.500 ± 0.100|1.000 ± 0.100" {
		t.Errorf("table %s", got)
	}
	if got := strings.Join(v.Table[1].Cells, "|"); got != "0.000|–|–" {
		t.Errorf("table %s", got)
	}
}

// The map keeps distances: a unit across is as long as a unit down.
func TestMapGeometry(t *testing.T) {
	v := newMapView(ClassMap{Class: "a", Points: []MapPoint{{0, 0, false, false, ""}, {4, 0, true, false, ""}, {4, 3, true, true, "r"}}}, "id")
	if len(v.Rings) != 1 || v.Rest == "" {
		t.Fatalf("%+v", v)
	}
	var ax, ay, bx, by float64
	if _, err := fmt.Sscanf(v.Chosen, "M%g %gh0M%g %gh0", &ax, &ay, &bx, &by); err != nil {
		t.Fatal(v.Chosen, err)
	}
	var ox, oy float64
	if _, err := fmt.Sscanf(v.Rest, "M%g %gh0", &ox, &oy); err != nil {
		t.Fatal(err)
	}
	if across, up := (ax-ox)/4, (ay-by)/3; math.Abs(across-up) > 0.1 || across <= 0 || ay != oy || bx != ax {
		t.Errorf("a unit is %v across and %v up", across, up)
	}
	if v.Summary != "3 objects drawn, 2 in chosen images, 1 image chosen for one; the plane shows 0\u00a0% of the variance." {
		t.Errorf("summary %q", v.Summary)
	}
}

// The box of the object that matters lies on top, then those of its class.
func TestBoxesOnTop(t *testing.T) {
	thumb, err := NewThumbnail(image.NewGray(image.Rect(0, 0, 100, 50)))
	if err != nil {
		t.Fatal(err)
	}
	p := Pick{Thumbnail: thumb, Reason: Reason{Class: "a"}, Boxes: []Box{
		{"a", 0.5, 0, 0, 10, 20, true}, {"a", 0.7, 1, 0, 11, 20, false}, {"b", 0.9, 2, 0, 12, 20, false}, {"b", 0.8, 3, 5, 13, 20, false}, {"a", 0.9, 4, 0, 14, 20, false}}}
	for i := range 200 {
		p.Boxes = append(p.Boxes, Box{Class: "c", Score: 0.1, X1: float32(i), X2: 300, Y2: 20})
	}
	picks, err := newPicks([]Pick{p})
	if err != nil {
		t.Fatal(err)
	}
	boxes := picks[0].Boxes
	var top []string
	for _, b := range boxes[len(boxes)-5:] {
		top = append(top, fmt.Sprint(b.X, b.Y, b.W, b.H, b.Kind, " ", b.Tip))
	}
	want := "3 5 10 15other b 0.80|2 0 10 20other b 0.90|1 0 10 20same a 0.70|4 0 10 20same a 0.90|0 0 10 20own a 0.50"
	if got := strings.Join(top, "|"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(boxes) != mostBoxes || picks[0].Hidden != "55 boxes are not drawn" {
		t.Errorf("%d boxes, %q", len(boxes), picks[0].Hidden)
	}
	if got := fmt.Sprint(picks[0].Counts); got != "[{a 3 true} {c 200 false} {b 2 false}]" {
		t.Errorf("counts %s", got)
	}
}

func TestClassRows(t *testing.T) {
	rows := classRows([]Class{
		{Name: "many", Objects: 80, Images: 40, Achieved: 10}, {Name: "missed", Objects: 20, Images: 10, Quota: 1, Starved: true},
		{Name: "one", Objects: 100, Images: 9, Achieved: 1}, {Name: "none"}})
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprint(r.Name, " ", r.PoolW, r.ChosenW, " ", r.Recall, r.Unreachable, r.Uncovered, r.Starved))
	}
	// Shares are 40, 10, 50 % of the pool and 91, 0, 9 % of what was chosen.
	want := "none 0 0 –true false false|one 55 10 1.0\u00a0%false false false|missed 11 0 0.0\u00a0%false true true|many 44 100 12.5\u00a0%false false false"
	if got := strings.Join(got, "|"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
