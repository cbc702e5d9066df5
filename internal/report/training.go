package report

import (
	"fmt"
	"html/template"
	"io"
	"math"
)

// Training is what the page of one trained model shows.
type Training struct {
	Title   string // such as "prior"
	Version string // version of curate
	Backend string // name of the backend
	Curve   Curve  // its name is the hue's: prior or conditional
	Facts   []Fact // shown in this order
	Result  string // what the run left, as JSON
}

// trainingView is what the template of the page of a model reads.
type trainingView struct {
	frame
	Curve *curveChart
}

// WriteTraining writes the page of a trained model: equal Trainings give equal
// bytes. Errors are those of w.
func WriteTraining(w io.Writer, t Training) error {
	css, err := files.ReadFile("style.css")
	if err != nil {
		return fmt.Errorf("read report style: %w", err)
	}
	page, err := template.New("training.html").ParseFS(files, "training.html", "charts.html", "shared.html")
	if err != nil {
		return fmt.Errorf("parse training template: %w", err)
	}
	if err := page.Execute(w, newTrainingView(t, template.CSS(css))); err != nil {
		return fmt.Errorf("write training page: %w", err)
	}
	return nil
}

func newTrainingView(t Training, style template.CSS) trainingView {
	v := trainingView{frame: newFrame(t.Title, t.Version, t.Backend, t.Facts, t.Result)}
	v.Style = style
	hue := "prior"
	if t.Curve.Name == "conditional" {
		hue = "conditional"
	}
	if v.Curve = newCurveChart(t.Curve, hue); v.Curve == nil {
		v.Lead = []phrase{{"No step was logged.", false}}
		return v
	}
	v.Curve.ID = "curve"
	last := t.Curve.Steps[len(t.Curve.Steps)-1]
	v.Tiles = []tile{{"tokens seen", headline(last.Tokens), "in " + count(last.Step) + " steps"}, {"training loss", fixed(last.Loss, 3), "of the last step, nats per token"}}
	held := heldPoints(t.Curve, t.Curve.Steps)
	if len(held) == 0 {
		v.Lead = []phrase{{"Trained ", false}, {count(last.Step), true}, {" steps; nothing was held out.", false}}
		return v
	}
	from, to := *held[0].Heldout, *held[len(held)-1].Heldout
	v.Lead = []phrase{{"Held-out loss ", false}, {fixed(from, 3) + " to " + fixed(to, 3), true},
		{fmt.Sprintf(" nats per token in %s steps.", count(last.Step)), false}}
	v.Tiles = append(v.Tiles, tile{"held-out loss", fixed(to, 3), signed(to-from, 3) + " since the first measurement"},
		tile{"held-out perplexity", decimal(math.Exp(to), 4), "exp of the loss; " + decimal(math.Exp(from), 4) + " at first"})
	return v
}
