package annotations

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// yolo reads a folder of images with a txt each: detections with 5 columns,
// predictions with 6, polygons. An image without a txt has no objects.
//
// Names of classes are those of data.yaml (or the only *.yaml of the folder), else of
// obj.names or classes.txt, one per line. Images are where the yaml says: folders,
// or lists of paths; without it, all below the place. The txt of an image
// is the file of its name where the last folder "images" of its path is replaced by
// "labels", else beside it; with Options.Images, below the place or its folder labels.
//
// Boxes and polygons become pixels by the image's size, which is read from the
// image file where it has objects, and is as stored: a camera's note that
// the picture is to be turned does not count.
type yolo struct {
	labelFolder
	opt     Options
	folder  imageFolder
	classes []string
}

// yoloListing is what the folders of a dataset have.
type yoloListing struct {
	place, images Place // images is below place, or of its own
	apart         bool  // it is of its own
	labels        map[string]bool
	pictures      []shards.ObjectInfo
	texts         []shards.ObjectInfo
}

func openYOLO(ctx context.Context, place Place, opt Options) (*Dataset, error) {
	d, err := openYOLOFolder(ctx, place, opt)
	if err != nil {
		return nil, fmt.Errorf("open labels %s: %w", place, err)
	}
	return d, nil
}

func openYOLOFolder(ctx context.Context, place Place, opt Options) (*Dataset, error) {
	var config string
	if isYAML(place.Name) {
		config, place = place.Name, parent(place)
	}
	l, err := listYOLO(ctx, place, opt)
	if err != nil {
		return nil, err
	}
	c, inputs, err := l.config(ctx, config)
	if err != nil {
		return nil, err
	}
	wanted, lists, err := l.wanted(ctx, c, opt.Split)
	if err != nil {
		return nil, err
	}
	y := &yolo{opt: opt, folder: imageFolder{l.images}, classes: c.names}
	y.labelFolder = labelFolder{place: place, workers: opt.Workers, read: y.image}
	used := make(map[string]bool)
	folders := make(map[string]bool)
	for _, picture := range l.pictures {
		label := l.label(picture.Name)
		used[label], folders[path.Dir(label)] = true, true
		if !l.labels[label] {
			label = ""
		}
		name := strings.TrimPrefix(picture.Name, folderPrefix(l.images.Name))
		y.items = append(y.items, item{label: label, image: name, line: name})
	}
	if orphan, n := l.orphans(used, folders, lists); n > 0 && !opt.AllowOrphans {
		return nil, fmt.Errorf("%d label files have no image, the first is %s", n, orphan)
	}
	prefix := folderPrefix(l.images.Name)
	y.items = numbered(l.images, y.items, func(it item) string { return prefix + it.image }, func(it item) bool {
		return wanted == nil || wanted[prefix+it.image]
	})
	for i := range l.pictures {
		inputs = append(inputs, File{Place: Place{l.images.Files, l.pictures[i].Name, l.images.URI}, Info: l.pictures[i], Header: true})
	}
	inputs = append(inputs, filesOf(place, l.texts, func(name string) bool { return used[name] || lists[name] })...)
	return &Dataset{labels: y, format: YOLO, classes: c.names, inputs: inputs}, nil
}

func isYAML(name string) bool {
	ending := strings.ToLower(path.Ext(name))
	return ending == ".yaml" || ending == ".yml"
}

// listYOLO lists images and texts.
func listYOLO(ctx context.Context, place Place, opt Options) (*yoloListing, error) {
	l := &yoloListing{place: place, images: place, labels: make(map[string]bool)}
	infos, err := place.Files.List(ctx, folderPrefix(place.Name))
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		switch ending := strings.ToLower(path.Ext(info.Name)); {
		case ending == ".txt" || ending == ".names" || isYAML(info.Name):
			l.texts = append(l.texts, info)
			l.labels[info.Name] = ending == ".txt"
		case isImage(info.Name):
			l.pictures = append(l.pictures, info)
		}
	}
	if opt.Images.URI != "" {
		if opt.Images.Files == nil {
			return nil, fmt.Errorf("the folder of the images, %s, must be open: boxes are shares of the images' sizes", opt.Images)
		}
		l.images, l.apart = opt.Images, true
		if infos, err = opt.Images.Files.List(ctx, folderPrefix(opt.Images.Name)); err != nil {
			return nil, err
		}
		l.pictures = slices.DeleteFunc(infos, func(info shards.ObjectInfo) bool { return !isImage(info.Name) })
	}
	if len(l.pictures) == 0 {
		return nil, fmt.Errorf("there are no images below %s; if they are elsewhere, name their folder by the option for images", l.images)
	}
	return l, nil
}

