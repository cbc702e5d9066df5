package shards_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
	"github.com/curate-data/curate/shards/storetest"
)

func goodManifest() *shards.Manifest {
	return &shards.Manifest{
		Stage: "score", Curate: "v0.1.0", Options: json.RawMessage(`{"unit":"document","b":[1,2]}`),
		Inputs: []shards.ManifestInput{
			{Shard: "b.parquet", URI: "pool/b.parquet", Size: 10, Digest: "d1", Rows: 4},
			{Shard: "a<&>.parquet", URI: "pool/a<&>.parquet", Size: 9, Digest: "d0", Rows: 6},
		},
		Models:    []shards.ManifestModel{{Role: "prior", Digest: "p"}, {Role: "conditional", Digest: "c"}},
		Tokenizer: "t", Backend: "xla:cpu",
		Units: []shards.Unit{
			{File: "b.1", Key: "k1", Shard: "b.parquet", FirstRowGroup: 1, RowGroups: 1, Rows: 1,
				Counts: shards.Counts{RowsIn: 1, Kept: 1}},
			{File: "b.0", Key: "k0", Shard: "b.parquet", RowGroups: 1, Rows: 3,
				Counts: shards.Counts{RowsIn: 3, Kept: 1, Dropped: map[pipeline.Reason]int64{pipeline.BelowCut: 2}}},
		},
		Counts: shards.Counts{RowsIn: 10, Kept: 2, Dropped: map[pipeline.Reason]int64{pipeline.BelowCut: 2}, Quarantined: 6},
	}
}

func TestManifestRoundTrip(t *testing.T) {
	ctx, store := context.Background(), local.New(t.TempDir())
	if _, err := shards.ReadManifest(ctx, store, "m.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got error %v", err)
	}
	if err := shards.WriteManifest(ctx, store, "m.json", goodManifest()); err != nil {
		t.Fatal(err)
	}
	first := storetest.Get(t, store, "m.json")
	m, err := shards.ReadManifest(ctx, store, "m.json")
	if err != nil {
		t.Fatal(err)
	}
	want := goodManifest()
	want.Format = shards.ManifestFormat
	want.Inputs[0], want.Inputs[1] = want.Inputs[1], want.Inputs[0]
	want.Units[0], want.Units[1] = want.Units[1], want.Units[0]
	want.Units[1].Counts.Dropped = map[pipeline.Reason]int64{}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Whatever the order it was put together in, the bytes are the same.
	if err := shards.WriteManifest(ctx, store, "again.json", m); err != nil {
		t.Fatal(err)
	}
	if again := storetest.Get(t, store, "again.json"); again != first {
		t.Errorf("first\n%s\nagain\n%s", first, again)
	}
	if !strings.Contains(first, `"pool/a<&>.parquet"`) || !strings.HasSuffix(first, "}\n") {
		t.Errorf("got\n%s", first)
	}
}

func TestManifestConservation(t *testing.T) {
	ctx, store := context.Background(), local.New(t.TempDir())
	for what, spoil := range map[string]func(*shards.Manifest){
		"a row too many in":          func(m *shards.Manifest) { m.Counts.RowsIn++ },
		"a row too many kept":        func(m *shards.Manifest) { m.Counts.Kept++ },
		"a lost quarantine":          func(m *shards.Manifest) { m.Counts.Quarantined-- },
		"a negative count":           func(m *shards.Manifest) { m.Counts.Kept -= 5; m.Counts.Quarantined += 5 },
		"a negative reason":          func(m *shards.Manifest) { m.Counts.Dropped["x"] = -1; m.Counts.RowsIn-- },
		"a drop without a reason":    func(m *shards.Manifest) { m.Counts.Dropped[""] = 1; m.Counts.RowsIn++ },
		"a unit that loses a row":    func(m *shards.Manifest) { m.Units[0].Counts.RowsIn++ },
		"a unit that keeps one more": func(m *shards.Manifest) { m.Units[0].Counts.RowsIn++; m.Units[0].Counts.Kept++ },
		"another reason in the units": func(m *shards.Manifest) {
			m.Units[1].Counts.Dropped = map[pipeline.Reason]int64{pipeline.TieAtCut: 2}
		},
	} {
		m := goodManifest()
		spoil(m)
		if err := shards.WriteManifest(ctx, store, "m.json", m); !errors.Is(err, shards.ErrConservation) {
			t.Errorf("%s: got error %v", what, err)
		}
	}
	if infos, err := store.List(ctx, ""); err != nil || len(infos) != 0 {
		t.Errorf("refused manifests left %v, %v", infos, err)
	}
}

