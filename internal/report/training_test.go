package report

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func trainingPage(t *testing.T, page Training) string {
	t.Helper()
	var first, second bytes.Buffer
	if err := WriteTraining(&first, page); err != nil {
		t.Fatal(err)
	}
	if err := WriteTraining(&second, page); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Error("the same page has other bytes the second time")
	}
	return first.String()
}

func TestTrainingPage(t *testing.T) {
	from, to := 8.5, 6.25
	page := Training{
		Title: "prior", Version: "1", Backend: "go", Facts: []Fact{{"From", "<script>alert(1)</script>"}}, Result: `{"key": "<b>"}`,
		Curve: Curve{Name: "prior", HeldoutFrom: &from, Steps: []Point{
			{Step: 1, Tokens: 100, Loss: 8.4, LearningRate: 1e-3, GradNorm: 2.5}, {Step: 2, Tokens: 200, Loss: 7, LearningRate: 5e-4, GradNorm: 1},
			{Step: 3, Tokens: 300, Loss: 6.3, Heldout: &to, LearningRate: 1e-4, GradNorm: math.NaN()},
		}},
	}
	html := trainingPage(t, page)
	for _, want := range []string{
		"8.500 to 6.250", "\u22122.250 since", "learning rate, highest 1e-3", "gradient norm before clipping, highest 2.5",
		"held-out loss 8.500 after 0 tokens", "held-out 8.50 to 6.25", "&lt;script&gt;", "default-src 'none'",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(html, "<script") || strings.Contains(html, "<b>") {
		t.Error("the page does not escape what it shows")
	}
	page.Curve.HeldoutFrom, page.Curve.Steps[2].Heldout = nil, nil
	if html := trainingPage(t, page); !strings.Contains(html, "nothing was held out") || strings.Contains(html, "perplexity") {
		t.Error("without held-out losses the page speaks of them")
	}
	if html := trainingPage(t, Training{Title: "prior"}); !strings.Contains(html, "No step was logged") {
		t.Error("an empty run is not named")
	}
}
