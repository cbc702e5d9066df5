package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// script runs one of our Python scripts and returns what it prints.
func script(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	python := os.Getenv("CURATE_PYTHON")
	if python == "" {
		t.Skip("CURATE_PYTHON is not set")
	}
	cmd := exec.Command(python, append([]string{filepath.Join("../../scripts", name)}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, stderr.String())
	}
	return out
}

// TestChosenImagesKeepTheirBytes compares written shards with the inputs by
// pyarrow and tarfile.
func TestChosenImagesKeepTheirBytes(t *testing.T) {
	list := photos(24)
	dir := t.TempDir()
	for name, inputs := range map[string][]string{"Parquet": nestedShards(t, dir, list, false), "tar": {tarShard(t, dir, list)}} {
		t.Run(name, func(t *testing.T) {
			chosen := choose(t, "--objects", embed(t, inputs...), "--budget", "7")
			data := filepath.Join(t.TempDir(), "data")
			mustCurate(t, append([]string{"write", "--selection", chosen, "--output", data, "--quiet"}, inputs...)...)
			if got := string(script(t, "check_kept_rows.py", append([]string{chosen, data}, inputs...)...)); got != "equal\n" {
				t.Errorf("the script says %q", got)
			}
		})
	}
}

// TestSubsetOfCOCOKeepsIDs: the json has the chosen images and their annotations,
// with the ids that they had.
func TestSubsetOfCOCOKeepsIDs(t *testing.T) {
	list := photos(24)
	instances, results := cocoJSON(t, t.TempDir(), list)
	type entry map[string]any
	type dataset struct{ Images, Annotations, Categories []entry }
	read := func(path string, to any) {
		if err := json.Unmarshal(mustRead(t, path), to); err != nil {
			t.Fatal(err)
		}
	}
	chosen := choose(t, "--objects", embed(t, "--annotations", instances), "--budget", "7")
	data := filepath.Join(t.TempDir(), "data")
	mustCurate(t, "write", "--selection", chosen, "--output", data, "--quiet")
	var all, subset dataset
	read(instances, &all)
	read(filepath.Join(data, "instances.json"), &subset)
	names := namesOf(t, chosen)
	want := dataset{Categories: all.Categories}
	for i, p := range list {
		if slices.Contains(names, p.name) {
			want.Images = append(want.Images, all.Images[i])
			for _, a := range all.Annotations {
				if a["image_id"] == all.Images[i]["id"] {
					want.Annotations = append(want.Annotations, a)
				}
			}
		}
	}
	if got, want := toJSON(t, subset), toJSON(t, want); got != want {
		t.Errorf("subset is\n%s\nwant\n%s", got, want)
	}
	// Of results, the predictions of the chosen images.
	chosen = choose(t, "--objects", embed(t, "--annotations", results, "--instances", instances), "--budget", "7")
	data = filepath.Join(t.TempDir(), "data")
	mustCurate(t, "write", "--selection", chosen, "--output", data, "--quiet")
	var predictions []entry
	read(filepath.Join(data, "results.json"), &predictions)
	if len(predictions) != len(want.Annotations) {
		t.Errorf("%d predictions, want %d", len(predictions), len(want.Annotations))
	}
}

// TestTrainingLists loads both lists with pyarrow: they refer to one set of shards,
// the first to all rows with their automatic labels, the second to the chosen rows.
func TestTrainingLists(t *testing.T) {
	list := photos(24)
	dir := t.TempDir()
	instances, _ := cocoJSON(t, filepath.Join(dir, "coco"), list)
	bare := make([]barePhoto, len(list))
	var ids []string
	for i, p := range list {
		bare[i] = barePhoto{p.name + ".png", p.png}
		ids = append(ids, p.name)
	}
	joined := putParquet(t, filepath.Join(dir, "bare.parquet"), bare)
	for _, c := range []struct {
		name         string
		embed, input []string
	}{
		{"objects in the rows", nestedShards(t, dir, list, false), nestedShards(t, dir, list, false)},
		{"labels beside the shards", []string{joined, "--annotations", instances}, []string{joined}},
	} {
		t.Run(c.name, func(t *testing.T) {
			chosen := choose(t, "--objects", embed(t, c.embed...), "--budget", "7")
			lists := filepath.Join(t.TempDir(), "lists")
			mustCurate(t, append([]string{"write", "--selection", chosen, "--output", lists, "--format", "manifests", "--quiet"}, c.input...)...)
			mustCurate(t, "verify", lists)
			if m := readManifest(t, lists); m.Counts.RowsIn != 24 || m.Counts.Kept != 7 {
				t.Errorf("counts %+v", m.Counts)
			}
			type loaded struct {
				IDs    []string
				Labels [][]string
				Kind   string
				Shards [][2]string
			}
			var got struct{ Pretrain, Finetune loaded }
			if err := json.Unmarshal(script(t, "read_training_lists.py", lists), &got); err != nil {
				t.Fatal(err)
			}
			plain := func(names []string) (out []string) {
				for _, name := range names {
					out = append(out, strings.TrimSuffix(name, ".png"))
				}
				return out
			}
			want := namesOf(t, chosen)
			slices.Sort(want)
			if !slices.Equal(plain(got.Pretrain.IDs), ids) || !slices.Equal(plain(got.Finetune.IDs), want) {
				t.Errorf("the lists have %v and %v, want all and %v", got.Pretrain.IDs, got.Finetune.IDs, want)
			}
			if !slices.Equal(got.Pretrain.Shards, got.Finetune.Shards) || got.Pretrain.Kind != "automatic" || got.Finetune.Kind != "human" {
				t.Errorf("the lists are of %v and %v", got.Pretrain, got.Finetune)
			}
			if len(got.Pretrain.Labels) != len(list) {
				t.Fatalf("%d images have labels, want %d", len(got.Pretrain.Labels), len(list))
			}
			for i, p := range list {
				var classes []string
				for _, o := range p.things {
					classes = append(classes, o.class)
				}
				if !slices.Equal(got.Pretrain.Labels[i], classes) {
					t.Errorf("labels of %s are %v, want %v", p.name, got.Pretrain.Labels[i], classes)
				}
			}
		})
	}
}
