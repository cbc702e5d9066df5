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
