package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// imageRows passes images on and remembers their rows: a selection says of every
// row of the pool what became of it. Images that an earlier filter dropped are
// remembered with its reason, and not passed on.
type imageRows struct {
	source  pipeline.ImageSource
	earlier *within // nil for none
	task    *progress.Task
	forget  bool // count the rows, do not remember them
	all     bool // pass on dropped images as well, with their reasons

	preselected map[string]bool // IDs to look out for; nil for none

	count   int64
	reasons map[pipeline.Reason]int64 // images by why they are no candidates, "" for those that are
	rows    map[string][]imageRow
	mixed   map[pipeline.RowID][]pipeline.Reason // by row, of images some of whose rows an earlier filter dropped
	seen    map[string]bool                      // preselected IDs that are in the pool: whether the image is a candidate
	classes map[string]bool                      // of the objects of candidates
}

// imageRow is the row that an image begins in, and how many it takes: in the flat
// form each of its objects has one.
type imageRow struct {
	row, rows int64
	reason    pipeline.Reason // of an earlier filter, or why it is no candidate
}

// Images implements pipeline.ImageSource.
func (r *imageRows) Images(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		r.count, r.rows, r.reasons, r.mixed = 0, map[string][]imageRow{}, map[pipeline.Reason]int64{}, map[pipeline.RowID][]pipeline.Reason{}
		r.seen, r.classes = map[string]bool{}, map[string]bool{}
		var before reasonsInStep
		defer func() { before.stop() }()
		for image, err := range r.source.Images(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			if r.earlier.failed(image.Shard) {
				continue // the whole shard is quarantined
			}
			at := imageRow{row: image.Row, rows: max(1, image.Rows), reason: image.Reason}
			if err := r.addEarlier(ctx, &before, &at, image.RowID); err != nil {
				yield(nil, err)
				return
			}
			image.Reason = at.reason
			r.count++
			if !r.forget {
				r.rows[image.Shard] = append(r.rows[image.Shard], at)
			}
			if r.task != nil {
				r.task.Add(1)
			}
			r.note(image)
			if (at.reason == "" || r.all) && !yield(image, nil) {
				return
			}
		}
	}
}

// note counts an image and what of it the selection asks about.
func (r *imageRows) note(image *pipeline.Image) {
	r.reasons[image.Reason]++
	if r.preselected[image.ID] {
		r.seen[image.ID] = image.Reason == ""
	}
	if image.Reason != "" {
		return
	}
	for i := range image.Objects {
		r.classes[image.Objects[i].Class] = true
	}
}

// addEarlier looks up what an earlier filter said of the rows of an image. It is
// a candidate if all of them were kept.
func (r *imageRows) addEarlier(ctx context.Context, before *reasonsInStep, at *imageRow, row pipeline.RowID) error {
	if r.earlier == nil {
		return nil
	}
	each := make([]pipeline.Reason, at.rows)
	own, differ := at.reason, false
	for i := range each {
		reason, err := before.of(ctx, r.earlier, pipeline.RowID{Shard: row.Shard, Row: row.Row + int64(i)})
		if err != nil {
			return err
		}
		each[i] = cmp.Or(reason, own)
		differ = differ || each[i] != each[0]
	}
	at.reason = cmp.Or(each...)
	if differ {
		r.mixed[row] = each
	}
	return nil
}

// rowReason is why a row of an image is not kept, given why the image is not.
func (r *imageRows) rowReason(image pipeline.RowID, row int64, reason pipeline.Reason) pipeline.Reason {
	if each := r.mixed[image]; each != nil {
		return cmp.Or(each[row-image.Row], reason)
	}
	return reason
}

// decisionRows is how many decisions are written at a time.
const decisionRows = 8192

// decisions yields what became of the rows of a shard. outcome has the reasons of
// the images that were candidates, empty for those that were chosen.
func (r *imageRows) decisions(shard string, outcome map[pipeline.RowID]pipeline.Reason) iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) {
		d := &pipeline.Decisions{Shard: shard}
		next := int64(0)
		for _, image := range r.rows[shard] {
			reason := image.reason
			if reason == "" {
				reason = outcome[pipeline.RowID{Shard: shard, Row: image.row}]
			}
			if image.row != next {
				yield(nil, fmt.Errorf("images of shard %s: row %d follows row %d: every row must be of an image", shard, image.row, next-1))
				return
			}
			for next = image.row; next < image.row+image.rows; next++ {
				appendDecision(d, next, r.rowReason(pipeline.RowID{Shard: shard, Row: image.row}, next, reason))
			}
			if len(d.Row) >= decisionRows {
				if !yield(d, nil) {
					return
				}
				d = &pipeline.Decisions{Shard: shard}
			}
		}
		if len(d.Row) > 0 {
			yield(d, nil)
		}
	}
}

// appendDecision adds what became of a row; images have no score.
func appendDecision(d *pipeline.Decisions, row int64, reason pipeline.Reason) {
	d.Row, d.Seq = append(d.Row, row), append(d.Seq, 0)
	d.Keep, d.Reason, d.Score = append(d.Keep, reason == ""), append(d.Reason, reason), append(d.Score, float32(math.NaN()))
}

// writeDecisions writes the selection of one shard and returns its counts.
func writeDecisions(out shards.Pending, decisions iter.Seq2[*pipeline.Decisions, error]) (shards.Counts, error) {
	writer := shards.NewSelectionWriter(out, nil)
	counts := shards.Counts{Dropped: map[pipeline.Reason]int64{}}
	for d, err := range decisions {
		if err != nil {
			return counts, err
		}
		for i, keep := range d.Keep {
			counts.RowsIn++
			if keep {
				counts.Kept++
			} else {
				counts.Dropped[d.Reason[i]]++
			}
		}
		if err := writer.Write(d); err != nil {
			return counts, err
		}
	}
	return counts, writer.Close()
}
