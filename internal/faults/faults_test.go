package faults_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/curate-data/curate/internal/faults"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
	"github.com/curate-data/curate/shards/storetest"
)

// TestNoFaults: a store behind an Injector that fails nothing keeps all
// promises.
func TestNoFaults(t *testing.T) {
	storetest.Run(t, func(t *testing.T) shards.Store {
		return faults.New(0, faults.Before).Wrap(local.New(t.TempDir()))
	})
}

// work does one of each operation and returns the first error. It cleans up
// like any caller.
func work(store *faults.Wrapped) (err error) {
	ctx := context.Background()
	held, release, err := store.Lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := store.Sweep(held); err != nil {
		return err
	}
	for _, create := range []func(context.Context, string) (shards.Pending, error){store.Create, store.CreateNew} {
		p, err := create(ctx, "a/b")
		if err != nil {
			return err
		}
		if _, err := io.WriteString(p, "content"); err != nil {
			p.Abort()
			return err
		}
		if err := p.Finish(ctx); err != nil {
			return err
		}
		if _, err := store.List(ctx, ""); err != nil {
			return err
		}
		if _, err := store.Glob(ctx, "**"); err != nil {
			return err
		}
		obj, err := store.Open(ctx, "a/b")
		if err != nil {
			return err
		}
		_, err = obj.ReadAt(make([]byte, 7), 0)
		if err := errors.Join(err, obj.Close()); err != nil {
			return err
		}
		if err := store.Remove(ctx, "a/b"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// TestEveryOperationFails counts operations, and fails each in each mode: with
// an error, and with the effect that the mode says.
func TestEveryOperationFails(t *testing.T) {
	counter := faults.New(0, faults.Before)
	if err := work(counter.Wrap(local.New(t.TempDir()))); err != nil {
		t.Fatal(err)
	}
	ops := counter.Ops()
	want := []faults.Op{faults.Lock, faults.Sweep}
	for _, create := range []faults.Op{faults.Create, faults.CreateNew} {
		want = append(want, create, faults.Write, faults.Finish, faults.List, faults.Glob, faults.Open, faults.ReadAt, faults.Remove)
	}
	if !slices.Equal(ops, want) {
		t.Fatalf("operations %v, want %v", ops, want)
	}
	for n, op := range ops {
		for _, mode := range faults.Modes() {
			dir := t.TempDir()
			in := faults.New(n+1, mode)
			err := work(in.Wrap(local.New(dir)))
			if err == nil || !in.Fired() || !errors.Is(err, faults.ErrInjected) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s %d, %s: error %v, fired %t", op, n+1, mode, err, in.Fired())
			}
			crash := mode == faults.Crash || mode == faults.CrashAfter
			if in.Crashed() != crash {
				t.Errorf("%s %d, %s: crashed %t", op, n+1, mode, in.Crashed())
			}
			checkEffect(t, dir, op, mode)
		}
	}
}

// checkEffect looks at what the first round of work has left.
func checkEffect(t *testing.T, dir string, op faults.Op, mode faults.Mode) {
	t.Helper()
	published := false
	if _, err := os.Stat(filepath.Join(dir, "a/b")); err == nil {
		published = true
	}
	half, err := filepath.Glob(filepath.Join(dir, "a/.*"))
	if err != nil {
		t.Fatal(err)
	}
	after := mode == faults.After || mode == faults.CrashAfter
	switch op {
	case faults.Finish:
		if published != after {
			t.Errorf("%s, %s: published %t", op, mode, published)
		}
		if (len(half) > 0) != (mode == faults.Crash) {
			t.Errorf("%s, %s: left half-written: %v", op, mode, half)
		}
	case faults.Remove:
		if published == after {
			t.Errorf("%s, %s: it is there: %t", op, mode, published)
		}
	case faults.Create, faults.CreateNew:
		if (len(half) > 0) != after {
			t.Errorf("%s, %s: left half-written: %v", op, mode, half)
		}
	case faults.Write:
		if crash := mode == faults.Crash || mode == faults.CrashAfter; (len(half) > 0) != crash {
			t.Errorf("%s, %s: left half-written: %v", op, mode, half)
		}
	}
}
