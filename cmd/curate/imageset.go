package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/curate-data/curate/pipeline"
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

// source gives all images of the set in (shard, row) order. With data the encoded
// images come with them.
func (s *imageSet) source(data bool) *setSource { return &setSource{imageSet: s, data: data} }

// setSource is an imageSet as a pipeline.ImageSource.
type setSource struct {
	*imageSet
	data bool
	skip map[string]bool // shards that could not be read
	at   int             // index of the shard that was read last
}

// Images implements pipeline.ImageSource.
func (s *setSource) Images(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	if len(s.inputs) == 0 {
		return s.labelled(ctx)
	}
	return func(yield func(*pipeline.Image, error) bool) {
		join, err := s.newJoin(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for i, in := range s.inputs {
			if s.skip[in.Shard] {
				continue
			}
			s.at = i
			for image, err := range join.apply(s.ofShard(ctx, i, s.data)) {
				if !yield(image, err) || err != nil {
					return
				}
			}
		}
		if err := join.check(); err != nil {
			yield(nil, err)
		}
	}
}

// ofShard gives the images of one shard, without what label files add.
func (s *imageSet) ofShard(ctx context.Context, i int, data bool) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		opt, broken := s.options(data), map[int64]bool{}
		opt.Unreadable = func(row pipeline.RowID, err error) {
			s.app.log.Warn("image cannot be decoded; it is never selected", "shard", row.Shard, "row", row.Row, "cause", err)
			broken[row.Row] = true
		}
		reader, err := images.Open(ctx, s.inputs[i], opt)
		if err != nil {
			yield(nil, shardError{err})
			return
		}
		defer reader.Close()
		for image, err := range reader.Images(ctx) {
			if err != nil && ctx.Err() == nil {
				err = shardError{err}
			}
			if err == nil && broken[image.Row] {
				image.Reason = pipeline.BrokenImage
				clear(broken)
			}
			if !yield(image, err) || err != nil {
				return
			}
		}
	}
}

// labelled gives the images of the label files, as rows of one shard.
func (s *setSource) labelled(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		row := int64(0)
		for image, err := range s.labels.Images(ctx) {
			if err == nil {
				image.RowID = pipeline.RowID{Shard: s.name, Row: row}
				if row++; image.Reason != "" {
					s.app.log.Warn("image cannot be decoded; it is never selected", "labels", s.name, "image", image.ID)
				}
			}
			if !yield(image, err) || err != nil {
				return
			}
		}
	}
}

// maxImageBytes bounds an image file.
const maxImageBytes = 1 << 30

// load reads the file of an image whose row does not hold its bytes.
func (s *imageSet) load(ctx context.Context, image *pipeline.Image) error {
	if len(image.Data) > 0 || image.URI == "" {
		return nil
	}
	uri := s.fileOf(image)
	var err error
	if image.Data, err = s.fetch(ctx, uri); err == nil {
		return nil
	}
	err = fmt.Errorf("image %q: read %s: %w", image.ID, uri, err)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = fmt.Errorf("%w: put the file there, name its folder with --images, or take the image out of the labels", err)
	if len(s.inputs) > 0 {
		return shardError{err}
	}
	return err
}

// fileOf is the place of an image file. Rows of shards name it from the shard's
// folder.
func (s *imageSet) fileOf(image *pipeline.Image) string {
	i := slices.IndexFunc(s.inputs, func(in shards.Input) bool { return in.Shard == image.Shard })
	if i < 0 || strings.Contains(image.URI, "://") || filepath.IsAbs(image.URI) {
		return image.URI
	}
	shard := s.inputs[i].URI
	return joinPlace(cmp.Or(shard[:strings.LastIndex(shard, "/")+1], "."), image.URI)
}

// fetch reads an image file.
func (s *imageSet) fetch(ctx context.Context, uri string) ([]byte, error) {
	store, name, err := s.app.stores.Locate(ctx, uri)
	if err != nil {
		return nil, err
	}
	object, err := store.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	if object.Size() > maxImageBytes {
		return nil, fmt.Errorf("it has %d bytes, more than %d", object.Size(), maxImageBytes)
	}
	data := make([]byte, object.Size())
	if _, err := object.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}

// rows gives the images of some rows, with their bytes.
func (s *imageSet) rows(ctx context.Context, wanted map[pipeline.RowID]bool) iter.Seq2[*pipeline.Image, error] {
	last := map[string]int64{}
	for row := range wanted {
		last[row.Shard] = max(last[row.Shard], row.Row)
	}
	return func(yield func(*pipeline.Image, error) bool) {
		if len(s.inputs) == 0 {
			for image, err := range s.source(false).labelled(ctx) {
				if err == nil && !wanted[image.RowID] {
					continue
				}
				if !yield(image, err) || err != nil {
					return
				}
			}
			return
		}
		for i, in := range s.inputs {
			end, ok := last[in.Shard]
			if !ok {
				continue
			}
			for image, err := range s.ofShard(ctx, i, true) {
				if err == nil && !wanted[image.RowID] {
					continue
				}
				if !yield(image, err) || err != nil {
					return
				}
				if image.Row == end {
					break
				}
			}
		}
	}
}
