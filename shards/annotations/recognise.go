package annotations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/curate-data/curate/shards"
)

// Recognise finds the format of labels by looking at their content. A folder that
// holds labels of several formats is an error that lists them.
func Recognise(ctx context.Context, place Place) (Format, error) {
	_, format, err := resolve(ctx, place, "")
	return format, err
}

// candidate is a file or folder that may be the labels that are meant.
type candidate struct {
	name   string
	format Format
}

// resolve finds the label file or folder at a place and its format, unless that
// is given.
func resolve(ctx context.Context, place Place, format Format) (Place, Format, error) {
	if place.Files == nil {
		return place, "", errors.New("open labels: the place is not open")
	}
	infos, err := place.Files.List(ctx, place.Name)
	if err != nil {
		return place, "", fmt.Errorf("find labels %s: %w", place, err)
	}
	if place.Name != "" && slices.ContainsFunc(infos, func(info shards.ObjectInfo) bool { return info.Name == place.Name }) {
		if format == "" {
			format, err = recogniseFile(ctx, place)
		}
		return place, format, err
	}
	prefix := folderPrefix(place.Name)
	infos = slices.DeleteFunc(infos, func(info shards.ObjectInfo) bool { return !strings.HasPrefix(info.Name, prefix) })
	if len(infos) == 0 {
		return place, "", fmt.Errorf("find labels %s: there is no such file or folder, or it is empty", place)
	}
	found, err := recogniseFolder(ctx, place, infos, format)
	if err != nil {
		return place, "", err
	}
	switch {
	case len(found) == 1:
		place.Name = found[0].name
		return place, found[0].format, nil
	case len(found) == 0 && format != "":
		return place, "", fmt.Errorf("find labels %s: there are none of format %s (known formats are %v)", place, format, formats)
	case len(found) == 0:
		return place, "", fmt.Errorf("find labels %s: none of the %d files is of a known format, %v", place, len(infos), formats)
	}
	var list []string
	for _, c := range found {
		list = append(list, fmt.Sprintf("%s (%s)", c.name, c.format))
	}
	return place, "", fmt.Errorf("find labels %s: it has several, %s; name one of them, or the format", place, strings.Join(list, ", "))
}

// recogniseFile finds the format of a single file.
func recogniseFile(ctx context.Context, place Place) (Format, error) {
	if isYAML(place.Name) {
		return YOLO, nil
	}
	if !strings.EqualFold(path.Ext(place.Name), ".json") {
		return "", fmt.Errorf("find labels %s: want a json, a data.yaml or a folder", place)
	}
	format, err := sniff(ctx, place)
	if err != nil {
		return "", err
	}
	switch format {
	case Cityscapes, Lightly:
		return "", fmt.Errorf("find labels %s: it has the labels of one image of %s; name the folder", place, format)
	case "":
		return "", fmt.Errorf("find labels %s: its keys are those of no known format, %v", place, formats)
	}
	return format, nil
}

// recogniseFolder returns what a folder may hold, only of the format if one is given.
func recogniseFolder(ctx context.Context, place Place, infos []shards.ObjectInfo, format Format) ([]candidate, error) {
	var found []candidate
	add := func(name string, f Format) {
		c := candidate{name, f}
		if (format == "" || format == f) && !slices.Contains(found, c) {
			found = append(found, c)
		}
	}
	prefix := folderPrefix(place.Name)
	looked := 0 // xml files
	for _, info := range infos {
		below := strings.TrimPrefix(info.Name, prefix)
		base, top := path.Base(below), !strings.Contains(below, "/")
		switch ending := strings.ToLower(path.Ext(base)); {
		case strings.HasSuffix(base, cityEnding):
			add(place.Name, Cityscapes)
		case base == "samples.json" && format == FiftyOne:
			add(info.Name, FiftyOne)
		case base == "schema.json":
			add(strings.TrimSuffix(path.Dir(info.Name), "."), Lightly)
		case isYAML(base) && top, base == "classes.txt", ending == ".names":
			add(place.Name, YOLO)
		case ending == ".xml" && format == VOC:
			add(place.Name, VOC)
		case ending == ".xml" && looked < 20:
			looked++
			if data, err := readSmall(ctx, place.Files, info.Name); err != nil {
				return nil, fmt.Errorf("find labels %s: %s: %w", place, below, err)
			} else if strings.Contains(string(data), "<annotation") {
				add(place.Name, VOC)
			}
		}
	}
	if len(found) > 0 && format == "" || slices.Contains([]Format{VOC, YOLO, Cityscapes, Lightly}, format) {
		return found, nil
	}
	return found, sniffAll(ctx, place, infos, format, add)
}

// sniffAll looks into the json files at the top of a folder and in its folder annotations.
func sniffAll(ctx context.Context, place Place, infos []shards.ObjectInfo, format Format, add func(string, Format)) error {
	prefix := folderPrefix(place.Name)
	for _, info := range infos {
		below := strings.TrimPrefix(strings.TrimPrefix(info.Name, prefix), "annotations/")
		if strings.Contains(below, "/") || !strings.EqualFold(path.Ext(below), ".json") {
			continue
		}
		file := place
		file.Name = info.Name
		f, err := sniff(ctx, file)
		if err != nil {
			return err
		}
		if f == LVIS && format == COCO {
			f = COCO
		}
		if f == COCO || f == LVIS || f == COCOResults || f == FiftyOne {
			add(info.Name, f)
		}
	}
	return nil
}

// errStop ends a walk that has seen enough.
var errStop = errors.New("seen enough")

// sniff reads a json until its format is clear; empty means that it is none.
func sniff(ctx context.Context, place Place) (Format, error) {
	obj, err := place.Files.Open(ctx, place.Name)
	if err != nil {
		return "", fmt.Errorf("find labels %s: %w", place, err)
	}
	c := &content{ReaderAt: obj, place: place, info: shards.ObjectInfo{Size: obj.Size()}, close: obj.Close}
	defer obj.Close()
	if c.base, err = c.mark(); err != nil {
		return "", fmt.Errorf("find labels %s: %w", place, err)
	}
	format, err := sniffTokens(c.tokens(ctx))
	if err != nil && !errors.Is(err, errStop) {
		return "", fmt.Errorf("find labels %s: %w", place, err)
	}
	return format, nil
}

func sniffTokens(t *tokens) (format Format, err error) {
	delim, err := t.top()
	if err != nil {
		return "", err
	}
	keys := make(map[string]json.RawMessage)
	first := func(_ int64, raw json.RawMessage) error {
		if err := json.Unmarshal(raw, &keys); err != nil {
			return err
		}
		return errStop
	}
	has := func(key string) bool { return keys[key] != nil }
	switch delim {
	case '[':
		if err := t.elements(first); err == nil || has("image_id") && has("category_id") {
			return COCOResults, err
		}
		return "", nil
	case '{':
	default:
		return "", nil
	}
	return format, t.object(func(key string) error {
		switch key {
		case "images":
			format = COCO
			err := t.list(first)
			if has("neg_category_ids") {
				format = LVIS
			}
			return err
		case "categories":
			if err := t.list(first); !errors.Is(err, errStop) {
				return err
			}
			if has("frequency") {
				format = LVIS
				return errStop
			}
			return t.elements(func(int64, json.RawMessage) error { return nil })
		case "samples", "imgHeight", "predictions":
			format = map[string]Format{"samples": FiftyOne, "imgHeight": Cityscapes, "predictions": Lightly}[key]
			return errStop
		}
		return t.skip()
	})
}
