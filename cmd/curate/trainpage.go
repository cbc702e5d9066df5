package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/internal/report"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/train"
)

// trainPage is the page beside a model that curate trained. It holds no times, like
// the other files of the folder: equal runs leave equal bytes.
const trainPage = "train.html"

// writeTrainPage makes the page of a model from its log and result.
func writeTrainPage(folder string, opt trainOptions, config lm.Config, result train.Result) error {
	steps, evals, err := train.ReadLog(filepath.Join(folder, train.LogFile))
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	page := report.Training{
		Title: opt.Role, Version: version, Backend: result.Backend, Curve: trainingCurve(opt.Role, steps, evals),
		Facts: trainFacts(opt, config, result), Result: string(text),
	}
	return lm.WriteFile(filepath.Join(folder, trainPage), func(w io.Writer) error { return report.WriteTraining(w, page) })
}

// trainingCurve is the log of a run as the points of a curve; a held-out loss
// belongs to the step it was measured after.
func trainingCurve(name string, steps []train.Step, evals []train.Eval) report.Curve {
	curve := report.Curve{Name: name}
	heldout := map[int]*float64{}
	for _, eval := range evals {
		heldout[eval.Step] = &eval.HeldoutLoss
	}
	curve.HeldoutFrom = heldout[0]
	for _, step := range steps {
		curve.Steps = append(curve.Steps, report.Point{
			Step: int64(step.Step), Tokens: step.Tokens, Loss: float64(step.Loss), Heldout: heldout[step.Step],
			LearningRate: step.LR, GradNorm: float64(step.GradNorm),
		})
	}
	return curve
}

// trainFacts are lines about a run for its page.
func trainFacts(opt trainOptions, config lm.Config, result train.Result) []report.Fact {
	plan, counts := result.Plan, result.Counts
	from := "preset " + opt.Preset
	if opt.From != "" {
		from = fileName(strings.TrimRight(opt.From, "/")) // where the folder lies is not part of the model
	}
	batch := fmt.Sprintf("%d sequences of %d tokens", plan.BatchSize, plan.SequenceLength)
	if plan.MicroBatch < plan.BatchSize {
		batch += fmt.Sprintf(", %d at a time", plan.MicroBatch)
	}
	checkpointing := "off"
	if plan.Recompute {
		checkpointing = "on"
	}
	facts := []report.Fact{
		{Name: "From", Value: from},
		{Name: "Family", Value: config.Family},
		{Name: "Parameters", Value: progress.Count(config.NumParams())},
		{Name: "Shape", Value: fmt.Sprintf("width %d, %d layers, %d heads", config.Width, config.Layers, config.Heads)},
		{Name: "Batch", Value: batch},
		{Name: "Steps", Value: fmt.Sprintf("%s, %s of warm-up", progress.Count(int64(plan.Steps)), progress.Count(int64(plan.WarmupSteps)))},
		{Name: "Epochs", Value: fmt.Sprintf("%.3g", plan.Epochs)},
		{Name: "Precision", Value: string(plan.Precision)},
		{Name: "Gradient checkpointing", Value: checkpointing},
		{Name: "Rows trained on", Value: fmt.Sprintf("%s of %s", progress.Count(counts.Trained), progress.Count(counts.Rows))},
		{Name: "Rows held out", Value: fmt.Sprintf("%s, %d sequences", progress.Count(counts.Held), plan.Heldout)},
	}
	for _, reason := range sortedReasons(counts.Skipped) {
		facts = append(facts, report.Fact{Name: "Rows skipped: " + reason.Reason, Value: progress.Count(reason.Rows)})
	}
	return facts
}
