package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/pflag"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/annotations"
	"github.com/curate-data/curate/shards/images"
)

// imagePlaces say where images and their labels are: shards, label files, or both,
// joined by image ID or file name.
type imagePlaces struct {
	Inputs []string `json:"-"`
	Labels string   `json:"annotations,omitempty"` // label file or folder
	Folder string   `json:"images,omitempty"`      // of the image files that labels name
	Format string   `json:"annotation_format,omitempty"`
	Images string   `json:"instances,omitempty"` // of COCO results: the json with the images
	Split  string   `json:"split,omitempty"`

	ZeroBased     bool   `json:"voc_zero_based,omitempty"`
	KeepDifficult bool   `json:"keep_difficult,omitempty"`
	RegionMode    string `json:"region_mode,omitempty"`
	Field         string `json:"label_field,omitempty"`
	AllowOrphans  bool   `json:"allow_orphans,omitempty"`

	Box     string        `json:"box,omitempty"` // form of boxes in shards
	Columns imagesColumns `json:"columns,omitzero"`
}

// imagesColumns names columns of shards; empty ones are found by usual names.
type imagesColumns = images.Columns

// addImageFlags adds the flags that say where images are.
func addImageFlags(flags *pflag.FlagSet, p *imagePlaces) {
	flags.StringVar(&p.Labels, "annotations", "", "labels of the images: a COCO, LVIS or results json, a folder of Pascal VOC, YOLO, Cityscapes or Lightly files, FiftyOne's samples.json; beside shards, joined by image id or file name")
	flags.StringVar(&p.Folder, "images", "", "folder of the image files that --annotations names; default: the format's usual one")
	flags.StringVar(&p.Format, "annotation-format", "", "format of --annotations; default: by its content")
	flags.StringVar(&p.Images, "instances", "", "of a COCO results json: the json with its images and categories")
	flags.StringVar(&p.Split, "split", "", "part of --annotations to read, such as train")
	flags.BoolVar(&p.ZeroBased, "voc-zero-based", false, "VOC: pixels count from 0 and boxes end before their last ones")
	flags.BoolVar(&p.KeepDifficult, "keep-difficult", false, "VOC: objects that are marked as difficult count as others")
	flags.StringVar(&p.RegionMode, "region-mode", "", "Cityscapes: polygon (default), or class_union: one object of an image for each class without instances")
	flags.StringVar(&p.Field, "label-field", "", "FiftyOne: the field with the detections")
	flags.BoolVar(&p.AllowOrphans, "allow-orphans", false, "YOLO: label files without an image are passed over")
	flags.StringVar(&p.Box, "box-form", "", "boxes in shards: xyxy (default), xywh, cxcywh, or relative_ before one of them")
	flags.StringVar(&p.Columns.ID, "image-id-column", "", "column of image ids; default: image_id, id or file_name")
	flags.StringVar(&p.Columns.Image, "image-column", "", "column of encoded images; default: image, jpg, png, ...")
	flags.StringVar(&p.Columns.Objects, "objects-column", "", "column with the list of objects; default: objects, detections, ...")
	flags.StringVar(&p.Columns.Group, "group-column", "", "column of scenes or videos; default: group, scene, video, ...")
}

// imageSet is an opened set of images.
type imageSet struct {
	app    *app
	places imagePlaces
	inputs []shards.Input // the shards
	labels *annotations.Dataset
	name   string // of the label set, which is a shard of its own where there are no others
}

// openImages lists the shards and opens the labels.
func (a *app) openImages(ctx context.Context, p imagePlaces) (*imageSet, error) {
	s := &imageSet{app: a, places: p}
	if len(p.Inputs) == 0 && p.Labels == "" {
		return nil, usagef("name at least one shard with images, or --annotations")
	}
	if a.sandboxed.on {
		return nil, usagef("--sandbox reads texts, not images: leave it out")
	}
	var err error
	if len(p.Inputs) > 0 {
		if s.inputs, err = a.listInputs(ctx, p.Inputs); err != nil {
			return nil, err
		}
	}
	if err := s.options(false).Validate(); err != nil {
		return nil, usageError{err}
	}
	if p.Labels == "" {
		return s, nil
	}
	opt := annotations.Options{
		Format: annotations.Format(p.Format), Split: p.Split, ZeroBased: p.ZeroBased, KeepDifficult: p.KeepDifficult,
		RegionMode: p.RegionMode, Field: p.Field, AllowOrphans: p.AllowOrphans,
	}
	if opt.Images, err = s.place(ctx, p.Folder); err != nil {
		return nil, fmt.Errorf("--images %s: %w", p.Folder, err)
	}
	if opt.Instances, err = s.place(ctx, p.Images); err != nil {
		return nil, fmt.Errorf("--instances %s: %w", p.Images, err)
	}
	place, err := s.place(ctx, p.Labels)
	if err != nil {
		return nil, fmt.Errorf("--annotations %s: %w", p.Labels, err)
	}
	s.name = path.Base(strings.TrimRight(p.Labels, "/"))
	s.labels, err = annotations.Open(ctx, place, opt)
	return s, err
}

// place finds a file or folder; the zero Place for an empty name.
func (s *imageSet) place(ctx context.Context, name string) (annotations.Place, error) {
	if name == "" {
		return annotations.Place{}, nil
	}
	store, in, err := s.app.stores.Locate(ctx, name)
	if err != nil {
		return annotations.Place{}, err
	}
	root := strings.TrimSuffix(strings.TrimSuffix(name, "/"), in)
	return annotations.Place{Files: store, Name: in, URI: strings.TrimSuffix(root, "/")}, nil
}

func (s *imageSet) close() error {
	if s.labels == nil {
		return nil
	}
	return s.labels.Close()
}

// options say how shards are read.
func (s *imageSet) options(data bool) images.Options {
	return images.Options{Columns: s.places.Columns, Box: images.BoxForm(s.places.Box), Data: data}
}

// addLabels digests the labels for a stage. Where there are no shards the label
// set is its only input; else it is recorded among the options.
func (s *imageSet) addLabels(ctx context.Context, st *stage) error {
	if s.labels == nil {
		return nil
	}
	var parts []string
	var size int64
	for _, f := range s.labels.Inputs() {
		in := shards.Input{Path: f.Name, URI: f.String(), Size: f.Info.Size, Version: f.Info.Version, Modified: f.Info.Modified, Digest: f.Info.Digest}
		in.Store = filesOnly{f.Files}
		digest := fmt.Sprint(in.Size)
		if !f.Header {
			var err error
			if digest, err = st.cache.Digest(ctx, in); err != nil {
				return err
			}
			size += in.Size
		}
		parts = append(parts, f.Name, digest)
	}
	all := shards.UnitKey(parts...)
	if len(s.inputs) > 0 {
		st.options["annotations"] = all
		return nil
	}
	st.inputs = append(st.inputs, stageInput{Input: shards.Input{Shard: s.name, URI: s.places.Labels, Size: size}, digest: all, rows: -1})
	return nil
}

// addLabels makes the labels at some place the input of a stage.
func addLabels(ctx context.Context, s *stage, places imagePlaces) error {
	set, err := s.app.openImages(ctx, places)
	if err != nil {
		return err
	}
	return errors.Join(set.addLabels(ctx, s), set.close())
}

// filesOnly is a store that is read alone.
type filesOnly struct{ annotations.Files }

var errReadOnly = errors.New("labels are only read")

func (filesOnly) Create(context.Context, string) (shards.Pending, error) { return nil, errReadOnly }
func (filesOnly) Remove(context.Context, string) error                   { return errReadOnly }
