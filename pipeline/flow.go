package pipeline

import (
	"context"
	"iter"
	"sync"
)

// Source yields batches in row order. The receiver owns each batch. After an
// error nothing more is yielded.
type Source interface {
	Batches(ctx context.Context) iter.Seq2[Batch, error]
}

// Stage maps a batch to a batch, keeping rows and their order. Apply takes
// ownership of its argument, also when it fails.
type Stage interface {
	Name() string
	Apply(ctx context.Context, b Batch) (Batch, error)
}

// Sink stores batches. Write takes ownership, also when it fails. Exactly one
// of Finish and Abort is called, once: Finish publishes all that was written,
// Abort leaves nothing behind.
type Sink interface {
	Write(ctx context.Context, b Batch) error
	Finish(ctx context.Context) error
	Abort()
}

// queueLength is the capacity of each channel between two steps: one batch in
// hand and one waiting keeps both sides busy without holding more memory.
const queueLength = 1

// Run moves every batch of src through the stages, in order, into sink, each
// step in its own goroutine. It returns when all of them have ended: with nil
// after sink.Finish, or with the first error after sink.Abort. At most
// 2*(len(stages)+1)+1 batches are alive at a time.
func Run(ctx context.Context, src Source, stages []Stage, sink Sink) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	start := func(step func() error) {
		group.Go(func() {
			if err := step(); err != nil {
				cancel(err)
			}
		})
	}
	queue := make(chan Batch, queueLength)
	first := queue
	start(func() error {
		defer close(first)
		for b, err := range src.Batches(inner) {
			if err != nil {
				return err
			}
			if err := send(inner, first, b); err != nil {
				return err
			}
		}
		return nil
	})
	for _, stage := range stages {
		in, out := queue, make(chan Batch, queueLength)
		queue = out
		start(func() error {
			defer close(out)
			return drain(inner, cancel, in, func(b Batch) error {
				next, err := stage.Apply(inner, b)
				if err != nil {
					return err
				}
				return send(inner, out, next)
			})
		})
	}
	start(func() error {
		return drain(inner, cancel, queue, func(b Batch) error { return sink.Write(inner, b) })
	})
	group.Wait()
	if inner.Err() != nil {
		sink.Abort()
		return context.Cause(inner)
	}
	return sink.Finish(ctx)
}

// send passes ownership of b to the channel, or releases it when ctx ends.
func send(ctx context.Context, to chan<- Batch, b Batch) error {
	select {
	case to <- b:
		return nil
	case <-ctx.Done():
		b.Release()
		return ctx.Err()
	}
}

// drain calls f for each batch until the channel closes. After a failure it
// cancels the run at once, so that the source stops, and releases the rest, so
// that the sender never blocks.
func drain(ctx context.Context, cancel context.CancelCauseFunc, from <-chan Batch, f func(Batch) error) error {
	var failed error
	for b := range from {
		if failed == nil {
			failed = ctx.Err()
		}
		if failed != nil {
			b.Release()
			continue
		}
		if failed = f(b); failed != nil {
			cancel(failed)
		}
	}
	return failed
}
