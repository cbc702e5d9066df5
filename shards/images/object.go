package images

import (
	"fmt"
	"strconv"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// property gives the value of a role of one object, and the name it is under.
type property func(r role) (v any, name string, ok bool)

// columnError names the column that a value is in.
func columnError(name string, err error) error {
	return fmt.Errorf("column %s: %w: %w", name, shards.ErrColumn, err)
}

// object reads an object of an image, of which the size and the class names are
// known.
func (d *decoder) object(index int, img *pipeline.Image, form BoxForm, get property) (pipeline.Object, error) {
	o := pipeline.Object{Score: 1}
	var err error
	if o.ID, err = objectName(index, get); err != nil {
		return o, err
	}
	if d.names.given[class] == Without {
		o.Class = "object"
	} else {
		v, name, _ := get(class)
		if o.Class, err = d.classes.name(v); err != nil {
			return o, columnError(name, err)
		}
	}
	v, name, _ := get(box)
	if o.Box, err = parseBox(v, d.form(form), img.Width, img.Height); err == nil && d.opt.Box == "" && form == "" {
		if _, keyed := v.(fields); !keyed {
			err = checkCorners(o.Box, img.Width, img.Height)
		}
	}
	if err != nil {
		return o, columnError(name, err)
	}
	if v, name, _ := get(score); v != nil {
		f, ok := floatOf(v)
		if !ok {
			return o, columnError(name, fmt.Errorf("it is %s, want a number", kindOf(v)))
		}
		o.Score = float32(f)
	}
	if err := d.region(&o, get); err != nil {
		return o, err
	}
	if v, name, _ := get(source); v != nil {
		if o.Source, err = text(v); err != nil {
			return o, columnError(name, err)
		}
	}
	o.Vector, err = d.vector(get, objectVector, objectVectorRow)
	return o, err
}

// form is how boxes are meant: as the options say, else as the row's format does.
func (d *decoder) form(ofRow BoxForm) BoxForm {
	if d.opt.Box != "" {
		return d.opt.Box
	}
	return ofRow
}

// region reads what goes beyond the box: mask, area, and whether the object is to
// be ignored.
func (d *decoder) region(o *pipeline.Object, get property) error {
	v, name, _ := get(mask)
	var err error
	if o.Mask, err = parseMask(v); err != nil {
		return columnError(name, err)
	}
	if o.Mask != nil {
		o.Area = float32(o.Mask.Area())
	}
	if v, name, _ := get(area); v != nil {
		f, ok := floatOf(v)
		if !ok {
			return columnError(name, fmt.Errorf("it is %s, want a number", kindOf(v)))
		}
		o.Area = float32(f)
	}
	if given := d.names.given[ignore]; given != "" {
		v, name, _ := get(ignore)
		return mark(o, v, name)
	}
	for k := range d.names.usual[ignore] {
		if v, name, ok := d.nth(get, ignore, k); ok {
			if err := mark(o, v, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// nth is get for the k-th usual name of a role alone: several of them may be
// there, and each counts.
func (d *decoder) nth(get property, r role, k int) (any, string, bool) {
	all := d.names.usual[r]
	defer func() { d.names.usual[r] = all }()
	d.names.usual[r] = all[k : k+1]
	return get(r)
}

// mark makes an object ignored where v says so.
func mark(o *pipeline.Object, v any, name string) error {
	switch v := v.(type) {
	case nil:
	case bool:
		o.Ignore = o.Ignore || v
	default:
		f, ok := floatOf(v)
		if !ok {
			return columnError(name, fmt.Errorf("it is %s, want true or false, or a number", kindOf(v)))
		}
		o.Ignore = o.Ignore || f != 0
	}
	return nil
}

// objectName is the object's id, or its place in the image.
func objectName(index int, get property) (string, error) {
	v, name, _ := get(objectID)
	if v == nil {
		return strconv.Itoa(index), nil
	}
	id, err := text(v)
	if err != nil {
		return "", columnError(name, err)
	}
	return id, nil
}

// text returns a string, or an integer in decimal.
func text(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case bool:
	default:
		if n, ok := integerOf(v); ok {
			return strconv.FormatInt(n, 10), nil
		}
	}
	return "", fmt.Errorf("it is %s, want a string or a whole number", kindOf(v))
}

// vector reads a vector: from its column, or from the row of the side file that a
// column names.
func (d *decoder) vector(get property, of, rowOf role) ([]float32, error) {
	if v, name, ok := get(rowOf); ok && d.side != nil && v != nil {
		n, ok := integerOf(v)
		if !ok {
			return nil, columnError(name, fmt.Errorf("it is %s, want the number of a row", kindOf(v)))
		}
		vector, err := d.side.row(n)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", name, err)
		}
		return vector, nil
	}
	v, name, ok := get(of)
	if !ok {
		return nil, nil
	}
	vector, err := parseVector(v, d.opt.Blob)
	if err != nil {
		return nil, columnError(name, err)
	}
	return vector, nil
}