// config reads the names of the classes, and data.yaml where there is one.
func (l *yoloListing) config(ctx context.Context, name string) (*yoloConfig, []File, error) {
	prefix := folderPrefix(l.place.Name)
	if name == "" {
		var found []string
		for _, info := range l.texts {
			if below := strings.TrimPrefix(info.Name, prefix); isYAML(below) && !strings.Contains(below, "/") {
				found = append(found, info.Name)
			}
		}
		switch {
		case len(found) == 1:
			name = found[0]
		case slices.Contains(found, prefix+"data.yaml"):
			name = prefix + "data.yaml"
		case len(found) > 1:
			return nil, nil, fmt.Errorf("it has several yaml files, %s; name the one to read", strings.Join(found, ", "))
		}
	}
	c := &yoloConfig{}
	var inputs []File
	if name != "" {
		data, err := readSmall(ctx, l.place.Files, name)
		if err == nil {
			c, err = parseYOLOConfig(data)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", name, err)
		}
		inputs = filesOf(l.place, l.texts, func(other string) bool { return other == name })
	}
	if len(c.names) > 0 {
		return c, inputs, nil
	}
	for _, info := range l.texts {
		if base := path.Base(info.Name); path.Ext(base) != ".names" && base != "classes.txt" {
			continue
		}
		data, err := readSmall(ctx, l.place.Files, info.Name)
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", info.Name, err)
		}
		for line := range strings.Lines(strings.TrimRight(strings.TrimPrefix(string(data), "\ufeff"), " \r\n\t")) {
			c.names = append(c.names, strings.TrimSpace(line))
		}
		if slices.Contains(c.names, "") {
			return nil, nil, fmt.Errorf("read %s: a line is empty, which would shift the classes below it", info.Name)
		}
		return c, append(inputs, File{Place: Place{l.place.Files, info.Name, l.place.URI}, Info: info}), nil
	}
	return nil, nil, errors.New("no names of classes: want data.yaml with names, obj.names or classes.txt")
}

// wanted returns the images of a split, of all splits for an empty one, and the
// lists that say so; nil means all images.
func (l *yoloListing) wanted(ctx context.Context, c *yoloConfig, split string) (wanted, lists map[string]bool, err error) {
	keys := []string{split}
	if split == "" {
		keys = []string{"train", "val", "test"}
	}
	lists = make(map[string]bool)
	for _, info := range l.texts { // lists are no labels, whatever the split
		if slices.Contains([]string{"train.txt", "val.txt", "test.txt", "valid.txt"}, path.Base(info.Name)) && len(c.splits) > 0 {
			lists[info.Name] = true
		}
	}
	if len(c.splits) == 0 || l.apart {
		if split != "" {
			return nil, nil, fmt.Errorf("there is no split %q: data.yaml names no folders", split)
		}
		return nil, lists, nil
	}
	wanted = make(map[string]bool)
	for _, key := range keys {
		if split != "" && len(c.splits[key]) == 0 {
			return nil, nil, fmt.Errorf("data.yaml has no split %q", split)
		}
		for _, where := range c.splits[key] {
			if err := l.addSplit(ctx, c.root, where, wanted, lists); err != nil {
				return nil, nil, fmt.Errorf("split %s: %w", key, err)
			}
		}
	}
	return wanted, lists, nil
}

