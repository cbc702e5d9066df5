package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/curate-data/curate/shards"
)

// writtenData makes the output of `curate write` from two shards, without any
// model but those that the tests share, and returns the folders.
func writtenData(t *testing.T) (selection, data string, inputs []string) {
	t.Helper()
	prior, conditional := modelsForTests(t)
	dir := t.TempDir()
	inputs = []string{tinyJSONL(t, dir), "../../configs/demo/heldout.parquet"}
	scores, selection, data := filepath.Join(dir, "scores"), filepath.Join(dir, "selection"), filepath.Join(dir, "data")
	mustCurate(t, append([]string{"score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t),
		"--sequence-length", "32", "--output", scores}, inputs...)...)
	mustCurate(t, "select", "--scores", scores, "--output", selection, "--keep-rows", "20")
	mustCurate(t, append([]string{"write", "--selection", selection, "--output", data}, inputs...)...)
	return selection, data, inputs
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// collected runs gc with --json.
func collected(t *testing.T, args ...string) []gcReport {
	t.Helper()
	stdout, _ := mustCurate(t, append([]string{"gc", "--json"}, args...)...)
	var reports []gcReport
	if err := json.Unmarshal([]byte(stdout), &reports); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	return reports
}

func leftoverNames(r gcReport) map[string]bool {
	names := map[string]bool{}
	for _, l := range r.Leftovers {
		names[l.Name] = true
	}
	return names
}

// TestCollectRemovesOnlyWhatIsLeftOver litters an output folder and collects.
func TestCollectRemovesOnlyWhatIsLeftOver(t *testing.T) {
	_, data, _ := writtenData(t)
	clean := treeDigests(t, data)
	if got := collected(t, data); len(got) != 1 || len(got[0].Leftovers) != 0 || got[0].Stage != "write" {
		t.Fatalf("a clean folder: %+v", got)
	}
	record, err := json.Marshal(shards.Unit{Key: "old", File: "en/old.parquet", Size: 3})
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(data, "en/old.parquet"), "old")
	put(t, filepath.Join(data, "_units/en/old.parquet.json"), string(record))
	put(t, filepath.Join(data, "_units/gone.parquet.json"), string(record))
	put(t, filepath.Join(data, ".half.parquet.XYZ.curate-tmp"), "half")
	ours := map[string]bool{"en/old.parquet": true, "_units/en/old.parquet.json": true, "_units/gone.parquet.json": true, ".half.parquet.XYZ.curate-tmp": true}
	// None of these is curate's to remove.
	put(t, filepath.Join(data, "README.md"), "mine")
	put(t, filepath.Join(data, "raw/precious.parquet"), "mine")
	put(t, filepath.Join(data, "nested/_units/a.parquet.json"), "{}")
	put(t, filepath.Join(data, "nested/a.parquet"), "another stage's")
	put(t, filepath.Join(data, "model/.train/checkpoint"), "of a training under way")
	put(t, filepath.Join(data, "model/train.jsonl"), "{}")
	littered := treeDigests(t, data)

	stdout, _ := mustCurate(t, "gc", data)
	for _, want := range []string{"en/old.parquet", "nothing was removed", "4 objects", "README.md"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("gc does not say %q:\n%s", want, stdout)
		}
	}
	if got := treeDigests(t, data); !maps.Equal(got, littered) {
		t.Errorf("without --yes gc changed %v", differences(got, littered))
	}
	stdout, _ = mustCurate(t, "verify", data)
	if !strings.Contains(stdout, "left over") || !strings.Contains(stdout, "raw/precious.parquet") || strings.Contains(stdout, "nested") {
		t.Errorf("verify says:\n%s", stdout)
	}
	reports := collected(t, "--yes", data)
	if len(reports) != 1 || !maps.Equal(leftoverNames(reports[0]), ours) || !reports[0].Removed {
		t.Errorf("gc --yes reports %+v", reports)
	}
	got := treeDigests(t, data)
	for name := range ours {
		delete(littered, name)
	}
	if !maps.Equal(got, littered) {
		t.Errorf("after gc --yes: %v", differences(got, littered))
	}
	for name, digest := range clean {
		if got[name] != digest {
			t.Errorf("gc removed or changed %s", name)
		}
	}
	if fileExists(filepath.Join(data, ".half.parquet.XYZ.curate-tmp")) {
		t.Error("the half-written file is still there")
	}
}

