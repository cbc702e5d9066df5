package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/baseline"
	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring"
	"github.com/curate-data/curate/shards"
)

// Files of a selection of images beside the decisions.
const (
	choicesName = "_choices.parquet" // the chosen images in their order, and what for
	metricsName = "metrics.json"
)

// imageSelection is the work of `curate select` on images.
type imageSelection struct {
	app     *app
	config  ofdsConfig
	seed    uint64
	backend string
	earlier *within
	source  imagePool
	stage   *stage

	before   map[string]bool // IDs of images that are labelled already
	rows     *imageRows
	pool     *ofds.Pool
	selector ofds.Selector
	product  kmeans.Product
	outcome  *ofds.Selection
}

// imagePool is where a selection gets its images from: shards and label files, or
// the sidecars of `curate embed`.
type imagePool interface {
	pipeline.ImageSource
	// begin makes the pool the input of a stage.
	begin(ctx context.Context, s *stage) error
	// manifestInputs are the shards of the pool as an earlier stage recorded them.
	manifestInputs(s *stage) []shards.ManifestInput
	// failed tells that an error is one of a shard, which is left out from then on.
	failed(ctx context.Context, s *stage, err error) (goOn bool, _ error)
}

// selectImagesOptions are those of runSelectImages.
type selectImagesOptions struct {
	Config  ofdsConfig
	Seed    uint64
	Backend string
	Output  string
	Earlier string // folder of an earlier selection, empty for none
	Pool    imagePool
	Thumbs  pictures // where the page gets its pictures from; nil for none
	Truth   string   // column of true labels, for metrics; empty for none
}

// runSelectImages chooses images and writes the decisions, the reasons, the
// metrics and the page.
func runSelectImages(ctx context.Context, a *app, opt selectImagesOptions) (_ stageResult, err error) {
	if err := opt.Config.validate(); err != nil {
		return stageResult{}, usageError{err}
	}
	st, ctx, err := newStage(ctx, a, "select", opt.Output, nil)
	if err != nil {
		return stageResult{}, err
	}
	defer st.close(&err)
	w := &imageSelection{app: a, config: opt.Config, seed: opt.Seed, backend: opt.Backend, source: opt.Pool, stage: st}
	if err := opt.Pool.begin(ctx, st); err != nil {
		return stageResult{}, err
	}
	st.options["kind"] = imagesKind
	st.options["selection"], st.options["seed"], st.options["unit"] = opt.Config.resolved(), opt.Seed, string(scoring.Document)
	if w.earlier, err = readWithin(ctx, a, opt.Earlier, string(scoring.Document), opt.Pool.manifestInputs(st)); err != nil {
		return stageResult{}, err
	}
	if w.earlier != nil {
		st.options["within"] = w.earlier.key()
		w.earlier.quarantine(st)
	}
	if opt.Truth != "" {
		st.options["truth"] = opt.Truth
	}
	if err := w.readPreselected(ctx); err != nil {
		return stageResult{}, err
	}
	if result, done, err := st.done(ctx, st.backend); done || err != nil {
		return result, err
	}
	product, closeProduct, err := w.openProduct()
	if err != nil {
		return stageResult{}, err
	}
	defer closeProduct()
	w.product = product
	choose := w.runInMemory
	if w.config.Stream {
		choose = w.runStreamed
	}
	if err := choose(ctx); err != nil {
		return stageResult{}, err
	}
	if err := w.writeExtras(ctx, opt); err != nil {
		return stageResult{}, err
	}
	return st.finish(ctx)
}

// runInMemory reads the whole pool, selects, and writes the decisions.
func (w *imageSelection) runInMemory(ctx context.Context) error {
	if err := w.readPool(ctx); err != nil {
		return err
	}
	if err := w.checkPool(); err != nil {
		return err
	}
	if err := w.choose(ctx); err != nil {
		return err
	}
	return w.writeDecisions(ctx)
}

// choose runs the method.
func (w *imageSelection) choose(ctx context.Context) error {
	var err error
	if w.selector, err = w.method(w.config.Method); err != nil {
		return usageError{err}
	}
	task := w.app.progress.Start("select", "images", int64(w.config.Budget))
	if w.outcome, err = w.selector.Select(ctx, w.pool, w.config.Budget, w.seed); err != nil {
		return fmt.Errorf("select images: %w", err)
	}
	task.Add(int64(len(w.outcome.Chosen)))
	task.Done()
	for _, warning := range w.outcome.Warnings {
		w.app.log.Warn(warning)
	}
	return nil
}

// readPool reads all images. A shard that can't be read is quarantined, and the
// others are read again without it.
func (w *imageSelection) readPool(ctx context.Context) (err error) {
	for {
		task := w.app.progress.Start("read objects", "images", -1)
		w.rows = &imageRows{source: w.source, earlier: w.earlier, task: task, preselected: w.before}
		w.pool, err = ofds.NewPool(ctx, w.rows, w.config.PoolOptions)
		if err == nil {
			task.Done()
			return nil
		}
		if goOn, err := w.source.failed(ctx, w.stage, err); !goOn {
			return err
		}
	}
}

