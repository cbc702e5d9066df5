package main

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"path"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// join finds the labels of images in shards.
type join struct {
	labels map[string]*pipeline.Image // by ID and by file name; nil for none
	stems  map[string]*pipeline.Image // by file name without its ending; nil where two have one
	found  map[*pipeline.Image]bool
	missed int // images of shards without labels
	images int
	first  string // name of an image, for messages
	log    *slog.Logger
	of     string
}

// newJoin reads all labels into memory.
func (s *imageSet) newJoin(ctx context.Context) (*join, error) {
	j := &join{of: s.places.Labels, log: s.app.log}
	if s.labels == nil {
		return j, nil
	}
	j.labels, j.stems, j.found = map[string]*pipeline.Image{}, map[string]*pipeline.Image{}, map[*pipeline.Image]bool{}
	for image, err := range s.labels.Images(ctx) {
		if err != nil {
			return nil, err
		}
		if j.images++; j.images == 1 {
			j.first = cmp.Or(fileName(image.URI), image.ID)
		}
		for _, key := range []string{image.ID, fileName(image.URI)} {
			if key == "" {
				continue
			}
			if other := j.labels[key]; other != nil && other != image {
				return nil, usagef("--annotations %s: images %s and %s are both called %q, so rows cannot be told apart by it", j.of, other.ID, image.ID, key)
			}
			j.labels[key] = image
		}
		stem := stemOf(cmp.Or(image.URI, image.ID))
		if _, taken := j.stems[stem]; taken {
			image = nil
		}
		j.stems[stem] = image
	}
	return j, nil
}

// fileName is the last part of a path or URI, "" of an empty one.
func fileName(uri string) string {
	if uri == "" {
		return ""
	}
	return path.Base(strings.ReplaceAll(uri, `\`, "/"))
}

// apply gives images the objects of their labels.
func (j *join) apply(all iter.Seq2[*pipeline.Image, error]) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		for image, err := range all {
			if err == nil {
				j.add(image)
			}
			if !yield(image, err) || err != nil {
				return
			}
		}
	}
}

// add gives an image the objects of its labels.
func (j *join) add(image *pipeline.Image) {
	if j.labels == nil {
		return
	}
	l := j.labelsOf(image)
	if l == nil {
		if j.missed++; j.missed == missedAtFirst && len(j.found) == 0 {
			j.log.Warn("no label is of an image yet", "annotations", j.of, "images", j.missed, "label", j.first, "image", image.ID)
		}
		return
	}
	image.Objects, image.Unlabelled = l.Objects, l.Unlabelled
	if image.Width == 0 || image.Height == 0 {
		image.Width, image.Height = l.Width, l.Height
	}
	j.found[l] = true
}

// missedAtFirst is after how many images the user is told that none has labels.
const missedAtFirst = 1000

// labelsOf finds the labels of an image of a shard, nil for none.
func (j *join) labelsOf(image *pipeline.Image) *pipeline.Image {
	for _, key := range []string{image.ID, fileName(image.ID), fileName(image.URI)} {
		if l := j.labels[key]; l != nil && key != "" {
			return l
		}
	}
	for _, name := range []string{image.URI, image.ID} { // samples of tars have no ending
		if l := j.stems[stemOf(name)]; l != nil && name != "" {
			return l
		}
	}
	return nil
}

// stemOf is a file's name without its ending.
func stemOf(uri string) string {
	name := fileName(uri)
	return strings.TrimSuffix(name, path.Ext(name))
}

// check is an error when no label was of any image, and tells of those that were
// of none.
func (j *join) check() error {
	if missing := j.images - len(j.found); len(j.found) > 0 && missing > 0 {
		j.log.Warn("labels of images that are in no shard", "annotations", j.of, "images", missing, "of", j.images)
	}
	if len(j.found) > 0 || j.images == 0 {
		return nil
	}
	return usagef("--annotations %s: none of its images is in the shards: it has, for one, %q; rows are found by image id or file name, with its ending or without", j.of, j.first)
}
