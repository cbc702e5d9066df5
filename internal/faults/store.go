package faults

import (
	"context"
	"io"
	"slices"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/curate-data/curate/shards"
)

// Wrapped is a store whose operations an Injector counts and fails. It can do
// all that a store may do beside its methods, as far as the one below can.
type Wrapped struct {
	in    *Injector
	store shards.Store
}

// Wrap puts an Injector before a store. Its Lock and Sweep need a
// shards.Folder below.
func (i *Injector) Wrap(store shards.Store) *Wrapped { return &Wrapped{i, store} }

// Locate wraps the stores that locate finds.
func (i *Injector) Locate(locate shards.Locate) shards.Locate {
	return func(ctx context.Context, path string) (shards.Store, string, error) {
		store, name, err := locate(ctx, path)
		if err != nil {
			return nil, "", err
		}
		return i.Wrap(store), name, nil
	}
}

// List implements shards.Store.
func (w *Wrapped) List(ctx context.Context, prefix string) (infos []shards.ObjectInfo, err error) {
	err = w.in.run(List, prefix, func() (err error) {
		infos, err = w.store.List(ctx, prefix)
		return err
	})
	if err != nil {
		return nil, err
	}
	return infos, nil
}

// Glob returns the objects whose names match a doublestar pattern.
func (w *Wrapped) Glob(ctx context.Context, pattern string) (infos []shards.ObjectInfo, err error) {
	globber, ok := w.store.(interface {
		Glob(ctx context.Context, pattern string) ([]shards.ObjectInfo, error)
	})
	if !ok {
		infos, err := w.List(ctx, "")
		return slices.DeleteFunc(infos, func(info shards.ObjectInfo) bool { return !doublestar.MatchUnvalidated(pattern, info.Name) }), err
	}
	err = w.in.run(Glob, pattern, func() (err error) {
		infos, err = globber.Glob(ctx, pattern)
		return err
	})
	if err != nil {
		return nil, err
	}
	return infos, nil
}

// Open implements shards.Store.
func (w *Wrapped) Open(ctx context.Context, name string) (shards.Object, error) {
	v := w.in.next(Open, name)
	if !v.act {
		return nil, v.err
	}
	obj, err := w.store.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	if v.err != nil {
		obj.Close() // the answer is lost, the file of this process is not
		return nil, v.err
	}
	return &object{obj, w.in, name}, nil
}

// Create implements shards.Store.
func (w *Wrapped) Create(ctx context.Context, name string) (shards.Pending, error) {
	return w.create(Create, name, func() (shards.Pending, error) { return w.store.Create(ctx, name) })
}

// CreateNew is Create whose Finish does not replace an object, where the store
// below has it, else Create.
func (w *Wrapped) CreateNew(ctx context.Context, name string) (shards.Pending, error) {
	creator, ok := w.store.(interface {
		CreateNew(ctx context.Context, name string) (shards.Pending, error)
	})
	if !ok {
		return w.Create(ctx, name)
	}
	return w.create(CreateNew, name, func() (shards.Pending, error) { return creator.CreateNew(ctx, name) })
}

func (w *Wrapped) create(op Op, name string, f func() (shards.Pending, error)) (shards.Pending, error) {
	var p shards.Pending
	err := w.in.run(op, name, func() (err error) {
		p, err = f()
		return err
	})
	if err != nil {
		return nil, err // with the answer lost nobody aborts p: it is for Sweep
	}
	return &pending{p, w.in, name}, nil
}

// Remove implements shards.Store.
func (w *Wrapped) Remove(ctx context.Context, name string) error {
	return w.in.run(Remove, name, func() error { return w.store.Remove(ctx, name) })
}

// Lock implements shards.Locker. The lock of a crashed run is given back, as
// the kernel does; so is one whose answer is lost.
func (w *Wrapped) Lock(ctx context.Context) (held context.Context, release func() error, err error) {
	err = w.in.run(Lock, "", func() (err error) {
		held, release, err = w.store.(shards.Folder).Lock(ctx)
		return err
	})
	if err != nil && release != nil {
		release()
	}
	if err != nil {
		return nil, nil, err
	}
	return held, release, nil
}

// Sweep implements shards.Locker.
func (w *Wrapped) Sweep(ctx context.Context) error {
	return w.in.run(Sweep, "", func() error { return w.store.(shards.Folder).Sweep(ctx) })
}

// object is an open object of a wrapped store.
type object struct {
	shards.Object
	in   *Injector
	name string
}

// ReadAt implements io.ReaderAt.
func (o *object) ReadAt(b []byte, off int64) (int, error) {
	v := o.in.next(ReadAt, o.name)
	switch {
	case v.short:
		n, err := o.Object.ReadAt(b[:len(b)/2], off)
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	case v.act:
		n, err := o.Object.ReadAt(b, off)
		if v.err != nil {
			return 0, v.err
		}
		return n, err
	}
	return 0, v.err
}

// Prefetch passes on what will be read next.
func (o *object) Prefetch(ranges []shards.Range) {
	if p, ok := o.Object.(interface{ Prefetch([]shards.Range) }); ok && !o.in.Crashed() {
		p.Prefetch(ranges)
	}
}

// pending is an object being written to a wrapped store.
type pending struct {
	below shards.Pending
	in    *Injector
	name  string
}

// Write implements io.Writer.
func (p *pending) Write(b []byte) (n int, err error) {
	v := p.in.next(Write, p.name)
	switch {
	case v.short:
		n, err = p.below.Write(b[:len(b)/2])
	case v.act:
		n, err = p.below.Write(b)
	}
	if err == nil {
		err = v.err
	}
	return n, err
}

// Finish implements shards.Pending. A Finish that fails leaves nothing
// half-written, unless the process has died.
func (p *pending) Finish(ctx context.Context) error {
	v := p.in.next(Finish, p.name)
	if v.act {
		if err := p.below.Finish(ctx); err != nil {
			return err
		}
		return v.err
	}
	if !p.in.Crashed() {
		p.below.Abort()
	}
	return v.err
}

// Abort implements shards.Pending. A dead process aborts nothing.
func (p *pending) Abort() {
	if !p.in.Crashed() {
		p.below.Abort()
	}
}
