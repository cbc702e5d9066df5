// Package annotations reads label files (COCO, LVIS, Pascal VOC, YOLO, Cityscapes,
// FiftyOne, Lightly) as streams of pipeline.Image, and writes subsets of them.
//
// Images come in (shard, row) order, and the same each time. The shard is a file
// or folder of labels, by its path below the Place; the row is an image's place in
// it, which does not depend on a split that is asked for:
//
//	COCO, LVIS, results   the json with the images; index in its list "images"
//	FiftyOne              samples.json; index in its list "samples"
//	VOC, Cityscapes,      the folder of the label files; index of the label file
//	Lightly               among those of the folder, by name
//	YOLO                  the folder of the images; index of the image among those
//	                      of the folder, by name
//
// Of a folder that is the Place itself, the shard is the folder's name.
//
// The ID of an image is its id in COCO, LVIS and results, and elsewhere its name
// relative to the folder of the images. The ID of an object is its id in COCO, LVIS
// and FiftyOne, and elsewhere, or where an image's ids are missing or not
// distinct, its index among the image's objects.
//
// Labels that break their format are errors that say where. Labels that are only
// odd, such as boxes without area or outside of the image, are passed on as they
// are, for the pool to count.
package annotations

import (
	"context"
	"path"
	"strings"

	"github.com/curate-data/curate/shards"
)

// Format is the format of labels.
type Format string

// The formats that can be read.
const (
	COCO        Format = "coco"         // instances json
	COCOResults Format = "coco_results" // list of predictions; Options.Instances has the images
	LVIS        Format = "lvis"         // as COCO, and which classes were looked for in an image
	VOC         Format = "voc"          // an xml per image
	YOLO        Format = "yolo"         // a txt per image, class names in data.yaml, obj.names or classes.txt
	Cityscapes  Format = "cityscapes"   // *_gtFine_polygons.json
	FiftyOne    Format = "fiftyone"     // samples.json
	Lightly     Format = "lightly"      // schema.json and a json per image
)

// formats are all of them, for messages.
var formats = []Format{COCO, COCOResults, LVIS, VOC, YOLO, Cityscapes, FiftyOne, Lightly}

// Files is the part of a shards.Store that labels are read with. Its methods may
// be called in parallel.
type Files interface {
	// List returns the objects whose names begin with prefix, sorted by name.
	List(ctx context.Context, prefix string) ([]shards.ObjectInfo, error)
	// Open opens an object for reading.
	Open(ctx context.Context, name string) (shards.Object, error)
}

// Place is a file or folder.
type Place struct {
	Files Files
	Name  string // in Files; empty for its root
	URI   string // of the root of Files: a path, or as s3://BUCKET/PREFIX
}

// String returns the address of the place.
func (p Place) String() string { return joinURI(p.URI, p.Name) }

// File is a file that decides what a dataset gives.
type File struct {
	Place
	Info shards.ObjectInfo
	// Header says that only the name counts, which images of VOC and YOLO are
	// found by, and of YOLO the size of the picture.
	Header bool
}

// Options say how labels are read. The zero value takes what the formats define.
type Options struct {
	Format Format // empty: Recognise
	// Images is the folder that names of images are relative to. Where its URI is
	// empty it is the dataset's usual folder: see the functions that open each
	// format. Its Files may be nil where nothing needs to look into it.
	Images    Place
	Instances Place  // of COCOResults: the json with the images and categories
	Split     string // of VOC (ImageSets/Main/SPLIT.txt), YOLO (key of data.yaml) and Cityscapes (folder): what to read; empty for all
	Source    string // becomes Object.Source

	ZeroBased     bool   // VOC: pixels count from 0 and the box's ends are exclusive; the format's definition is from 1, inclusive
	KeepDifficult bool   // VOC: difficult objects count as others
	RegionMode    string // Cityscapes: polygon (default), or class_union: one object per image for each class without instances
	Field         string // FiftyOne: the field with the detections; may be empty where there is one
	AllowOrphans  bool   // YOLO: labels without an image are passed over
	Workers       int    // label files read at a time; 0 means 8
}

// joinURI joins a folder as it was given and a name, which may lead out of it with
// "..", keeping "s3://".
func joinURI(base, name string) string {
	if scheme, rest, ok := strings.Cut(base, "://"); ok {
		return scheme + "://" + path.Join(rest, name)
	}
	return path.Join(base, name)
}
