package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/curate-data/curate/internal/faults"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// TestTokensSurviveEveryFault fails each operation on the output's store in
// turn. Either the run succeeds, or the next one completes it, with the same
// bytes and nothing left over.
func TestTokensSurviveEveryFault(t *testing.T) {
	p := newTokenPool(t)
	whole, _ := p.write(t, "--format", "npy")
	want := treeDigests(t, whole)
	write := func(output string, injector *faults.Injector) int {
		places := newStores()
		defer places.close()
		places.remote["faulty"] = remoteStore{folder: func(_ context.Context, uri string) (shards.Folder, error) {
			return injector.Wrap(local.New(strings.TrimPrefix(uri, "faulty://"))), nil
		}}
		root := newRoot(&bytes.Buffer{}, &bytes.Buffer{}, places)
		root.SetArgs([]string{"write", "--quiet", "--selection", p.selection, "--prior", p.prior, "--output", "faulty://" + output, p.folder})
		if err := root.ExecuteContext(context.Background()); err != nil {
			return exitCode(context.Background(), err)
		}
		return exitDone
	}
	count := faults.New(0, faults.Before)
	if code := write(filepath.Join(t.TempDir(), "counted"), count); code != exitDone {
		t.Fatalf("without a fault: exit %d", code)
	}
	modes, failed := faults.Modes(), 0
	step := 1
	if testing.Short() {
		step = 7
	}
	for at := 1; at <= len(count.Ops()); at += step {
		mode := modes[at/step%len(modes)]
		output := filepath.Join(t.TempDir(), "tokens")
		if write(output, faults.New(at, mode)) != exitDone {
			failed++
		} else if got := treeDigests(t, output); len(differences(got, want)) > 0 {
			t.Errorf("operation %d (%s, %s) failed, the run did not, and %v", at, count.Ops()[at-1], mode, differences(got, want))
		}
		mustCurate(t, "write", "--quiet", "--selection", p.selection, "--prior", p.prior, "--output", output, p.folder)
		if got := treeDigests(t, output); len(differences(got, want)) > 0 {
			t.Errorf("after operation %d (%s, %s) failed: %v", at, count.Ops()[at-1], mode, differences(got, want))
		}
	}
	if failed < len(count.Ops())/step/2 {
		t.Errorf("only %d of %d faults failed a run", failed, len(count.Ops())/step)
	}
	t.Logf("%d operations, %d runs failed", len(count.Ops()), failed)
}
