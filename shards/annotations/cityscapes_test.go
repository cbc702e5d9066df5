package annotations

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/pipeline"
)

const cityText = `{"imgHeight": 1024, "imgWidth": 2048, "objects": [
 {"label": "road", "polygon": [[0,0],[10,0],[10,10],[0,10]]},
 {"label": "car", "polygon": [[1,1],[5,1],[5,4]], "id": 7, "verified": 1},
 {"label": "cargroup", "polygon": [[20,20],[30,20],[30,30]], "deleted": 0},
 {"label": "person", "polygon": [[1,1],[2,2],[3,1]], "deleted": 1},
 {"label": "polegroup", "polygon": [[1,1],[2,2],[3,1]]},
 {"label": "road", "polygon": [[100,0],[110,0],[110,10],[100,10]]},
 {"label": "ego vehicle", "polygon": [[1,1],[2,2],[3,1]]},
 {"label": "license plate", "polygon": [[1,1],[2,2],[3,1]]}]}`

func TestCityscapes(t *testing.T) {
	place := folderOf(t, "gtFine/val/ulm/ulm_000000_000019_gtFine_polygons.json", cityText,
		"gtFine/train/bad-aachen/bad-aachen_000001_000019_gtFine_polygons.json", `{"imgHeight": 1, "imgWidth": 2, "objects": []}`,
		"gtFine/train/bad-aachen/bad-aachen_000001_000019_gtFine_color.png", "")
	d, images := mustRead(t, place, Options{})
	if len(d.Classes()) != 19 || d.Classes()[0] != "road" || d.Classes()[18] != "bicycle" || d.Format() != Cityscapes {
		t.Errorf("classes %q", d.Classes())
	}
	if len(images) != 2 || images[0].Group != "bad-aachen_000001" || images[1].Group != "ulm_000000" || len(images[0].Objects) != 0 {
		t.Fatalf("images %v", images)
	}
	image := images[1]
	if want := (pipeline.RowID{Shard: "gtFine/val/ulm"}); image.RowID != want || image.URI != place.URI+"/leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png" ||
		image.ID != "val/ulm/ulm_000000_000019_leftImg8bit.png" || image.Width != 2048 || image.Height != 1024 {
		t.Errorf("image %+v", image)
	}
	type row struct {
		ID, Class string
		Ignore    bool
		Box       pipeline.Box
		Area      float32
		Polygons  int
	}
	rows := func(image *pipeline.Image) (rows []row) {
		for _, o := range image.Objects {
			rows = append(rows, row{o.ID, o.Class, o.Ignore, o.Box, o.Area, len(o.Mask.Polygons)})
		}
		return rows
	}
	small := pipeline.Box{X1: 1, Y1: 1, X2: 3, Y2: 2}
	want := []row{
		{"0", "road", false, pipeline.Box{X2: 10, Y2: 10}, 100, 1},
		{"1", "car", false, pipeline.Box{X1: 1, Y1: 1, X2: 5, Y2: 4}, 6, 1},
		{"2", "car", true, pipeline.Box{X1: 20, Y1: 20, X2: 30, Y2: 30}, 50, 1},
		{"3", "polegroup", true, small, 1, 1},
		{"4", "road", false, pipeline.Box{X1: 100, X2: 110, Y2: 10}, 100, 1},
		{"5", "ego vehicle", true, small, 1, 1},
		{"6", "license plate", true, small, 1, 1},
	}
	if diff := cmp.Diff(want, rows(image)); diff != "" {
		t.Error(diff)
	}
	_, images = mustRead(t, place, Options{RegionMode: "class_union", Split: "val"})
	if len(images) != 1 {
		t.Fatalf("split has %d images", len(images))
	}
	want[0] = row{"0", "road", false, pipeline.Box{X2: 110, Y2: 10}, 200, 2}
	want = append(want[:4], want[5:]...)
	want[4].ID, want[5].ID = "4", "5"
	if diff := cmp.Diff(want, rows(images[0])); diff != "" {
		t.Error(diff)
	}
	wantError(t, place, Options{Split: "test"}, "test")
	wantError(t, place, Options{RegionMode: "x"}, `"x"`)
}

func TestCityscapesPlaces(t *testing.T) {
	inner := folderOf(t, "val/ulm/ulm_000000_000019_gtFine_polygons.json", cityText)
	inner.URI = "s3://bucket/city/gtFine"
	_, images := mustRead(t, inner, Options{})
	if images[0].URI != "s3://bucket/city/leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png" || images[0].Shard != "val/ulm" {
		t.Errorf("%+v", images[0])
	}
	_, images = mustRead(t, inner, Options{Images: Place{URI: "/pictures"}})
	if images[0].URI != "/pictures/val/ulm/ulm_000000_000019_leftImg8bit.png" {
		t.Errorf("URI %s", images[0].URI)
	}
}

func TestBadCityscapes(t *testing.T) {
	for text, word := range map[string]string{
		"":                               "unexpected end",
		"[]":                             "array",
		"{}":                             "no imgHeight",
		`{"imgHeight":1e9,"imgWidth":1}`: "imgHeight",
		`{"imgHeight":1,"imgWidth":-1}`:  "imgWidth",
		`{"imgHeight":1,"imgWidth":1,"objects":[{"label":"road"}]}`:                                 "object 0: road has no polygon",
		`{"imgHeight":1,"imgWidth":1,"objects":[{"label":"tank","polygon":[[1,1]]}]}`:               `object 0: label "tank" is not in the table`,
		`{"imgHeight":1,"imgWidth":1,"objects":[{"label":"group","polygon":[[1,1]]}]}`:              `"group"`,
		`{"imgHeight":1,"imgWidth":1,"objects":[{"label":"car","polygon":[[1,1],[1]]}]}`:            "point 1",
		`{"imgHeight":1,"imgWidth":1,"objects":[{"label":"car","polygon":[[1,null]]}]}`:             "point 0",
		`{"imgHeight":1,"imgWidth":1,"objects":[{"label":"car","polygon":[[1e300,1]]}]}`:            "point 0",
		`{"imgHeight":1,"imgWidth":1,"objects":[{"label":7,"polygon":[[1,1]]}]}`:                    "label",
		`{"imgHeight":1,"imgWidth":1,"objects":[{"label":"car","deleted":"no","polygon":[[1,1]]}]}`: "deleted",
		strings.Repeat("[", 20000): "depth",
	} {
		place := folderOf(t, "x_1_2_gtFine_polygons.json", text)
		wantError(t, place, Options{}, "x_1_2_gtFine_polygons.json", word)
	}
	wantError(t, folderOf(t, "x_polygons.json", cityText), Options{}, "x_polygons.json", "CITY_SEQUENCE_FRAME")
}

func FuzzCityscapes(f *testing.F) {
	f.Add([]byte(cityText))
	f.Add([]byte(`{"imgHeight":1,"imgWidth":1,"objects":[{"label":"car","polygon":[[1,1],[1]]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		place := memory{"x_1_2_gtFine_polygons.json": data}.place()
		for _, mode := range []string{"polygon", "class_union"} {
			_, images, err := read(place, Options{Format: Cityscapes, RegionMode: mode})
			checkImages(t, images, err)
		}
	})
}

// TestOrderedStops wants no more work to be begun after the reader stopped.
func TestOrderedStops(t *testing.T) {
	begun := make(chan int, 100)
	for i := range ordered(context.Background(), 100, 4, func(_ context.Context, i int) (int, error) {
		begun <- i
		return i, nil
	}) {
		if i == 10 {
			break
		}
	}
	if n := len(begun); n < 11 || n > 15 {
		t.Errorf("%d calls", n)
	}
}
