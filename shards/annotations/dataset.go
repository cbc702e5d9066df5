package annotations

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/curate-data/curate/pipeline"
)

// labels is an open dataset of some format.
type labels interface {
	// images gives the images in (shard, row) order.
	images(ctx context.Context) iter.Seq2[*pipeline.Image, error]
	// subset writes the images whose IDs are in keep, in the dataset's own format.
	subset(ctx context.Context, w io.Writer, keep map[string]bool) error
	// close gives files back.
	close() error
}

// Dataset is a pipeline.ImageSource of labelled images. Its methods may be called
// in parallel, Close last.
type Dataset struct {
	labels    labels
	format    Format
	classes   []string
	frequency map[string]string
	inputs    []File
}

// Open opens the labels at a place, which is a json or a folder. What is kept in
// memory is an index: for COCO, LVIS and results 12 bytes per image and 16 per run
// of annotations of one image (so per annotation where they are in no order), and
// while opening a table of the ids of images, some 100 bytes each; for FiftyOne nothing;
// for formats with a file per image, the names of the files.
//
// Annotations may come in any order: the index is sorted by image, and their text
// is read from the file again, or, where the store is remote, from a copy in the
// folder of temporary files.
//
// Images are described at the functions of the formats. Errors name the file and
// the image, annotation, line or byte.
func Open(ctx context.Context, place Place, opt Options) (*Dataset, error) {
	place, format, err := resolve(ctx, place, opt.Format)
	if err != nil {
		return nil, err
	}
	if opt.Workers <= 0 {
		opt.Workers = 8
	}
	openers := map[Format]func(context.Context, Place, Options) (*Dataset, error){
		COCO: openCOCO, LVIS: openCOCO, COCOResults: openResults, VOC: openVOC, YOLO: openYOLO,
		Cityscapes: openCityscapes, FiftyOne: openFiftyOne, Lightly: openLightly,
	}
	open, ok := openers[format]
	if !ok {
		return nil, fmt.Errorf("open labels %s: format %q is unknown; known are %v", place, format, formats)
	}
	return open(ctx, place, opt)
}

// Images implements pipeline.ImageSource. Data and, but for FiftyOne's embeddings,
// vectors are not set.
func (d *Dataset) Images(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	return d.labels.images(ctx)
}

// Format returns what the labels were read as.
func (d *Dataset) Format() Format { return d.format }

// Classes returns the names of the classes in the dataset's order, those that no
// object has included.
func (d *Dataset) Classes() []string { return slices.Clone(d.classes) }

// Frequency returns LVIS's bin of a class, "r", "c" or "f" for rare, common and
// frequent among the training images; empty where the labels have none.
func (d *Dataset) Frequency(class string) string { return d.frequency[class] }

// Inputs returns the files that decide what the dataset gives.
func (d *Dataset) Inputs() []File { return slices.Clone(d.inputs) }

// Close gives files back, temporary ones too.
func (d *Dataset) Close() error { return d.labels.close() }

// WriteSubset writes the images with these IDs, and what is labelled in them, in
// the format of the dataset:
//
//	COCO, LVIS, results,  the same json without the other images and their
//	FiftyOne              annotations, every byte of the rest unchanged
//	VOC                   names without ending, one per line, as ImageSets/Main has
//	YOLO                  paths of images, one per line, as train.txt has
//	Cityscapes, Lightly   paths of label files, one per line
//
// An ID that the dataset does not have is an error, after everything was written.
func (d *Dataset) WriteSubset(ctx context.Context, w io.Writer, ids []string) error {
	keep := make(map[string]bool, len(ids))
	for _, id := range ids {
		keep[id] = true
	}
	return d.labels.subset(ctx, w, keep)
}

// errUnknownIDs says that images were asked for that are not there.
var errUnknownIDs = errors.New("the dataset has not all of the images")

// checkFound wants all IDs of keep to be in found.
func checkFound(keep, found map[string]bool) error {
	if len(found) == len(keep) {
		return nil
	}
	var missing []string
	for id := range keep {
		if !found[id] {
			missing = append(missing, id)
		}
	}
	slices.Sort(missing)
	return fmt.Errorf("%w: %d are missing, the first is %q", errUnknownIDs, len(missing), missing[0])
}
