package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/curate-data/curate/filters/colorfilter"
	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/shards"
)

const runHelp = `Run the whole pipeline of a YAML file: train the prior on the inputs and the conditional on the
target (or take given models), score, select, write the kept rows, and write report.html. Every
stage keeps its result in the output folder; a second run does only what changed, or nothing.
Inputs, models and output may be on S3.`

func newRunCommand(a *app) *cobra.Command {
	var overrides []string
	dry := false
	cmd := &cobra.Command{
		Use:   "run CONFIG.yaml",
		Short: "the whole pipeline of a config file",
		Long:  runHelp + "\n" + exitHelp,
		Example: `  curate run configs/demo.yaml
  curate run configs/demo.yaml --set output=/data/out --set select.keep_fraction=0.05
  curate run configs/s3.yaml --quiet           # S3 to S3; prints nothing unless something is wrong
  curate run configs/demo.yaml --dry-run       # the resolved config and what would be done`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one config file, got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(args[0], overrides)
			if err != nil {
				return err
			}
			a.stores.s3.settings = c.S3
			if dry {
				return printPlan(cmd.Context(), a, c)
			}
			return runPipeline(cmd.Context(), a, c)
		},
	}
	cmd.Flags().StringArrayVar(&overrides, "set", nil, "override one key of the file, as dotted.key=value (repeatable)")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print the resolved config and the inputs, do nothing")
	return cmd
}

// pipelineRun is one `curate run`: the stages' results as they come.
type pipelineRun struct {
	app    *app
	config config
	inputs []shards.Input
	target []shards.Input // of the conditional, empty when a model is given

	prior, conditional    string // model folders
	trained               []trainedModel
	score, selected, kept stageResult
	chosen                stageResult // of images
	cut                   *colorfilter.Cut
	times                 []stageTime
}

type trainedModel struct {
	role   string
	folder string
}

// stageTime says how long a stage took in this run.
type stageTime struct {
	Name    string        `json:"name"`
	Nothing bool          `json:"nothing"` // it was done before
	Took    time.Duration `json:"took_ns"`
}

func newPipelineRun(ctx context.Context, a *app, c config) (*pipelineRun, error) {
	r := &pipelineRun{app: a, config: c, prior: c.Prior.Model, conditional: c.Conditional.Model}
	var err error
	if len(c.Inputs) > 0 {
		if r.inputs, err = a.listInputs(ctx, c.Inputs); err != nil {
			return nil, err
		}
	}
	if r.conditional == "" && c.has(filterColor) {
		if r.target, err = a.listInputs(ctx, c.Conditional.Target); err != nil {
			return nil, err
		}
	}
	if _, err := outputNames(r.inputs, r.config.Write.Format); err != nil && r.config.Write.Shards == 0 {
		return nil, err
	}
	return r, nil
}

// folder returns the place of a stage's output.
func (r *pipelineRun) folder(name string) string { return joinPlace(r.config.Output, name) }

// runPipeline runs all stages. Shards that fail in one are left out of the
// next ones, and the exit code says so.
func runPipeline(ctx context.Context, a *app, c config) error {
	r, err := newPipelineRun(ctx, a, c)
	if err != nil {
		return err
	}
	nothing := true
	for _, step := range r.steps() {
		start := time.Now()
		result, err := step.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		nothing = nothing && result.nothing
		r.times = append(r.times, stageTime{step.name, result.nothing, time.Since(start)})
	}
	return r.end(ctx, nothing)
}

