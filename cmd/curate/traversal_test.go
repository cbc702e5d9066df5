package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// below lists all files below a folder.
func below(t *testing.T, root string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found[path] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// evil are names that lead out of a folder.
var evil = []string{"../evil.parquet", "../../evil.parquet", "a/../../evil.parquet", "/tmp/curate-evil.parquet", "..", ".", "a//evil.parquet", "./evil.parquet"}

// TestNamesStayInside tampers with names in manifests: of files, of shards of
// units and of inputs. Nothing is written outside the output folder, and the
// commands do not end well.
func TestNamesStayInside(t *testing.T) {
	pool := newWrittenPool(t, 2000)
	root := t.TempDir()
	untouched := filepath.Join(t.TempDir(), "selection")
	if err := os.CopyFS(untouched, os.DirFS(pool.selection)); err != nil {
		t.Fatal(err)
	}
	tamperManifest(t, untouched, func(map[string]any) {}) // another form, which is no tampering
	mustCurate(t, "write", "--selection", untouched, "--output", filepath.Join(t.TempDir(), "data"), "--quiet", pool.folder)
	for _, name := range evil {
		for place, tamper := range map[string]func(m map[string]any){
			"file of a unit":  func(m map[string]any) { m["units"].([]any)[0].(map[string]any)["file"] = name },
			"shard of a unit": func(m map[string]any) { m["units"].([]any)[0].(map[string]any)["shard"] = name },
			"shard": func(m map[string]any) {
				m["units"].([]any)[0].(map[string]any)["shard"] = name
				m["inputs"].([]any)[0].(map[string]any)["shard"] = name
			},
		} {
			dir := filepath.Join(root, "work")
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			tampered := map[string]string{}
			for _, stage := range []string{"selection", "scores"} {
				tampered[stage] = filepath.Join(dir, stage)
				if err := os.CopyFS(tampered[stage], os.DirFS(filepath.Join(filepath.Dir(pool.selection), stage))); err != nil {
					t.Fatal(err)
				}
				tamperManifest(t, tampered[stage], tamper)
			}
			before := below(t, root)
			output := filepath.Join(dir, "deep", "output")
			for command, args := range map[string][]string{
				"write":  {"write", "--selection", tampered["selection"], "--output", output, "--quiet", pool.folder},
				"select": {"select", "--scores", tampered["scores"], "--output", output, "--keep-fraction", "0.5", "--quiet"},
				"verify": {"verify", tampered["selection"]},
				"gc":     {"gc", "--yes", tampered["selection"]},
			} {
				code, _, stderr := curate(t, args...)
				if code == exitDone && command != "gc" {
					t.Errorf("%s %q, %s: exit 0", place, name, command)
				}
				if strings.Contains(stderr, "panic") {
					t.Errorf("%s %q, %s: %s", place, name, command, stderr)
				}
			}
			for path := range below(t, root) {
				if !before[path] && !strings.HasPrefix(path, output) {
					t.Errorf("%s %q: %s was written", place, name, path)
				}
			}
			for path := range before {
				if _, err := os.Stat(path); err != nil {
					t.Errorf("%s %q: %s is gone: %v", place, name, path, err)
				}
			}
		}
	}
	if fileExists("/tmp/curate-evil.parquet") {
		t.Error("/tmp/curate-evil.parquet was written")
	}
}

// tamperManifest changes the manifest of a folder.
func tamperManifest(t *testing.T, folder string, tamper func(m map[string]any)) {
	t.Helper()
	path := filepath.Join(folder, manifestName)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	tamper(m)
	if raw, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRecordsStayInside tampers with the record of a unit, which the next run
// looks at.
func TestRecordsStayInside(t *testing.T) {
	pool := newWrittenPool(t, 2000)
	dir := t.TempDir()
	outside, output := filepath.Join(dir, "outside.parquet"), filepath.Join(dir, "output")
	write := []string{"write", "--selection", pool.selection, "--output", output, "--quiet", pool.folder}
	mustCurate(t, write...)
	want := treeDigests(t, output)
	if err := os.WriteFile(outside, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	record := filepath.Join(output, unitsFolder, "a.parquet.json")
	raw, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(raw), `"file": "a.parquet"`, `"file": "../outside.parquet"`, 1)
	if changed == string(raw) {
		t.Fatalf("no file to change in %s", raw)
	}
	if err := os.WriteFile(record, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(output, manifestName)); err != nil {
		t.Fatal(err)
	}
	curate(t, "gc", "--yes", output)
	mustCurate(t, write...)
	if got := treeDigests(t, output); len(differences(got, want)) > 0 {
		t.Errorf("output differs: %v", differences(got, want))
	}
	if content, err := os.ReadFile(outside); err != nil || string(content) != "mine" {
		t.Errorf("the file outside: %q, %v", content, err)
	}
}

// TestListsStayInside writes the rows of inputs that a list names by paths that
// lead upwards: their output is in the folder.
func TestListsStayInside(t *testing.T) {
	pool := newWrittenPool(t, 2000)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "here"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "up"), os.DirFS(pool.folder)); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "list.txt")
	if err := os.WriteFile(list, []byte("../up/a.parquet\n../here/../up/nested/b.parquet\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(dir, "here"))
	scores, selection, output := filepath.Join(dir, "s"), filepath.Join(dir, "sel"), filepath.Join(dir, "o", "output")
	fakeScores(t, "@"+list, scores)
	mustCurate(t, "select", "--scores", scores, "--output", selection, "--keep-fraction", "0.5", "--quiet")
	before := below(t, dir)
	mustCurate(t, "write", "--selection", selection, "--output", output, "--quiet", "@"+list)
	for path := range below(t, dir) {
		if !before[path] && !strings.HasPrefix(path, output) {
			t.Errorf("%s was written", path)
		}
	}
	if !fileExists(filepath.Join(output, "a.parquet")) || !fileExists(filepath.Join(output, "b.parquet")) {
		t.Errorf("output holds %v", allFiles(t, output))
	}
}