// addSplit adds the images of a folder or list of data.yaml. Paths there begin at
// places of the machine that made it, so the shortest beginning is left out that
// leads to images.
func (l *yoloListing) addSplit(ctx context.Context, root, where string, wanted, lists map[string]bool) error {
	for _, name := range []string{path.Join(root, where), where} {
		parts := strings.Split(path.Clean("/"+strings.ReplaceAll(name, `\`, "/")), "/")[1:]
		for i := 0; i <= len(parts); i++ {
			below := path.Join(append([]string{l.place.Name}, parts[i:]...)...)
			if path.Ext(below) == ".txt" && l.labels[below] {
				lists[below] = true
				return l.addList(ctx, below, wanted)
			}
			if i == len(parts) && len(parts) > 0 && where != "." && where != "" {
				break // nothing is left of the path, which is not the place itself
			}
			n := 0
			for _, picture := range l.pictures {
				if strings.HasPrefix(picture.Name, folderPrefix(below)) {
					wanted[picture.Name] = true
					n++
				}
			}
			if n > 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("there are no images at %s", where)
}

// addList adds the images of a list, a path per line.
func (l *yoloListing) addList(ctx context.Context, list string, wanted map[string]bool) error {
	data, err := readSmall(ctx, l.place.Files, list)
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(l.pictures))
	for _, picture := range l.pictures {
		known[picture.Name] = true
	}
	n := 0
next:
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.ReplaceAll(strings.TrimSpace(line), `\`, "/")
		if line == "" {
			continue
		}
		parts := strings.Split(path.Clean("/"+line), "/")[1:]
		for i := range parts {
			below := path.Join(parts[i:]...)
			for _, name := range []string{path.Join(path.Dir(list), below), path.Join(l.place.Name, below)} {
				if known[name] {
					wanted[name] = true
					continue next
				}
			}
		}
		return fmt.Errorf("%s: line %d: there is no image %s", list, n, line)
	}
	return nil
}

// label returns the name of an image's txt, which may not exist.
func (l *yoloListing) label(picture string) string {
	if l.apart {
		name := stem(strings.TrimPrefix(picture, folderPrefix(l.images.Name))) + ".txt"
		if below := path.Join(l.place.Name, "labels", name); l.labels[below] {
			return below
		}
		return path.Join(l.place.Name, name)
	}
	below, prefix := stem(picture)+".txt", folderPrefix(l.place.Name)
	parts := strings.Split(strings.TrimPrefix(below, prefix), "/")
	for i := len(parts) - 2; i >= 0; i-- {
		if parts[i] == "images" {
			parts[i] = "labels"
			return prefix + path.Join(parts...)
		}
	}
	return below
}

// orphans counts label files that no image has, in the folders where labels are.
func (l *yoloListing) orphans(used, folders, lists map[string]bool) (first string, n int) {
	for _, info := range l.texts {
		base := path.Base(info.Name)
		if path.Ext(base) != ".txt" || used[info.Name] || lists[info.Name] || !folders[path.Dir(info.Name)] ||
			base == "classes.txt" || strings.HasPrefix(strings.ToLower(base), "readme") {
			continue
		}
		if n++; n == 1 {
			first = info.Name
		}
	}
	return first, n
}

func (y *yolo) image(ctx context.Context, it item) (*pipeline.Image, error) {
	image := &pipeline.Image{RowID: it.RowID, ID: it.image}
	var err error
	if image.URI, err = y.folder.uri(it.image); err != nil || it.label == "" {
		return image, err
	}
	data, err := y.content(ctx, it.label)
	if err != nil || len(strings.TrimSpace(string(data))) == 0 {
		return image, err
	}
	picture := path.Join(y.folder.Name, it.image)
	image.Width, image.Height, err = imageSize(ctx, y.folder.Files, picture)
	if errors.Is(err, errBroken) { // boxes are shares of its size
		image.Reason = pipeline.BrokenImage
		return image, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read size of image %s: %w", picture, err)
	}
	image.Objects, err = parseYOLO(data, y.classes, image.Width, image.Height)
	for i := range image.Objects {
		image.Objects[i].Source = y.opt.Source
	}
	return image, err
}
