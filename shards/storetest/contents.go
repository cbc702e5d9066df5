package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/curate-data/curate/shards"
)

func list(t *testing.T, s shards.Store) {
	all := []string{"a-b", "a.b", "a/1", "a/2/3", "a0", "ab/c", "b", "z/y/x/w"}
	shuffled := slices.Clone(all)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(all), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for _, name := range shuffled {
		Put(t, s, name, name)
	}
	expectList(t, s, "", all...)
	expectList(t, s, "a", all[:6]...)
	expectList(t, s, "a/", "a/1", "a/2/3")
	expectList(t, s, "a/2", "a/2/3")
	expectList(t, s, "z/y/x", "z/y/x/w")
	expectList(t, s, "b", "b")
	expectList(t, s, "b/")
	expectList(t, s, "c")
	infos, err := s.List(context.Background(), "z/")
	if err != nil || len(infos) != 1 || infos[0].Size != int64(len("z/y/x/w")) {
		t.Errorf("got %+v, error %v", infos, err)
	}
}

func names(t *testing.T, s shards.Store) {
	for _, name := range []string{"", ".", "..", "/x", "../x", "a/../b", "a//b", "a/", "./a", ".curate.lock", "a/.curate.lock"} {
		if p, err := s.Create(context.Background(), name); err == nil {
			p.Abort()
			t.Errorf("Create(%q): no error", name)
		}
		if obj, err := s.Open(context.Background(), name); err == nil {
			obj.Close()
			t.Errorf("Open(%q): no error", name)
		}
		if err := s.Remove(context.Background(), name); err == nil {
			t.Errorf("Remove(%q): no error", name)
		}
	}
	for _, name := range []string{"with space", "ünï/çode 狐", "per%cent", "a+b=c&d", ".hidden", "star*", "quote'\""} {
		Put(t, s, name, name)
		if got := Get(t, s, name); got != name {
			t.Errorf("%q: got %q", name, got)
		}
	}
}

func content(t *testing.T, s shards.Store) {
	want := make([]byte, 3<<20+17)
	r := rand.New(rand.NewPCG(2, 2))
	for i := range want {
		want[i] = byte(r.Uint32())
	}
	p, err := s.Create(context.Background(), "big")
	if err != nil {
		t.Fatal(err)
	}
	for rest := want; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(100_000))
		if _, err := p.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := p.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	Put(t, s, "empty", "")
	if got := Get(t, s, "empty"); got != "" {
		t.Errorf("empty object holds %q", got)
	}
	obj, err := s.Open(context.Background(), "big")
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Close()
	if obj.Size() != int64(len(want)) {
		t.Fatalf("size %d, want %d", obj.Size(), len(want))
	}
	var group sync.WaitGroup
	for k := range 4 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(3, uint64(k)))
			for range 50 {
				from := r.IntN(len(want))
				got := make([]byte, 1+r.IntN(len(want)-from))
				if n, err := obj.ReadAt(got, int64(from)); n != len(got) || err != nil && err != io.EOF || !bytes.Equal(got, want[from:from+len(got)]) {
					t.Errorf("ReadAt(%d bytes, %d): %d, %v", len(got), from, n, err)
				}
			}
		})
	}
	group.Wait()
	got := make([]byte, 20)
	if n, err := obj.ReadAt(got, int64(len(want)-10)); n != 10 || err != io.EOF || !bytes.Equal(got[:n], want[len(want)-10:]) {
		t.Errorf("ReadAt across the end: %d, %v", n, err)
	}
	if n, err := obj.ReadAt(got, int64(len(want))+5); n != 0 || err != io.EOF {
		t.Errorf("ReadAt after the end: %d, %v", n, err)
	}
}

// large writes an object that remote stores send in parts, anew and in place of
// another, and stops one half-way.
func large(t *testing.T, s shards.Store) {
	content := make([]byte, 17<<20+3)
	rand.NewChaCha8([32]byte{5}).Read(content)
	half := begin(t, s, "half", string(content[:12<<20]))
	Put(t, s, "x", "small")
	Put(t, s, "x", string(content))
	if got := Get(t, s, "x"); got != string(content) {
		t.Errorf("got %d bytes", len(got))
	}
	half.Abort()
	expectList(t, s, "", "x")
	ctx, cancel := context.WithCancel(context.Background())
	p := begin(t, s, "x", string(content[1:]))
	cancel()
	if err := p.Finish(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Finish: got error %v", err)
	}
	if store, ok := s.(interface {
		CreateNew(ctx context.Context, name string) (shards.Pending, error)
	}); ok {
		p, err := store.CreateNew(context.Background(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(content[1:]); err != nil {
			t.Fatal(err)
		}
		if err := p.Finish(context.Background()); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Finish of a new object: got error %v, want one that wraps fs.ErrExist", err)
		}
	}
	if got := Get(t, s, "x"); got != string(content) {
		t.Errorf("afterwards: got %d bytes", len(got))
	}
	expectList(t, s, "", "x")
}

// digests tests the stores that know the identity of content.
func digests(t *testing.T, s shards.Store) {
	for name, content := range map[string]string{"a": "one", "b": "one", "c": "two", "d": "three"} {
		Put(t, s, name, content)
	}
	infos, err := s.List(context.Background(), "")
	if err != nil || len(infos) != 4 {
		t.Fatal(infos, err)
	}
	if infos[0].Digest == "" {
		t.Skip("this store reads what it digests")
	}
	if infos[0].Digest != infos[1].Digest {
		t.Errorf("one content has digests %q and %q", infos[0].Digest, infos[1].Digest)
	}
	if infos[1].Digest == infos[2].Digest || infos[1].Digest == infos[3].Digest {
		t.Errorf("two contents have digest %q", infos[1].Digest)
	}
}

// glob tests the stores that match patterns.
func glob(t *testing.T, s shards.Store) {
	store, ok := s.(interface {
		Glob(ctx context.Context, pattern string) ([]shards.ObjectInfo, error)
	})
	if !ok {
		t.Skip("this store lists only")
	}
	for _, name := range []string{"a/1.x", "a/2.y", "a/b/3.x", "c.x", "d+/4.x"} {
		Put(t, s, name, name)
	}
	for _, test := range []struct {
		pattern string
		want    []string
	}{
		{"*.x", []string{"c.x"}}, {"a/*", []string{"a/1.x", "a/2.y"}}, {"a/*.x", []string{"a/1.x"}}, {"**/*.x", []string{"a/1.x", "a/b/3.x", "c.x", "d+/4.x"}},
		{"*/*.x", []string{"a/1.x", "d+/4.x"}}, {"{a,d+}/[14].x", []string{"a/1.x", "d+/4.x"}}, {"c.x", []string{"c.x"}}, {"nope/*", nil}, {"?.x", []string{"c.x"}},
	} {
		infos, err := store.Glob(context.Background(), test.pattern)
		var got []string
		for _, info := range infos {
			got = append(got, info.Name)
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("Glob(%q): %q, error %v, want %q", test.pattern, got, err, test.want)
		}
	}
}
