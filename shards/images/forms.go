package images

import (
	"fmt"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// nested reads a list of objects.
func (d *decoder) nested(l list, img *pipeline.Image, form BoxForm) error {
	for i, e := range l {
		f, ok := e.(fields)
		if !ok {
			return fmt.Errorf("object %d: %w: it is %s, want a struct", i, shards.ErrColumn, kindOf(e))
		}
		if err := d.add(img, form, d.names.of(f)); err != nil {
			return err
		}
	}
	return distinct(img.Objects)
}

// of returns the properties of an object in a struct of its own.
func (n *names) of(f fields) property {
	return func(r role) (any, string, bool) {
		v, name, ok := n.get(f, r)
		if !ok && r == box {
			if _, _, keyed := keyedBox(f); keyed {
				return f, name, true
			}
		}
		return v, name, ok
	}
}

// add adds the next object.
func (d *decoder) add(img *pipeline.Image, form BoxForm, get property) error {
	i := len(img.Objects)
	for _, r := range []role{class, box} {
		if _, name, ok := get(r); !ok && d.names.given[r] != Without {
			return fmt.Errorf("object %d: %w %q: there is none of this name, nor of another usual one", i, shards.ErrColumn, name)
		}
	}
	o, err := d.object(i, img, form, get)
	if err != nil {
		return fmt.Errorf("object %d: %w", i, err)
	}
	img.Objects = append(img.Objects, o)
	return nil
}

// lists reads objects whose properties are in lists.
func (d *decoder) lists(f fields, of shape, img *pipeline.Image, form BoxForm) error {
	count, first := -1, ""
	for r := objectID; r < roles; r++ {
		v, name, _ := d.names.get(f, r)
		n, ok := lengthOf(v)
		if !ok || !d.isListOf(r, v) {
			if v != nil && !of.lists {
				return fmt.Errorf("%w %q: it is %s, want a list with an element for each object", shards.ErrColumn, name, kindOf(v))
			}
			continue
		}
		if count >= 0 && n != count {
			return fmt.Errorf("%w %q: it has %d elements, %s has %d", shards.ErrColumn, name, n, first, count)
		}
		count, first = n, name
	}
	for i := range max(0, count) {
		get := func(r role) (any, string, bool) {
			v, name, ok := d.names.get(f, r)
			if _, isList := lengthOf(v); !isList || !d.isListOf(r, v) {
				return nil, name, ok && v == nil
			}
			return elementOf(v, i), name, true
		}
		if err := d.add(img, form, get); err != nil {
			return err
		}
	}
	return distinct(img.Objects)
}

// isListOf tells a list of values from one value that is a list of numbers.
func (d *decoder) isListOf(r role, v any) bool {
	switch r {
	case box, objectVector, mask:
		l, ok := v.(list)
		if !ok {
			return false
		}
		for _, e := range l {
			if _, number := floatOf(e); number {
				return false
			}
		}
	}
	return true
}

// flatObject reads the one object of a row. A row without class and box says that
// there is an image.
func (d *decoder) flatObject(r *row, img *pipeline.Image) error {
	get := d.flat.of(r.values)
	c, _, _ := get(class)
	b, _, _ := get(box)
	if keyed, _, ok := keyedBox(r.values); ok && keyed == [4]any{} {
		b = nil
	}
	if c == nil && b == nil {
		return nil
	}
	return d.add(img, "", get)
}

// distinct checks that no two objects of an image have one id.
func distinct(objects []pipeline.Object) error {
	if len(objects) < 2 {
		return nil
	}
	at := make(map[string]int, len(objects))
	for i := range objects {
		if other, ok := at[objects[i].ID]; ok {
			return fmt.Errorf("objects %d and %d: %w: both have the id %q", other, i, shards.ErrColumn, objects[i].ID)
		}
		at[objects[i].ID] = i
	}
	return nil
}

// addVectors gives the vectors of a tar's sample to the image and its objects.
func (r *row) addVectors(img *pipeline.Image) error {
	if r.vector != nil {
		img.Vector = r.vector
	}
	if r.vectors == nil {
		return nil
	}
	if len(r.vectors) != len(img.Objects) {
		return fmt.Errorf("%w: %d vectors in the member npy, and %d objects", shards.ErrColumn, len(r.vectors), len(img.Objects))
	}
	for i := range img.Objects {
		img.Objects[i].Vector = r.vectors[i]
	}
	return nil
}
