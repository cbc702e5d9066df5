package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/curate-data/curate/shards"
)

// TestRunFromTextToParquet is the whole job on real text: every row accounted
// for, a second run with nothing to do, a changed option with little to do.
func TestRunFromTextToParquet(t *testing.T) {
	config, output := tinyConfig(t)
	stdout, _ := mustCurate(t, "run", config)
	if !strings.Contains(stdout, "dropped: below_cut") || !strings.Contains(stdout, "report.html") {
		t.Errorf("the summary lacks counts or the report's path:\n%s", stdout)
	}
	manifest := readManifest(t, filepath.Join(output, "data"))
	counts := manifest.Counts
	if counts.RowsIn != 33 || counts.Kept != 8 || counts.Dropped["null_text"] != 1 || counts.Dropped["empty_text"] != 1 || counts.Dropped["too_short"] != 1 {
		t.Errorf("counts %+v: want 33 rows in, a quarter kept, one null, one empty and one too short text", counts)
	}
	page, err := os.ReadFile(filepath.Join(output, "report.html"))
	if err != nil || !strings.Contains(string(page), "<svg") {
		t.Errorf("report: %v", err)
	}

	before := treeDigests(t, output)
	stdout, _ = mustCurate(t, "run", config)
	if !strings.Contains(stdout, "nothing to do") {
		t.Errorf("a second run says:\n%s", stdout)
	}
	if got := treeDigests(t, output); len(differences(got, before)) > 0 {
		t.Errorf("a second run changed %v", differences(got, before))
	}
	mustCurate(t, "verify", output)

	// Another fraction needs no model.
	mustCurate(t, "run", config, "--set", "select.keep_fraction=0.5")
	after := treeDigests(t, output)
	for name := range before {
		if strings.HasPrefix(name, "models/") || strings.HasPrefix(name, "scores/") {
			if before[name] != after[name] {
				t.Errorf("another keep_fraction changed %s", name)
			}
		}
	}
	if kept := readManifest(t, filepath.Join(output, "data")).Counts.Kept; kept != 16 {
		t.Errorf("kept %d rows of 33 by 0.5, want 16", kept)
	}
	mustCurate(t, "run", config, "--set", "select.keep_fraction=0.5", "--set", "write.format=jsonl.zst")
	if units := readManifest(t, filepath.Join(output, "data")).Units; len(units) != 2 || units[0].File != "heldout.jsonl.zst" {
		t.Errorf("as jsonl.zst: units %+v", units)
	}
}

func readManifest(t *testing.T, folder string) *shards.Manifest {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(folder, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	var manifest shards.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	return &manifest
}

// TestChangedInputIsScoredAgain changes one shard at the same path.
func TestChangedInputIsScoredAgain(t *testing.T) {
	config, output := tinyConfig(t)
	mustCurate(t, "run", config)
	first := treeDigests(t, output)
	changed := filepath.Join(filepath.Dir(config), "more.jsonl")
	raw, err := os.ReadFile(changed)
	if err != nil {
		t.Fatal(err)
	}
	// The same length: only the content tells.
	if err := os.WriteFile(changed, []byte(strings.Replace(string(raw), "old sailor", "new sailor", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := writeOnly(t, config, output); code != exitUsage || !strings.Contains(stderr, "has changed since it was scored") {
		t.Errorf("write of a changed input: exit %d, %s", code, stderr)
	}
	mustCurate(t, "run", config)
	second := treeDigests(t, output)
	name := "scores/more.jsonl.rg-00000-00000.scores.parquet"
	if first[name] == "" || first[name] == second[name] {
		t.Errorf("%s was not scored again: %q, %q", name, first[name], second[name])
	}
}

// writeOnly runs `curate write` alone on the inputs of a tiny run.
func writeOnly(t *testing.T, config, output string) (stdout, stderr string, code int) {
	t.Helper()
	demo, err := filepath.Abs("../../configs/demo/heldout.parquet")
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = curate(t, "write", "--selection", filepath.Join(output, "selection"), "--output", filepath.Join(t.TempDir(), "w"),
		demo, filepath.Join(filepath.Dir(config), "more.jsonl"))
	return stdout, stderr, code
}

// TestCorruptShardIsNamed: the other shards go on, the exit code says so, and
// the rows of the bad one are in the manifest.
func TestCorruptShardIsNamed(t *testing.T) {
	config, output := tinyConfig(t)
	whole, err := os.ReadFile("../../configs/demo/heldout.parquet")
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(filepath.Dir(config), "bad.parquet")
	if err := os.WriteFile(bad, whole[:len(whole)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	mustCurate(t, "run", config) // the models, from good shards
	good := filepath.Join(filepath.Dir(config), "more.jsonl")
	scores := filepath.Join(t.TempDir(), "scores")
	code, _, stderr := curate(t, "score", "--prior", filepath.Join(output, "models/prior"), "--conditional", filepath.Join(output, "models/conditional"),
		"--backend", backendForTests(t), "--sequence-length", "32", "--output", scores, good, bad)
	if code != exitPartial || !strings.Contains(stderr, "bad.parquet") {
		t.Errorf("exit %d, want %d, naming bad.parquet:\n%s", code, exitPartial, stderr)
	}
	manifest := readManifest(t, scores)
	if failed := failedInputs(manifest); len(failed) != 1 || failed[0].Shard != "bad.parquet" {
		t.Errorf("failed inputs %+v", failed)
	}
	selection, data := filepath.Join(t.TempDir(), "selection"), filepath.Join(t.TempDir(), "data")
	code, _, stderr = curate(t, "select", "--scores", scores, "--output", selection, "--keep-rows", "1")
	if code != exitPartial {
		t.Errorf("select: exit %d, want %d: %s", code, exitPartial, stderr)
	}
	code, _, stderr = curate(t, "write", "--selection", selection, "--output", data, good, bad)
	if code != exitPartial {
		t.Errorf("write: exit %d, want %d: %s", code, exitPartial, stderr)
	}
	if kept := readManifest(t, data).Counts.Kept; kept != 1 {
		t.Errorf("kept %d rows, want 1", kept)
	}
}

// TestVerifyFindsOneFlippedBit breaks each kind of file in turn.
func TestVerifyFindsOneFlippedBit(t *testing.T) {
	config, output := tinyConfig(t)
	mustCurate(t, "run", config)
	for _, name := range []string{
		"models/prior/model.safetensors", "scores/heldout.parquet.rg-00000-00000.scores.parquet", "selection/heldout.parquet", "data/heldout.parquet",
	} {
		path := filepath.Join(output, name)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		flipped := append([]byte{}, raw...)
		flipped[len(raw)/3] ^= 4
		if err := os.WriteFile(path, flipped, 0o644); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := curate(t, "verify", output)
		if code != exitFailed || !strings.Contains(stderr, filepath.Base(name)) {
			t.Errorf("%s: exit %d: %s", name, code, stderr)
		}
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mustCurate(t, "verify", output)
}
