package annotations

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/pipeline"
)

const lvisText = `{"images":[
 {"id":1,"coco_url":"http://images.cocodataset.org/val2017/000000000001.jpg","width":9,"height":8,"neg_category_ids":[4],"not_exhaustive_category_ids":[2]},
 {"id":2,"coco_url":"http://images.cocodataset.org/train2017/000000000002.jpg","width":9,"height":8,"neg_category_ids":[],"not_exhaustive_category_ids":[]}],
 "annotations":[
 {"id":1,"image_id":1,"category_id":1,"bbox":[1,1,2,2],"area":3.5,"segmentation":[[1,1,3,1,3,3]]},
 {"id":2,"image_id":1,"category_id":2,"bbox":[1,1,2,2],"area":3.5,"segmentation":[[1,1,3,1,3,3]]}],
 "categories":[{"id":1,"name":"apple","frequency":"r"},{"id":2,"name":"bat","frequency":"c"},{"id":3,"name":"cup","frequency":"f"},{"id":4,"name":"dog","frequency":"f"}]}`

func TestLVIS(t *testing.T) {
	place := folderOf(t, "lvis_v1_val.json", lvisText).file("lvis_v1_val.json")
	d, images := mustRead(t, place, Options{})
	if d.Format() != LVIS || d.Frequency("apple") != "r" || d.Frequency("dog") != "f" {
		t.Errorf("format %s, frequency %q", d.Format(), d.Frequency("apple"))
	}
	if images[0].URI != place.URI+"/val2017/000000000001.jpg" {
		t.Errorf("URI %s", images[0].URI)
	}
	if diff := cmp.Diff([]string{"bat", "cup"}, images[0].Unlabelled); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"apple", "bat", "cup", "dog"}, images[1].Unlabelled); diff != "" {
		t.Error(diff)
	}
}

// TestResultsOfLVIS wants nothing unlabelled: a detector looks for every class.
func TestResultsOfLVIS(t *testing.T) {
	place := folderOf(t, "gt.json", lvisText, "r.json", `[{"image_id":2,"category_id":1,"bbox":[1,1,2,2],"score":0.5}]`)
	_, images := mustRead(t, place.file("r.json"), Options{Instances: place.file("gt.json")})
	if len(images) != 2 || images[0].Unlabelled != nil || len(images[1].Objects) != 1 {
		t.Errorf("images %v", images)
	}
}

// TestImagesOfCOCO finds the folder of the images, by looking where it can.
func TestImagesOfCOCO(t *testing.T) {
	label := `{"images":[{"id":1,"file_name":"i.jpg"}]}`
	for _, c := range []struct{ labels, image, want string }{
		{"train/_annotations.coco.json", "train/i.jpg", "train/i.jpg"},
		{"labels.json", "data/i.jpg", "data/i.jpg"},
		{"annotations/instances_val2017.json", "val2017/i.jpg", "val2017/i.jpg"},
		{"annotations/instances_val2017.json", "images/val2017/i.jpg", "images/val2017/i.jpg"},
		{"annotations/instances_val2017.json", "images/i.jpg", "images/i.jpg"},
		{"annotations/instances_val2017.json", "elsewhere/i.jpg", "val2017/i.jpg"},
		{"x/labels.json", "elsewhere/i.jpg", "x/i.jpg"},
	} {
		place := folderOf(t, c.labels, label, c.image, "")
		_, images := mustRead(t, place.file(c.labels), Options{})
		if images[0].URI != place.URI+"/"+c.want {
			t.Errorf("%s and %s give %s", c.labels, c.image, images[0].URI)
		}
	}
	// As the command opens a file: the store begins at its folder.
	place := folderOf(t, "instances_train2017.json", label)
	place.URI = "s3://bucket/coco/annotations"
	_, images := mustRead(t, place.file("instances_train2017.json"), Options{})
	if images[0].URI != "s3://bucket/coco/train2017/i.jpg" {
		t.Errorf("URI %s", images[0].URI)
	}
	_, images = mustRead(t, place.file("instances_train2017.json"), Options{Images: Place{URI: "s3://x/y/"}})
	if images[0].URI != "s3://x/y/i.jpg" {
		t.Errorf("URI %s", images[0].URI)
	}
	away := `{"images":[{"id":1,"file_name":"http://x/i.jpg"},{"id":2,"file_name":"/data/i.jpg"},{"id":3,"file_name":"a\\b.jpg"},{"id":4,"file_name":"a/../../b.jpg"}]}`
	place = folderOf(t, "x.json", away).file("x.json")
	_, images, err := read(place, Options{})
	if err == nil || len(images) != 3 || images[0].URI != "http://x/i.jpg" || images[1].URI != "/data/i.jpg" || images[2].ID != "3" {
		t.Errorf("%v, %v", images, err)
	}
	wantError(t, place, Options{}, "image 4", "leads out of the folder")
}

