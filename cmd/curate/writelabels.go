package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"path"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/annotations"
)

// filesName lists the image files of a subset, one to a line, in the order in
// which they were chosen.
const filesName = "files.txt"

// imagesKind is the option "kind" of a selection of images: it has no scores.
const imagesKind = "images"

// labelPlaces returns where the images of a selection are that was made from label
// files alone; false for every other selection.
func (s *selection) labelPlaces() (imagePlaces, bool) {
	var options struct{ Images imagePlaces }
	if json.Unmarshal(s.manifest.Options, &options) != nil || options.Images.Labels == "" || len(s.manifest.Inputs) != 1 {
		return imagePlaces{}, false
	}
	return options.Images, s.manifest.Inputs[0].URI == options.Images.Labels
}

// writeLabels writes the labels of the chosen images in the format that they have,
// and the list of their files.
func writeLabels(ctx context.Context, s *stage, selection *selection, places imagePlaces) error {
	set, err := s.app.openImages(ctx, places)
	if err != nil {
		return err
	}
	defer set.close()
	choices, err := selection.choices(ctx)
	if err != nil {
		return err
	}
	ids := make([]string, len(choices))
	for i, c := range choices {
		ids[i] = c.ImageID
	}
	in, unit := &s.inputs[0], selection.files[s.inputs[0].Shard]
	in.rows = unit.Rows
	key, err := s.key(s.backend)
	if err != nil {
		return err
	}
	files := fileSet{names: []string{filesName, subsetName(set)}, key: shards.UnitKey(key, in.digest, unit.SHA256)}
	_, err = s.fileSet(ctx, files, func(ctx context.Context, out []pendingFile, record *shards.Unit) (bool, error) {
		if err := writeFileList(ctx, out[0], set, ids); err != nil {
			return false, err
		}
		if err := set.labels.WriteSubset(ctx, out[1], ids); err != nil {
			return false, err
		}
		record.Rows, record.Counts = unit.Counts.Kept, unit.Counts
		return true, nil
	})
	return err
}

// subsetName names the subset as the file that it is of; formats of many files
// have a list of them.
func subsetName(set *imageSet) string {
	switch set.labels.Format() {
	case annotations.COCO, annotations.COCOResults, annotations.LVIS, annotations.FiftyOne:
		if name := set.name; path.Ext(name) == ".json" {
			return name
		}
		return "subset.json"
	}
	return "subset.txt"
}

// choices reads what a selection of images chose, in order.
func (s *selection) choices(ctx context.Context) ([]shards.Choice, error) {
	object, err := s.store.Open(ctx, choicesName)
	if err != nil {
		return nil, fmt.Errorf("open chosen images: %w", err)
	}
	defer object.Close()
	return shards.ReadChoices(ctx, object)
}

// writeFileList writes the files of images, in the order of their IDs.
func writeFileList(ctx context.Context, out pendingFile, set *imageSet, ids []string) error {
	wanted := make(map[string]string, len(ids))
	for _, id := range ids {
		wanted[id] = ""
	}
	for image, err := range set.labels.Images(ctx) {
		if err != nil {
			return err
		}
		if _, ok := wanted[image.ID]; ok {
			wanted[image.ID] = image.URI
		}
	}
	w := bufio.NewWriter(out)
	for _, id := range ids {
		fmt.Fprintln(w, wanted[id])
	}
	return w.Flush()
}
