package annotations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// coco reads instances json, LVIS, and lists of predictions.
//
// The folder of the images is, where the options name none, the first of these in
// which the first image is found, as far as the place reaches: the folder of the
// json, images, data, and beside the json's folder NAME, images/NAME and images,
// where the json is called instances_NAME.json; else NAME beside a folder called
// annotations, and the folder of the json beside any other.
//
// iscrowd and ignore become Ignore. Where bbox is missing, the mask's bounds are
// the box. In LVIS, Unlabelled has the classes that nobody looked for in the image,
// and those of which not all objects are marked.
type coco struct {
	*cocoIndex
	instances, results *content // results is nil where the instances are read
	opt                Options
	shard              string
	folder             imageFolder
}

func openCOCO(ctx context.Context, place Place, opt Options) (*Dataset, error) {
	return openCOCOFiles(ctx, place, nil, opt)
}

func openResults(ctx context.Context, place Place, opt Options) (*Dataset, error) {
	if opt.Instances.Files == nil {
		return nil, fmt.Errorf("open labels %s: a results json has no images: the option for the instances json, which has them, is missing", place)
	}
	return openCOCOFiles(ctx, opt.Instances, &place, opt)
}

func openCOCOFiles(ctx context.Context, instances Place, results *Place, opt Options) (_ *Dataset, err error) {
	c := &coco{opt: opt, shard: shardName(instances)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.instances, err = openContent(ctx, instances); err != nil {
		return nil, err
	}
	d := &Dataset{labels: c, format: COCO, inputs: []File{c.instances.file()}}
	if results != nil {
		if c.results, err = openContent(ctx, *results); err != nil {
			return nil, err
		}
		d.format = COCOResults
		d.inputs = append(d.inputs, c.results.file())
	}
	if c.cocoIndex, err = indexCOCO(ctx, c.instances, c.results); err != nil {
		return nil, err
	}
	if results == nil && c.lvis {
		d.format = LVIS
	}
	d.classes, d.frequency = c.classes, c.frequency
	c.folder, err = c.findImages(ctx)
	return d, err
}

func (c *content) file() File { return File{Place: c.place, Info: c.info} }

// findImages finds the folder of the images by the first one's name.
func (c *coco) findImages(ctx context.Context) (imageFolder, error) {
	if c.opt.Images.URI != "" {
		return imageFolder{c.opt.Images}, nil
	}
	place := c.instances.place
	folder := parent(place)
	base := strings.TrimSuffix(path.Base(place.String()), ".json")
	name := base[strings.IndexByte(base, '_')+1:]
	if len(c.entries) == 0 {
		return imageFolder{folder}, nil
	}
	raw, err := (&window{c: c.instances}).part(c.entries[0].offset, int(c.entries[0].length))
	if err != nil {
		return imageFolder{}, fmt.Errorf("read labels %s: %w", place, err)
	}
	var first cocoImage
	if err := json.Unmarshal(raw, &first); err != nil {
		return imageFolder{}, fmt.Errorf("read labels %s: image 0 of the list: %w", place, err)
	}
	file, err := first.file()
	if err != nil {
		return imageFolder{}, fmt.Errorf("read labels %s: image 0 of the list: %w", place, err)
	}
	for _, below := range []string{".", "images", "data", "../" + name, "../images/" + name, "../images", ".."} {
		if found, ok := holds(ctx, folder, below, file); ok {
			return imageFolder{found}, nil
		}
	}
	if path.Base(folder.String()) != "annotations" {
		return imageFolder{folder}, nil
	}
	if strings.Contains(file, "/") { // LVIS names the folder as well
		name = ""
	}
	return imageFolder{Place{URI: joinURI(folder.String(), "../"+name)}}, nil
}

// cocoImage is an element of "images".
type cocoImage struct {
	ID            json.RawMessage
	FileName      json.RawMessage `json:"file_name"`
	URL           json.RawMessage `json:"coco_url"`
	Width, Height json.RawMessage
	Video         json.RawMessage   `json:"video_id"`
	Negative      []json.RawMessage `json:"neg_category_ids"`
	NotExhaustive []json.RawMessage `json:"not_exhaustive_category_ids"`
}

// file returns the image's name relative to the folder of the images. LVIS has the
// name and the folder at the end of an address only.
func (i *cocoImage) file() (string, error) {
	name, err := text(i.FileName)
	if err != nil {
		return "", fmt.Errorf("file_name: %w", err)
	}
	if name != "" {
		return name, nil
	}
	address, err := text(i.URL)
	if err != nil {
		return "", fmt.Errorf("coco_url: %w", err)
	}
	if parts := strings.Split(address, "/"); len(parts) > 4 {
		return path.Join(parts[len(parts)-2:]...), nil
	}
	return "", errors.New("it has neither file_name nor coco_url")
}

// images implements labels.
func (c *coco) images(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		headers, bodies := &window{c: c.instances}, &window{c: c.instances}
		if c.results != nil {
			bodies.c = c.results
		}
		next := 0 // of c.runs
		for row := range c.entries {
			if ctx.Err() != nil {
				yield(nil, context.Cause(ctx))
				return
			}
			first := next
			for next < len(c.runs) && int(c.runs[next].image) == row {
				next++
			}
			image, err := c.image(row, c.runs[first:next], headers, bodies)
			if !yield(image, err) || err != nil {
				return
			}
		}
	}
}

