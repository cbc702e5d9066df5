package annotations

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// cocoIndex says where in a COCO file each image and its annotations are.
type cocoIndex struct {
	entries []entry
	runs    []run // sorted by image, those of an image as in the file

	classes   []string
	class     map[string]string // name by id of the category
	frequency map[string]string // by name; LVIS only
	lvis      bool              // images say which classes they lack

	rows  map[string]int32 // row of an image by its id; only while indexing
	names map[string]bool  // of classes
}

// entry is where the text of an image is.
type entry struct {
	offset int64
	length int32
}

// run is where annotations are that belong to one image and follow each other.
type run struct {
	offset int64
	length int32 // of them all, what lies between them included
	image  int32 // row
}

// longRun is the size at which a run is not made longer.
const longRun = 1 << 20

// indexCOCO reads an instances json, and where predictions are in another file,
// that as well.
func indexCOCO(ctx context.Context, instances, results *content) (*cocoIndex, error) {
	x := &cocoIndex{class: make(map[string]string), frequency: make(map[string]string),
		rows: make(map[string]int32), names: make(map[string]bool)}
	again, err := x.readInstances(ctx, instances, results != nil)
	if err == nil && again {
		err = x.readAnnotations(ctx, instances)
	}
	if err != nil {
		return nil, fmt.Errorf("read labels %s: %w", instances.place, err)
	}
	if results != nil {
		if err := x.readResults(ctx, results); err != nil {
			return nil, fmt.Errorf("read labels %s: %w", results.place, err)
		}
	}
	x.rows = nil
	slices.SortStableFunc(x.runs, func(a, b run) int { return cmp.Compare(a.image, b.image) })
	return x, nil
}

// readInstances indexes images, categories, and annotations unless they are not
// wanted or come before the images: then they must be read again.
func (x *cocoIndex) readInstances(ctx context.Context, c *content, imagesOnly bool) (again bool, err error) {
	t := c.tokens(ctx)
	hasImages := false
	err = t.wholeObject("a COCO json", func(key string) error {
		switch {
		case key == "images":
			hasImages = true
			return t.list(x.addImage)
		case key == "categories":
			return t.list(func(_ int64, raw json.RawMessage) error { return x.addCategory(raw) })
		case key == "annotations" && !imagesOnly && hasImages:
			return t.list(x.addAnnotation)
		case key == "annotations" && !imagesOnly:
			again = true
		}
		return t.skip()
	})
	if err == nil && !hasImages {
		err = errors.New(`it has no list "images"`)
	}
	return again, err
}

// wholeObject reads a file that holds one object.
func (t *tokens) wholeObject(what string, visit func(key string) error) error {
	delim, err := t.top()
	if err != nil {
		return err
	}
	if delim != '{' {
		return fmt.Errorf("%s is an object", what)
	}
	if err := t.object(visit); err != nil {
		return err
	}
	return t.end()
}

func (x *cocoIndex) readAnnotations(ctx context.Context, c *content) error {
	t := c.tokens(ctx)
	return t.wholeObject("a COCO json", func(key string) error {
		if key == "annotations" {
			return t.list(x.addAnnotation)
		}
		return t.skip()
	})
}

func (x *cocoIndex) readResults(ctx context.Context, c *content) error {
	t := c.tokens(ctx)
	delim, err := t.top()
	if err != nil {
		return err
	}
	if delim != '[' {
		return errors.New("a results json is a list of predictions")
	}
	if err := t.elements(x.addAnnotation); err != nil {
		return err
	}
	return t.end()
}

func (x *cocoIndex) addImage(start int64, raw json.RawMessage) error {
	id, err := idField(raw, "id")
	if err != nil {
		return fmt.Errorf("image %d of the list: %w", len(x.entries), err)
	}
	if other, ok := x.rows[id]; ok {
		return fmt.Errorf("image %s comes twice, at %d and %d of the list", id, other, len(x.entries))
	}
	if len(x.entries) == math.MaxInt32 {
		return errors.New("there are more than 2^31 images")
	}
	if !x.lvis {
		negative, _ := field(raw, "neg_category_ids") // raw is an object: it has an id
		x.lvis = negative != nil
	}
	x.rows[id] = int32(len(x.entries))
	x.entries = append(x.entries, entry{start, int32(len(raw))})
	return nil
}

func (x *cocoIndex) addCategory(raw json.RawMessage) error {
	var category struct{ ID, Name, Frequency json.RawMessage }
	n := len(x.class)
	if err := json.Unmarshal(raw, &category); err != nil {
		return fmt.Errorf("category %d of the list: %w", n, err)
	}
	id, err := idText(category.ID)
	if err != nil {
		return fmt.Errorf("category %d of the list: %w", n, err)
	}
	name, err := text(category.Name)
	if err == nil && name == "" {
		err = errors.New("it has no name")
	}
	if err != nil {
		return fmt.Errorf("category %s: %w", id, err)
	}
	if _, ok := x.class[id]; ok {
		return fmt.Errorf("category %s comes twice", id)
	}
	x.class[id] = name
	if !x.names[name] {
		x.names[name] = true
		x.classes = append(x.classes, name)
	}
	if absent(category.Frequency) {
		return nil
	}
	x.lvis = true
	x.frequency[name], err = text(category.Frequency)
	if err != nil {
		return fmt.Errorf("category %s: frequency: %w", id, err)
	}
	return nil
}

func (x *cocoIndex) addAnnotation(start int64, raw json.RawMessage) error {
	id, err := idField(raw, "image_id")
	if err != nil {
		return fmt.Errorf("annotation %s: image_id: %w", ownID(raw), err)
	}
	row, ok := x.rows[id]
	if !ok {
		return fmt.Errorf("annotation %s: there is no image %s", ownID(raw), id)
	}
	end := start + int64(len(raw))
	if last := len(x.runs) - 1; last >= 0 && x.runs[last].image == row && end-x.runs[last].offset < longRun {
		x.runs[last].length = int32(end - x.runs[last].offset)
		return nil
	}
	x.runs = append(x.runs, run{offset: start, length: int32(len(raw)), image: row})
	return nil
}

// ownID is the id of an annotation, for an error message.
func ownID(raw json.RawMessage) string {
	id, err := field(raw, "id")
	if err != nil || absent(id) {
		return "without id"
	}
	return brief(id)
}
