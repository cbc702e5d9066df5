package annotations

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestBadCOCO wants an error that names the file and the image or annotation.
func TestBadCOCO(t *testing.T) {
	image := `{"id":1,"file_name":"a","width":4,"height":5}`
	with := func(annotation string) string {
		return `{"images":[` + image + `],"categories":[{"id":1,"name":"x"}],"annotations":[{"id":77,"image_id":1,"category_id":1,` + annotation + `}]}`
	}
	rle := func(size, counts string) string {
		return with(`"bbox":[1,1,1,1],"segmentation":{"size":` + size + `,"counts":` + counts + `}`)
	}
	box := `"bbox":[1,1,1,1]`
	cases := map[string][]string{
		"":                               {"unexpected EOF"},
		"[]":                             {"object"},
		"7":                              {"object"},
		`{"images":[]`:                   {"unexpected EOF"},
		`{"images":[]} x`:                {"invalid character"},
		`{"images":[]} {}`:               {"after the end"},
		`{"images":{}}`:                  {"want a list"},
		`{"images":[],"images":[]}`:      {`"images" comes twice`},
		`{"annotations":[]}`:             {`no list "images"`},
		`{"images":[{"file_name":"a"}]}`: {"image 0 of the list", "no id"},
		`{"images":[7]}`:                 {"image 0 of the list"},
		`{"images":[{"id":1.5,"file_name":"a"}]}`:                                                       {"image 0", "1.5"},
		`{"images":[{"id":99999999999999999999,"file_name":"a"}]}`:                                      {"image 0", "64 bits"},
		`{"images":[{"id":"` + strings.Repeat("x", 2000) + `","file_name":"a"}]}`:                       {"image 0", "bytes"},
		`{"images":[{"id":true,"file_name":"a"}]}`:                                                      {"image 0", "true"},
		`{"images":[` + image + `,` + strings.Replace(image, "1", `"1"`, 1) + `]}`:                      {"image 1 comes twice"},
		`{"images":[{"id":1}]}`:                                                                         {"file_name"},
		`{"images":[{"id":1,"file_name":7}]}`:                                                           {"file_name"},
		`{"images":[{"id":1,"file_name":"a","width":1e9}]}`:                                             {"image 1", "width"},
		`{"images":[{"id":1,"file_name":"a","height":-1}]}`:                                             {"image 1", "height"},
		`{"images":[{"id":1,"file_name":"a","height":1.5}]}`:                                            {"image 1", "height"},
		`{"images":[],"categories":[{"id":1}]}`:                                                         {"category 1", "name"},
		`{"images":[],"categories":[{"name":"x"}]}`:                                                     {"category 0 of the list"},
		`{"images":[],"categories":[{"id":1,"name":"x"},{"id":1,"name":"y"}]}`:                          {"category 1 comes twice"},
		`{"images":[` + image + `],"annotations":[{"id":77,"image_id":2}]}`:                             {"annotation 77", "no image 2"},
		`{"images":[` + image + `],"annotations":[{"id":77}]}`:                                          {"annotation 77", "image_id"},
		`{"images":[` + image + `],"annotations":[{"id":77,"image_id":1,"category_id":3,` + box + `}]}`: {"image 1", "annotation 77", "no category 3"},
		`{"images":[` + image + `],"annotations":[{"id":77,"image_id":1,"caption":"a dog"}]}`:           {"annotation 77", "caption"},
		`{"images":[` + image + `],"annotations":[{"id":77,"image_id":1,"segments_info":[]}]}`:          {"annotation 77", "panoptic"},
		`{"images":[` + image + `],"annotations":[{"id":77,"image_id":1}]}`:                             {"annotation 77", "category_id"},
		with(`"x":1`):                                              {"annotation 77", "neither bbox"},
		with(`"bbox":[1,2,3]`):                                     {"annotation 77", "bbox: want 4 numbers"},
		with(`"bbox":[1,2,3,null]`):                                {"annotation 77", "bbox", "null"},
		with(`"bbox":[1,2,3,"4"]`):                                 {"annotation 77", "bbox"},
		with(`"bbox":"1,2,3,4"`):                                   {"annotation 77", "bbox"},
		with(`"bbox":[1,2,3,1e999]`):                               {"annotation 77", "bbox", "1e999"},
		with(`"bbox":[1,2,3,NaN]`):                                 {"invalid character"},
		with(box + `,"score":2`):                                   {"annotation 77", "score"},
		with(box + `,"score":"high"`):                              {"annotation 77", "score"},
		with(box + `,"iscrowd":2`):                                 {"annotation 77", "iscrowd"},
		with(box + `,"segmentation":7`):                            {"annotation 77", "segmentation"},
		with(box + `,"segmentation":[[1,2,3]]`):                    {"annotation 77", "polygon 0"},
		with(box + `,"segmentation":[[1,2,3,4,5,6],["a"]]`):        {"annotation 77", "polygon 1"},
		with(box + `,"area":"big","segmentation":[[1,2,3,4,5,6]]`): {"annotation 77", "area"},
		rle(`[5]`, `[20]`):                                         {"annotation 77", "size"},
		rle(`[5,1e9]`, `[20]`):                                     {"annotation 77", "width of run lengths"},
		rle(`[-5,4]`, `[20]`):                                      {"annotation 77", "height of run lengths"},
		rle(`[5,4]`, `null`):                                       {"annotation 77", "counts"},
		rle(`[5,4]`, `[19]`):                                       {"annotation 77", "cover 19 pixels of 4 x 5"},
		rle(`[5,4]`, `[4294967295,4294967295]`):                    {"annotation 77", "cover 8589934590"},
		rle(`[5,4]`, `[4294967296]`):                               {"annotation 77", "counts"},
		rle(`[5,4]`, `[-1,21]`):                                    {"annotation 77", "counts"},
		rle(`[5,4]`, `[1.5]`):                                      {"annotation 77", "counts"},
		rle(`[5,4]`, `"PPPPPPPPPPPPP1"`):                           {"annotation 77", "32 bits"},
		rle(`[5,4]`, `"oooooo?"`):                                  {"annotation 77", "pixels"},
		rle(`[5,4]`, `"P"`):                                        {"annotation 77", "ends within a number"},
		rle(`[5,4]`, `"a b"`):                                      {"annotation 77", `' '`},
		rle(`[5,4]`, `"O"`):                                        {"annotation 77", "-1 pixels"},
		rle(`[1000,1000]`, `[1000000]`):                            {"annotation 77", "a mask of 1000 x 1000 pixels in an image of 4 x 5"},
		`{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `,"images":[]}`:                         {"depth"},
		`{"images":[{"id":1,"file_name":"a","x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}]}`: {"depth"},
	}
	for text, words := range cases {
		wantError(t, memory{"x.json": []byte(text)}.place().file("x.json"), Options{Format: COCO}, append(words, "mem/x.json")...)
	}
}

// TestLongValues wants neither a long annotation nor one long string to fill the memory.
func TestLongValues(t *testing.T) {
	long := strings.Repeat("1234567,", maxValue/8+100_000)
	for _, text := range []string{
		`{"images":[{"id":1,"x":[` + long + `1]}]}`,
		`{"other":"` + long + `"}`,
		`{"images":[],"annotations":[{"id":1,"segmentation":[[` + long + `1]]}]}`,
	} {
		wantError(t, memory{"x.json": []byte(text)}.place().file("x.json"), Options{Format: COCO}, "x.json", "more than")
	}
	// What is passed over may have any length.
	list := strings.Repeat(`"`+strings.Repeat("x", 1<<20)+`",`, maxValue>>20+1)
	text := `{"other":[` + list + `1],"images":[{"id":1,"file_name":"a"}]}`
	mustRead(t, memory{"x.json": []byte(text)}.place().file("x.json"), Options{Format: COCO})
}

// TestLongBorders wants polygons that take hours to fill to be refused, and large
// ones to be read.
func TestLongBorders(t *testing.T) {
	zigzag := strings.Repeat("[0,0],[1000000,1000000],", 20)
	flat := strings.NewReplacer("[", "", "]", "").Replace(zigzag)
	for name, text := range map[string]string{
		"x.json":                     `{"images":[{"id":1,"file_name":"a"}],"categories":[{"id":1,"name":"x"}],"annotations":[{"id":77,"image_id":1,"category_id":1,"segmentation":[[` + flat + `0,0]]}]}`,
		"x_1_2_gtFine_polygons.json": `{"imgHeight":1,"imgWidth":1,"objects":[{"label":"car","polygon":[` + zigzag + `[0,0]]}]}`,
	} {
		wantError(t, memory{name: []byte(text)}.place(), Options{}, name, "border")
	}
	far := `{"images":[{"id":1,"file_name":"a"}],"categories":[{"id":1,"name":"x"}],"annotations":[{"id":77,"image_id":1,"category_id":1,"segmentation":[[0,0,1e12,0,1e12,1e12,0,1e12]]}]}`
	_, images := mustRead(t, memory{"x.json": []byte(far)}.place(), Options{})
	if cover := images[0].Objects[0].Mask.Cover(100, 100, 1, 1); cover[0] != 1 {
		t.Errorf("cover %v", cover)
	}
}

// TestManyKeys wants no table without bounds of keys.
func TestManyKeys(t *testing.T) {
	var text strings.Builder
	for i := range maxKeys + 1 {
		fmt.Fprintf(&text, `%c"%d":0`, ",{"[max(0, 1-i)], i)
	}
	wantError(t, memory{"x.json": []byte(text.String() + "}")}.place().file("x.json"), Options{Format: COCO}, "keys")
}

// TestFarLabels wants labels on a remote store to be copied once, read the same, and
// the copies to go.
func TestFarLabels(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	files := memory{"coco.json": nil, "results.json": nil}
	for name := range files {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	far := Place{Files: farMemory{files}, URI: "mem"}
	d, err := Open(context.Background(), far.file("results.json"), Options{Instances: far.file("coco.json")})
	if err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 2 {
		t.Errorf("copies %v", entries)
	}
	var got []string
	for image, err := range d.Images(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(*image))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	noLeftovers(t, folder)
	_, images := mustRead(t, files.place().file("results.json"), Options{Instances: files.place().file("coco.json")})
	var want []string
	for _, image := range images {
		want = append(want, fmt.Sprint(*image))
	}
	if !slices.Equal(got, want) {
		t.Error("images differ")
	}
	files["coco.json"] = files["coco.json"][:1000]
	if _, err := Open(context.Background(), far.file("coco.json"), Options{Format: COCO}); err == nil {
		t.Error("half a file was read")
	}
	noLeftovers(t, folder)
}

// TestCancelled wants each format to stop with the context.
func TestCancelled(t *testing.T) {
	why := errors.New("enough")
	for name, place := range map[string]Place{
		"coco": folderOf(t, "x.json", cocoText), "voc": folderOf(t, "a.xml", vocText, "b.xml", vocText),
		"cityscapes": folderOf(t, "x_1_2_gtFine_polygons.json", cityText), "fiftyone": folderOf(t, "samples.json", fiftyText),
	} {
		d, err := Open(context.Background(), place, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(why)
		n := 0
		for _, err := range d.Images(ctx) {
			if n++; !errors.Is(err, why) {
				t.Errorf("%s: error %v", name, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d images", name, n)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if _, err := Open(ctx, place, Options{}); !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
