package annotations

import (
	"bytes"
	"context"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// memory are files by name, for fuzzing.
type memory map[string][]byte

func (m memory) place() Place { return Place{Files: m, URI: "mem"} }

func (m memory) List(_ context.Context, prefix string) ([]shards.ObjectInfo, error) {
	var infos []shards.ObjectInfo
	for name, data := range m {
		if strings.HasPrefix(name, prefix) {
			infos = append(infos, shards.ObjectInfo{Name: name, Size: int64(len(data))})
		}
	}
	slices.SortFunc(infos, func(a, b shards.ObjectInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

func (m memory) Open(_ context.Context, name string) (shards.Object, error) {
	data, ok := m[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return object{bytes.NewReader(data)}, nil
}

type object struct{ *bytes.Reader }

func (object) Close() error { return nil }

// farMemory is memory whose objects cost a round trip per read.
type farMemory struct{ memory }

func (m farMemory) Open(ctx context.Context, name string) (shards.Object, error) {
	obj, err := m.memory.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return farObject{obj.(object)}, nil
}

type farObject struct{ object }

func (farObject) Prefetch([]shards.Range) {}

// checkImages wants what was read to be sound, and errors to name the labels.
func checkImages(t *testing.T, images []*pipeline.Image, err error) {
	t.Helper()
	if err != nil && !strings.Contains(err.Error(), "labels mem") {
		t.Fatalf("an error does not name the labels: %v", err)
	}
	for i, image := range images {
		if image.ID == "" || image.URI == "" || image.Width < 0 || image.Height < 0 {
			t.Fatalf("image %+v", image)
		}
		if i > 0 && images[i-1].RowID.Compare(image.RowID) >= 0 {
			t.Fatalf("%v comes before %v", images[i-1].RowID, image.RowID)
		}
		seen := make(map[string]bool)
		for _, o := range image.Objects {
			if o.ID == "" || seen[o.ID] || o.Class == "" || !(o.Score >= 0 && o.Score <= 1) || math.IsNaN(float64(o.Area)) || o.Area < 0 {
				t.Fatalf("object %+v of image %s", o, image.ID)
			}
			if seen[o.ID] = true; o.Mask != nil {
				o.Mask.Cover(7, 5, 2, 2)
			}
		}
	}
}

func FuzzCOCO(f *testing.F) {
	f.Add([]byte(cocoText))
	f.Add([]byte(lvisText))
	f.Add([]byte(`{"annotations":null,"images":[{"id":1.0,"file_name":"../a"}],"categories":[]}`))
	f.Add([]byte(`{"images":[{"id":1,"file_name":"a"}],"categories":[{"id":1,"name":"x"}],"annotations":[{"image_id":1,"category_id":1,"segmentation":{"size":[480,640],"counts":"Vnm41_9"}},{"image_id":"1","category_id":"1","bbox":[1,1,1,1],"score":0.5}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		place := memory{"x.json": data}.place().file("x.json")
		d, images, err := read(place, Options{Format: COCO})
		checkImages(t, images, err)
		if err != nil {
			return
		}
		var ids []string
		for _, image := range images {
			ids = append(ids, image.ID)
		}
		var out bytes.Buffer
		if err := d.WriteSubset(context.Background(), &out, ids); err != nil {
			t.Fatal(err)
		}
		if want := bytes.TrimPrefix(data, []byte("\ufeff")); !bytes.Equal(out.Bytes(), want) {
			t.Fatalf("the subset of everything is %q, want %q", out.Bytes(), want)
		}
	})
}

func FuzzResults(f *testing.F) {
	f.Add([]byte(`[{"image_id":"b","category_id":3,"bbox":[1,1,2,2],"score":0.5},{"image_id":77,"category_id":4,"segmentation":[[1,1,2,2,3,1]]}]`))
	f.Add([]byte(`[{"image_id":"b","category_id":3,"segmentation":{"size":[4,5],"counts":[1,19]}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		place := memory{"x.json": data, "gt.json": []byte(cocoText)}.place()
		_, images, err := read(place.file("x.json"), Options{Format: COCOResults, Instances: place.file("gt.json")})
		checkImages(t, images, err)
	})
}

func FuzzVOC(f *testing.F) {
	f.Add([]byte(vocText))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY a "b">]><annotation>&a;</annotation>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, images, err := read(memory{"x.xml": data}.place(), Options{Format: VOC})
		checkImages(t, images, err)
	})
}

func FuzzFiftyOne(f *testing.F) {
	f.Add([]byte(fiftyText))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, images, err := read(memory{"samples.json": data}.place().file("samples.json"), Options{Format: FiftyOne})
		checkImages(t, images, err)
	})
}

func FuzzLightly(f *testing.F) {
	f.Add([]byte(lightlySchema), []byte(`{"file_name":"a.jpg","predictions":[{"category_id":0,"bbox":[1,2,3,4],"score":0.5}]}`))
	f.Fuzz(func(t *testing.T, schema, data []byte) {
		_, images, err := read(memory{"schema.json": schema, "a.json": data}.place(), Options{Format: Lightly})
		checkImages(t, images, err)
	})
}

func FuzzCounts(f *testing.F) {
	for _, seed := range []string{"Vnm41_9", "0", "PPPPPP1", "ooooooo", "1o", "", "\\:c0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, packed string) {
		list, err := pipeline.UnpackRuns(packed)
		if err == nil && len(list) > len(packed) {
			t.Fatalf("%d runs of %d characters", len(list), len(packed))
		}
	})
}

func FuzzRecognise(f *testing.F) {
	for _, seed := range []string{cocoText, lvisText, fiftyText, cityText, `[{"image_id":1,"category_id":1}]`, `[]`, `{"categories":[],"images":null}`, `7`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, place := range []Place{memory{"x.json": data}.place().file("x.json"), memory{"x.json": data}.place()} {
			format, err := Recognise(context.Background(), place)
			if (format == "") != (err != nil) || err != nil && !strings.Contains(err.Error(), "labels mem") {
				t.Fatalf("format %q, error %v", format, err)
			}
		}
	})
}

// noLeftovers wants no temporary copies of labels.
func noLeftovers(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) > 0 {
		t.Errorf("left are %v, %v", entries, err)
	}
}
