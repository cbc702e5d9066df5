package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/curate-data/curate/filters/colorfilter"
	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/internal/report"
	"github.com/curate-data/curate/scoring/train"
)

// reportName is the page of a run, in its output folder.
const reportName = "report.html"

// hasReport reports whether the page of an earlier run is there.
func (r *pipelineRun) hasReport(ctx context.Context) (bool, error) {
	store, err := r.app.stores.Folder(ctx, r.config.Output)
	if err != nil {
		return false, err
	}
	return objectExists(ctx, store, reportName)
}

func share(part, whole int64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

// printSummary prints the tables that end a run.
func (r *pipelineRun) printSummary(page string) {
	out := r.app.stdout
	cut := r.cut
	rows := [][]string{
		{"in", progress.Count(cut.Rows), progress.Count(cut.Tokens), ""},
		{"kept", progress.Count(cut.Kept), progress.Count(cut.KeptTokens), share(cut.Kept, cut.Rows)},
	}
	for _, reason := range sortedReasons(cut.Dropped) {
		rows = append(rows, []string{"dropped: " + reason.Reason, progress.Count(reason.Rows), "", share(reason.Rows, cut.Rows)})
	}
	unit := r.config.Score.Unit + "s"
	fmt.Fprintln(out)
	progress.Table(out, []string{"", unit, "tokens", "share"}, rows, []bool{false, true, true, true})
	if len(cut.Domains) > 1 {
		fmt.Fprintln(out)
		progress.Table(out, []string{"domain", "before", "after", "kept"}, r.domainRows(), []bool{false, true, true, true})
	}
	r.printChain()
	fmt.Fprintln(out)
	if r.kept.manifest != nil {
		fmt.Fprintf(out, "data    %s\n", r.folder("data"))
	}
	if r.config.Report {
		fmt.Fprintf(out, "report  %s\n", page)
	}
}

// printChain says what each of several filters kept of all rows.
func (r *pipelineRun) printChain() {
	if len(r.config.Filters) < 2 {
		return
	}
	var rows [][]string
	for _, filter := range r.config.Filters {
		m := r.selected.manifest
		if filter == filterOFDS {
			m = r.chosen.manifest
		}
		rows = append(rows, []string{filter, progress.Count(m.Counts.Kept), share(m.Counts.Kept, m.Counts.RowsIn)})
	}
	fmt.Fprintln(r.app.stdout)
	progress.Table(r.app.stdout, []string{"filter", "kept", "of all rows"}, rows, []bool{false, true, true})
}

// domainRows is each domain's share of all rows and of the kept ones.
func (r *pipelineRun) domainRows() [][]string {
	domains := slices.Clone(r.cut.Domains)
	slices.SortStableFunc(domains, func(a, b colorfilter.DomainCount) int { return int(b.KeptRows - a.KeptRows) })
	var rows [][]string
	for _, d := range domains {
		rows = append(rows, []string{d.Domain, share(d.Rows, r.cut.Rows), share(d.KeptRows, r.cut.Kept), progress.Count(d.KeptRows)})
	}
	return rows
}

// writeReport collects what the stages left behind and writes the page.
func (r *pipelineRun) writeReport(ctx context.Context) error {
	source, err := openSidecars(ctx, r.app, r.folder("scores"))
	if err != nil {
		return err
	}
	selected, err := readSelection(ctx, r.app, r.selected.folder)
	if err != nil {
		return err
	}
	survey, err := surveyScores(ctx, source, selected)
	if err != nil {
		return err
	}
	samples, err := survey.groups(ctx, r.inputs, r.config.columns())
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(r.config)
	if err != nil {
		return err
	}
	cut := r.cut
	doc := report.Report{
		Title: "curate: " + path.Base(filepath.ToSlash(r.config.Output)), Version: version, Backend: r.score.manifest.Backend, Unit: r.config.Score.Unit + "s",
		Config: string(text), Facts: r.facts(),
		Counts:  report.Counts{RowsIn: cut.Rows, TokensIn: cut.Tokens, Kept: cut.Kept, KeptTokens: cut.KeptTokens, Dropped: sortedReasons(cut.Dropped)},
		Scores:  r.scoreHistogram(),
		Losses:  report.Losses{Prior: survey.prior, Conditional: survey.conditional},
		Samples: samples,
	}
	for _, d := range cut.Domains {
		doc.Domains = append(doc.Domains, report.Domain{Name: d.Domain, Rows: d.Rows, Tokens: d.Tokens, KeptRows: d.KeptRows, KeptTokens: d.KeptTokens})
	}
	if len(doc.Domains) == 1 {
		doc.Domains = nil // one domain shows nothing
	}
	for _, model := range r.trained {
		curve, err := readTrainingLog(ctx, r.app, model)
		if err != nil {
			return err
		}
		doc.Training = append(doc.Training, curve)
	}
	store, err := r.app.stores.Folder(ctx, r.config.Output)
	if err != nil {
		return err
	}
	pending, err := store.Create(ctx, reportName)
	if err != nil {
		return err
	}
	if err := report.Write(pending, doc); err != nil {
		pending.Abort()
		return err
	}
	return pending.Finish(ctx)
}

func (r *pipelineRun) scoreHistogram() report.Scores {
	plot := r.cut.Plot
	scores := report.Scores{Label: scoreLabel(r.cut.Method), Cut: r.cut.Threshold, Underflow: plot.UnderKept + plot.UnderDropped, Overflow: plot.OverKept + plot.OverDropped}
	width := (plot.High - plot.Low) / float64(max(1, len(plot.Kept)))
	for i := range plot.Kept {
		low := plot.Low + float64(i)*width
		scores.Bins = append(scores.Bins, report.Bin{Low: low, High: low + width, Kept: plot.Kept[i], Dropped: plot.Dropped[i]})
	}
	return scores
}

// scoreLabel names what a method ranks by; empty means the CoLoR score.
func scoreLabel(m colorfilter.Method) string {
	switch m {
	case colorfilter.Conditional:
		return "score = minus conditional loss, nats per token"
	case colorfilter.Perplexity:
		return "score = minus prior loss, nats per token"
	case colorfilter.Random:
		return "score = hash of seed and row"
	}
	return ""
}

// facts are lines about the run for its page.
func (r *pipelineRun) facts() []report.Fact {
	var size int64
	for _, in := range r.inputs {
		size += in.Size
	}
	var tokens int64
	for _, unit := range r.score.manifest.Units {
		tokens += unit.Tokens
	}
	facts := []report.Fact{
		{Name: "Inputs", Value: fmt.Sprintf("%d shards, %s bytes", len(r.inputs), progress.Count(size))},
		{Name: "Backend", Value: r.score.manifest.Backend},
	}
	for _, t := range r.times {
		value := t.Took.Round(100 * time.Millisecond).String()
		switch {
		case t.Nothing:
			value = "done before"
		case t.Name == "score":
			value += fmt.Sprintf(" (%s tokens a second, both models)", progress.Count(int64(float64(tokens)/t.Took.Seconds())))
		}
		facts = append(facts, report.Fact{Name: "Time: " + t.Name, Value: value})
	}
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		facts = append(facts, report.Fact{Name: "Peak memory", Value: fmt.Sprintf("%d MiB", peakMiB(&usage))})
	}
	for _, in := range failedInputs(r.score.manifest) {
		facts = append(facts, report.Fact{Name: "Failed shard", Value: in.Fault})
	}
	return facts
}

