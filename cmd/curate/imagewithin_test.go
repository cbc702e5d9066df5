package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/curate-data/curate/pipeline"
)

// TestImagesOfSeveralRowsWithin: where each object is a row, an image is a candidate
// if an earlier filter kept all of its rows. In the end every row is there once; one
// that was dropped before has the reason for that, and no kept image lacks a row.
func TestImagesOfSeveralRowsWithin(t *testing.T) {
	list := photos(24)
	dir := t.TempDir()
	flat := flatShard(t, filepath.Join(dir, "pool"), list)
	rows := 0
	image := map[int64]string{} // by row
	for _, p := range list {
		for range p.things {
			image[int64(rows)] = p.name
			rows++
		}
	}
	scores, first := filepath.Join(dir, "scores"), filepath.Join(dir, "first")
	fakeScores(t, filepath.Join(dir, "pool"), scores)
	mustCurate(t, "select", "--scores", scores, "--output", first, "--keep-fraction", "0.8", "--quiet")
	before := decided(t, first)
	objects := embed(t, flat)
	for name, args := range map[string][]string{"in memory": nil, "streamed": {"--stream"}} {
		t.Run(name, func(t *testing.T) {
			last := choose(t, append([]string{"--objects", objects, "--budget", "6", "--within", first}, args...)...)
			after := decided(t, last)
			if len(after) != rows || len(before) != rows {
				t.Fatalf("%d and %d decisions, want %d", len(before), len(after), rows)
			}
			kept := map[string]map[bool]int{}
			partly := 0
			for row, reason := range after {
				if before[row] != "" && reason != before[row] {
					t.Errorf("row %d: %q, the first filter said %q", row.Row, reason, before[row])
				}
				if before[row] == "" && reason == pipeline.BelowCut {
					partly++ // it is of an image that lost another row
				}
				if kept[image[row.Row]] == nil {
					kept[image[row.Row]] = map[bool]int{}
				}
				kept[image[row.Row]][reason == ""]++
			}
			whole := 0
			for name, rows := range kept {
				if rows[true] > 0 && rows[false] > 0 {
					t.Errorf("%s is kept in part", name)
				}
				if rows[true] > 0 {
					whole++
				}
			}
			if whole != 6 || partly == 0 {
				t.Errorf("%d images are kept, %d rows went with another one: the data does not test this", whole, partly)
			}
		})
	}
	// Labelled before, and dropped by the filter before: not chosen, and no mistake.
	gone := ""
	for row, reason := range before {
		if reason != "" {
			gone = image[row.Row]
		}
	}
	put(t, filepath.Join(dir, "ids.txt"), gone)
	for _, name := range namesOf(t, choose(t, "--objects", objects, "--budget", "6", "--within", first, "--preselected", filepath.Join(dir, "ids.txt"))) {
		if name == gone {
			t.Errorf("%s is chosen, which was dropped and is labelled", name)
		}
	}
	put(t, filepath.Join(dir, "other/x.jsonl"), `{"image_id":"x","text":"t"}`)
	code, _, stderr := curate(t, "select", "--method", "ofds", "--budget", "2", "--backend", "go", "--within", first, "--output", filepath.Join(dir, "o"), filepath.Join(dir, "other/x.jsonl"))
	if code != exitUsage || !strings.Contains(stderr, "--within") || !strings.Contains(stderr, "x.jsonl") {
		t.Errorf("another pool: exit %d: %s", code, stderr)
	}
}

// TestRunOfLabelFiles: a config without texts embeds, selects and writes the labels
// or the training lists, and does nothing when run again.
func TestRunOfLabelFiles(t *testing.T) {
	encoderCache(t)
	dir := t.TempDir()
	instances, _ := cocoJSON(t, dir, photos(24))
	config := filepath.Join(dir, "run.yaml")
	for _, c := range []struct{ more, file string }{{"", "instances.json"}, {"write: {format: manifests}\n", finetuneName}} {
		out := filepath.Join(t.TempDir(), "out")
		put(t, config, "output: "+out+"\nfilters: [ofds]\nbackend: go\nimages: {annotations: "+instances+"}\nembed: {encoder: "+nano+"}\nofds: {budget: 5, report: {baselines: [random]}}\n"+c.more)
		stdout, stderr := mustCurate(t, "run", config)
		if !strings.Contains(stdout, "chosen") || !strings.Contains(stdout, "not_chosen") || !strings.Contains(stderr, "24 rows in, 5 kept") {
			t.Errorf("the run says\n%s%s", stdout, stderr)
		}
		if !fileExists(filepath.Join(out, "data", c.file)) {
			t.Errorf("%s is not there", c.file)
		}
		mustCurate(t, "verify", out)
		if stdout, _ := mustCurate(t, "run", config); !strings.Contains(stdout, "nothing to do") {
			t.Errorf("run again it says %s", stdout)
		}
	}
	for text, want := range map[string]string{
		"filters: [ofds, ofds]":                       "twice",
		"filters: [odfs]":                             "odfs",
		"filters: [ofds]\nofds: {budgets: 3}":         "budgets",
		"filters: [ofds]\nofds: {k_policy: best}":     "k_policy",
		"filters: [ofds]\nofds: {budget: few}":        "budget",
		"filters: [ofds]\nembed: {encoder: random:x}": "random:x",
		"filters: [ofds]\nembed: {encodr: x}":         "encodr",
		"filters: [ofds, colorfilter]":                "inputs",
	} {
		put(t, config, "output: "+filepath.Join(dir, "o")+"\nimages: {annotations: "+instances+"}\n"+text+"\n")
		code, _, stderr := curate(t, "run", config)
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d: %s", text, code, stderr)
		}
	}
}
