package main

import (
	"errors"
	"io"
	"iter"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// blame finds out whose fault it is that the rows of a shard cannot be copied:
// the shard's, which is quarantined then, or that of the output or the
// selection, which ends the stage.
type blame struct {
	output, selection error
}

// judge marks an error of CopyKept as a shardError where the shard is to blame.
func (b *blame) judge(err error) error {
	if b.output != nil || b.selection != nil || errors.Is(err, shards.ErrDecisions) {
		return err
	}
	return shardError{err}
}

// decisions passes decisions on and remembers their error.
func (b *blame) decisions(all iter.Seq2[*pipeline.Decisions, error]) iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) {
		for d, err := range all {
			if err != nil {
				b.selection = err
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// writer passes bytes on and remembers the error of that.
func (b *blame) writer(w io.Writer) io.Writer { return blameWriter{b, w} }

type blameWriter struct {
	blame *blame
	w     io.Writer
}

// Write implements io.Writer.
func (w blameWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		w.blame.output = err
	}
	return n, err
}
