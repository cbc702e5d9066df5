package main

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// choicesOf reads what a selection of images chose.
func choicesOf(t *testing.T, folder string) []shards.Choice {
	t.Helper()
	object, err := local.New(folder).Open(context.Background(), choicesName)
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	choices, err := shards.ReadChoices(context.Background(), object)
	if err != nil {
		t.Fatal(err)
	}
	return choices
}

// namesOf are the photos that a selection chose, whatever the format calls them.
func namesOf(t *testing.T, folder string) []string {
	t.Helper()
	var names []string
	for _, c := range choicesOf(t, folder) {
		name := strings.TrimSuffix(path.Base(c.ImageID), path.Ext(c.ImageID))
		var number int
		if n, _ := fmt.Sscanf(name, "town_%d_", &number); n == 1 {
			name = fmt.Sprintf("photo_%03d", number)
		} else if n, _ := fmt.Sscanf(name, "%d", &number); n == 1 {
			name = fmt.Sprintf("photo_%03d", number-1000)
		}
		names = append(names, name)
	}
	return names
}

// labelled is a format of the data set: what `curate embed` gets, and what
// `curate write` gets besides.
type labelled struct {
	name   string
	embed  []string
	inputs []string
}

// everyFormat writes the photos in all formats.
func everyFormat(t *testing.T, dir string, list []photo) []labelled {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	shardsOf := func(name string, inputs ...string) labelled { return labelled{name, inputs, inputs} }
	instances, results := cocoJSON(t, at("coco"), list)
	bare := make([]barePhoto, len(list))
	for i, p := range list {
		bare[i] = barePhoto{p.name + ".png", p.png}
	}
	unlabelled := putParquet(t, at("bare/photos.parquet"), bare)
	without := slices.Clone(list)
	for i := range without {
		without[i].things = nil
	}
	tars := tarShard(t, at("bare"), without)
	return []labelled{
		shardsOf("nested Parquet", nestedShards(t, at("nested"), list, false)...),
		shardsOf("flat Parquet", flatShard(t, at("flat"), list)),
		shardsOf("JSONL", jsonlShard(t, at("jsonl"), list)),
		shardsOf("JSONL of paths", pathsShard(t, at("paths"), list)),
		shardsOf("tar", tarShard(t, at("tar"), list)),
		{"COCO", []string{"--annotations", instances}, nil},
		{"COCO results", []string{"--annotations", results, "--instances", instances}, nil},
		{"VOC", []string{"--annotations", vocFolder(t, at("voc"), list)}, nil},
		{"YOLO", []string{"--annotations", yoloFolder(t, at("yolo"), list)}, nil},
		{"Cityscapes", []string{"--annotations", cityscapesFolder(t, at("city"), list)}, nil},
		{"Parquet and COCO", []string{unlabelled, "--annotations", instances}, []string{unlabelled}},
		{"tar and VOC", []string{tars, "--annotations", at("voc")}, []string{tars}}, // whose keys have no ending
	}
}

// TestEveryFormatGivesTheSameChoice: one data set in all formats is embedded,
// selected and written. The same images are chosen, for the same objects.
func TestEveryFormatGivesTheSameChoice(t *testing.T) {
	list := photos(24)
	var want []string
	for _, format := range everyFormat(t, t.TempDir(), list) {
		t.Run(format.name, func(t *testing.T) {
			objects := embed(t, format.embed...)
			chosen := choose(t, "--objects", objects, "--budget", "8")
			names := namesOf(t, chosen)
			if want == nil {
				want = names
			}
			if len(names) != 8 || !slices.Equal(names, want) {
				t.Errorf("chosen %v, want %v", names, want)
			}
			checkCounts(t, objects, format, len(list))
			checkCounts(t, chosen, format, len(list))
			data := filepath.Join(t.TempDir(), "data")
			mustCurate(t, append([]string{"write", "--selection", chosen, "--output", data, "--quiet"}, format.inputs...)...)
			for _, folder := range []string{objects, chosen, data} {
				mustCurate(t, "verify", folder)
				if stdout, _ := mustCurate(t, "gc", folder); !strings.Contains(stdout, "nothing to remove") || strings.Contains(stdout, "not made by") {
					t.Errorf("gc of %s: %s", folder, stdout)
				}
			}
			if format.inputs == nil {
				lines := strings.Fields(string(mustRead(t, filepath.Join(data, filesName))))
				if len(lines) != len(names) {
					t.Errorf("%s has %d lines, want %d", filesName, len(lines), len(names))
				}
				for i, line := range lines {
					if got := mustRead(t, line); hashOf(got) != hashOf(photoNamed(t, list, names[i]).png) {
						t.Errorf("line %d of %s is %s, which is not the image %s", i, filesName, line, names[i])
					}
				}
			}
		})
	}
}

func photoNamed(t *testing.T, list []photo, name string) photo {
	t.Helper()
	i := slices.IndexFunc(list, func(p photo) bool { return p.name == name })
	if i < 0 {
		t.Fatalf("no photo is called %s", name)
	}
	return list[i]
}

// checkCounts wants every image in the counts of a stage; in the flat form there
// is a row for each object.
func checkCounts(t *testing.T, folder string, format labelled, images int) {
	t.Helper()
	m := readManifest(t, folder)
	if format.name == "flat Parquet" {
		images = 0
		for _, p := range photos(images24) {
			images += len(p.things)
		}
	}
	if m.Counts.RowsIn != int64(images) {
		t.Errorf("%s: %d rows in, want %d", folder, m.Counts.RowsIn, images)
	}
	var sum int64
	for _, n := range m.Counts.Dropped {
		sum += n
	}
	if m.Counts.Kept+sum+m.Counts.Quarantined != m.Counts.RowsIn {
		t.Errorf("%s: the counts do not add up: %+v", folder, m.Counts)
	}
}

const images24 = 24