// method returns a method by its name.
func (w *imageSelection) method(name string) (ofds.Selector, error) {
	preselected := w.candidatesBefore()
	if name == "" || name == methodOFDS {
		options := w.config.Options
		options.Preselected = preselected
		return ofds.OFDS{Options: options, Product: w.product}, nil
	}
	return baseline.ByName(name, baseline.Options{Common: baseline.Common{Preselected: preselected, Product: w.product}})
}

// writeDecisions writes what became of the rows of a pool in memory.
func (w *imageSelection) writeDecisions(ctx context.Context) error {
	outcome := make(map[pipeline.RowID]pipeline.Reason, len(w.pool.Images))
	for i, image := range w.pool.Images {
		reason := w.outcome.Dropped[int32(i)]
		if reason == "" {
			reason = ofds.NotChosen
		}
		outcome[image.RowID] = reason
	}
	for _, c := range w.outcome.Chosen {
		outcome[w.pool.Images[c.Image].RowID] = ""
	}
	return w.stage.writeSelections(ctx, func(shard string) iter.Seq2[*pipeline.Decisions, error] { return w.rows.decisions(shard, outcome) })
}

// choices are the chosen images as the table of choices has them.
func (w *imageSelection) choices() []shards.Choice {
	list := make([]shards.Choice, len(w.outcome.Chosen))
	for i, c := range w.outcome.Chosen {
		image, why := w.pool.Images[c.Image], c.Reason
		list[i] = shards.Choice{
			RowID: image.RowID, ImageID: image.ID, Group: image.Group, Kind: string(why.Kind),
			Round: int32(why.Round), Cluster: int32(why.Cluster), K: int32(why.K), ClusterSize: int32(why.Size), Distance: why.Distance,
		}
		if why.Class >= 0 {
			list[i].Class = w.pool.Classes[why.Class]
		}
		if why.Object >= 0 {
			o := w.pool.Objects[why.Object]
			list[i].Object, list[i].Score, list[i].Box = o.ID, o.Score, o.Box
		}
		if why.Distance < 0 {
			list[i].Distance = float32(math.NaN())
		}
	}
	return list
}

// readPreselected reads the IDs of images that are labelled already. They decide
// the result, not the file that they are in.
func (w *imageSelection) readPreselected(ctx context.Context) (err error) {
	place := w.config.Preselected
	if place == "" {
		return nil
	}
	if w.before, err = readImageIDs(ctx, w.app, place); err != nil {
		return fmt.Errorf("--preselected %s: %w", place, err)
	}
	w.stage.options["preselected"] = shards.UnitKey(slices.Sorted(maps.Keys(w.before))...)
	return nil
}

// candidatesBefore are the preselected images that are candidates: an earlier filter
// may have dropped some.
func (w *imageSelection) candidatesBefore() map[string]bool {
	if w.rows == nil {
		return w.before
	}
	list := maps.Clone(w.before)
	maps.DeleteFunc(list, func(id string, _ bool) bool { return !w.rows.seen[id] })
	return list
}

// checkPool is an error where there is nothing to choose from, or an option names
// what the pool does not have.
func (w *imageSelection) checkPool() error {
	if w.rows.reasons[""] == 0 {
		return w.noCandidates()
	}
	for _, id := range slices.Sorted(maps.Keys(w.before)) {
		if _, there := w.rows.seen[id]; !there {
			return usagef("--preselected %s: image %q is not in the pool", w.config.Preselected, id)
		}
	}
	targets := w.config.Classes
	if len(targets) == 0 || slices.ContainsFunc(targets, func(class string) bool { return w.rows.classes[class] }) {
		return nil
	}
	have := slices.Sorted(maps.Keys(w.rows.classes))
	if len(have) == 0 {
		return usagef("--classes %s: no image of the pool has an object", strings.Join(targets, ","))
	}
	return usagef("--classes %s: no object of the pool is of these; its classes are %s", strings.Join(targets, ","), someOf(have))
}

// noCandidates says why a pool has no images to choose from.
func (w *imageSelection) noCandidates() error {
	if w.rows.count == 0 {
		return usagef("select images: the pool has no images")
	}
	var texts []string
	for _, reason := range slices.Sorted(maps.Keys(w.rows.reasons)) {
		texts = append(texts, fmt.Sprintf("%s %d", reason, w.rows.reasons[reason]))
	}
	return fmt.Errorf("select images: none of the %d images is a candidate: %s", w.rows.count, strings.Join(texts, ", "))
}

// openProduct lends the method a device for its matrix products, plain Go where
// there is no plugin.
func (w *imageSelection) openProduct() (kmeans.Product, func() error, error) {
	be, err := openBackend(w.app, w.backend)
	if err != nil {
		return nil, nil, err
	}
	product, closeProduct, err := newProduct(be)
	if err != nil {
		return nil, nil, errors.Join(err, be.Close())
	}
	return product, func() error { return errors.Join(closeProduct(), be.Close()) }, nil
}
