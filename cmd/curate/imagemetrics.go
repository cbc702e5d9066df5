package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/metrics"
	"github.com/curate-data/curate/shards"
)

// imageMeasures is the content of the metrics file.
type imageMeasures struct {
	Format   int               `json:"format"` // 1
	Method   string            `json:"method"`
	Budget   int               `json:"budget"`
	Seed     uint64            `json:"seed"`
	Fits     int               `json:"k_means_fits"`
	Filtered map[string]int64  `json:"filtered_objects"` // objects that were left out before selection, by reason
	Warnings []string          `json:"warnings,omitempty"`
	Measures *metrics.Metrics  `json:"metrics"`
	Curves   []metrics.Curve   `json:"curves,omitempty"` // over budgets, against baselines
	Chosen   int               `json:"chosen"`
	Sampled  int64             `json:"sampled_images,omitempty"` // of a streamed selection: the metrics are of these, the chosen ones among them
	Outcome  []measuredClasses `json:"classes"`
}

// measuredClasses is what was asked for a class and what became of it.
type measuredClasses struct {
	Class string `json:"class"`
	ofds.ClassOutcome
}

// comparedObjects is how large a pool may be for curves against baselines, unless
// they are asked for: each point of a curve is a selection of its own.
const comparedObjects = 50_000

// writeExtras writes what a selection of images has beside its decisions: the
// table of reasons, the metrics and the page.
func (w *imageSelection) writeExtras(ctx context.Context, opt selectImagesOptions) error {
	evaluator, measures, err := w.measure(ctx, opt)
	if err != nil {
		return fmt.Errorf("measure the selection: %w", err)
	}
	page, err := w.page(ctx, opt, evaluator, measures)
	if err != nil {
		return fmt.Errorf("make the page: %w", err)
	}
	key, err := w.stage.key(w.stage.backend)
	if err != nil {
		return err
	}
	set := fileSet{names: []string{choicesName, metricsName, reportName}, key: key}
	for _, name := range set.names { // always anew, as the decisions
		if err := w.stage.remove(ctx, recordFor(name)); err != nil {
			return err
		}
	}
	_, err = w.stage.fileSet(ctx, set, func(_ context.Context, out []pendingFile, record *shards.Unit) (bool, error) {
		if err := shards.WriteChoices(out[0], w.choices(), map[string]string{"curate.method": w.methodName()}); err != nil {
			return false, err
		}
		record.Rows = int64(len(w.outcome.Chosen))
		encoder := json.NewEncoder(out[1])
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(measures); err != nil {
			return false, err
		}
		return true, page(out[2])
	})
	return err
}

func (w *imageSelection) methodName() string {
	if w.config.isOFDS() {
		return methodOFDS
	}
	return w.config.Method
}

// measure computes the metrics, and the curves where the pool is small enough.
func (w *imageSelection) measure(ctx context.Context, opt selectImagesOptions) (*metrics.Evaluator, *imageMeasures, error) {
	truth, err := w.truth(ctx, opt)
	if err != nil {
		return nil, nil, err
	}
	evaluator, err := metrics.New(ctx, w.pool, metrics.Options{
		Seed: w.seed, Truth: truth, Product: w.product, ImageCost: w.config.ImageCost, ObjectCost: w.config.ObjectCost,
	})
	if err != nil {
		return nil, nil, err
	}
	m := &imageMeasures{
		Format: 1, Method: w.methodName(), Budget: w.config.Budget, Seed: w.seed, Fits: w.outcome.Fits, Chosen: len(w.outcome.Chosen),
		Warnings: w.outcome.Warnings, Filtered: map[string]int64{}, Outcome: []measuredClasses{},
	}
	for reason, n := range w.pool.Filtered {
		m.Filtered[string(reason)] = n
	}
	for i, class := range w.outcome.Classes {
		m.Outcome = append(m.Outcome, measuredClasses{w.pool.Classes[i], class})
	}
	if m.Measures, err = evaluator.Measure(ctx, metrics.Of(m.Method, w.outcome)); err != nil {
		return nil, nil, err
	}
	if w.config.Stream {
		m.Sampled = int64(len(w.pool.Images))
		return evaluator, m, nil
	}
	if len(w.pool.Objects) > comparedObjects && len(w.config.Report.Baselines) == 0 {
		return evaluator, m, nil
	}
	m.Curves, err = w.curves(ctx, evaluator)
	return evaluator, m, err
}

// curves compares the method with baselines over budgets.
func (w *imageSelection) curves(ctx context.Context, evaluator *metrics.Evaluator) ([]metrics.Curve, error) {
	names := w.config.Report.Baselines
	if len(names) == 0 {
		names = []string{"random", "class_balanced_random"}
		if w.pool.ImageVectors.Rows() > 0 {
			names = append(names, "k_center", "typiclust")
		}
		if w.pool.Vectors.Rows() > 0 {
			names = append(names, "object_d2")
		}
	}
	methods := []metrics.Method{{Name: w.methodName(), Selector: w.selector}}
	for _, name := range names {
		if name == w.methodName() {
			continue
		}
		selector, err := w.method(name)
		if err != nil {
			return nil, usageError{err}
		}
		methods = append(methods, metrics.Method{Name: name, Selector: selector})
	}
	task := w.app.progress.Start("compare", "methods", int64(len(methods)))
	var curves []metrics.Curve
	for _, m := range methods {
		one, err := evaluator.Curves(ctx, []metrics.Method{m}, w.budgets(), []uint64{w.seed, w.seed + 1, w.seed + 2})
		if err != nil {
			return nil, err
		}
		curves = append(curves, one...)
		task.Add(1)
	}
	task.Done()
	return curves, nil
}

// budgets are those of the curves.
func (w *imageSelection) budgets() []int {
	if len(w.config.Report.Budgets) > 0 {
		return w.config.Report.Budgets
	}
	var list []int
	for _, share := range []float64{0.25, 0.5, 1, 2} {
		b := int(math.Round(float64(w.config.Budget) * share))
		if b > 0 && b <= len(w.pool.Images) && (len(list) == 0 || b > list[len(list)-1]) {
			list = append(list, b)
		}
	}
	return list
}

// truth reads the true labels of the images, nil where there are none.
func (w *imageSelection) truth(ctx context.Context, opt selectImagesOptions) (*ofds.Pool, error) {
	if opt.Truth == "" {
		return nil, nil
	}
	places := imagePlaces{}
	switch p := w.source.(type) {
	case shardPool:
		places = p.places
	case *embedPool:
		places = p.places()
	}
	places.Columns.Objects, places.Labels = opt.Truth, ""
	set, err := w.app.openImages(ctx, places)
	if err != nil {
		return nil, err
	}
	defer set.close()
	pool, err := ofds.NewPool(ctx, set.source(false), ofds.PoolOptions{Classes: w.config.Classes, ScoreMin: -1, DuplicateIoU: 1})
	if err != nil {
		return nil, fmt.Errorf("true labels, column %s: %w", opt.Truth, err)
	}
	return pool, nil
}
