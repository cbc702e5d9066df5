package annotations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// fiftyOne reads samples.json of an exported FiftyOne dataset: the detections of
// one field, with boxes as shares of the image's size, which is that of the metadata or
// else of the image file's header. An embedding that is a list of numbers becomes
// the object's vector; masks are not read. Names of images are relative to the
// folder of samples.json. Classes gives none: nothing lists them.
type fiftyOne struct {
	samples *content
	opt     Options
	shard   string
	folder  imageFolder
}

func openFiftyOne(ctx context.Context, place Place, opt Options) (*Dataset, error) {
	c, err := openContent(ctx, place)
	if err != nil {
		return nil, err
	}
	f := &fiftyOne{samples: c, opt: opt, shard: shardName(place), folder: imageFolder{opt.Images}}
	if opt.Images.URI == "" {
		f.folder = imageFolder{parent(place)}
	}
	return &Dataset{labels: f, format: FiftyOne, inputs: []File{c.file()}}, nil
}

// walk calls visit for each sample.
func (f *fiftyOne) walk(ctx context.Context, visit func(row int64, start int64, raw json.RawMessage) error) error {
	t := f.samples.tokens(ctx)
	row, has := int64(0), false
	err := t.wholeObject("samples.json", func(key string) error {
		if key != "samples" {
			return t.skip()
		}
		has = true
		return t.list(func(start int64, raw json.RawMessage) error {
			defer func() { row++ }()
			return visit(row, start, raw)
		})
	})
	if err == nil && !has {
		err = errors.New(`it has no list "samples"`)
	}
	if err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("read labels %s: %w", f.samples.place, err)
	}
	return nil
}

// images implements labels.
func (f *fiftyOne) images(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		field := f.opt.Field
		seen := make(map[string]bool)
		err := f.walk(ctx, func(row, _ int64, raw json.RawMessage) error {
			image, err := f.image(ctx, row, raw, &field)
			if err != nil {
				return fmt.Errorf("sample %d: %w", row, err)
			}
			if seen[image.ID] {
				return fmt.Errorf("sample %d: the file %s comes twice", row, image.ID)
			}
			seen[image.ID] = true
			if !yield(image, nil) {
				return errStop
			}
			return nil
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// fiftySample is what is read of a sample beside its fields of detections.
type fiftySample struct {
	File     json.RawMessage `json:"filepath"`
	Metadata *struct{ Width, Height json.RawMessage }
}

type fiftyDetection struct {
	ID         json.RawMessage `json:"_id"`
	Label      json.RawMessage
	Box        json.RawMessage `json:"bounding_box"`
	Confidence json.RawMessage
	Crowd      json.RawMessage `json:"iscrowd"`
	Embedding  json.RawMessage
}

// image reads a sample. field is the field of the detections, which the first
// sample that has one decides where it is empty.
func (f *fiftyOne) image(ctx context.Context, row int64, raw json.RawMessage, field *string) (*pipeline.Image, error) {
	var sample fiftySample
	if err := json.Unmarshal(raw, &sample); err != nil {
		return nil, err
	}
	image := &pipeline.Image{RowID: pipeline.RowID{Shard: f.shard, Row: row}}
	var err error
	if image.ID, err = text(sample.File); err != nil {
		return nil, fmt.Errorf("filepath: %w", err)
	}
	if image.URI, err = f.folder.uri(image.ID); err != nil {
		return nil, err
	}
	list, err := detections(raw, field, f.opt.Field != "")
	if err != nil {
		return nil, err
	}
	if sample.Metadata != nil {
		if image.Width, err = side(sample.Metadata.Width); err == nil {
			image.Height, err = side(sample.Metadata.Height)
		}
		if err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
	}
	if len(list) > 0 && (image.Width == 0 || image.Height == 0) {
		if f.folder.Files == nil || path.IsAbs(image.ID) || strings.Contains(image.ID, "://") {
			return nil, fmt.Errorf("image %s: boxes are shares of its size, which the metadata does not have", image.ID)
		}
		if image.Width, image.Height, err = imageSize(ctx, f.folder.Files, path.Join(f.folder.Name, image.ID)); err != nil {
			return nil, fmt.Errorf("image %s: read its size, which the metadata does not have: %w", image.ID, err)
		}
	}
	image.Objects = make([]pipeline.Object, len(list))
	for i := range list {
		if err := f.object(&image.Objects[i], &list[i], float32(image.Width), float32(image.Height)); err != nil {
			return nil, fmt.Errorf("image %s: detection %d: %w", image.ID, i, err)
		}
	}
	nameObjects(image.Objects)
	return image, nil
}

// detections returns those of a sample's field. A field that was asked for must be
// there, though it may be null.
func detections(raw json.RawMessage, field *string, asked bool) ([]fiftyDetection, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	if *field == "" {
		var found []string
		for name, value := range fields {
			var of struct {
				Class string `json:"_cls"`
			}
			if value[0] == '{' && json.Unmarshal(value, &of) == nil && of.Class == "Detections" {
				found = append(found, name)
			}
		}
		slices.Sort(found)
		switch len(found) {
		case 0:
			return nil, nil
		case 1:
			*field = found[0]
		default:
			return nil, fmt.Errorf("several fields have detections, %s; the option for the field must name one", strings.Join(found, ", "))
		}
	}
	if _, ok := fields[*field]; !ok && asked {
		return nil, fmt.Errorf("it has no field %s", *field)
	}
	if absent(fields[*field]) {
		return nil, nil
	}
	var of struct {
		Class      string `json:"_cls"`
		Detections []fiftyDetection
	}
	if err := json.Unmarshal(fields[*field], &of); err != nil {
		return nil, fmt.Errorf("field %s: %w", *field, err)
	}
	if of.Class != "Detections" {
		return nil, fmt.Errorf("field %s holds no detections", *field)
	}
	return of.Detections, nil
}

func (f *fiftyOne) object(o *pipeline.Object, d *fiftyDetection, width, height float32) error {
	*o = pipeline.Object{Source: f.opt.Source}
	var id struct {
		Text json.RawMessage `json:"$oid"`
	}
	if !absent(d.ID) {
		if json.Unmarshal(d.ID, &id) != nil || id.Text == nil {
			id.Text = d.ID
		}
		var err error
		if o.ID, err = idText(id.Text); err != nil {
			return err
		}
	}
	var err error
	if o.Class, err = text(d.Label); err != nil || o.Class == "" {
		return fmt.Errorf("label: want a name, found %s", brief(d.Label))
	}
	if o.Score, err = score(d.Confidence); err != nil {
		return fmt.Errorf("confidence: %w", err)
	}
	if o.Ignore, err = flag(d.Crowd); err != nil {
		return fmt.Errorf("iscrowd: %w", err)
	}
	box, err := floats(d.Box)
	if err == nil && len(box) != 4 {
		err = fmt.Errorf("want 4 numbers, found %d", len(box))
	}
	if err != nil {
		return fmt.Errorf("bounding_box: %w", err)
	}
	o.Box = pipeline.Box{X1: box[0] * width, Y1: box[1] * height, X2: (box[0] + box[2]) * width, Y2: (box[1] + box[3]) * height}
	if !absent(d.Embedding) {
		if o.Vector, err = floats(d.Embedding); err != nil {
			return fmt.Errorf("embedding: %w; arrays of NumPy must become lists (tolist) before the export", err)
		}
	}
	return nil
}

// close implements labels.
func (f *fiftyOne) close() error { return f.samples.close() }
