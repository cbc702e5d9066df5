package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/curate-data/curate/shards"
)

// heldLock is the right to write in a stage's folder, while its work goes on.
type heldLock struct {
	parent  context.Context // of the command
	held    context.Context // done as well when the lock is lost
	release func() error
}

// lost reports whether the lock went while the command would have gone on.
func (l *heldLock) lost() bool { return l.held.Err() != nil && l.parent.Err() == nil }

// newStage locks the output folder and digests the inputs. The stage works
// under the context that it returns, which ends when the lock is lost.
func newStage(ctx context.Context, a *app, name, folder string, inputs []shards.Input) (*stage, context.Context, error) {
	store, err := a.stores.Folder(ctx, folder)
	if err != nil {
		return nil, nil, err
	}
	held, release, err := store.Lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	s := &stage{app: a, name: name, folder: folder, store: store, lock: &heldLock{ctx, held, release}, options: map[string]any{}}
	if err := s.prepare(held, inputs); err != nil {
		s.close(&err)
		return nil, nil, err
	}
	return s, held, nil
}

// prepare removes what crashed runs left half-written and digests the inputs.
func (s *stage) prepare(ctx context.Context, inputs []shards.Input) (err error) {
	if err := s.store.Sweep(ctx); err != nil {
		return err
	}
	if s.cache, err = shards.LoadDigestCache(ctx, s.store, digestsName); err != nil {
		return err
	}
	for _, in := range inputs {
		s.inputs = append(s.inputs, stageInput{Input: in, rows: -1})
	}
	for i := range s.inputs {
		in := &s.inputs[i]
		if in.digest, err = s.cache.Digest(ctx, in.Input); err != nil {
			return err
		}
	}
	return nil
}

// closingTime is how long a stage that was stopped may take to give its folder free.
const closingTime = 20 * time.Second

// close gives the folder free for others. When the stage failed because its
// lock was lost, that is the error.
func (s *stage) close(err *error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.lock.parent), closingTime)
	defer cancel()
	lost := s.lock.lost()
	if *err != nil && lost {
		*err = fmt.Errorf("%s: %w", s.folder, context.Cause(s.lock.held))
	}
	if s.cache != nil && !lost {
		if fault := s.cache.Save(ctx, s.store, digestsName); fault != nil {
			s.app.log.Warn("digests of the inputs are not saved and will be computed again", "cause", fault)
		}
	}
	if fault := s.lock.release(); fault != nil && !lost {
		s.app.log.Warn("the folder's lock stays until it expires", "folder", s.folder, "cause", fault)
	}
}

// Shards whose footers were read for the sum of rows stay open for the work, up
// to this many: on a remote store each footer is a round trip.
const openShards = 64

// shardsAhead is how many footers are read at the same time.
const shardsAhead = 16

// eachInput calls work for every input, for several at a time. The first error
// ends the work on the others.
func (s *stage) eachInput(ctx context.Context, workers int, work func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, workers))
	for i := range s.inputs {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return work(ctx, i)
		})
	}
	return group.Wait()
}

// openedShards are shards that were opened before their turn.
type openedShards struct {
	shards []*shards.Shard // by input; nil: open it again
}

// totalRows adds up the rows of all inputs, -1 if one does not say how many it
// has. Faults are left to the stage to find. The shards that it opened are for
// take; close must be called.
func (s *stage) totalRows(ctx context.Context) (int64, *openedShards) {
	opened := &openedShards{make([]*shards.Shard, len(s.inputs))}
	rows := make([]int64, len(s.inputs))
	group := errgroup.Group{}
	group.SetLimit(shardsAhead)
	for i, in := range s.inputs {
		group.Go(func() error {
			shard, err := shards.Open(ctx, in.Input)
			if err != nil {
				return nil
			}
			rows[i] = shard.NumRows()
			if i < openShards && in.Sandbox == nil { // a sandboxed one is a process
				opened.shards[i] = shard
				return nil
			}
			return shard.Close()
		})
	}
	if group.Wait() != nil {
		return -1, opened
	}
	var total int64
	for _, n := range rows {
		if n < 0 {
			return -1, opened
		}
		total += n
	}
	return total, opened
}

// take returns the shard of input i, opened, for the caller to close.
func (o *openedShards) take(ctx context.Context, i int, in shards.Input) (*shards.Shard, error) {
	if shard := o.shards[i]; shard != nil {
		o.shards[i] = nil
		return shard, nil
	}
	return shards.Open(ctx, in)
}

func (o *openedShards) close() error {
	var faults []error
	for _, shard := range o.shards {
		if shard != nil {
			faults = append(faults, shard.Close())
		}
	}
	return errors.Join(faults...)
}
