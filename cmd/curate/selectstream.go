package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/stream"
	"github.com/curate-data/curate/pipeline"
)

// sampledImages is how many images the metrics of a streamed selection are made
// of, beside the chosen ones.
const sampledImages = 20_000

// streamBatch is how many images are decided about at a time.
const streamBatch = 4096

// streamed is a selection from a pool that is never in memory: it is read three
// times, once to count and sample, once to assign objects to clusters, once to
// write what became of each row.
type streamed struct {
	*imageSelection
	chosen map[pipeline.RowID]bool
	images int64          // candidates
	sample pipelineImages // for the metrics
}

// pipelineImages is a pipeline.ImageSource of images in memory.
type pipelineImages []*pipeline.Image

// Images implements pipeline.ImageSource.
func (p pipelineImages) Images(context.Context) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		for _, image := range p {
			if !yield(image, nil) {
				return
			}
		}
	}
}

// runStreamed selects, writes the decisions, and leaves a pool of the chosen
// images and a sample of the others for the metrics and the page.
func (w *imageSelection) runStreamed(ctx context.Context) error {
	s := &streamed{imageSelection: w, chosen: map[pipeline.RowID]bool{}}
	options := w.config.Options
	options.Preselected = w.before
	var outcome *stream.Outcome
	var err error
	for {
		task := w.app.progress.Start("read objects", "images", -1)
		w.rows = &imageRows{source: w.source, earlier: w.earlier, task: task, forget: true, preselected: w.before}
		outcome, err = stream.Select(ctx, stream.Images{Source: w.rows, Options: w.config.PoolOptions}, stream.Options{
			Budget: w.config.Budget, Seed: w.seed, OFDS: options, Product: w.product,
		})
		if err == nil {
			task.Done()
			if err := w.checkPool(); err != nil {
				return err
			}
			break
		}
		if goOn, err := w.source.failed(ctx, w.stage, err); !goOn {
			return err
		}
	}
	if s.images = w.rows.count; s.images == 0 {
		return usagef("select images: the pool has no images")
	}
	for _, image := range outcome.Images {
		s.chosen[image.RowID] = true
	}
	decisions := splitByShard(s.decisions(ctx))
	defer decisions.stop()
	if err := w.stage.writeSelections(ctx, decisions.of); err != nil {
		return err
	}
	if err := decisions.end(); err != nil {
		return err
	}
	sampleOptions := w.config.PoolOptions
	sampleOptions.Classes = outcome.ClassNames
	if w.pool, err = ofds.NewPool(ctx, s.sample, sampleOptions); err != nil {
		return err
	}
	return w.adopt(outcome)
}

// decisions reads the pool again and says of each row what became of it.
func (s *streamed) decisions(ctx context.Context) iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) {
		task := s.app.progress.Start("decide", "images", s.rows.count)
		all := &imageRows{source: s.source, earlier: s.earlier, forget: true, all: true}
		var batch []*pipeline.Image
		flush := func() bool {
			reasons, err := s.reasons(ctx, batch)
			if err != nil {
				yield(nil, err)
				return false
			}
			d := decisionsOf(batch, reasons, all)
			task.Add(int64(len(batch)))
			batch = batch[:0]
			return len(d.Row) == 0 || yield(d, nil)
		}
		for image, err := range all.Images(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			if len(batch) == streamBatch || len(batch) > 0 && batch[0].Shard != image.Shard {
				if !flush() {
					return
				}
			}
			batch = append(batch, image)
		}
		if len(batch) > 0 && !flush() {
			return
		}
		task.Done()
	}
}

// reasons returns why each image of a batch is not kept, "" for chosen ones, and
// keeps some images for the metrics.
func (s *streamed) reasons(ctx context.Context, batch []*pipeline.Image) (map[pipeline.RowID]pipeline.Reason, error) {
	var candidates pipelineImages
	reasons := map[pipeline.RowID]pipeline.Reason{}
	for _, image := range batch {
		if image.Reason != "" {
			reasons[image.RowID] = image.Reason
			continue
		}
		candidates = append(candidates, image)
		if s.chosen[image.RowID] || s.sampled(image.ID) {
			s.sample = append(s.sample, image)
		}
	}
	pool, err := ofds.NewPool(ctx, candidates, s.config.PoolOptions)
	if err != nil {
		return nil, err
	}
	for _, image := range pool.Images {
		switch {
		case s.chosen[image.RowID]:
		case s.before[image.ID]:
			reasons[image.RowID] = ofds.Preselected
		case image.First == image.End:
			reasons[image.RowID] = ofds.NoProposals
		default:
			reasons[image.RowID] = ofds.NotChosen
		}
	}
	return reasons, nil
}

// sampled tells by a hash of its ID whether an image is one of the sample.
func (s *streamed) sampled(id string) bool {
	h := fnv.New64a()
	fmt.Fprint(h, s.seed, id)
	return float64(h.Sum64())*float64(s.images) < sampledImages*float64(math.MaxUint64)
}

// decisionsOf makes decisions about images of one shard.
func decisionsOf(batch []*pipeline.Image, reasons map[pipeline.RowID]pipeline.Reason, rows *imageRows) *pipeline.Decisions {
	d := &pipeline.Decisions{}
	for _, image := range batch {
		reason := reasons[image.RowID]
		d.Shard = image.Shard
		for row := image.Row; row < image.Row+max(1, image.Rows); row++ {
			appendDecision(d, row, rows.rowReason(image.RowID, row, reason))
		}
	}
	return d
}

// adopt makes the outcome refer to the pool of the sample.
func (w *imageSelection) adopt(outcome *stream.Outcome) error {
	index := make(map[pipeline.RowID]int32, len(w.pool.Images))
	for i, image := range w.pool.Images {
		index[image.RowID] = int32(i)
	}
	class := map[string]int32{}
	for i, name := range w.pool.Classes {
		class[name] = int32(i)
	}
	classes := outcome.Selection.Classes
	w.outcome = &outcome.Selection
	w.outcome.Classes = make([]ofds.ClassOutcome, len(w.pool.Classes))
	for i, of := range classes {
		at, ok := class[outcome.ClassNames[i]]
		if !ok {
			return fmt.Errorf("class %s is in no image of the sample", outcome.ClassNames[i])
		}
		w.outcome.Classes[at] = of
	}
	for i := range w.outcome.Chosen {
		c := &w.outcome.Chosen[i]
		image := outcome.Images[c.Image]
		at, ok := index[image.RowID]
		if !ok {
			return errors.New("a chosen image was not read again: the input changed meanwhile")
		}
		c.Image = at
		if c.Reason.Class >= 0 {
			c.Reason.Class = class[outcome.ClassNames[c.Reason.Class]]
		}
		if c.Reason.Object >= 0 {
			id := outcome.Objects[c.Reason.Object].ID
			c.Reason.Object = -1
			for o := w.pool.Images[at].First; o < w.pool.Images[at].End; o++ {
				if w.pool.Objects[o].ID == id {
					c.Reason.Object = o
				}
			}
		}
	}
	return nil
}