func TestManifestRefusesOthers(t *testing.T) {
	ctx, store := context.Background(), local.New(t.TempDir())
	if err := shards.WriteManifest(ctx, store, "m.json", goodManifest()); err != nil {
		t.Fatal(err)
	}
	good := storetest.Get(t, store, "m.json")
	for what, bad := range map[string]string{
		"empty":         "",
		"cut short":     good[:len(good)/2],
		"newer":         strings.Replace(good, `"format": 1`, `"format": 2`, 1),
		"unknown field": strings.Replace(good, `"stage"`, `"extra": 1, "stage"`, 1),
		"edited":        strings.Replace(good, `"kept": 2`, `"kept": 3`, 1),
		"a list":        "[]",
	} {
		if bad == good {
			t.Fatalf("%s: the manifest has changed its form", what)
		}
		storetest.Put(t, store, "bad.json", bad)
		if m, err := shards.ReadManifest(ctx, store, "bad.json"); err == nil || !strings.Contains(err.Error(), "bad.json") {
			t.Errorf("%s: got %+v, error %v", what, m, err)
		}
	}
}

func TestUnitKey(t *testing.T) {
	// sha256 of 8-byte little-endian lengths, each before its part.
	sum := sha256.Sum256([]byte("\x02\x00\x00\x00\x00\x00\x00\x00ab\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00c"))
	if got, want := shards.UnitKey("ab", "", "c"), hex.EncodeToString(sum[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	seen := map[string][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"a", "b", ""}, {"", "ab"}, {"ab", ""}} {
		key := shards.UnitKey(parts...)
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q have one key", parts, other)
		}
		seen[key] = parts
	}
}

// countingStore counts the opens of a store.
type countingStore struct {
	shards.Store
	opens *int
}

func (s countingStore) Open(ctx context.Context, name string) (shards.Object, error) {
	*s.opens++
	return s.Store.Open(ctx, name)
}

func TestDigestCache(t *testing.T) {
	ctx, folder, opens := context.Background(), t.TempDir(), 0
	file, store := filepath.Join(folder, "x.jsonl"), local.New(folder)
	input := func() shards.Input {
		in := inputOf(t, file)
		in.Store = countingStore{in.Store, &opens}
		return in
	}
	write := func(content string, age time.Duration) {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(c *shards.DigestCache, content string, wantOpens int) {
		t.Helper()
		opens = 0
		got, err := c.Digest(ctx, input())
		sum := sha256.Sum256([]byte(content))
		if err != nil || got != hex.EncodeToString(sum[:]) {
			t.Errorf("%q: got %s, error %v", content, got, err)
		}
		if opens != wantOpens {
			t.Errorf("%q: read %d times, want %d", content, opens, wantOpens)
		}
	}
	load := func() *shards.DigestCache {
		t.Helper()
		c, err := shards.LoadDigestCache(ctx, store, "cache.json")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := load()
	write("one", time.Hour)
	expect(c, "one", 1)
	expect(c, "one", 0)
	if err := c.Save(ctx, store, "cache.json"); err != nil {
		t.Fatal(err)
	}
	c = load()
	expect(c, "one", 0)
	write("two", 2*time.Hour) // same size, other content
	expect(c, "two", 1)
	write("three", 0) // too fresh to be remembered
	expect(c, "three", 1)
	expect(c, "three", 1)
	storetest.Put(t, store, "cache.json", "{broken")
	expect(load(), "three", 1)
}

func TestDigestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := shards.Digest(ctx, inputOf(t, "testdata/inputs/snappy.parquet")); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
}

// failingStore fails where a full disk does.
type failingStore struct {
	shards.Store
	write, finish error
	aborted       *int
}

type failingPending struct {
	shards.Pending
	s failingStore
}

func (s failingStore) Create(ctx context.Context, name string) (shards.Pending, error) {
	p, err := s.Store.Create(ctx, name)
	return failingPending{p, s}, err
}

func (p failingPending) Write(b []byte) (int, error) {
	if p.s.write != nil {
		return 0, p.s.write
	}
	return p.Pending.Write(b)
}

func (p failingPending) Abort() {
	*p.s.aborted++
	p.Pending.Abort()
}

func (p failingPending) Finish(ctx context.Context) error {
	if p.s.finish != nil {
		p.Pending.Abort()
		return p.s.finish
	}
	return p.Pending.Finish(ctx)
}

func TestManifestFullDisk(t *testing.T) {
	full := errors.New("no space left on device")
	aborted := 0
	for _, s := range []failingStore{{write: full}, {finish: full}} {
		s.Store, s.aborted = local.New(t.TempDir()), &aborted
		if err := shards.WriteManifest(context.Background(), s, "m.json", goodManifest()); !errors.Is(err, full) {
			t.Errorf("got error %v", err)
		}
		if infos, err := s.List(context.Background(), ""); err != nil || len(infos) != 0 {
			t.Errorf("left %v, %v", infos, err)
		}
	}
	if aborted != 1 {
		t.Errorf("aborted %d times, want once, after the failed write", aborted)
	}
	w := shards.NewScoreWriter(failingWriter{full}, nil)
	err := w.Write(randomScores("s", 0, 140_000))
	if err == nil {
		err = w.Close()
	}
	if !errors.Is(err, full) {
		t.Errorf("sidecar: got error %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

var _ io.Writer = failingWriter{}
