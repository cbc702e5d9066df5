package annotations

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/pipeline"
)

const vocText = `<?xml version="1.0" encoding="UTF-8"?>
<annotation verified="yes"><folder>x</folder><filename>other.jpg</filename>
 <size><width>500</width><height>375</height><depth>3</depth></size>
 <object><name>person</name><pose>Left</pose><difficult>0</difficult>
  <bndbox><xmin>8.5</xmin><ymin> 12 </ymin><xmax>352.25</xmax><ymax>498</ymax></bndbox>
  <part><name>head</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></part>
 </object>
 <object><bndbox><xmax>10</xmax><xmin>1</xmin><ymax>10</ymax><ymin>1</ymin></bndbox><difficult>1</difficult><name>dog</name></object>
 <object><name>RBC</name><bndbox><xmin>7</xmin><ymin>7</ymin><xmax>7</xmax><ymax>9</ymax></bndbox></object>
</annotation>`

func TestVOC(t *testing.T) {
	empty := `<annotation><filename>b.jpg</filename></annotation>`
	place := folderOf(t, "set/Annotations/b.xml", empty, "set/Annotations/a.xml", vocText,
		"set/JPEGImages/a.png", "", "set/JPEGImages/b.jpg", "", "set/JPEGImages/c.jpg", "",
		"set/ImageSets/Main/train.txt", "b\n", "set/ImageSets/Main/dog_val.txt", "a  1\nb -1\n")
	d, images := mustRead(t, place, Options{})
	if d.Format() != VOC || d.Classes() != nil {
		t.Errorf("format %s, classes %v", d.Format(), d.Classes())
	}
	want := []*pipeline.Image{
		{RowID: pipeline.RowID{Shard: "set/Annotations"}, ID: "a.png", URI: place.URI + "/set/JPEGImages/a.png", Width: 500, Height: 375, Objects: []pipeline.Object{
			{ID: "0", Class: "person", Score: 1, Box: pipeline.Box{X1: 7.5, Y1: 11, X2: 352.25, Y2: 498}},
			{ID: "1", Class: "dog", Score: 1, Box: pipeline.Box{X2: 10, Y2: 10}, Ignore: true},
			{ID: "2", Class: "RBC", Score: 1, Box: pipeline.Box{X1: 6, Y1: 6, X2: 6, Y2: 9}},
		}},
		{RowID: pipeline.RowID{Shard: "set/Annotations", Row: 1}, ID: "b.jpg", URI: place.URI + "/set/JPEGImages/b.jpg", Objects: []pipeline.Object{}},
	}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Error(diff)
	}
	_, images = mustRead(t, place, Options{ZeroBased: true, KeepDifficult: true})
	o := images[0].Objects
	if o[0].Box != (pipeline.Box{X1: 8.5, Y1: 12, X2: 352.25, Y2: 498}) || o[1].Ignore || o[2].Box.Width() != 0 {
		t.Errorf("zero-based: %v", o)
	}
	if _, images = mustRead(t, place, Options{Split: "train"}); len(images) != 1 || images[0].ID != "b.jpg" || images[0].Row != 1 {
		t.Errorf("split: %v", images)
	}
	if _, images = mustRead(t, place, Options{Split: "dog_val"}); len(images) != 1 || images[0].ID != "a.png" {
		t.Errorf("split: %v", images)
	}
	wantError(t, place, Options{Split: "test"}, "test.txt")
}

// TestVOCPlaces wants images to be found from each place that can be named.
func TestVOCPlaces(t *testing.T) {
	flat := folderOf(t, "train/a.xml", vocText, "train/a.jpg", "", "valid/b.xml", vocText, "valid/b.jpg", "")
	_, images := mustRead(t, flat, Options{})
	if images[0].URI != flat.URI+"/train/a.jpg" || images[1].URI != flat.URI+"/valid/b.jpg" || images[1].Shard != "valid" || images[1].Row != 0 {
		t.Errorf("%v %v", images[0], images[1])
	}
	set := folderOf(t, "Annotations/a.xml", vocText, "JPEGImages/a.jpg", "")
	if _, images = mustRead(t, set, Options{}); images[0].URI != set.URI+"/JPEGImages/a.jpg" {
		t.Errorf("URI %s", images[0].URI)
	}
	// The store begins at Annotations, as for a folder that was named by itself.
	inner := folderOf(t, "a.xml", vocText)
	inner.URI = "s3://bucket/voc/Annotations"
	_, images = mustRead(t, inner, Options{})
	if images[0].URI != "s3://bucket/voc/JPEGImages/other.jpg" || images[0].Shard != "Annotations" {
		t.Errorf("%+v", images[0].RowID)
	}
	_, images = mustRead(t, inner, Options{Images: Place{URI: "s3://other/x"}})
	if images[0].URI != "s3://other/x/other.jpg" {
		t.Errorf("URI %s", images[0].URI)
	}
	away := folderOf(t, "y/a.webp", "")
	_, images = mustRead(t, inner, Options{Images: away.file("y")})
	if images[0].URI != away.URI+"/y/a.webp" || images[0].ID != "a.webp" {
		t.Errorf("URI %s", images[0].URI)
	}
}

func TestBadVOC(t *testing.T) {
	object := func(inner string) string { return "<annotation><object>" + inner + "</object></annotation>" }
	box := "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
	for text, word := range map[string]string{
		"": "empty", "<annotation>": "EOF", "<html></html>": "annotation", "\x00": "illegal",
		`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotation><filename>&b;</filename></annotation>`: "document type",
		"<annotation><filename>&bomb;</filename></annotation>":                                                      "entity",
		object(box):              "object 0: it has no name",
		object("<name>a</name>"): "object 0: a has no bndbox",
		object("<name>a</name>" + strings.ReplaceAll(box, "<xmax>2", "<xmax>two")): `object 0: a: xmax: want a number, found "two"`,
		object("<name>a</name>" + strings.ReplaceAll(box, "<xmax>2", "<xmax>NaN")): "xmax",
		object("<name>a</name><difficult>7</difficult>" + box):                     "difficult",
		"<annotation><size><width>1e9</width></size></annotation>":                 "width",
		"<annotation>" + strings.Repeat("<a>", 20000):                              "EOF",
		`<?xml version="1.0" encoding="latin1"?><annotation/>`:                     "latin1",
	} {
		place := folderOf(t, "Annotations/bad.xml", text, "JPEGImages/bad.jpg", "")
		wantError(t, place, Options{Format: VOC}, "Annotations/bad.xml", word)
	}
	wantError(t, folderOf(t, "Annotations/a.xml", vocText, "JPEGImages/b.jpg", ""), Options{}, "a.xml", "0 images")
	wantError(t, folderOf(t, "Annotations/a.xml", vocText, "JPEGImages/a.jpg", "", "JPEGImages/a.png", ""), Options{}, "a.xml", "2 images")
	if _, images := mustRead(t, folderOf(t, "Annotations/a.xml", vocText, "JPEGImages/b.jpg", ""), Options{AllowOrphans: true}); len(images) != 0 {
		t.Errorf("images %v", images)
	}
	wantError(t, folderOf(t, "1/a.xml", vocText, "2/a.xml", vocText, "1/a.jpg", "", "2/a.jpg", ""), Options{}, "one name, a.jpg")
}
