package stream

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/pipeline"
)

// Source gives the pool in parts: each a small ofds.Pool of whole images. It can
// be read any number of times and gives the same images each time; how they are
// divided does not matter.
type Source interface {
	Batches(ctx context.Context) iter.Seq2[*ofds.Pool, error]
}

// Images makes a Source of a stream of images. Vectors must be filtered and
// normalized one by one: zscore_per_class is refused.
type Images struct {
	Source  pipeline.ImageSource
	Options ofds.PoolOptions
	Batch   int // images; 0 means 16384, enough for full-speed products with tens of classes
}

// Batches implements Source.
func (s Images) Batches(ctx context.Context) iter.Seq2[*ofds.Pool, error] {
	return func(yield func(*ofds.Pool, error) bool) {
		if s.Options.Normalize == "zscore_per_class" {
			yield(nil, errors.New("read pool in parts: normalize zscore_per_class needs all objects at once: take l2 or none, or select in memory"))
			return
		}
		next, stop := iter.Pull2(s.Source.Images(ctx))
		defer stop()
		size := s.Batch
		if size <= 0 {
			size = 16384
		}
		part := &part{next: next, size: size}
		for !part.over {
			pool, err := ofds.NewPool(ctx, part, s.Options)
			if err != nil {
				yield(nil, fmt.Errorf("read pool in parts, after %d images: %w", part.read, err))
				return
			}
			if len(pool.Images) > 0 && !yield(pool, nil) {
				return
			}
		}
	}
}

// part gives the next images of a stream, as many as a batch has.
type part struct {
	next func() (*pipeline.Image, error, bool)
	size int
	read int64
	over bool
}

func (p *part) Images(context.Context) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		for range p.size {
			image, err, ok := p.next()
			if !ok {
				p.over = true
				return
			}
			p.read++
			if !yield(image, err) {
				return
			}
		}
	}
}
