package annotations

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards/local"
)

// goldens are files that scripts/golden/make_annotations.py made.
func goldens() Place { return Place{Files: local.New("testdata"), URI: "testdata"} }

func golden(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// readByPycocotools is an image as pycocotools read it.
type readByPycocotools struct {
	ID            string
	Width, Height int
	Objects       []struct {
		ID, Class string
		Box       [4]float32
		Score     float32
		Ignore    bool
		Pixels    int
	}
}

// TestReadsAsPycocotools compares instances and predictions with what pycocotools
// reads from the same files, pixels of masks included.
func TestReadsAsPycocotools(t *testing.T) {
	for _, c := range []struct {
		labels, read string
		opt          Options
	}{
		{"coco.json", "coco-read.json", Options{Format: COCO}},
		{"results.json", "results-read.json", Options{Format: COCOResults, Instances: goldens().file("coco.json")}},
	} {
		var want []readByPycocotools
		golden(t, c.read, &want)
		_, images := mustRead(t, goldens().file(c.labels), c.opt)
		if len(images) != len(want) {
			t.Fatalf("%s has %d images, want %d", c.labels, len(images), len(want))
		}
		for i, image := range images {
			w := want[i]
			if image.ID != w.ID || image.Width != w.Width || image.Height != w.Height || len(image.Objects) != len(w.Objects) {
				t.Fatalf("%s: image %+v, want %+v", c.labels, image, w)
			}
			for k, o := range image.Objects {
				wo := w.Objects[k]
				box := pipeline.Box{X1: wo.Box[0], Y1: wo.Box[1], X2: wo.Box[0] + wo.Box[2], Y2: wo.Box[1] + wo.Box[3]}
				pixels := 0
				if o.Mask != nil {
					pixels = int(math.Round(float64(o.Mask.Cover(w.Width, w.Height, 1, 1)[0]) * float64(w.Width*w.Height)))
				}
				if o.Class != wo.Class || o.Box != box || o.Score != wo.Score || o.Ignore != wo.Ignore || pixels != wo.Pixels || o.Mask != nil && o.ID != wo.ID {
					t.Fatalf("%s: image %s: object %+v of %d pixels, want %+v", c.labels, image.ID, o, pixels, wo)
				}
			}
		}
	}
}

// TestSubsetsOfJSON compares subsets with those that Python's json makes.
func TestSubsetsOfJSON(t *testing.T) {
	ctx := context.Background()
	var read []readByPycocotools
	golden(t, "coco-read.json", &read)
	var ids []string
	for i := 0; i < len(read); i += 3 {
		ids = append(ids, read[i].ID)
	}
	for _, c := range []struct {
		labels, want string
		opt          Options
	}{
		{"coco.json", "coco-subset.json", Options{}},
		{"results.json", "results-subset.json", Options{Format: COCOResults, Instances: goldens().file("coco.json")}},
	} {
		d, err := Open(ctx, goldens().file(c.labels), c.opt)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		var out bytes.Buffer
		if err := d.WriteSubset(ctx, &out, ids); err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%v in %s", err, &out)
		}
		golden(t, c.want, &want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(c.labels, diff)
		}
		// Python writes one space after separators and so does coco.json: then the bytes are equal, too.
		if data, _ := os.ReadFile("testdata/" + c.want); c.labels == "coco.json" && !bytes.Equal(data, out.Bytes()) {
			t.Error("the bytes of the subset are not those of the labels")
		}
		out.Reset()
		all := make([]string, len(read))
		for i := range read {
			all[i] = read[i].ID
		}
		if err := d.WriteSubset(ctx, &out, all); err != nil {
			t.Fatal(err)
		}
		if data, _ := os.ReadFile("testdata/" + c.labels); !bytes.Equal(data, out.Bytes()) {
			t.Errorf("the subset of everything of %s differs from it", c.labels)
		}
	}
}
