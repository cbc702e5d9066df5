package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// What decides bits of losses is part of what is done; what was not asked for
// stays as it was; devices decide nothing.
func TestComputingIsPartOfTheWork(t *testing.T) {
	prior, conditional := modelsForTests(t)
	dir := t.TempDir()
	input, scores := tinyJSONL(t, dir), filepath.Join(dir, "scores")
	score := func(more ...string) {
		t.Helper()
		mustCurate(t, append([]string{"score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t),
			"--sequence-length", "32", "--output", scores, input}, more...)...)
	}
	written := func() time.Time {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(scores, "*.scores.parquet"))
		if err != nil || len(files) != 1 {
			t.Fatalf("sidecars %v, %v", files, err)
		}
		info, err := os.Stat(files[0])
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	made := func(precision string, tokens float64) {
		t.Helper()
		m, err := shards.ReadManifest(context.Background(), local.New(scores), manifestName)
		if err != nil {
			t.Fatal(err)
		}
		if got := optionOf(m, optionPrecision); got != precision || numberOf(m, optionBatchTokens) != tokens {
			t.Errorf("the manifest has precision %q and batches of %v, want %q and %v", got, numberOf(m, optionBatchTokens), precision, tokens)
		}
	}
	score()
	made("f32", 4096)
	first := written()
	score("--memory", "8GiB")
	if backendForTests(t) == backend.CPU {
		score("--devices", "all")
	}
	if written() != first {
		t.Error("more memory or devices made new work")
	}
	score("--precision", "bf16")
	made("bf16", 4096)
	second := written()
	if second == first {
		t.Error("another precision made no new work")
	}
	score()
	made("bf16", 4096)
	if written() != second {
		t.Error("without a wish about precision the scores were computed again")
	}
	for want, more := range map[string][]string{
		"memory of 10 MiB does not suffice": {"--memory", "10MiB", "--precision", "f32"},
		"--devices 500":                     {"--devices", "500", "--precision", "f32"},
	} {
		code, _, stderr := curate(t, append([]string{"score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t),
			"--sequence-length", "32", "--output", t.TempDir(), input}, more...)...)
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, want %d and %q: %s", more, code, exitUsage, want, stderr)
		}
	}
}
