package annotations

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// voc reads a folder with an xml per image: those in folders called Annotations
// if there are such, else all.
//
// The folder of the images is, where the options name none, JPEGImages or images
// beside Annotations, else that of the xml. An image is the file there that is
// named as the xml, with any ending; where the folder cannot be looked into, what the
// xml has as filename.
//
// Boxes count pixels from 1 and have both ends in them, as the format is defined,
// unless Options.ZeroBased; equal ends are a box without area. Parts of objects are no objects. Classes are not
// listed anywhere: Classes gives none.
type voc struct {
	labelFolder
	opt    Options
	folder map[string]imageFolder // by the folder of the xml
}

func openVOC(ctx context.Context, place Place, opt Options) (*Dataset, error) {
	infos, err := place.Files.List(ctx, folderPrefix(place.Name))
	if err != nil {
		return nil, fmt.Errorf("open labels %s: %w", place, err)
	}
	isXML := func(name string) bool { return strings.EqualFold(path.Ext(name), ".xml") }
	inAnnotations := func(name string) bool { return isXML(name) && path.Base(path.Dir(name)) == "Annotations" }
	files := filesOf(place, infos, inAnnotations)
	if len(files) == 0 {
		files = filesOf(place, infos, isXML)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("open labels %s: it has no xml files", place)
	}
	v := &voc{opt: opt, folder: make(map[string]imageFolder)}
	v.labelFolder = labelFolder{place: place, workers: opt.Workers, read: v.image}
	pictures, err := v.addItems(ctx, files, infos)
	if err != nil {
		return nil, fmt.Errorf("open labels %s: %w", place, err)
	}
	inSplit := map[string]bool(nil)
	if opt.Split != "" {
		var split []File
		if inSplit, split, err = v.split(ctx, files); err != nil {
			return nil, fmt.Errorf("open labels %s: %w", place, err)
		}
		files = append(files, split...)
	}
	v.items = numbered(place, v.items, func(it item) string { return it.label }, func(it item) bool {
		return inSplit == nil || inSplit[stem(it.label)]
	})
	return &Dataset{labels: v, format: VOC, inputs: append(files, pictures...)}, distinct(place, v.items)
}

// addItems finds the image of each xml and returns those that were seen.
func (v *voc) addItems(ctx context.Context, files []File, infos []shards.ObjectInfo) (pictures []File, err error) {
	images := make(map[string]map[string][]shards.ObjectInfo) // folder of the xml -> stem -> images
	for _, file := range files {
		dir := path.Dir(file.Name)
		if _, ok := images[dir]; !ok {
			if images[dir], err = v.listImages(ctx, dir, infos); err != nil {
				return nil, err
			}
		}
		it := item{label: file.Name, line: stem(path.Base(file.Name))}
		if len(images[dir]) > 0 {
			names := images[dir][it.line]
			if len(names) == 0 && v.opt.AllowOrphans {
				continue
			}
			if len(names) != 1 {
				return nil, fmt.Errorf("%s: %d images in %s are named %s.*, want 1", file.Name, len(names), v.folder[dir], it.line)
			}
			folder := v.folder[dir].Place
			it.image = strings.TrimPrefix(names[0].Name, folderPrefix(folder.Name))
			pictures = append(pictures, File{Place: Place{folder.Files, names[0].Name, folder.URI}, Info: names[0], Header: true})
		}
		v.items = append(v.items, it)
	}
	return pictures, nil
}

// listImages finds the folder of the images and returns those in it by stem; none
// where it cannot be looked into.
func (v *voc) listImages(ctx context.Context, dir string, infos []shards.ObjectInfo) (map[string][]shards.ObjectInfo, error) {
	folder := v.opt.Images
	if folder.URI == "" {
		folder = v.usualImages(dir, infos)
	} else if folder.Files != nil {
		var err error
		if infos, err = folder.Files.List(ctx, folderPrefix(folder.Name)); err != nil {
			return nil, fmt.Errorf("list images %s: %w", folder, err)
		}
	} else {
		infos = nil
	}
	v.folder[dir] = imageFolder{folder}
	prefix := folderPrefix(folder.Name)
	byStem := make(map[string][]shards.ObjectInfo)
	for _, info := range infos {
		name, ok := strings.CutPrefix(info.Name, prefix)
		if ok && folder.Files != nil && isImage(name) && !strings.Contains(name, "/") {
			byStem[stem(name)] = append(byStem[stem(name)], info)
		}
	}
	return byStem, nil
}

// usualImages finds the folder of the images of a folder of xml files.
func (v *voc) usualImages(dir string, infos []shards.ObjectInfo) Place {
	if dir == "." {
		dir = ""
	}
	place := Place{v.place.Files, dir, v.place.URI}
	if path.Base(place.String()) != "Annotations" {
		return place
	}
	if dir == "" { // the place itself is Annotations, and what lies beside it out of reach
		return Place{URI: joinURI(place.String(), "../JPEGImages")}
	}
	for _, beside := range []string{"JPEGImages", "images", "Images"} {
		place.Name = path.Join(path.Dir(dir), beside)
		if slices.ContainsFunc(infos, func(info shards.ObjectInfo) bool { return strings.HasPrefix(info.Name, place.Name+"/") }) {
			return place
		}
	}
	place.Name = path.Join(path.Dir(dir), "JPEGImages")
	return place
}

