package images

import (
	"context"
	"fmt"
	"iter"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// span is an image and the rows of the shard that it comes from.
type span struct {
	img         *pipeline.Image
	first, last int64
}

// joiner puts together the rows of images in the flat form.
type joiner struct {
	open span             // the rows so far of the last image; img is nil for none
	seen map[string]int64 // the first rows of all images before
}

// next takes a row, and returns the images that are whole by now, at most two.
func (d *decoder) next(r *row, j *joiner) (whole []span, err error) {
	d.rows = true
	img, flat, err := d.image(r, j.open.img)
	switch {
	case err != nil:
	case flat && img == j.open.img:
		j.open.last = r.id.Row
	default:
		whole, err = j.end()
		now := span{img, r.at, r.at}
		switch first, ok := j.seen[img.ID]; {
		case err != nil:
		case !flat:
			whole = append(whole, now)
		case ok:
			err = fmt.Errorf("%w: image %q began in row %d, and rows of others lie between them: sort the rows by image, or write one list of objects for each image",
				shards.ErrUnsupported, img.ID, first)
		default:
			if j.seen == nil {
				j.seen = map[string]int64{}
			}
			j.seen[img.ID], j.open = r.at, now
		}
	}
	if err != nil {
		return nil, fmt.Errorf("row %d: %w", r.at, err)
	}
	d.objects = d.objects || len(img.Objects) > 0
	return whole, nil
}

// end returns the image that is open.
func (j *joiner) end() ([]span, error) {
	if j.open.img == nil {
		return nil, nil
	}
	s := j.open
	j.open = span{}
	if err := distinct(s.img.Objects); err != nil {
		return nil, fmt.Errorf("image %q, rows %d to %d: %w", s.img.ID, s.first, s.last, err)
	}
	return []span{s}, nil
}

// spans yields the images of the shard with their rows.
func (r *Reader) spans(ctx context.Context) iter.Seq2[span, error] {
	return func(yield func(span, error) bool) {
		fail := func(err error) {
			if err != nil {
				yield(span{}, fmt.Errorf("read images of shard %s: %w", r.in.Shard, err))
			}
		}
		d, j := r.decoder(), joiner{}
		for row, err := range r.rows(ctx) {
			var whole []span
			if err == nil {
				whole, err = d.next(row, &j)
			}
			if err != nil {
				fail(err)
				return
			}
			for _, s := range whole {
				if !yield(s, nil) {
					return
				}
			}
		}
		whole, err := j.end()
		if err != nil {
			fail(err)
			return
		}
		for _, s := range whole {
			if !yield(s, nil) {
				return
			}
		}
		fail(d.checkSeen(r.columns != nil))
	}
}

// Expand turns decisions about images into decisions about the rows of the shard,
// as shards.CopyKept wants them. In the flat form an image has a row for each of
// its objects, and each gets the decision of the image; elsewhere an image is a
// row. Decisions come in the order of Images, each with the row of the image's
// RowID in this shard: one for every image.
//
// A yielded *Decisions is valid until the next one is asked for.
func (r *Reader) Expand(ctx context.Context, decisions iter.Seq2[*pipeline.Decisions, error]) iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) {
		fail := func(err error) { yield(nil, fmt.Errorf("expand decisions of shard %s: %w", r.in.Shard, err)) }
		rows, err := r.withoutVectors()
		if err != nil {
			fail(err)
			return
		}
		next, stop := iter.Pull2(rows.spans(ctx))
		defer stop()
		for batch, err := range decisions {
			if err != nil {
				fail(err)
				return
			}
			out := pipeline.Decisions{Shard: batch.Shard}
			for i := range batch.Row {
				s, err, ok := next()
				if err == nil && (!ok || batch.Shard != r.in.Shard || batch.Row[i] != s.first) {
					err = fmt.Errorf("%w: one for row %d of %s, where image %q begins in row %d", shards.ErrDecisions, batch.Row[i], batch.Shard, name(s), s.first)
				}
				if err != nil {
					fail(err)
					return
				}
				for at := s.first; at <= s.last; at++ {
					out.Row = append(out.Row, at)
					out.Seq = append(out.Seq, batch.Seq[i])
					out.Keep = append(out.Keep, batch.Keep[i])
					out.Reason = append(out.Reason, batch.Reason[i])
					out.Score = append(out.Score, batch.Score[i])
				}
			}
			if len(out.Row) > 0 && !yield(&out, nil) {
				return
			}
		}
		if s, err, ok := next(); ok {
			if err == nil {
				err = fmt.Errorf("%w: they end before image %q of row %d", shards.ErrDecisions, name(s), s.first)
			}
			fail(err)
		}
	}
}

// name is the image's, empty where there is none.
func name(s span) string {
	if s.img == nil {
		return ""
	}
	return s.img.ID
}

// withoutVectors is the reader with what only images need left out.
func (r *Reader) withoutVectors() (*Reader, error) {
	part := *r
	part.opt.Data, part.opt.Vectors = false, nil
	c := &part.opt.Columns
	for _, column := range []*string{&c.Image, &c.Vector, &c.VectorRow, &c.ObjectVector, &c.ObjectVectorRow, &c.Mask} {
		*column = Without
	}
	if part.columns == nil {
		return &part, nil
	}
	part.columns, part.holds = nil, false
	return &part, part.inspect()
}
