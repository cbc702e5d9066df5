package images

import (
	"bytes"
	"fmt"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// row is a row of a shard before it is an image.
type row struct {
	at      int64          // its number in the shard
	id      pipeline.RowID // where the image is: in a sidecar, in another shard
	rows    int64          // that it takes there, of a sidecar; 0 means 1
	reason  pipeline.Reason
	values  fields
	data    []byte      // the image of a tar's sample
	key     string      // of a tar's sample
	vectors [][]float32 // by object, of a tar's sample; nil for none
	vector  []float32   // of the image, of a tar's sample
	coco    bool        // objects are COCO's annotations
}

// decoder makes images of rows.
type decoder struct {
	opt     Options
	names   *names // of the nested form and that of lists
	flat    *names
	classes classNames
	side    *matrixReader // nil for none
	rows    bool          // there were some
	objects bool          // there were some
	holds   bool          // rows hold the bytes of images in a column that is not read
}

func newDecoder(opt Options) *decoder {
	d := &decoder{opt: opt, names: newNames(opt.Columns, false), flat: newNames(opt.Columns, true)}
	d.classes.list = opt.Classes
	if opt.Vectors != nil {
		d.side = &matrixReader{Matrix: opt.Vectors}
	}
	return d
}

// image makes an image of a row. flat tells that the row is one object, so that
// the rows before or after may hold more of the image: where the image is that of
// the row before, open, the object is added to it, and it is returned.
func (d *decoder) image(r *row, open *pipeline.Image) (img *pipeline.Image, flat bool, err error) {
	of := shape{}
	objs, name, ok := d.names.get(r.values, objects)
	if !ok {
		objs, of = d.topLevel(r)
	}
	img = &pipeline.Image{RowID: r.id, Rows: r.rows, Reason: r.reason}
	if err := d.describe(r, img, of); err != nil {
		return nil, of.flat, err
	}
	if d.classes.ids, err = categories(r.values["categories"]); err != nil {
		return nil, of.flat, err
	}
	if of.flat {
		if open != nil && open.ID == img.ID {
			img = open
		}
		return img, true, d.flatObject(r, img)
	}
	form := BoxForm("")
	if r.coco && name == "annotations" {
		form = XYWH
	}
	switch v := objs.(type) {
	case nil:
	case fields:
		err = d.lists(v, of, img, form)
	case list:
		err = d.nested(v, img, form)
	default:
		if n, ok := lengthOf(v); !ok || n > 0 {
			err = columnError(name, fmt.Errorf("it is %s, want a list of objects", kindOf(v)))
		}
	}
	if err == nil {
		err = r.addVectors(img)
	}
	return img, false, err
}

// shape is how a row without a column of objects says what they are.
type shape struct {
	flat  bool // it is one object
	lists bool // its columns are lists of all objects
}

// own tells whether the row has names of objects beside those of the image.
func (s shape) own() bool { return s.flat || s.lists }

// topLevel finds the objects of a row that has no column for them: columns of
// lists, one object in columns of its own, or nothing.
func (d *decoder) topLevel(r *row) (objs any, of shape) {
	v, _, ok := d.flat.get(r.values, box)
	if !ok {
		_, _, ok = keyedBox(r.values)
		return nil, shape{flat: ok}
	}
	l, isList := v.(list)
	c, _, _ := d.flat.get(r.values, class)
	_, classes := lengthOf(c)
	for _, e := range l {
		if _, number := floatOf(e); e != nil && !number {
			return r.values, shape{lists: true}
		}
	}
	if classes && (isList || v == nil) {
		return r.values, shape{lists: true}
	}
	return nil, shape{flat: true}
}

// describe reads what is said of the image itself.
func (d *decoder) describe(r *row, img *pipeline.Image, of shape) error {
	n := d.names
	if of.flat {
		n = d.flat
	}
	data, path, err := d.bytes(r, n)
	if err != nil {
		return err
	}
	img.URI = path
	for _, t := range []struct {
		role role
		to   *string
	}{{imageID, &img.ID}, {group, &img.Group}, {uri, &img.URI}} {
		v, name, _ := n.get(r.values, t.role)
		if t.role == imageID && n.given[imageID] == "" && r.key != "" {
			v = r.key
		}
		if v == nil {
			continue
		}
		if *t.to, err = text(v); err != nil {
			return columnError(name, err)
		}
	}
	if data != nil || d.holds {
		img.URI = ""
	}
	if d.opt.Data && len(data) > 0 {
		img.Data = bytes.Clone(data)
	}
	switch {
	case img.ID != "":
	case of.flat:
		return fmt.Errorf("%w: a row for each object, and in it no id of the image: name its column", shards.ErrColumn)
	case path != "":
		img.ID = path
	default:
		img.ID = fmt.Sprintf("%s/%d", r.id.Shard, r.id.Row)
	}
	if err := d.size(r, img, n, data); err != nil {
		return err
	}
	if img.Unlabelled, err = unlabelledClasses(r.values, n); err != nil {
		return err
	}
	if of.own() {
		n = d.flat
	}
	get := func(role role) (any, string, bool) { return n.get(r.values, role) }
	img.Vector, err = d.vector(get, imageVector, imageVectorRow)
	return err
}