// split reads ImageSets/Main/SPLIT.txt beside each folder of xml files. The second
// word of a line, where there is one, is -1 for an image that is not in the set.
func (v *voc) split(ctx context.Context, files []File) (map[string]bool, []File, error) {
	in := make(map[string]bool)
	known := make(map[string]bool, len(files))
	var lists []File
	for i, file := range files {
		known[stem(file.Name)] = true
		dir := path.Dir(file.Name)
		if i > 0 && path.Dir(files[i-1].Name) == dir {
			continue
		}
		list := path.Join(path.Dir(dir), "ImageSets/Main", v.opt.Split+".txt")
		if dir == "." {
			list = path.Join("ImageSets/Main", v.opt.Split+".txt")
		}
		data, err := readSmall(ctx, v.place.Files, list)
		if err != nil {
			return nil, nil, fmt.Errorf("read split %s: %w", list, err)
		}
		lists = append(lists, File{Place: Place{v.place.Files, list, v.place.URI}, Info: shards.ObjectInfo{Name: list, Size: int64(len(data))}})
		for line := range strings.Lines(string(data)) {
			words := strings.Fields(line)
			if len(words) > 0 && (len(words) == 1 || words[1] != "-1") {
				in[path.Join(dir, words[0])] = true
			}
		}
	}
	for name := range in {
		if !known[name] {
			return nil, nil, fmt.Errorf("split %s names %s, which has no xml", v.opt.Split, name)
		}
	}
	return in, lists, nil
}

// vocImage is the xml of an image.
type vocImage struct {
	XMLName  xml.Name    `xml:"annotation"`
	Filename string      `xml:"filename"`
	Width    string      `xml:"size>width"`
	Height   string      `xml:"size>height"`
	Objects  []vocObject `xml:"object"`
}

type vocObject struct {
	Name      string  `xml:"name"`
	Difficult string  `xml:"difficult"`
	Score     string  `xml:"score"`
	Box       *vocBox `xml:"bndbox"`
}

type vocBox struct {
	XMin string `xml:"xmin"`
	YMin string `xml:"ymin"`
	XMax string `xml:"xmax"`
	YMax string `xml:"ymax"`
}

func (v *voc) image(ctx context.Context, it item) (*pipeline.Image, error) {
	data, err := v.content(ctx, it.label)
	if err != nil {
		return nil, err
	}
	parsed, err := parseVOC(data)
	if err != nil {
		return nil, err
	}
	image := &pipeline.Image{RowID: it.RowID, ID: it.image}
	if image.ID == "" {
		if image.ID = strings.TrimSpace(parsed.Filename); image.ID == "" {
			image.ID = stem(path.Base(it.label)) + ".jpg"
		}
	}
	if image.URI, err = v.folder[path.Dir(it.label)].uri(image.ID); err != nil {
		return nil, err
	}
	if image.Width, err = vocSide(parsed.Width); err != nil {
		return nil, fmt.Errorf("width: %w", err)
	}
	if image.Height, err = vocSide(parsed.Height); err != nil {
		return nil, fmt.Errorf("height: %w", err)
	}
	image.Objects = make([]pipeline.Object, len(parsed.Objects))
	for i := range parsed.Objects {
		o, err := v.object(&parsed.Objects[i])
		if err != nil {
			return nil, fmt.Errorf("object %d: %w", i, err)
		}
		o.ID = strconv.Itoa(i)
		image.Objects[i] = o
	}
	return image, nil
}

// parseVOC reads an xml. Document types, which labels do not need, are refused:
// they can define entities that swell.
func parseVOC(data []byte) (*vocImage, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil, errors.New("it is empty")
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.Directive:
			return nil, errors.New("it has a document type (<!...>), which labels do not need; remove it")
		case xml.StartElement:
			var image vocImage
			if err := d.DecodeElement(&image, &token); err != nil {
				return nil, err
			}
			return &image, nil
		}
	}
}

func (v *voc) object(from *vocObject) (pipeline.Object, error) {
	o := pipeline.Object{Class: strings.TrimSpace(from.Name), Score: 1, Source: v.opt.Source}
	if o.Class == "" {
		return o, errors.New("it has no name")
	}
	if from.Box == nil {
		return o, fmt.Errorf("%s has no bndbox", o.Class)
	}
	offset := float32(1)
	if v.opt.ZeroBased {
		offset = 0
	}
	for _, side := range []struct {
		name, text string
		to         *float32
		offset     float32
	}{
		{"xmin", from.Box.XMin, &o.Box.X1, offset}, {"ymin", from.Box.YMin, &o.Box.Y1, offset},
		{"xmax", from.Box.XMax, &o.Box.X2, 0}, {"ymax", from.Box.YMax, &o.Box.Y2, 0},
	} {
		x, err := vocNumber(side.text)
		if err != nil {
			return o, fmt.Errorf("%s: %s: %w", o.Class, side.name, err)
		}
		*side.to = float32(x) - side.offset
	}
	// A click without a drag gives equal ends. By the definition that is a box of
	// one pixel, but it is none.
	if o.Box.X2-o.Box.X1 <= offset {
		o.Box.X2 -= offset
	}
	if o.Box.Y2-o.Box.Y1 <= offset {
		o.Box.Y2 -= offset
	}
	if from.Score != "" {
		x, err := vocNumber(from.Score)
		if err == nil {
			o.Score, err = checkScore(x)
		}
		if err != nil {
			return o, fmt.Errorf("%s: score: %w", o.Class, err)
		}
	}
	difficult, err := flag([]byte(strings.ToLower(strings.TrimSpace(from.Difficult))))
	if err != nil {
		return o, fmt.Errorf("%s: difficult: %w", o.Class, err)
	}
	o.Ignore = difficult && !v.opt.KeepDifficult
	return o, nil
}

func vocNumber(text string) (float64, error) {
	x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("want a number, found %q", brief([]byte(text)))
	}
	return x, nil
}

func vocSide(text string) (int, error) {
	if strings.TrimSpace(text) == "" {
		return 0, nil
	}
	x, err := vocNumber(text)
	if err != nil {
		return 0, err
	}
	return checkSide(x)
}
