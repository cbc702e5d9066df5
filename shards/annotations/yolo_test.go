package annotations

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/curate-data/curate/pipeline"
)

func pngOf(t testing.TB, width, height int) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func jpegOf(t testing.TB, width, height int) string {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, width, height)), nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// webpOf is a lossy WebP of 33 x 17 pixels: a RIFF with the header of a key frame.
func webpOf(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/33x17.webp")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const roboflow = "train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['a b', \"c#d\"] # two\n\nroboflow:\n  workspace: w\n  url: https://x.y/z\n"

func TestYOLO(t *testing.T) {
	place := folderOf(t, "data.yaml", roboflow,
		"train/images/2.png", pngOf(t, 100, 50), "train/labels/2.txt", "0 0.5 0.5 0.2 0.4\n\n1 .25 .5 .5 1 0.75\r\n",
		"train/images/1.jpg", jpegOf(t, 64, 32), "train/labels/1.txt", "1 0 0 0.5 0 0.5 0.5\n1.0 0 0 0.5 0 0.5 0.5 0 0.5 0.125",
		"train/images/none.png", "not read", "train/images/empty.png", "not read", "train/labels/empty.txt", " \n",
		"valid/images/w.webp", webpOf(t), "valid/labels/w.txt", "0 0.5 0.5 1 1")
	d, images := mustRead(t, place, Options{Source: "yolo"})
	if diff := cmp.Diff([]string{"a b", "c#d"}, d.Classes()); diff != "" {
		t.Error(diff)
	}
	at := func(shard string, row int64) pipeline.RowID { return pipeline.RowID{Shard: shard, Row: row} }
	want := []*pipeline.Image{
		{RowID: at("train/images", 0), ID: "train/images/1.jpg", Width: 64, Height: 32, Objects: []pipeline.Object{
			{ID: "0", Class: "c#d", Score: 1, Box: pipeline.Box{X2: 32, Y2: 16}, Area: 256, Mask: &pipeline.Mask{Polygons: [][]float32{{0, 0, 32, 0, 32, 16}}}},
			{ID: "1", Class: "c#d", Score: .125, Box: pipeline.Box{X2: 32, Y2: 16}, Area: 512, Mask: &pipeline.Mask{Polygons: [][]float32{{0, 0, 32, 0, 32, 16, 0, 16}}}},
		}},
		{RowID: at("train/images", 1), ID: "train/images/2.png", Width: 100, Height: 50, Objects: []pipeline.Object{
			{ID: "0", Class: "a b", Score: 1, Box: pipeline.Box{X1: 40, Y1: 15, X2: 60, Y2: 35}},
			{ID: "1", Class: "c#d", Score: .75, Box: pipeline.Box{X1: 0, Y1: 0, X2: 50, Y2: 50}},
		}},
		{RowID: at("train/images", 2), ID: "train/images/empty.png"},
		{RowID: at("train/images", 3), ID: "train/images/none.png"},
		{RowID: at("valid/images", 0), ID: "valid/images/w.webp", Width: 33, Height: 17, Objects: []pipeline.Object{
			{ID: "0", Class: "a b", Score: 1, Box: pipeline.Box{X2: 33, Y2: 17}},
		}},
	}
	for _, image := range want {
		image.URI = place.URI + "/" + image.ID
		for i := range image.Objects {
			image.Objects[i].Source = "yolo"
		}
	}
	if diff := cmp.Diff(want, images, cmpopts.EquateApprox(0, 1e-4)); diff != "" {
		t.Error(diff)
	}
	_, images = mustRead(t, place.file("data.yaml"), Options{Split: "val"})
	if len(images) != 1 || images[0].ID != "valid/images/w.webp" {
		t.Errorf("split: %v", images)
	}
	wantError(t, place, Options{Split: "test"}, `no split "test"`)
	headers := 0
	for _, file := range d.Inputs() {
		if file.Header {
			headers++
		}
	}
	if headers != 5 || len(d.Inputs()) != 5+1+4 {
		t.Errorf("%d of %d inputs are images", headers, len(d.Inputs()))
	}
}

// TestYOLOPlaces reads the ways in which datasets lie on disk.
func TestYOLOPlaces(t *testing.T) {
	picture, label := pngOf(t, 10, 10), "1 .5 .5 1 1"
	for name, files := range map[string][]string{
		"coco":     {"coco8.yaml", "path: ../datasets/coco8\ntrain: images/train\nval: images/val\ntest: # optional\nnames:\n  0: x\n  1: y\ndownload: |\n  from a import b\n  b(c: 1)\n", "images/train/i.png", picture, "labels/train/i.txt", label, "images/val/j.png", picture},
		"lists":    {"data.yaml", "path: .\ntrain: lists/train.txt\nnames: {0: x, 1: 'y'}\n", "lists/train.txt", "./images/i.png\nC:\\data\\images\\k.png\n", "images/i.png", picture, "labels/i.txt", label, "images/k.png", picture},
		"darknet":  {"obj.names", "x\ny\n", "obj_train_data/i.png", picture, "obj_train_data/i.txt", label, "train.txt", "data/obj_train_data/i.png"},
		"labelImg": {"classes.txt", "x\r\ny", "i.png", picture, "i.txt", label},
		"folder":   {"data.yaml", "train: .\nval: .\nnames:\n- x\n- \"y\"\nnc: 2", "i.png", picture, "i.txt", label},
		"several":  {"data.yaml", "train: [a/images, b/images]\nnames: [\n  x, # one\n  y\n ]", "other.yaml", "x", "a/images/i.png", picture, "a/labels/i.txt", label, "b/images/j.png", picture},
	} {
		t.Run(name, func(t *testing.T) {
			place := folderOf(t, files...)
			d, images := mustRead(t, place, Options{Format: YOLO})
			n := 0
			for _, image := range images {
				for _, o := range image.Objects {
					n++
					if o.Class != "y" || o.Box != (pipeline.Box{X2: 10, Y2: 10}) {
						t.Errorf("object %v", o)
					}
				}
			}
			if n != 1 || !cmp.Equal(d.Classes(), []string{"x", "y"}) {
				t.Errorf("%d objects, classes %q", n, d.Classes())
			}
		})
	}
	apart := folderOf(t, "pics/s/i.png", picture)
	for _, name := range []string{"s/i.txt", "labels/s/i.txt"} {
		labels := folderOf(t, "classes.txt", "x\ny", name, label)
		_, images := mustRead(t, labels, Options{Images: apart.file("pics")})
		if images[0].URI != apart.URI+"/pics/s/i.png" || images[0].ID != "s/i.png" || len(images[0].Objects) != 1 {
			t.Errorf("%v", images[0])
		}
		wantError(t, labels, Options{}, "no images below")
		wantError(t, labels, Options{Images: Place{URI: "s3://x"}}, "must be open")
	}
}

func TestBadYOLO(t *testing.T) {
	for text, word := range map[string]string{
		"2 .5 .5 1 1":      "line 1: there is no class 2",
		"\n-1 .5 .5 1 1":   "line 2: want the number of a class",
		"1e300 .5 .5 1 1":  "no class",
		"cat .5 .5 1 1":    `"cat"`,
		"0 .5 .5 1":        "want 5 columns",
		"0":                "want 5 columns",
		"0 .5 .5 1 one":    `column 5: want a number, found "one"`,
		"0 .5 NaN 1 1":     "column 3",
		"0 .5 .5 Inf 1":    "column 4",
		"0 320 240 64 48":  "are these pixels?",
		"0 .5 .5 1 1 1.5":  "column 6, the confidence",
		"0 0 0 1 0 1 1 87": "column 8, the confidence",
	} {
		place := folderOf(t, "classes.txt", "x\ny", "i.png", pngOf(t, 10, 10), "i.txt", text)
		wantError(t, place, Options{}, "i.txt", word)
	}
	for text, word := range map[string]string{
		"":                                 "no names of classes",
		"names: *anchor":                   "names",
		"names: [a, &x b]":                 "names: element 1",
		"names: [a, b":                     "names: want [...]",
		"names: [[a], b]":                  "lists within lists",
		"names: {0: a, 2: b}":              "from 0 to 1",
		"names: {0: a, 0: b}":              "each once",
		"names:\n  0: a\n    1: b":         "indent",
		"names: a":                         "want a list",
		"names: [a, , b]":                  "empty",
		"names: ['a, b]":                   "quote",
		"names:\n- a\n-\n":                 "element 1: it is empty",
		"names: [a]\nnc: 2":                "nc is 2, but there are 1 names",
		"names: [a]\nnc: many":             "nc",
		"names: [a]\nnames: [b]":           "line 2: the key names comes twice",
		"names: [a]\nkpt_shape: [17, 3]":   "poses",
		"names: [a]\n\ttrain: x":           "line 2: it is indented by a tab",
		"names: [a]\ntrain: nowhere":       "no images at nowhere",
		"names: [a]\ntrain: >\n  images\n": "train",
		"names: [a]\npath: !x y":           "path",
		"just text":                        "line 1: want KEY: VALUE",
	} {
		place := folderOf(t, "data.yaml", text, "i.png", pngOf(t, 10, 10))
		wantError(t, place, Options{Format: YOLO}, word)
	}
	wantError(t, folderOf(t, "classes.txt", "a\n\nb", "i.png", ""), Options{}, "classes.txt", "empty")
	orphan := folderOf(t, "classes.txt", "a", "i.png", "", "j.txt", "0 0 0 1 1", "README.txt", "words")
	wantError(t, orphan, Options{}, "1 label files have no image", "j.txt")
	mustRead(t, orphan, Options{AllowOrphans: true})
	for _, content := range []string{"", "GIF89a\x01\x00\x01\x00\xf0\x00", "neither this nor that", pngOf(t, 10, 10)[:20]} {
		_, broken := mustRead(t, folderOf(t, "classes.txt", "a", "i.png", content, "i.txt", "0 0 0 1 1", "k.png", pngOf(t, 10, 10), "k.txt", "0 .5 .5 1 1"), Options{})
		if len(broken) != 2 || broken[0].Reason != pipeline.BrokenImage || len(broken[0].Objects) != 0 || len(broken[1].Objects) != 1 {
			t.Errorf("image of %q: %+v", content, broken)
		}
	}
	list := folderOf(t, "data.yaml", "names: [a]\ntrain: train.txt", "train.txt", "i.png\nk.png", "i.png", "")
	wantError(t, list, Options{Format: YOLO}, "train.txt: line 2: there is no image k.png")
}

func FuzzYOLO(f *testing.F) {
	for _, seed := range []string{"0 0.5 0.5 0.2 0.4\n1 .25 .5 .5 1 0.75", "1 0 0 0.5 0 0.5 0.5", "1 0 0 1 1 1 0 0 1 .5", "0x1p3 1 1 1 1", "\ufeff0 1 1 1 1\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := parseYOLO(data, []string{"x", "y"}, 1<<20, 1<<20)
		for _, o := range objects {
			if err != nil || o.Class == "" || !(o.Score >= 0 && o.Score <= 1) || math.IsNaN(float64(o.Box.Area())) {
				t.Fatalf("object %v, error %v", o, err)
			}
		}
	})
}

func FuzzYOLOConfig(f *testing.F) {
	for _, seed := range []string{roboflow, "names: {0: a, 1: \"b\"}", "names:\n  0: a\n  1: 'b''c' # d\n", "names:\n- a\n- b\ntrain:\n  - x\n  - y\n", "names: [\n a,\n b]\npath: /x", "names: [", "names: [a]#b", "names: {'"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseYOLOConfig(data)
		if err != nil {
			return
		}
		for _, name := range c.names {
			if name == "" && !bytes.ContainsAny(data, `"'`) {
				t.Fatalf("an empty name of %q", c.names)
			}
		}
	})
}