// TestCollectAfterOtherInputs: a shard that is no longer among the inputs
// leaves a file behind, in every stage.
func TestCollectAfterOtherInputs(t *testing.T) {
	config, output := tinyConfig(t)
	mustCurate(t, "run", config, "--quiet")
	demo, err := filepath.Abs("../../configs/demo/heldout.parquet")
	if err != nil {
		t.Fatal(err)
	}
	mustCurate(t, "run", config, "--set", "inputs=["+demo+"]", "--quiet")
	for _, report := range collected(t, "--yes", output) {
		names := leftoverNames(report)
		want := map[string][]string{
			"score":  {"more.jsonl.rg-00000-00000.scores.parquet", "_units/more.jsonl.rg-00000-00000.scores.parquet.json"},
			"select": {"more.parquet"},
			"write":  {"more.parquet", "_units/more.parquet.json"},
		}[report.Stage]
		if len(names) != len(want) {
			t.Errorf("%s: left over are %v, want %v", report.Stage, names, want)
		}
		for _, name := range want {
			if !names[name] || fileExists(filepath.Join(report.Folder, name)) {
				t.Errorf("%s: %s is not collected", report.Stage, name)
			}
		}
	}
	mustCurate(t, "verify", output)
	again, err := filepath.Abs(output)
	if err != nil {
		t.Fatal(err)
	}
	if stdout, _ := mustCurate(t, "gc", again); !strings.Contains(stdout, "nothing to remove") {
		t.Errorf("a second gc says:\n%s", stdout)
	}
	if stdout, _ := mustCurate(t, "run", config, "--set", "inputs=["+demo+"]"); !strings.Contains(stdout, "nothing to do") {
		t.Errorf("after gc there is work again:\n%s", stdout)
	}
}

// TestCollectRefusesOtherFolders: a folder of data is not an output folder, and
// stays as it is, without so much as a lock file.
func TestCollectRefusesOtherFolders(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "pool/a.parquet"), "precious")
	for _, folder := range []string{dir, filepath.Join(dir, "pool"), filepath.Join(dir, "none")} {
		code, _, stderr := curate(t, "gc", "--yes", folder)
		if code != exitFailed || !strings.Contains(stderr, manifestName) || !strings.Contains(stderr, folder) {
			t.Errorf("gc %s: exit %d: %s", folder, code, stderr)
		}
	}
	entries, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(entries) != 1 || fileExists(filepath.Join(dir, "none")) {
		t.Errorf("gc left %v behind: %v", entries, err)
	}
}

// TestDamagedManifestIsUnfinished: the stage does its work again where it must,
// and verify calls it a fault until then.
func TestDamagedManifestIsUnfinished(t *testing.T) {
	selection, data, inputs := writtenData(t)
	want := treeDigests(t, data)
	path := filepath.Join(data, manifestName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string]string{
		"cut":            string(whole[:len(whole)/2]),
		"other format":   strings.Replace(string(whole), `"format": 1`, `"format": 9`, 1),
		"unknown field":  strings.Replace(string(whole), `"format": 1`, `"format": 1, "more": 2`, 1),
		"rows lost":      strings.Replace(string(whole), `"rows_in": `, `"rows_in": 1`, 1),
		"climbs out":     strings.Replace(string(whole), `"file": "heldout.parquet"`, `"file": "../heldout.parquet"`, 1),
		"absolute":       strings.Replace(string(whole), `"file": "heldout.parquet"`, `"file": "/etc/passwd"`, 1),
		"another bucket": strings.Replace(string(whole), `"file": "heldout.parquet"`, `"file": "s3://other/heldout.parquet"`, 1),
	} {
		if damaged == string(whole) {
			t.Fatalf("%s: nothing is damaged", name)
		}
		put(t, path, damaged)
		code, _, stderr := curate(t, "verify", data)
		if code != exitFailed || !strings.Contains(stderr, manifestName) {
			t.Errorf("%s: verify: exit %d: %s", name, code, stderr)
		}
		if strings.Contains(damaged, "s3://other") && !strings.Contains(stderr, "s3://other/heldout.parquet") {
			t.Errorf("%s: verify does not name the file: %s", name, stderr)
		}
		mustCurate(t, append([]string{"write", "--selection", selection, "--output", data}, inputs...)...)
		if got := treeDigests(t, data); !maps.Equal(got, want) {
			t.Errorf("%s: after another run: %v", name, differences(got, want))
		}
	}
}

// TestWorkersDoNotChangeBytes writes with several shards at a time.
func TestWorkersDoNotChangeBytes(t *testing.T) {
	selection, data, inputs := writtenData(t)
	want := treeDigests(t, data)
	for _, workers := range []string{"2", "7"} {
		out := t.TempDir()
		mustCurate(t, append([]string{"write", "--selection", selection, "--output", out, "--workers", workers}, inputs...)...)
		if got := treeDigests(t, out); !maps.Equal(got, want) {
			t.Errorf("%s workers: %v", workers, differences(got, want))
		}
	}
}