// image reads an image and its annotations.
func (c *coco) image(row int, runs []run, headers, bodies *window) (*pipeline.Image, error) {
	at := c.entries[row]
	raw, err := headers.part(at.offset, int(at.length))
	if err != nil {
		return nil, fmt.Errorf("read labels %s: image %d of the list: %w", c.instances.place, row, err)
	}
	var header cocoImage
	if err := json.Unmarshal(raw, &header); err != nil {
		return nil, fmt.Errorf("read labels %s: image %d of the list: %w", c.instances.place, row, err)
	}
	image, err := c.header(row, &header)
	if err != nil {
		return nil, fmt.Errorf("read labels %s: image %s: %w", c.instances.place, brief(header.ID), err)
	}
	for _, r := range runs {
		raw, err := bodies.part(r.offset, int(r.length))
		if err == nil {
			err = c.objects(image, raw)
		}
		if err != nil {
			return nil, fmt.Errorf("read labels %s: image %s: %w", bodies.c.place, image.ID, err)
		}
	}
	nameObjects(image.Objects)
	if c.lvis && c.results == nil { // a detector has looked for every class
		if err := c.unlabelled(image, &header); err != nil {
			return nil, fmt.Errorf("read labels %s: image %s: %w", c.instances.place, image.ID, err)
		}
	}
	return image, nil
}

func (c *coco) header(row int, header *cocoImage) (*pipeline.Image, error) {
	id, err := idText(header.ID)
	if err != nil {
		return nil, err
	}
	name, err := header.file()
	if err != nil {
		return nil, err
	}
	image := &pipeline.Image{RowID: pipeline.RowID{Shard: c.shard, Row: int64(row)}, ID: id}
	if image.URI, err = c.folder.uri(name); err != nil {
		return nil, err
	}
	if image.Width, err = side(header.Width); err != nil {
		return nil, fmt.Errorf("width: %w", err)
	}
	if image.Height, err = side(header.Height); err != nil {
		return nil, fmt.Errorf("height: %w", err)
	}
	if !absent(header.Video) {
		if image.Group, err = idText(header.Video); err != nil {
			return nil, fmt.Errorf("video_id: %w", err)
		}
	}
	return image, nil
}

// unlabelled sets what LVIS does not say: absence is known of the negative classes,
// presence of all objects of those that have some, unless it is not exhaustive.
func (c *coco) unlabelled(image *pipeline.Image, header *cocoImage) error {
	known := make(map[string]bool)
	for i := range image.Objects {
		known[image.Objects[i].Class] = true
	}
	for _, list := range []struct {
		name  string
		ids   []json.RawMessage
		known bool
	}{{"neg_category_ids", header.Negative, true}, {"not_exhaustive_category_ids", header.NotExhaustive, false}} {
		for _, raw := range list.ids {
			id, err := idText(raw)
			if err != nil {
				return fmt.Errorf("%s: %w", list.name, err)
			}
			class, ok := c.class[id]
			if !ok {
				return fmt.Errorf("%s: there is no category %s", list.name, id)
			}
			known[class] = list.known
		}
	}
	for _, class := range c.classes {
		if !known[class] {
			image.Unlabelled = append(image.Unlabelled, class)
		}
	}
	return nil
}

// close implements labels.
func (c *coco) close() error {
	var err error
	for _, content := range []*content{c.instances, c.results} {
		if content != nil {
			err = errors.Join(err, content.close())
		}
	}
	return err
}

// shardName is the name of a place as a shard.
func shardName(place Place) string {
	if place.Name == "" {
		return path.Base(place.URI)
	}
	return place.Name
}

var _ Files = shards.Store(nil)
