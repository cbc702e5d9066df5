// Package storetest is the conformance suite of shards.Store. A store joins it
// with one test that calls Run.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/curate-data/curate/shards"
)

// Run tests what the comments of shards.Store, Object and Pending promise.
// open returns an empty store, a new one each time.
func Run(t *testing.T, open func(t *testing.T) shards.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, shards.Store)
	}{
		{"missing", missing},
		{"publish", publish},
		{"replace", replace},
		{"fresh", fresh},
		{"lock", lock},
		{"abort", abort},
		{"cancelled", cancelled},
		{"list", list},
		{"names", names},
		{"content", content},
		{"parallel", parallel},
		{"large", large},
		{"digests", digests},
		{"glob", glob},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// Put publishes an object.
func Put(t testing.TB, s shards.Store, name, content string) {
	t.Helper()
	p := begin(t, s, name, content)
	if err := p.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Get reads an object.
func Get(t testing.TB, s shards.Store, name string) string {
	t.Helper()
	obj, err := s.Open(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Close()
	b, err := io.ReadAll(io.NewSectionReader(obj, 0, obj.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// begin creates an object and writes its content.
func begin(t testing.TB, s shards.Store, name, content string) shards.Pending {
	t.Helper()
	p, err := s.Create(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(p, content); err != nil {
		t.Fatal(err)
	}
	return p
}

// listed returns the names of all objects with a prefix.
func listed(t testing.TB, s shards.Store, prefix string) []string {
	t.Helper()
	infos, err := s.List(context.Background(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, info := range infos {
		found = append(found, info.Name)
	}
	return found
}

func expectList(t testing.TB, s shards.Store, prefix string, want ...string) {
	t.Helper()
	if got := listed(t, s, prefix); !slices.Equal(got, want) {
		t.Errorf("List(%q) = %q, want %q", prefix, got, want)
	}
}

func expectMissing(t testing.TB, s shards.Store, name string) {
	t.Helper()
	obj, err := s.Open(context.Background(), name)
	if err == nil {
		obj.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open(%q): got error %v, want one that wraps fs.ErrNotExist", name, err)
	}
}

func missing(t *testing.T, s shards.Store) {
	expectMissing(t, s, "nope")
	expectMissing(t, s, "no/folder/either")
	if err := s.Remove(context.Background(), "nope"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove: got error %v, want one that wraps fs.ErrNotExist", err)
	}
	expectList(t, s, "")
	expectList(t, s, "no/folder/")
}

func publish(t *testing.T, s shards.Store) {
	p := begin(t, s, "a/b/c.bin", "whole")
	expectList(t, s, "")
	expectMissing(t, s, "a/b/c.bin")
	if err := p.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := Get(t, s, "a/b/c.bin"); got != "whole" {
		t.Errorf("got %q", got)
	}
	expectList(t, s, "", "a/b/c.bin")
	if err := s.Remove(context.Background(), "a/b/c.bin"); err != nil {
		t.Fatal(err)
	}
	expectMissing(t, s, "a/b/c.bin")
	expectList(t, s, "")
}

func replace(t *testing.T, s shards.Store) {
	Put(t, s, "x", "old")
	before, err := s.List(context.Background(), "x")
	if err != nil || len(before) != 1 {
		t.Fatal(before, err)
	}
	p := begin(t, s, "x", "newer")
	if got := Get(t, s, "x"); got != "old" {
		t.Errorf("before Finish: got %q", got)
	}
	if err := p.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := Get(t, s, "x"); got != "newer" {
		t.Errorf("after Finish: got %q", got)
	}
	after, err := s.List(context.Background(), "x")
	if err != nil || len(after) != 1 {
		t.Fatal(after, err)
	}
	if before[0].Version == after[0].Version || after[0].Version == "" {
		t.Errorf("version %q before, %q after", before[0].Version, after[0].Version)
	}
	if after[0].Size != 5 || after[0].Modified.IsZero() || after[0].Modified.Before(before[0].Modified) {
		t.Errorf("%+v, before %+v", after[0], before[0])
	}
}

// fresh tests CreateNew of the stores that have it.
func fresh(t *testing.T, s shards.Store) {
	store, ok := s.(interface {
		CreateNew(ctx context.Context, name string) (shards.Pending, error)
	})
	if !ok {
		t.Skip("this store replaces always")
	}
	const racers = 8
	var group sync.WaitGroup
	var won atomic.Int64
	for k := range racers {
		group.Go(func() {
			p, err := store.CreateNew(context.Background(), "f/new")
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(p, "%d", k)
			switch err := p.Finish(context.Background()); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, fs.ErrExist):
				t.Errorf("Finish: got error %v, want one that wraps fs.ErrExist", err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of %d racers won", won.Load(), racers)
	}
	if got := Get(t, s, "f/new"); len(got) != 1 {
		t.Errorf("got %q", got)
	}
	expectList(t, s, "", "f/new")
}

// lock tests the Locker of the stores that are one.
func lock(t *testing.T, s shards.Store) {
	store, ok := s.(shards.Locker)
	if !ok {
		t.Skip("this store has no locks")
	}
	ctx := context.Background()
	held, release, err := store.Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = store.Lock(ctx)
	var locked *shards.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("second lock: got error %v, want a *LockedError", err)
	}
	if locked.Holder.PID != os.Getpid() || locked.Holder.Host == "" || locked.Folder == "" {
		t.Errorf("locked by %+v", locked)
	}
	expectList(t, s, "") // the lock is no object
	begin(t, s, "left/behind", "half")
	Put(t, s, "whole", "w")
	if err := store.Sweep(held); err != nil {
		t.Fatal(err)
	}
	expectList(t, s, "", "whole")
	if held.Err() != nil {
		t.Errorf("held: %v", context.Cause(held))
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	_, release, err = store.Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
}

func abort(t *testing.T, s shards.Store) {
	Put(t, s, "kept", "old")
	begin(t, s, "gone", "never seen").Abort()
	begin(t, s, "kept", "never seen").Abort()
	expectMissing(t, s, "gone")
	expectList(t, s, "", "kept")
	if got := Get(t, s, "kept"); got != "old" {
		t.Errorf("got %q", got)
	}
}

func cancelled(t *testing.T, s shards.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	p := begin(t, s, "x", "content")
	cancel()
	if err := p.Finish(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Finish: got error %v", err)
	}
	expectMissing(t, s, "x")
	expectList(t, s, "")
}

func parallel(t *testing.T, s shards.Store) {
	const writers = 8
	var group sync.WaitGroup
	for k := range writers {
		group.Go(func() {
			for _, name := range []string{"shared", fmt.Sprintf("f/%d/own", k)} {
				p, err := s.Create(context.Background(), name)
				if err != nil {
					t.Error(err)
					return
				}
				for range 100 {
					fmt.Fprintf(p, "%d", k)
				}
				if err := p.Finish(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got := Get(t, s, "shared"); len(got) != 100 || got != string(bytes.Repeat([]byte(got[:1]), 100)) {
		t.Errorf("one writer's content, whole, was expected: got %q", got)
	}
	if got := listed(t, s, "f/"); len(got) != writers {
		t.Errorf("got %q", got)
	}
}
