package annotations

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/pipeline"
)

// cocoText has what trips readers: annotations before images, of images in any
// order, ids with gaps, as strings and beyond 32 bits, an image without annotations.
const cocoText = `{
 "info": {"year": 2017, "numbers": [1.50, 1e3], "nested": {"images": []}},
 "annotations": [
  {"id": 900, "image_id": 77, "category_id": 3, "bbox": [1, 2, 3.5, 4], "area": 14.0, "iscrowd": 0},
  {"id": 5, "image_id": "b", "category_id": 90, "bbox": [0,0,10,10], "iscrowd": 1,
   "segmentation": {"size": [4, 5], "counts": [2, 3, 15]}},
  {"id": 12345678901234, "image_id": 77, "category_id": 90, "bbox": [5,5,1,1], "score": 0.25,
   "segmentation": [[0,0,4,0,4,3],[1,1,2,2]], "area": 6.0}
 ],
 "images": [
  {"id": 77, "file_name": "a/77.jpg", "width": 640, "height": 480, "license": 1},
  {"id": 9007199254740993, "file_name": "empty.jpg", "width": 1, "height": 2},
  {"id": "b", "file_name": "b.jpg", "width": 5, "height": 4}
 ],
 "categories": [{"id": 90, "name": "zebra"}, {"id": 3, "name": "ant"}, {"id": 4, "name": "never"}]
}`

func TestCOCO(t *testing.T) {
	place := folderOf(t, "labels.json", cocoText)
	d, images := mustRead(t, place.file("labels.json"), Options{Format: COCO, Source: "people"})
	if diff := cmp.Diff([]string{"zebra", "ant", "never"}, d.Classes()); diff != "" {
		t.Error(diff)
	}
	row := func(n int64) pipeline.RowID { return pipeline.RowID{Shard: "labels.json", Row: n} }
	want := []*pipeline.Image{
		{RowID: row(0), ID: "77", URI: place.URI + "/a/77.jpg", Width: 640, Height: 480, Objects: []pipeline.Object{
			{ID: "900", Class: "ant", Score: 1, Box: pipeline.Box{X1: 1, Y1: 2, X2: 4.5, Y2: 6}, Source: "people"},
			{ID: "12345678901234", Class: "zebra", Score: .25, Box: pipeline.Box{X1: 5, Y1: 5, X2: 6, Y2: 6}, Source: "people",
				Area: 6, Mask: &pipeline.Mask{Polygons: [][]float32{{0, 0, 4, 0, 4, 3}}}},
		}},
		{RowID: row(1), ID: "9007199254740993", URI: place.URI + "/empty.jpg", Width: 1, Height: 2},
		{RowID: row(2), ID: "b", URI: place.URI + "/b.jpg", Width: 5, Height: 4, Objects: []pipeline.Object{
			{ID: "5", Class: "zebra", Score: 1, Box: pipeline.Box{X2: 10, Y2: 10}, Source: "people", Ignore: true,
				Area: 3, Mask: &pipeline.Mask{Counts: []uint32{2, 3, 15}, Height: 4, Width: 5}},
		}},
	}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Error(diff)
	}
}

// TestCOCORepeats wants the same images each time, and after a stop.
func TestCOCORepeats(t *testing.T) {
	ctx := context.Background()
	d, err := Open(ctx, folderOf(t, "labels.json", cocoText).file("labels.json"), Options{Format: COCO})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var ids [3][]string
	for i := range ids {
		for image, err := range d.Images(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if ids[i] = append(ids[i], image.ID); i == 1 {
				break
			}
		}
	}
	if len(ids[0]) != 3 || len(ids[1]) != 1 || !cmp.Equal(ids[0], ids[2]) {
		t.Errorf("ids %q", ids)
	}
}

