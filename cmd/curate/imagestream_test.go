package main

import (
	"maps"
	"strings"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/pipeline"
)

// TestStreamedSelection selects without holding the pool, and decides about the
// rows as the form in memory does: the same reasons but for which images are chosen.
func TestStreamedSelection(t *testing.T) {
	list := photos(48)
	list[7].png = []byte("no picture")
	inputs := nestedShards(t, t.TempDir(), list, true)
	first := choose(t, append([]string{"--budget", "30", "--method", "random"}, inputs...)...)
	preselected := t.TempDir() + "/labelled.txt"
	put(t, preselected, list[1].name+"\n")
	args := append([]string{"--budget", "9", "--within", first, "--preselected", preselected}, inputs...)
	memory := choose(t, append([]string{"--option", "k_policy=bisect_cut"}, args...)...)
	streamed := choose(t, append([]string{"--stream"}, args...)...)

	want, got := decided(t, memory), decided(t, streamed)
	if len(choicesOf(t, streamed)) != 9 || countKept(got) != 9 {
		t.Fatalf("chosen: %v", namesOf(t, streamed))
	}
	for row, reason := range want {
		if reason != "" && reason != ofds.NotChosen && got[row] != reason {
			t.Errorf("%v: reason %q, in memory %q", row, got[row], reason)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rows decided, want %d", len(got), len(want))
	}
	classes := map[string]bool{}
	for _, c := range choicesOf(t, streamed) {
		classes[c.Class] = true
		if c.Kind == string(ofds.Coverage) && (c.Object == "" || c.Cluster < 0) {
			t.Errorf("chosen without an object: %+v", c)
		}
	}
	if len(classes) < 3 {
		t.Errorf("chosen for %v", classes)
	}
	if m := measuresOf(t, streamed); m.Sampled == 0 || m.Measures.Proposals.Overall.Covered != 3 {
		t.Errorf("metrics: %d images sampled, %+v", m.Sampled, m.Measures.Proposals.Overall)
	}
	again := choose(t, append([]string{"--stream"}, args...)...)
	if !maps.Equal(treeDigests(t, streamed), treeDigests(t, again)) {
		t.Errorf("a second run differs: %v", differences(treeDigests(t, again), treeDigests(t, streamed)))
	}
	mustCurate(t, "verify", streamed)
	code, _, stderr := curate(t, append([]string{"select", "--method", "ofds", "--stream", "--option", "quota=sqrt", "--output", t.TempDir()}, args...)...)
	if code != exitUsage || !strings.Contains(stderr, "quota") {
		t.Errorf("an option that streaming does not have: exit %d: %s", code, stderr)
	}
}

func countKept(all map[pipeline.RowID]pipeline.Reason) (n int) {
	for _, reason := range all {
		if reason == "" {
			n++
		}
	}
	return n
}
