package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestScoreOverlap: overlapping windows are other work than others, say so in
// the manifest and cost device tokens; what is padding is told.
func TestScoreOverlap(t *testing.T) {
	prior, conditional := modelsForTests(t)
	dir := t.TempDir()
	pool, scores := tinyJSONL(t, dir), filepath.Join(dir, "scores")
	score := func(more ...string) (int, string) {
		code, _, stderr := curate(t, append([]string{"score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t),
			"--sequence-length", "8", "--output", scores, pool}, more...)...)
		return code, stderr
	}
	counted := map[string]int64{}
	for _, overlap := range []string{"0", "5"} {
		code, stderr := score("--overlap", overlap)
		manifest := readManifest(t, scores)
		if code != exitDone || !strings.Contains(stderr, " %, ") || !strings.Contains(stderr, "padding ") || !strings.Contains(string(manifest.Options), `"overlap": `+overlap) {
			t.Fatalf("overlap %s: exit %d, options %s\n%s", overlap, code, manifest.Options, stderr)
		}
		unit := manifest.Units[0]
		counted[overlap] = unit.DeviceTokens - unit.Padding
		if unit.Padding <= 0 || unit.DeviceTokens <= unit.Padding {
			t.Errorf("overlap %s: %d device tokens, %d of them padding", overlap, unit.DeviceTokens, unit.Padding)
		}
	}
	if counted["5"] <= counted["0"] {
		t.Errorf("windows have %d tokens with overlap, %d without", counted["5"], counted["0"])
	}
	if code, stderr := score("--overlap", "8"); code != exitUsage || !strings.Contains(stderr, "overlap 8: want 0 to 7") {
		t.Errorf("overlap of a whole window: exit %d\n%s", code, stderr)
	}
	if code, stderr := score("--overlap", "2", "--unit", "sequence"); code != exitUsage || !strings.Contains(stderr, "only windows of documents overlap") {
		t.Errorf("overlap of sequences: exit %d\n%s", code, stderr)
	}
}
