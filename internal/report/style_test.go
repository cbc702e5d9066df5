package report

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// Contrast of text is at least 4.5, of marks at least 3, in the light and in
// the dark colors (WCAG 2.1, success criteria 1.4.3 and 1.4.11).
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("style.css")
	if err != nil {
		t.Fatal(err)
	}
	more, err := os.ReadFile("ofds.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`)
	schemes, methods := blocks.FindAllStringSubmatch(string(css), -1), blocks.FindAllStringSubmatch(string(more), -1)
	if len(schemes) != 2 || len(methods) != 2 {
		t.Fatalf("%d and %d color schemes, want 2", len(schemes), len(methods))
	}
	for i, scheme := range []string{"light", "dark"} {
		color := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+): #([0-9a-f]{6})`).FindAllStringSubmatch(schemes[i][1]+methods[i][1], -1) {
			color[m[1]] = luminance(t, m[2])
		}
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"ink", "paper", 4.5}, {"ink", "card", 4.5}, {"ink", "warn", 4.5},
			{"soft", "paper", 4.5}, {"soft", "card", 4.5},
			{"kept-ink", "paper", 4.5}, {"kept-ink", "card", 4.5}, {"kept-ink", "tint", 4.5},
			{"cut", "paper", 4.5}, {"prior", "paper", 4.5}, {"conditional", "paper", 4.5},
			{"kept", "paper", 3}, {"kept", "card", 3}, {"dropped", "paper", 3}, {"dropped", "card", 3},
			{"s0", "paper", 3}, {"s1", "paper", 3}, {"s2", "paper", 3}, {"s3", "paper", 3}, {"s4", "paper", 3},
			{"s5", "paper", 3}, {"s6", "paper", 3}, {"s7", "paper", 3}, {"s8", "paper", 3}, {"s9", "paper", 3},
		} {
			front, ok := color[pair.front]
			back, ok2 := color[pair.back]
			if !ok || !ok2 {
				t.Fatalf("%s: no color %s or %s", scheme, pair.front, pair.back)
			}
			ratio := (max(front, back) + 0.05) / (min(front, back) + 0.05)
			if ratio < pair.least {
				t.Errorf("%s: contrast of %s on %s is %.2f, want %.1f", scheme, pair.front, pair.back, ratio, pair.least)
			}
		}
	}
}

// luminance is the relative luminance of WCAG 2.1.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(v) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
