package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/annotations"
)

// Lists of the image files of a subset, in the order in which they were chosen.
const (
	filesName = "files.txt" // addresses, one to a line
	tagName   = "tag.json"  // a tag of FiftyOne or Lightly
	cvatName  = "cvat.json" // frames of a CVAT task
)

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
	files := fileSet{names: []string{filesName, subsetName(set), tagName, cvatName}, key: shards.UnitKey(key, in.digest, unit.SHA256)}
	_, err = s.fileSet(ctx, files, func(ctx context.Context, out []pendingFile, record *shards.Unit) (bool, error) {
		if err := set.labels.WriteSubset(ctx, out[1], ids); err != nil {
			return false, err
		}
		if err := writeFileLists(ctx, out[0], out[2], out[3], set, ids); err != nil {
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

// writeFileLists writes the files of images, in the order of their IDs, in the
// forms that tools for labelling take.
func writeFileLists(ctx context.Context, files, tag, cvat io.Writer, set *imageSet, ids []string) error {
	uris := make(map[string]string, len(ids))
	for _, id := range ids {
		uris[id] = ""
	}
	for image, err := range set.labels.Images(ctx) {
		if err != nil {
			return err
		}
		if _, ok := uris[image.ID]; ok {
			uris[image.ID] = image.URI
		}
	}
	var addresses, names []string
	for _, id := range ids {
		addresses, names = append(addresses, uris[id]), append(names, fileName(uris[id]))
	}
	tagged := names
	if set.labels.Format() == annotations.FiftyOne {
		tagged = addresses
	}
	return errors.Join(annotations.WriteFiles(files, slices.Values(addresses)), annotations.WriteTag(tag, "curate", slices.Values(tagged)),
		annotations.WriteCVAT(cvat, slices.Values(names)))
}