func sortedReasons[R ~string](dropped map[R]int64) []report.ReasonCount {
	var reasons []report.ReasonCount
	for reason, n := range dropped {
		if n > 0 {
			reasons = append(reasons, report.ReasonCount{Reason: string(reason), Rows: n})
		}
	}
	slices.SortFunc(reasons, func(a, b report.ReasonCount) int {
		if a.Rows != b.Rows {
			return int(b.Rows - a.Rows)
		}
		return strings.Compare(a.Reason, b.Reason)
	})
	return reasons
}

// readTrainingLog reads the train.jsonl of a model. One that came without a log
// has an empty curve.
func readTrainingLog(ctx context.Context, a *app, model trainedModel) (report.Curve, error) {
	store, err := a.stores.Folder(ctx, model.folder)
	if err != nil {
		return report.Curve{}, err
	}
	object, err := store.Open(ctx, train.LogFile)
	if errors.Is(err, fs.ErrNotExist) {
		return report.Curve{Name: model.role}, nil
	}
	if err != nil {
		return report.Curve{}, err
	}
	defer object.Close()
	steps, evals, err := train.DecodeLog(io.NewSectionReader(object, 0, object.Size()))
	if err != nil {
		return report.Curve{}, fmt.Errorf("read %s: %w", joinPlace(model.folder, train.LogFile), err)
	}
	return trainingCurve(model.role, steps, evals), nil
}
