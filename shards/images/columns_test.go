package images

import (
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
)

// TestColumnsAreChosen checks that no column is read that does not count.
func TestColumnsAreChosen(t *testing.T) {
	text, number, bytes := arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.Binary
	vector := arrow.ListOf(arrow.PrimitiveTypes.Float32)
	object := arrow.StructOf(arrow.Field{Name: "class", Type: text}, arrow.Field{Name: "box", Type: vector})
	picture := arrow.StructOf(arrow.Field{Name: "bytes", Type: bytes}, arrow.Field{Name: "path", Type: text})
	image := []arrow.Field{
		{Name: "id", Type: text}, {Name: "image_id", Type: text}, {Name: "embedding", Type: vector}, {Name: "vec", Type: vector},
		{Name: "caption", Type: text}, {Name: "score", Type: number}, {Name: "label", Type: text}, {Name: "class", Type: text},
	}
	sized := []arrow.Field{{Name: "width", Type: number}, {Name: "height", Type: number}}
	for name, c := range map[string]struct {
		fields []arrow.Field
		opt    Options
		want   []string
	}{
		"nested": {append(image, arrow.Field{Name: "objects", Type: arrow.ListOf(object)}), Options{}, []string{"image_id", "vec", "objects"}},
		"flat": {append(image, arrow.Field{Name: "box", Type: vector}, arrow.Field{Name: "iscrowd", Type: number}, arrow.Field{Name: "difficult", Type: number}), Options{},
			[]string{"id", "image_id", "vec", "score", "class", "box", "iscrowd", "difficult"}},
		"picture":  {[]arrow.Field{{Name: "image", Type: picture}}, Options{}, []string{"image"}},
		"path":     {append(sized, arrow.Field{Name: "image", Type: picture}), Options{}, []string{"width", "height", "image.path"}},
		"bytes":    {append(sized, arrow.Field{Name: "image", Type: bytes}), Options{}, []string{"width", "height"}},
		"data":     {append(sized, arrow.Field{Name: "image", Type: bytes}), Options{Data: true}, []string{"width", "height", "image"}},
		"without":  {append(sized, arrow.Field{Name: "image", Type: bytes}), Options{Data: true, Columns: Columns{Image: Without, Width: Without}}, []string{"height"}},
		"given id": {append(sized, arrow.Field{Name: "at", Type: picture}), Options{Columns: Columns{ID: "at.path"}}, []string{"width", "height", "at.path"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Reader{opt: c.opt}
			if err := r.chooseColumns(arrow.NewSchema(c.fields, nil)); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(r.columns, c.want) {
				t.Errorf("columns %v, want %v", r.columns, c.want)
			}
		})
	}
}
