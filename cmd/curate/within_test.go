package main

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// decided reads all decisions of a selection, as reasons by row; "" is kept.
func decided(t *testing.T, folder string) map[pipeline.RowID]pipeline.Reason {
	t.Helper()
	all := map[pipeline.RowID]pipeline.Reason{}
	for _, unit := range readManifest(t, folder).Units {
		if unit.Shard == "" {
			continue // of all shards: the choices, the metrics and the page
		}
		object, err := local.New(folder).Open(context.Background(), unit.File)
		if err != nil {
			t.Fatal(err)
		}
		for d, err := range shards.ReadSelection(context.Background(), object) {
			if err != nil {
				t.Fatal(err)
			}
			for i, row := range d.Row {
				all[pipeline.RowID{Shard: d.Shard, Row: row, Seq: d.Seq[i]}] = d.Reason[i]
			}
		}
		object.Close()
	}
	return all
}

// TestSelectWithin selects by score among the rows that a random selection
// kept, and compares with sorting them.
func TestSelectWithin(t *testing.T) {
	pool := newWrittenPool(t, 2000)
	dir := filepath.Dir(pool.selection)
	scores, first, second := filepath.Join(dir, "scores"), filepath.Join(dir, "first"), filepath.Join(dir, "second")
	mustCurate(t, "select", "--scores", scores, "--output", first, "--method", "random", "--keep-fraction", "0.5", "--quiet")
	mustCurate(t, "select", "--scores", scores, "--output", second, "--within", first, "--keep-fraction", "0.3", "--quiet")

	earlier, got := decided(t, first), decided(t, second)
	var candidates []pipeline.RowID
	values := scoresOf(t, scores)
	for row, reason := range earlier {
		if reason == "" {
			candidates = append(candidates, row)
		}
	}
	slices.SortFunc(candidates, func(a, b pipeline.RowID) int {
		return cmp.Or(cmp.Compare(values[b], values[a]), a.Compare(b))
	})
	keep := len(candidates) * 3 / 10
	kept := map[pipeline.RowID]bool{}
	for _, row := range candidates[:keep] {
		kept[row] = true
	}
	for row, reason := range got {
		switch {
		case kept[row] != (reason == ""):
			t.Errorf("%v: reason %q, want kept %t", row, reason, kept[row])
		case earlier[row] != "" && reason != earlier[row]:
			t.Errorf("%v: reason %q, want the earlier %q", row, reason, earlier[row])
		}
	}
	counts := readManifest(t, second).Counts
	if counts.RowsIn != int64(len(earlier)) || counts.Kept != int64(keep) || counts.Check() != nil {
		t.Errorf("counts %+v, want %d rows in, %d kept", counts, len(earlier), keep)
	}
	if stdout, stderr := mustCurate(t, "select", "--scores", scores, "--output", second, "--within", first, "--keep-fraction", "0.3"); !strings.Contains(stdout+stderr, "nothing to do") {
		t.Errorf("a second run says: %s%s", stdout, stderr)
	}
}

// TestSelectWithinRefuses: an earlier selection of other inputs, or none at all.
func TestSelectWithinRefuses(t *testing.T) {
	pool, other := newWrittenPool(t, 2000), newWrittenPool(t, 3000)
	scores := filepath.Join(filepath.Dir(pool.selection), "scores")
	for earlier, want := range map[string]string{other.selection: "has changed since", scores: "not of `curate select`", t.TempDir(): "without a manifest"} {
		code, _, stderr := curate(t, "select", "--scores", scores, "--output", t.TempDir(), "--within", earlier, "--keep-rows", "3")
		if code == exitDone || !strings.Contains(stderr, want) {
			t.Errorf("exit %d, want an error with %q: %s", code, want, stderr)
		}
	}
}

// scoresOf reads the color score of every row.
func scoresOf(t *testing.T, folder string) map[pipeline.RowID]float32 {
	t.Helper()
	all := map[pipeline.RowID]float32{}
	source := &sidecars{local.New(folder), readManifest(t, folder)}
	for s, err := range source.Scores(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range s.Row {
			all[pipeline.RowID{Shard: s.Shard, Row: row, Seq: s.Seq[i]}] = s.Color[i]
		}
	}
	return all
}
