package annotations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// cityscapes reads *_polygons.json files, one per image (gtFine, and gtCoarse).
//
// Classes are the 19 with a trainId. Objects of the other labels of the table, and
// groups (cargroup), are there with Ignore; deleted ones are not. The class of a group is
// that of its objects. With RegionMode class_union the polygons of a class without
// instances, such as road, are one object of each image, whose area is their sum.
//
// The folder of the images is, where the options name none, leftImg8bit beside
// gtFine, else the place; in it, the image lies as the json in gtFine. A split is
// a folder below gtFine. Group is the sequence: the name without the frame.
type cityscapes struct {
	labelFolder
	opt    Options
	folder imageFolder
}

// cityEnding ends the names of label files.
const cityEnding = "_polygons.json"

// polygonsEach and classUnion are the values of RegionMode.
const (
	polygonsEach = "polygon"
	classUnion   = "class_union"
)

func openCityscapes(ctx context.Context, place Place, opt Options) (*Dataset, error) {
	if opt.RegionMode == "" {
		opt.RegionMode = polygonsEach
	}
	if opt.RegionMode != polygonsEach && opt.RegionMode != classUnion {
		return nil, fmt.Errorf("open labels %s: region mode %q is unknown; known are %s and %s", place, opt.RegionMode, polygonsEach, classUnion)
	}
	infos, err := place.Files.List(ctx, folderPrefix(place.Name))
	if err != nil {
		return nil, fmt.Errorf("open labels %s: %w", place, err)
	}
	inputs := filesOf(place, infos, func(name string) bool { return strings.HasSuffix(name, cityEnding) })
	if len(inputs) == 0 {
		return nil, fmt.Errorf("open labels %s: it has no files *%s", place, cityEnding)
	}
	c := &cityscapes{opt: opt, folder: imageFolder{opt.Images}}
	c.labelFolder = labelFolder{place: place, workers: opt.Workers, read: c.image}
	for _, file := range inputs {
		root, below := cityRoot(place, file.Name)
		if opt.Images.URI == "" {
			folder := imageFolder{Place{Files: place.Files, Name: root, URI: place.URI}}
			if c.folder.URI != "" && c.folder.Name != root {
				return nil, fmt.Errorf("open labels %s: it has images at %s and at %s; open one dataset at a time", place, c.folder, folder)
			}
			c.folder = folder
		}
		name, kind, _ := cutLast(strings.TrimSuffix(below, cityEnding), "_")
		if kind == "" {
			return nil, fmt.Errorf("open labels %s: %s: want CITY_SEQUENCE_FRAME_gtFine%s", place, file.Name, cityEnding)
		}
		c.items = append(c.items, item{label: file.Name, image: name + "_leftImg8bit.png", line: file.Name})
	}
	c.items = numbered(place, c.items, func(it item) string { return it.label }, func(it item) bool {
		return opt.Split == "" || strings.HasPrefix(it.image, opt.Split+"/")
	})
	if len(c.items) == 0 {
		return nil, fmt.Errorf("open labels %s: there is no split %q", place, opt.Split)
	}
	d := &Dataset{labels: c, format: Cityscapes, inputs: inputs}
	for _, l := range cityLabels {
		if l.trained() {
			d.classes = append(d.classes, l.name)
		}
	}
	return d, distinct(place, c.items)
}

// cityRoot splits the name of a label file into the usual folder of the images and
// the rest of the name below gtFine.
func cityRoot(place Place, name string) (images, below string) {
	parts := strings.Split(name, "/")
	for i := len(parts) - 2; i >= 0; i-- {
		if parts[i] == "gtFine" || parts[i] == "gtCoarse" {
			return path.Join(path.Join(parts[:i]...), "leftImg8bit"), path.Join(parts[i+1:]...)
		}
	}
	if base := path.Base(place.URI); base == "gtFine" || base == "gtCoarse" {
		return "../leftImg8bit", name
	}
	return place.Name, strings.TrimPrefix(name, folderPrefix(place.Name))
}

// cutLast cuts a text at the last separator.
func cutLast(text, separator string) (before, after string, ok bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(separator):], true
}

type cityImage struct {
	Height  json.RawMessage `json:"imgHeight"`
	Width   json.RawMessage `json:"imgWidth"`
	Objects []struct {
		Label, Deleted json.RawMessage
		Polygon        [][]*float64
	}
}

func (c *cityscapes) image(ctx context.Context, it item) (*pipeline.Image, error) {
	data, err := c.content(ctx, it.label)
	if err != nil {
		return nil, err
	}
	var parsed cityImage
	if err := json.Unmarshal(data, &parsed); err != nil {
		return nil, err
	}
	sequence, _, _ := cutLast(strings.TrimSuffix(path.Base(it.image), "_leftImg8bit.png"), "_")
	image := &pipeline.Image{RowID: it.RowID, ID: it.image, Group: sequence}
	if image.URI, err = c.folder.uri(it.image); err != nil {
		return nil, err
	}
	if absent(parsed.Height) || absent(parsed.Width) {
		return nil, errors.New("it has no imgHeight and imgWidth")
	}
	if image.Height, err = side(parsed.Height); err != nil {
		return nil, fmt.Errorf("imgHeight: %w", err)
	}
	if image.Width, err = side(parsed.Width); err != nil {
		return nil, fmt.Errorf("imgWidth: %w", err)
	}
	union := make(map[string]int)
	for i, object := range parsed.Objects {
		deleted, err := flag(object.Deleted)
		if err != nil {
			return nil, fmt.Errorf("object %d: deleted: %w", i, err)
		}
		if deleted {
			continue
		}
		name, err := text(object.Label)
		if err != nil {
			return nil, fmt.Errorf("object %d: label: %w", i, err)
		}
		if err := c.add(image, union, name, object.Polygon); err != nil {
			return nil, fmt.Errorf("object %d: %w", i, err)
		}
	}
	for i := range image.Objects {
		o := &image.Objects[i]
		if err := checkBorder(o.Mask); err != nil {
			return nil, fmt.Errorf("%s: %w", o.Class, err)
		}
		o.Box, o.Area = o.Mask.Bounds(), float32(o.Mask.Area())
	}
	return image, nil
}

// add adds a polygon to an image's objects. union has the indices of those that
// are one for all polygons of their class.
func (c *cityscapes) add(image *pipeline.Image, union map[string]int, name string, points [][]*float64) error {
	label, group, ok := cityLabelOf(name)
	if !ok {
		return fmt.Errorf("label %q is not in the table of Cityscapes", brief([]byte(name)))
	}
	polygon := make([]float32, 0, 2*len(points))
	for i, p := range points {
		if len(p) != 2 || p[0] == nil || p[1] == nil || math.Abs(*p[0]) > maxSide || math.Abs(*p[1]) > maxSide {
			return fmt.Errorf("%s: point %d is no pair of pixels", name, i)
		}
		polygon = append(polygon, float32(*p[0]), float32(*p[1]))
	}
	if len(polygon) == 0 {
		return fmt.Errorf("%s has no polygon", name)
	}
	if at, ok := union[label.name]; ok {
		mask := image.Objects[at].Mask
		mask.Polygons = append(mask.Polygons, polygon)
		return nil
	}
	if c.opt.RegionMode == classUnion && !label.instances {
		union[label.name] = len(image.Objects)
	}
	image.Objects = append(image.Objects, pipeline.Object{
		ID: strconv.Itoa(len(image.Objects)), Class: label.name, Score: 1, Source: c.opt.Source,
		Ignore: group || !label.trained(), Mask: &pipeline.Mask{Polygons: [][]float32{polygon}},
	})
	return nil
}