// TestCOCOOrder wants the same objects in every order of annotations, and of
// the file's lists.
func TestCOCOOrder(t *testing.T) {
	annotations := []string{
		`{"id":1,"image_id":2,"category_id":1,"bbox":[1,1,1,1]}`,
		`{"id":2,"image_id":1,"category_id":1,"bbox":[2,1,1,1]}`,
		`{"id":3,"image_id":2,"category_id":1,"bbox":[3,1,1,1]}`,
	}
	rest := `"images":[{"id":2,"file_name":"2.png"},{"id":1,"file_name":"1.png"}],"categories":[{"id":1,"name":"x"}]`
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}} {
		var list []string
		for _, i := range order {
			list = append(list, annotations[i])
		}
		text := `"annotations":[` + strings.Join(list, ", \n") + `]`
		for _, file := range []string{"{" + text + "," + rest + "}", "\ufeff{" + rest + "," + text + "}"} {
			_, images := mustRead(t, folderOf(t, "x.json", file).file("x.json"), Options{Format: COCO})
			var got []string
			for _, image := range images {
				for _, o := range image.Objects {
					got = append(got, image.ID+"/"+o.ID)
				}
			}
			if want := []string{"2/1", "2/3", "1/2"}; !cmp.Equal(got, want) {
				t.Errorf("objects %v of %s, want %v", got, file, want)
			}
		}
	}
}

func TestRunLengthsOfCOCO(t *testing.T) {
	text, err := os.ReadFile("testdata/rle.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Size   [2]int
		String string
		Counts []uint32
		Pixels int
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		packed, _ := json.Marshal(map[string]any{"size": c.Size, "counts": c.String})
		plain, _ := json.Marshal(map[string]any{"size": c.Size, "counts": c.Counts})
		for _, raw := range [][]byte{packed, plain} {
			m, err := segmentation(raw)
			if err != nil {
				t.Fatalf("case %d: %v", i, err)
			}
			if diff := cmp.Diff(c.Counts, m.Counts); diff != "" || m.Height != c.Size[0] || m.Width != c.Size[1] {
				t.Errorf("case %d: %d x %d %s", i, m.Height, m.Width, diff)
			}
			if got := m.Area(); got != float64(c.Pixels) {
				t.Errorf("case %d: area %v, want %d", i, got, c.Pixels)
			}
		}
	}
}

func TestObjectsOfCOCOWithoutGoodIDs(t *testing.T) {
	for _, ids := range [][2]string{{`"id":0,`, `"id":0,`}, {``, `"id":4,`}} {
		text := `{"images":[{"id":1,"file_name":"1.png"}],"categories":[{"id":1,"name":"x"}],"annotations":[
			{` + ids[0] + `"image_id":1,"category_id":1,"bbox":[1,1,1,1]},{` + ids[1] + `"image_id":1,"category_id":1,"bbox":[2,1,1,1]}]}`
		_, images := mustRead(t, folderOf(t, "x.json", text).file("x.json"), Options{Format: COCO})
		if got := []string{images[0].Objects[0].ID, images[0].Objects[1].ID}; !cmp.Equal(got, []string{"0", "1"}) {
			t.Errorf("ids %q", got)
		}
	}
}

func TestResults(t *testing.T) {
	place := folderOf(t, "gt.json", cocoText, "found.json", `[
		{"image_id": "b", "category_id": 3, "bbox": [1,1,2,2], "score": 0.5},
		{"image_id": "b", "category_id": 4, "score": 0.75, "segmentation": {"size": [4, 5], "counts": [5,2,13]}},
		{"image_id": 77, "category_id": 90, "bbox": [1,1,2,2], "score": 1}]`)
	d, images := mustRead(t, place.file("found.json"), Options{Format: COCOResults, Instances: place.file("gt.json")})
	if len(d.Inputs()) != 2 || d.Format() != COCOResults {
		t.Errorf("inputs %v, format %s", d.Inputs(), d.Format())
	}
	var got []string
	for _, image := range images {
		for _, o := range image.Objects {
			got = append(got, fmt.Sprint(image.ID, "/", o.ID, " ", o.Class, " ", o.Score, " ", o.Box))
		}
	}
	want := []string{"77/0 zebra 1 {1 1 3 3}", "b/0 ant 0.5 {1 1 3 3}", "b/1 never 0.75 {1 1 2 3}"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantError(t, place.file("found.json"), Options{Format: COCOResults}, "found.json", "instances")
	other := folderOf(t, "gt.json", cocoText, "found.json", `[{"image_id": 78, "category_id": 3, "bbox": [1,1,2,2]}]`)
	wantError(t, other.file("found.json"), Options{Format: COCOResults, Instances: other.file("gt.json")}, "found.json", "no image 78")
}
