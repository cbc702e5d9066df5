package report

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestTicks(t *testing.T) {
	for _, test := range []struct {
		low, high float64
		n         int
		want      string
	}{
		{-0.2, 0.13, 7, "−0.20 −0.15 −0.10 −0.05 0.00 0.05 0.10"},
		{0, 1, 4, "0.00 0.25 0.50 0.75 1.00"},
		{4.84, 5.83, 5, "5.0 5.2 5.4 5.6 5.8"},
		{0, 0, 5, "0"},
		{7, 7, 5, "7"},
	} {
		var got []string
		for _, tick := range across(test.low, test.high).ticks(test.n, real) {
			got = append(got, tick.Label)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("ticks of %v..%v: %q, want %q", test.low, test.high, got, test.want)
		}
	}
	for _, tick := range down(0, 50, 220).ticks(4, whole) {
		if want := map[string]coord{"0": 220, "20": 132, "40": 44}[tick.Label]; tick.At != want {
			t.Errorf("tick %s at %v, want %v", tick.Label, tick.At, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	check := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check(count(0), "0")
	check(count(-1234567), "−1,234,567")
	check(count(math.MaxInt64), "9,223,372,036,854,775,807")
	check(compact(1500), "1.5k")
	check(compact(26_214_400), "26.21M")
	check(percent(130, 1040), "12.5\u00a0%")
	check(percent(41, 100), "41\u00a0%")
	check(percent(1, 100_000), "0.001\u00a0%")
	check(percent(999_999, 1_000_000), "99.9\u00a0%")
	check(percent(7, 7), "100\u00a0%")
	check(percent(0, 0), "–")
	check(evenly(1, 100), "1.0\u00a0%")
	check(evenly(1, 10_000), "<0.1\u00a0%")
	check(evenly(0, 5), "0.0\u00a0%")
	check(signed(0.0704, 3), "+0.070")
	check(signed(-0.0704, 3), "−0.070")
	check(signed(-0.0001, 3), "0.000")
	check(fixed(math.NaN(), 3), "–")
	check(fixed(1e300, 2), "1.00e+300")
	check(scientific(0.002), "2e-3")
	check(scientific(3.96e-4), "3.96e-4")
	check(scientific(0), "0")
	check(scientific(math.Inf(1)), "–")
	check(lift(6.384), "×6.38")
	check(lift(math.NaN()), "–")
	check(headline(15_123_456_789_012), "15.12 trillion")
}

func TestTidyKeepsEveryRow(t *testing.T) {
	var bins []Bin
	var kept, dropped int64
	for i := 999; i >= 0; i-- { // out of order, with empty ends
		b := Bin{Low: float64(i), High: float64(i + 1)}
		if i >= 100 && i < 900 {
			b.Kept, b.Dropped = int64(i), int64(2*i)
			kept, dropped = kept+b.Kept, dropped+b.Dropped
		}
		bins = append(bins, b)
	}
	got := tidy(bins)
	if len(got) > mostBins {
		t.Errorf("%d bins, want at most %d", len(got), mostBins)
	}
	if got[0].Low != 100 || got[len(got)-1].High != 900 {
		t.Errorf("bins from %v to %v, want 100 to 900", got[0].Low, got[len(got)-1].High)
	}
	for i, b := range got {
		kept, dropped = kept-b.Kept, dropped-b.Dropped
		if i > 0 && b.Low != got[i-1].High {
			t.Errorf("bin %d begins at %v, the one before ends at %v", i, b.Low, got[i-1].High)
		}
	}
	if kept != 0 || dropped != 0 {
		t.Errorf("lost %d kept and %d dropped rows", kept, dropped)
	}
}

// The drawing by hand: three bins over 0..3, the tallest of 40 rows.
func TestScoreChartGeometry(t *testing.T) {
	c := newScoreChart(Scores{Cut: 1.5, Bins: []Bin{{0, 1, 0, 20}, {1, 2, 10, 30}, {2, 3, 1, 0}}}, 11, "documents")
	type box struct{ keptY, keptH, dropY, dropH coord }
	want := []box{{220, 0, 110, 110}, {165, 55, 0, 165}, {214.5, 5.5, 214.5, 0}}
	for i, b := range c.Bars {
		if got := (box{b.KeptY, b.KeptH, b.DropY, b.DropH}); got != want[i] {
			t.Errorf("bar %d: %v, want %v", i, got, want[i])
		}
	}
	if c.Cut == nil || c.Cut.X != 50 || c.Cut.Left || c.Cut.Label != "cut +1.5000, 11 kept" {
		t.Errorf("cut %+v", c.Cut)
	}
	if c := newScoreChart(Scores{Cut: float32(math.NaN()), Bins: []Bin{{0, 1, 1, 0}}}, 1, "documents"); c.Cut != nil {
		t.Error("a method without a cut got a line")
	}
	if c := newScoreChart(Scores{Cut: 9, Bins: []Bin{{0, 1, 0, 5}}}, 0, "documents"); c.Cut.X != 100 || !c.Cut.Left {
		t.Errorf("cut beyond the bins: %+v", c.Cut)
	}
}

func TestMedian(t *testing.T) {
	// 1 row in 0..1, 3 in 1..2: half of 4 is reached a third into the second.
	if got, want := median([]Bin{{0, 1, 1, 0}, {1, 2, 2, 1}}), 1+1.0/3; math.Abs(got-want) > 1e-12 {
		t.Errorf("median %v, want %v", got, want)
	}
}

// A local line reproduces lines, also at both ends, and averages noise.
func TestSmoothed(t *testing.T) {
	var line, noisy []Point
	for i := range 200 {
		noise := float64(i%2)*2 - 1
		line = append(line, Point{Step: int64(i), Loss: 8 - 0.01*float64(i)})
		noisy = append(noisy, Point{Step: int64(i), Loss: 8 - 0.01*float64(i) + noise})
	}
	step := func(p Point) float64 { return float64(p.Step) }
	for i, p := range smoothed(line, step) {
		if math.Abs(p.Loss-line[i].Loss) > 1e-9 {
			t.Errorf("point %d of a line moved from %v to %v", i, line[i].Loss, p.Loss)
		}
	}
	for i, p := range smoothed(noisy, step) {
		if math.Abs(p.Loss-line[i].Loss) > 0.35 {
			t.Errorf("point %d: %v, the line without noise is at %v", i, p.Loss, line[i].Loss)
		}
	}
	if got := smoothed([]Point{{Loss: 3}}, step); got[0].Loss != 3 {
		t.Errorf("one point became %v", got[0].Loss)
	}
}

func TestThinKeepsMeanAndEnds(t *testing.T) {
	var points []Point
	for i := range 5001 {
		points = append(points, Point{Step: int64(i), Loss: float64(i)})
	}
	got := thin(points, 500)
	if len(got) > 502 || got[0].Step != 0 || got[len(got)-1].Step != 5000 {
		t.Errorf("%d points from %d to %d", len(got), got[0].Step, got[len(got)-1].Step)
	}
	if got[1].Step != 11 || got[1].Loss != 6 { // steps 1 to 11
		t.Errorf("first group %+v", got[1])
	}
}

// A single spike must not flatten the curve.
func TestSpikeIsCutOff(t *testing.T) {
	var points []Point
	for i := range 400 {
		points = append(points, Point{Step: int64(i), Tokens: int64(i), Loss: 5 - float64(i)/400})
	}
	points[200].Loss = 50
	c := newCurveChart(Curve{Name: "prior", Steps: points}, "prior")
	if top := c.Y[len(c.Y)-1].Label; len(top) > 4 {
		t.Errorf("highest tick %s", top)
	}
	if len(c.Strips) > 0 || len(c.Held) > 0 {
		t.Error("a strip or held-out points without data")
	}
}

func TestDomainShares(t *testing.T) {
	v := newDomainView([]Domain{
		{"docs", 60, 600, 2, 20}, {"books", 10, 200, 8, 160}, {"new", 0, 0, 0, 0}, {"", 30, 200, 0, 0}}, "documents")
	var got []string
	for _, r := range v.Rows {
		got = append(got, strings.Join([]string{r.Name, r.Before, r.After, r.Lift, r.Rate, r.TokenAfter}, "|"))
	}
	want := []string{
		"books|10.0\u00a0%|80.0\u00a0%|×8.00|80.0\u00a0%|88.9\u00a0%",
		"docs|60.0\u00a0%|20.0\u00a0%|×0.33|3.3\u00a0%|11.1\u00a0%",
		"(no domain)|30.0\u00a0%|0.0\u00a0%|×0.00|0.0\u00a0%|0.0\u00a0%",
		"new|0.0\u00a0%|0.0\u00a0%|–|–|0.0\u00a0%",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v.Rows[0].AfterW != 100 || v.Rows[0].BeforeW != 12.5 {
		t.Errorf("bars %v %v, want 12.5 and 100", v.Rows[0].BeforeW, v.Rows[0].AfterW)
	}
}

func TestManyDomainsAreJoined(t *testing.T) {
	var many []Domain
	for i := range 100 {
		many = append(many, Domain{Name: strings.Repeat("d", i+1), Rows: int64(i + 1), KeptRows: 1})
	}
	v := newDomainView(many, "documents")
	last := v.Rows[len(v.Rows)-1]
	if len(v.Rows) != mostDomains || last.Name != "77 smaller domains" || last.Kept != "77" || last.Rows != count(77*78/2) {
		t.Errorf("%d lines, the last %+v", len(v.Rows), last)
	}
	if v.Total.Rows != "5,050" || v.Total.Kept != "100" {
		t.Errorf("total %+v", v.Total)
	}
}

func TestExcerpt(t *testing.T) {
	for _, text := range []string{
		"", "short", strings.Repeat("word ", 90), strings.Repeat("word ", 200), strings.Repeat("é", 5000), strings.Repeat("l\n", 40),
		strings.Repeat("a", mostBytes-1) + "é" + "tail", strings.Repeat("\xff", 9000),
	} {
		head, rest, left := excerpt(text)
		if n := utf8.RuneCountInString(head); n > headRunes*5/4 || strings.Count(head, "\n") > headLines {
			t.Errorf("head of %.20q has %d characters in %d lines", text, n, strings.Count(head, "\n")+1)
		}
		shown := text[:len(text)-left]
		if squash(head+" "+rest) != squash(clean(shown)) {
			t.Errorf("head and rest of %.20q are not the text", text)
		}
		if len(shown) > mostBytes || left > 0 && len(shown) < mostBytes-utf8.UTFMax {
			t.Errorf("%d bytes of %.20q are shown", len(shown), text)
		}
	}
	head, rest, _ := excerpt(strings.Repeat("word ", 200))
	if !strings.HasSuffix(head, "word") || !strings.HasPrefix(rest, " word") {
		t.Errorf("cut inside a word: %q then %q", head[len(head)-8:], rest[:8])
	}
}

func squash(s string) string { return strings.Join(strings.Fields(s), "") }