// end writes the report and tells the user what came out.
func (r *pipelineRun) end(ctx context.Context, nothing bool) error {
	texts := r.config.has(filterColor) // a page of images is written with their selection
	if texts && r.config.Report && nothing {
		there, err := r.hasReport(ctx)
		if err != nil {
			return err
		}
		nothing = there
	}
	if texts && r.config.Report && !nothing {
		if err := r.writeReport(ctx); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	switch {
	case r.app.json:
		if err := r.app.printJSON(r.kept.manifest); err != nil {
			return err
		}
	case r.app.quiet:
	case nothing:
		fmt.Fprintf(r.app.stdout, "nothing to do: %s is complete\n", r.config.Output)
	case texts:
		r.printSummary(r.folder(reportName))
	default:
		r.printImages()
	}
	if err := errors.Join(r.score.err(), r.newFailures()); err != nil {
		return err
	}
	r.sayDone(nothing)
	return nil
}

// sayDone is the line for logs; a run that did nothing says so there as well.
func (r *pipelineRun) sayDone(nothing bool) {
	last := r.kept
	if last.manifest == nil {
		last = r.selected
	}
	switch {
	case !nothing:
		r.app.sayDone(last, r.config.Output)
	case !r.app.json && !r.app.onTerminal():
		r.app.say("done: nothing to do, %s is complete", r.config.Output)
	}
}

// newFailures reports shards that could be scored but not written.
func (r *pipelineRun) newFailures() error {
	if r.score.err() != nil {
		return nil
	}
	return r.kept.err()
}

func (r *pipelineRun) trainPrior(ctx context.Context) (stageResult, error) {
	if r.prior != "" {
		return stageResult{nothing: true}, nil
	}
	r.prior = r.folder("models/prior")
	r.trained = append(r.trained, trainedModel{"prior", r.prior})
	return runTrain(ctx, r.app, r.inputs, trainOptions{
		Role: "prior", Output: r.prior, Tokenizer: r.config.Tokenizer, Backend: r.config.Backend, Columns: r.config.columns(),
		SequenceLength: r.config.SequenceLength, Seed: r.config.Seed, trainFlags: r.config.Prior.trainFlags,
	})
}

func (r *pipelineRun) trainConditional(ctx context.Context) (stageResult, error) {
	if r.conditional != "" {
		return stageResult{nothing: true}, nil
	}
	r.conditional = r.folder("models/conditional")
	r.trained = append(r.trained, trainedModel{"conditional", r.conditional})
	return runTrain(ctx, r.app, r.target, trainOptions{
		Role: "conditional", Output: r.conditional, From: r.prior, Backend: r.config.Backend, Columns: shards.Columns{Text: r.config.TextColumn},
		SequenceLength: r.config.SequenceLength, Seed: r.config.Seed, trainFlags: r.config.Conditional.trainFlags,
	})
}

func (r *pipelineRun) runScore(ctx context.Context) (result stageResult, err error) {
	r.score, err = runScore(ctx, r.app, r.inputs, scoreOptions{
		Prior: r.prior, Conditional: r.conditional, Output: r.folder("scores"), Backend: r.config.Backend, Columns: r.config.columns(),
		Scoring: r.config.scoreOptions(), Precision: lm.Precision(r.config.Score.Precision), Devices: r.config.Score.Devices,
	})
	return r.score, err
}

func (r *pipelineRun) runSelect(ctx context.Context, output, earlier string) (result stageResult, err error) {
	r.selected, r.cut, err = runSelect(ctx, r.app, r.folder("scores"), output, earlier, r.config.selectOptions())
	return r.selected, err
}

func (r *pipelineRun) runWrite(ctx context.Context) (result stageResult, err error) {
	r.kept, err = runWrite(ctx, r.app, r.inputs, writeOptions{
		Selection: r.folder("selection"), Output: r.folder("data"), ScoreColumn: r.config.Write.ScoreColumn, Workers: r.config.Write.Workers,
		Format: r.config.Write.Format, Shards: r.config.Write.Shards, Tokens: r.config.tokenOptions(r.prior),
	})
	return r.kept, err
}

// printPlan shows what a run would read and do.
func printPlan(ctx context.Context, a *app, c config) error {
	r, err := newPipelineRun(ctx, a, c)
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "# the resolved config\n%s\n", text)
	var size int64
	for _, in := range r.inputs {
		fmt.Fprintf(a.stdout, "# input %s (%s bytes)\n", in.URI, progress.Count(in.Size))
		size += in.Size
	}
	fmt.Fprintf(a.stdout, "# %d inputs, %s bytes\n", len(r.inputs), progress.Count(size))
	for _, in := range r.target {
		fmt.Fprintf(a.stdout, "# target %s (%s bytes)\n", in.URI, progress.Count(in.Size))
	}
	return nil
}
