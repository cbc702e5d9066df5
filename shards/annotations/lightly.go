package annotations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// lightly reads a task's folder of predictions: schema.json with the classes, and
// a json per image. Boxes are [x, y, width, height] in pixels; masks are not read.
// The folder of the images is, where the options name none, the one that has the
// folder .lightly, else that of the schema. Sizes of images are not told.
type lightly struct {
	labelFolder
	opt    Options
	folder imageFolder
	class  map[string]string // name by id
}

func openLightly(ctx context.Context, place Place, opt Options) (*Dataset, error) {
	infos, err := place.Files.List(ctx, folderPrefix(place.Name))
	if err != nil {
		return nil, fmt.Errorf("open labels %s: %w", place, err)
	}
	l := &lightly{opt: opt, folder: imageFolder{opt.Images}, class: make(map[string]string)}
	l.labelFolder = labelFolder{place: place, workers: opt.Workers, read: l.image}
	if opt.Images.URI == "" {
		l.folder = imageFolder{lightlyImages(place)}
	}
	d := &Dataset{labels: l, format: Lightly}
	schema := folderPrefix(place.Name) + "schema.json"
	if d.classes, err = l.readSchema(ctx, schema); err != nil {
		return nil, fmt.Errorf("read labels %s: %w", joinURI(place.URI, schema), err)
	}
	d.inputs = filesOf(place, infos, func(name string) bool { return strings.EqualFold(path.Ext(name), ".json") })
	for _, file := range d.inputs {
		if file.Name != schema {
			l.items = append(l.items, item{label: file.Name, line: file.Name})
		}
	}
	l.items = numbered(place, l.items, func(it item) string { return it.label }, func(item) bool { return true })
	return d, nil
}

// lightlyImages finds the folder that has .lightly.
func lightlyImages(place Place) Place {
	at := strings.Index("/"+place.String()+"/", "/.lightly/")
	if at < 0 {
		return place
	}
	if up := strings.Index("/"+place.Name+"/", "/.lightly/"); up >= 0 {
		place.Name = strings.TrimSuffix(place.Name[:up], "/")
		return place
	}
	return Place{URI: strings.TrimSuffix(place.String()[:at], "/")}
}

func (l *lightly) readSchema(ctx context.Context, name string) ([]string, error) {
	data, err := l.content(ctx, name)
	if err != nil {
		return nil, err
	}
	var schema struct {
		Task       json.RawMessage `json:"task_type"`
		Categories []struct{ ID, Name json.RawMessage }
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		return nil, err
	}
	task, err := text(schema.Task)
	if err != nil || task != "object-detection" && task != "instance-segmentation" {
		return nil, fmt.Errorf("task_type %s has no objects; want object-detection or instance-segmentation", brief(schema.Task))
	}
	var classes []string
	for i, category := range schema.Categories {
		id, err := idText(category.ID)
		if err != nil {
			return nil, fmt.Errorf("category %d of the list: %w", i, err)
		}
		name, err := text(category.Name)
		if _, twice := l.class[id]; err != nil || name == "" || twice {
			return nil, fmt.Errorf("category %s: want a name, and every id once", id)
		}
		l.class[id] = name
		classes = append(classes, name)
	}
	return classes, nil
}

func (l *lightly) image(ctx context.Context, it item) (*pipeline.Image, error) {
	data, err := l.content(ctx, it.label)
	if err != nil {
		return nil, err
	}
	var parsed struct {
		File        json.RawMessage `json:"file_name"`
		Predictions []struct {
			Category json.RawMessage `json:"category_id"`
			Box      json.RawMessage `json:"bbox"`
			Score    json.RawMessage
		}
	}
	if err := json.Unmarshal(data, &parsed); err != nil {
		return nil, err
	}
	image := &pipeline.Image{RowID: it.RowID}
	if image.ID, err = text(parsed.File); err == nil && image.ID == "" {
		err = errors.New("it is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("file_name: %w", err)
	}
	if image.URI, err = l.folder.uri(image.ID); err != nil {
		return nil, err
	}
	image.Objects = make([]pipeline.Object, len(parsed.Predictions))
	for i, p := range parsed.Predictions {
		o := pipeline.Object{ID: strconv.Itoa(i), Source: l.opt.Source}
		id, err := idText(p.Category)
		if err != nil {
			return nil, fmt.Errorf("prediction %d: category_id: %w", i, err)
		}
		var ok bool
		if o.Class, ok = l.class[id]; !ok {
			return nil, fmt.Errorf("prediction %d: schema.json has no category %s", i, id)
		}
		if o.Score, err = score(p.Score); err != nil {
			return nil, fmt.Errorf("prediction %d: score: %w", i, err)
		}
		if o.Box, err = cocoBox(p.Box, nil); err != nil {
			return nil, fmt.Errorf("prediction %d: %w", i, err)
		}
		image.Objects[i] = o
	}
	return image, nil
}