// fiftyText is samples.json as FiftyOne exports it.
const fiftyText = `{"samples": [
 {"_id": {"$oid": "a"}, "filepath": "data/1.jpg", "tags": [], "metadata": {"_cls": "ImageMetadata", "width": 200, "height": 100},
  "ground_truth": {"_cls": "Detections", "detections": [
   {"_id": {"$oid": "d1"}, "_cls": "Detection", "label": "cat", "bounding_box": [0.25, 0.5, 0.5, 0.25], "embedding": [1, -2.5]},
   {"_id": {"$oid": "d2"}, "label": "dog", "bounding_box": [0, 0, 1, 1], "confidence": 0.5, "iscrowd": 1}]},
  "uniqueness": 0.5, "label": {"_cls": "Classification", "label": "x"}},
 {"filepath": "data/2.jpg", "metadata": null, "ground_truth": null}],
 "frames": null}`

func TestFiftyOne(t *testing.T) {
	place := folderOf(t, "metadata.json", "{}", "samples.json", fiftyText)
	d, images := mustRead(t, place, Options{})
	if d.Format() != FiftyOne {
		t.Errorf("format %s", d.Format())
	}
	want := []*pipeline.Image{
		{RowID: pipeline.RowID{Shard: "samples.json"}, ID: "data/1.jpg", URI: place.URI + "/data/1.jpg", Width: 200, Height: 100, Objects: []pipeline.Object{
			{ID: "d1", Class: "cat", Score: 1, Box: pipeline.Box{X1: 50, Y1: 50, X2: 150, Y2: 75}, Vector: []float32{1, -2.5}},
			{ID: "d2", Class: "dog", Score: .5, Box: pipeline.Box{X2: 200, Y2: 100}, Ignore: true},
		}},
		{RowID: pipeline.RowID{Shard: "samples.json", Row: 1}, ID: "data/2.jpg", URI: place.URI + "/data/2.jpg", Objects: []pipeline.Object{}},
	}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Error(diff)
	}
	box := `{"_cls":"Detections","detections":[{"label":"x","bounding_box":[0,0,1,1]}]}`
	sized := folderOf(t, "samples.json", `{"samples":[{"filepath":"data/1.png","p":`+box+`}]}`, "data/1.png", pngOf(t, 30, 20))
	_, images = mustRead(t, sized, Options{})
	if got := images[0].Objects[0]; got.Box != (pipeline.Box{X2: 30, Y2: 20}) || got.ID != "0" {
		t.Errorf("object %v", got)
	}
	for text, word := range map[string]string{
		`{"samples":[{"filepath":"a.png","p":` + box + `,"q":` + box + `}]}`: "several fields have detections, p, q",
		`{"samples":[{"filepath":"a.png","p":` + box + `}]}`:                 "a.png",
		`{"samples":[{"filepath":"http://x/a.png","p":` + box + `}]}`:        "metadata does not have",
		`{"samples":[{"filepath":"a"},{"filepath":"a"}]}`:                    "sample 1: the file a comes twice",
		`{"samples":[{}]}`: "sample 0",
		`{"other":[]}`:     `no list "samples"`,
		`{"samples":[{"filepath":"a.png","p":{"_cls":"Detections","detections":[{"label":"x"}]},"metadata":{"width":1,"height":1}}]}`:                                                    "detection 0: bounding_box",
		`{"samples":[{"filepath":"a.png","p":{"_cls":"Detections","detections":[{"bounding_box":[1,1,1,1]}]},"metadata":{"width":1,"height":1}}]}`:                                       "detection 0: label",
		`{"samples":[{"filepath":"a.png","p":{"_cls":"Detections","detections":[{"label":"x","bounding_box":[1,1,1,1],"embedding":{"$binary":1}}]},"metadata":{"width":1,"height":1}}]}`: "embedding",
	} {
		wantError(t, folderOf(t, "samples.json", text), Options{Format: FiftyOne}, "samples.json", word)
	}
	wantError(t, place, Options{Field: "other"}, "sample 0", "no field other")
	wantError(t, place, Options{Field: "label"}, "sample 0", "label")
}

