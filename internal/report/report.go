// Package report writes what a run did as one HTML page that needs nothing
// else: styles are inline, charts are inline SVG, there is no script, and the
// page forbids itself every request by its content security policy. The same
// Report gives the same bytes.
//
// Everything in a Report is treated as hostile text: the page shows documents
// as they came from the crawl.
package report

import (
	"embed"
	"fmt"
	"html/template"
	"io"
)

// Report is what one run did. Any part may be empty: its section then says
// why, or is left out. Losses and scores are nats per token.
type Report struct {
	Title   string // name of the run
	Version string // version of curate
	Backend string // name of the backend, such as "xla:cpu"
	Unit    string // what a row of the pool is, in the plural; "documents" when empty
	Config  string // the resolved configuration, as YAML
	Facts   []Fact // shown in this order

	Counts   Counts
	Scores   Scores
	Losses   Losses
	Training []Curve
	Domains  []Domain // in any order; the page sorts by lift
	Samples  []SampleGroup
}

// Fact is one line about the run, such as an input or the time of a stage.
type Fact struct{ Name, Value string }

// Counts says what came in and what was kept. RowsIn is Kept plus all Dropped;
// the page says so when it is not.
type Counts struct {
	RowsIn, TokensIn int64
	Kept, KeptTokens int64
	Dropped          []ReasonCount
}

// ReasonCount is the number of rows that were dropped for one reason.
type ReasonCount struct {
	Reason string
	Rows   int64
}

// Scores is the histogram of all finite scores.
type Scores struct {
	Label     string  // what the score is and its unit; the CoLoR score when empty
	Cut       float32 // rows at or above it are kept; NaN when the method has no cut
	Bins      []Bin   // ascending, of equal width
	Underflow int64   // rows below the first bin
	Overflow  int64   // rows above the last bin
}

// Bin counts the rows with Low <= value < High.
type Bin struct {
	Low, High     float64
	Kept, Dropped int64
}

// Losses holds the loss histograms of the two models.
type Losses struct{ Prior, Conditional []Bin }

// Curve is the log of one training run.
type Curve struct {
	Name        string // such as "prior"
	Steps       []Point
	HeldoutFrom *float64 // held-out loss before the first step, nil where it was not measured
}

// Point is one logged step.
type Point struct {
	Step, Tokens int64    // both counted from the start of this training run
	Loss         float64  // training loss of the step
	Heldout      *float64 // loss on held-out data, nil where it was not measured
	LearningRate float64
	GradNorm     float64 // of the step's gradient, before clipping
}

// Domain is the part of the pool, and of what was kept, that has one domain.
type Domain struct {
	Name                 string
	Rows, Tokens         int64
	KeptRows, KeptTokens int64
}

// SampleGroup is a handful of rows that show one end, or the border, of the
// scores. The names "best", "borderline" and "worst" have explanations.
type SampleGroup struct {
	Name    string
	Samples []Sample
}

// Sample is one row with its text.
type Sample struct {
	Shard              string
	Row                int64
	ID, Domain         string
	Score              float32
	Prior, Conditional float32
	Tokens             int64
	Kept               bool
	Text               string // any bytes; the page shows the first part
}

//go:embed page.html charts.html shared.html style.css training.html ofds.html ofdsparts.html ofds.css
var files embed.FS

// Write writes the page. Errors are those of w.
func Write(w io.Writer, r Report) error {
	css, err := files.ReadFile("style.css")
	if err != nil {
		return fmt.Errorf("read report style: %w", err)
	}
	page, err := template.New("page.html").ParseFS(files, "page.html", "charts.html", "shared.html")
	if err != nil {
		return fmt.Errorf("parse report template: %w", err)
	}
	v := newView(r)
	v.Style = template.CSS(css)
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