const lightlySchema = `{"task_type": "object-detection", "categories": [{"id": 0, "name": "person"}, {"id": 7, "name": "car"}]}`

func TestLightly(t *testing.T) {
	place := folderOf(t, ".lightly/predictions/tasks.json", `["t"]`, ".lightly/predictions/t/schema.json", lightlySchema,
		".lightly/predictions/t/sub/b.json", `{"file_name": "sub/b.png", "predictions": [{"category_id": 7, "bbox": [1,2,3,4], "score": 0.5}]}`,
		".lightly/predictions/t/a.json", `{"file_name": "a.png", "predictions": []}`)
	d, images := mustRead(t, place, Options{})
	if d.Format() != Lightly || !cmp.Equal(d.Classes(), []string{"person", "car"}) {
		t.Errorf("format %s, classes %q", d.Format(), d.Classes())
	}
	want := []*pipeline.Image{
		{RowID: pipeline.RowID{Shard: "sub"}, ID: "sub/b.png", URI: place.URI + "/sub/b.png", Objects: []pipeline.Object{
			{ID: "0", Class: "car", Score: .5, Box: pipeline.Box{X1: 1, Y1: 2, X2: 4, Y2: 6}}}},
		{RowID: pipeline.RowID{Shard: "t"}, ID: "a.png", URI: place.URI + "/a.png", Objects: []pipeline.Object{}},
	}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Error(diff)
	}
	wantError(t, folderOf(t, "schema.json", `{"task_type":"classification","categories":[]}`, "a.json", "{}"), Options{}, "schema.json", "classification")
	for text, word := range map[string]string{
		`{"predictions":[]}`: "file_name",
		`{"file_name":"a","predictions":[{"category_id":1,"bbox":[1,1,1,1]}]}`: "prediction 0: schema.json has no category 1",
		`{"file_name":"a","predictions":[{"category_id":0}]}`:                  "prediction 0",
	} {
		wantError(t, folderOf(t, "schema.json", lightlySchema, "a.json", text), Options{}, "a.json", word)
	}
}

func TestRecognise(t *testing.T) {
	ctx := context.Background()
	for want, files := range map[Format][]string{
		COCO: {"annotations/x.json", cocoText, "readme.md", ""}, LVIS: {"x.json", lvisText}, VOC: {"a/b.xml", vocText, "project.xml", "<x/>"},
		YOLO: {"data.yaml", "", "i.png", ""}, Cityscapes: {"a/x_1_2_gtFine_polygons.json", cityText}, FiftyOne: {"samples.json", fiftyText},
		Lightly: {"schema.json", lightlySchema, "a.json", `{"file_name":"a","predictions":[]}`}, COCOResults: {"r.json", `[{"image_id":1,"category_id":1}]`},
	} {
		if got, err := Recognise(ctx, folderOf(t, files...)); got != want || err != nil {
			t.Errorf("recognised %s as %q, %v", want, got, err)
		}
	}
	for _, c := range []struct {
		files []string
		name  string
		word  string
	}{
		{[]string{"a.json", cocoText, "b.json", lvisText}, "", "a.json (coco), b.json (lvis)"},
		{[]string{"a.xml", vocText, "classes.txt", "x"}, "", "(voc)"},
		{[]string{"a.csv", "1"}, "", "known format"},
		{[]string{"a.csv", "1"}, "a.csv", "want a json"},
		{[]string{"a.json", `{"x":1}`}, "a.json", "no known format"},
		{[]string{"a.json", cityText}, "a.json", "name the folder"},
		{[]string{"a.json", "\x1f\x8b\x08"}, "a.json", "gzip"},
		{[]string{"a.json", ""}, "a.json", "EOF"},
		{[]string{"a.json", ""}, "b.json", "no such file"},
	} {
		if got, err := Recognise(ctx, folderOf(t, c.files...).file(c.name)); err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%q gives %q, %v, want %q", c.files, got, err, c.word)
		}
	}
	place := folderOf(t, "a.xml", vocText, "a.jpg", "", "classes.txt", "x")
	if d, _ := mustRead(t, place, Options{Format: VOC}); d.Format() != VOC {
		t.Errorf("format %s", d.Format())
	}
	if _, err := Open(ctx, Place{}, Options{}); err == nil {
		t.Error("a place without files was opened")
	}
	if _, err := Open(ctx, place.file("a.xml"), Options{Format: "csv"}); err == nil || !strings.Contains(err.Error(), `"csv" is unknown`) {
		t.Errorf("error %v", err)
	}
}
