package main

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// photo is an image of the data set of these tests. The set is the same in every
// format: ids sort alike, boxes are whole pixels.
type photo struct {
	name   string // of the file, without its ending
	number int    // where ids are numbers
	text   string
	scene  string
	png    []byte
	things []thing
}

// thing is a labelled object.
type thing struct {
	class string
	box   [4]int // x1, y1, x2, y2
	vec   []float32
}

// photoSide is the width and height of the photos. A power of two: YOLO's
// fractions are exact.
const photoSide = 32

// photos makes a data set of n images with three classes, the last two rare. An
// object is a patch whose colour tells its class and its kind.
func photos(n int) []photo {
	random := rand.New(rand.NewPCG(3, 5))
	list := make([]photo, n)
	for i := range list {
		p := &list[i]
		p.name, p.number, p.scene = fmt.Sprintf("photo_%03d", i), 1000+i, fmt.Sprint("scene", i/4)
		p.text = fmt.Sprintf("Photo number %d shows what lies beside the road on a quiet morning.", i)
		picture := image.NewRGBA(image.Rect(0, 0, photoSide, photoSide))
		for at := range picture.Pix {
			picture.Pix[at] = uint8(100 + random.IntN(40))
			if at%4 == 3 {
				picture.Pix[at] = 255
			}
		}
		classes := []string{"car"}
		if i%4 == 1 {
			classes = append(classes, "person")
		}
		if i%8 == 3 {
			classes = append(classes, "bus")
		}
		if i%6 == 5 {
			classes = nil // nothing is labelled
		}
		for j, class := range classes {
			p.things = append(p.things, drawThing(picture, random, class, i, j))
		}
		var encoded bytes.Buffer
		if err := png.Encode(&encoded, picture); err != nil {
			panic(err)
		}
		p.png = encoded.Bytes()
	}
	return list
}

// drawThing paints an object and returns its label, with a vector that tells its
// class and its kind.
func drawThing(picture *image.RGBA, random *rand.Rand, class string, i, j int) thing {
	x, y, kind := 1+random.IntN(6), 1+15*j+random.IntN(3), i%5
	t := thing{class: class, box: [4]int{x, y, x + 12 + random.IntN(10), y + 10 + random.IntN(3)}, vec: make([]float32, 4)}
	tone := color.RGBA{uint8(50 * kind), uint8(90 * len(class) % 256), uint8(255 - 40*kind), 255}
	for py := t.box[1]; py < t.box[3]; py++ {
		for px := t.box[0]; px < t.box[2]; px++ {
			picture.SetRGBA(px, py, tone)
		}
	}
	for k := range t.vec {
		t.vec[k] = float32(random.Float64()*0.2) + map[bool]float32{true: 1}[k == kind%4]
	}
	return t
}

// Rows of the Parquet forms of the data set.
type (
	nestedPhoto struct {
		ImageID string        `parquet:"image_id"`
		Scene   string        `parquet:"scene"`
		Text    string        `parquet:"text"`
		Image   []byte        `parquet:"image,optional"`
		Objects []nestedThing `parquet:"objects,list"`
		Vec     []float32     `parquet:"vec,list"`
	}
	nestedThing struct {
		Class string    `parquet:"class"`
		Score float32   `parquet:"score"`
		Box   []float32 `parquet:"box,list"`
		Vec   []float32 `parquet:"vec,list"`
	}
	barePhoto struct { // without labels
		ImageID string `parquet:"image_id"`
		Image   []byte `parquet:"image"`
	}
	flatPhoto struct {
		ImageID string    `parquet:"image_id"`
		Image   []byte    `parquet:"image"`
		Class   string    `parquet:"class"`
		Score   float32   `parquet:"score"`
		Box     []float32 `parquet:"box,list"`
		Text    string    `parquet:"text"`
	}
)

func (p photo) nested(vectors bool) nestedPhoto {
	row := nestedPhoto{ImageID: p.name, Scene: p.scene, Text: p.text, Image: p.png}
	for _, t := range p.things {
		o := nestedThing{Class: t.class, Score: 0.9, Box: t.floats()}
		if vectors {
			o.Vec = t.vec
		}
		row.Objects = append(row.Objects, o)
	}
	if vectors {
		row.Vec = []float32{float32(p.number % 7), 1, float32(p.number % 3)}
	}
	return row
}

func (t thing) floats() []float32 {
	return []float32{float32(t.box[0]), float32(t.box[1]), float32(t.box[2]), float32(t.box[3])}
}

// putParquet writes rows as a shard.
func putParquet[T any](t *testing.T, path string, rows []T) string {
	t.Helper()
	var out bytes.Buffer
	if err := parquet.Write(&out, rows, parquet.MaxRowsPerRowGroup(7)); err != nil {
		t.Fatal(err)
	}
	put(t, path, out.String())
	return path
}

// nestedShards writes the photos as two shards of the nested form.
func nestedShards(t *testing.T, dir string, list []photo, vectors bool) []string {
	t.Helper()
	rows := make([]nestedPhoto, len(list))
	for i, p := range list {
		rows[i] = p.nested(vectors)
	}
	half := len(rows) / 2
	return []string{
		putParquet(t, filepath.Join(dir, "a.parquet"), rows[:half]),
		putParquet(t, filepath.Join(dir, "b.parquet"), rows[half:]),
	}
}

// flatShard writes a row for each object. An image without objects has none.
func flatShard(t *testing.T, dir string, list []photo) string {
	t.Helper()
	var rows []flatPhoto
	for _, p := range list {
		for _, o := range p.things {
			rows = append(rows, flatPhoto{p.name, p.png, o.class, 0.9, o.floats(), p.text})
		}
	}
	return putParquet(t, filepath.Join(dir, "flat.parquet"), rows)
}

// objectsOf is the labels of a photo as JSON.
func (p photo) objects() []map[string]any {
	list := []map[string]any{}
	for _, t := range p.things {
		list = append(list, map[string]any{"class": t.class, "score": 0.9, "box": t.box})
	}
	return list
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// jsonlShard writes lines with the images in base64.
func jsonlShard(t *testing.T, dir string, list []photo) string {
	t.Helper()
	var lines strings.Builder
	for _, p := range list {
		image := map[string]any{"bytes": base64.StdEncoding.EncodeToString(p.png)}
		fmt.Fprintln(&lines, toJSON(t, map[string]any{"image_id": p.name, "image": image, "objects": p.objects()}))
	}
	path := filepath.Join(dir, "photos.jsonl")
	put(t, path, lines.String())
	return path
}

// pathsShard writes lines that name image files beside the shard.
func pathsShard(t *testing.T, dir string, list []photo) string {
	t.Helper()
	var lines strings.Builder
	for _, p := range list {
		put(t, filepath.Join(dir, "img", p.name+".png"), string(p.png))
		fmt.Fprintln(&lines, toJSON(t, map[string]any{"image_id": p.name, "image": "img/" + p.name + ".png", "objects": p.objects()}))
	}
	path := filepath.Join(dir, "paths.jsonl")
	put(t, path, lines.String())
	return path
}

// tarShard writes a WebDataset.
func tarShard(t *testing.T, dir string, list []photo) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, p := range list {
		for _, m := range []struct{ ext, body string }{{".json", toJSON(t, map[string]any{"objects": p.objects()})}, {".png", string(p.png)}} {
			if err := w.WriteHeader(&tar.Header{Name: p.name + m.ext, Mode: 0o644, Size: int64(len(m.body))}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(m.body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "photos.tar")
	put(t, path, out.String())
	return path
}

// putImages writes the image files.
func putImages(t *testing.T, dir string, list []photo) {
	t.Helper()
	for _, p := range list {
		put(t, filepath.Join(dir, p.name+".png"), string(p.png))
	}
}

// photoClasses are the classes in the order of their numbers.
var photoClasses = []string{"bus", "car", "person"}

// cocoJSON writes an instances json and the images, and results with the same
// boxes as predictions.
func cocoJSON(t *testing.T, dir string, list []photo) (instances, results string) {
	t.Helper()
	putImages(t, filepath.Join(dir, "images"), list)
	var images, annotations, categories []map[string]any
	for _, p := range list {
		images = append(images, map[string]any{"id": p.number, "file_name": p.name + ".png", "width": photoSide, "height": photoSide})
		for _, o := range p.things {
			box := [4]int{o.box[0], o.box[1], o.box[2] - o.box[0], o.box[3] - o.box[1]}
			annotations = append(annotations, map[string]any{
				"id": 5000 + len(annotations), "image_id": p.number, "category_id": classNumber(o.class) + 10, "bbox": box, "iscrowd": 0, "area": box[2] * box[3],
			})
		}
	}
	for i, class := range photoClasses {
		categories = append(categories, map[string]any{"id": i + 10, "name": class})
	}
	instances, results = filepath.Join(dir, "instances.json"), filepath.Join(dir, "results.json")
	put(t, instances, toJSON(t, map[string]any{"images": images, "annotations": annotations, "categories": categories}))
	var predictions []map[string]any
	for _, a := range annotations {
		predictions = append(predictions, map[string]any{"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.9})
	}
	put(t, results, toJSON(t, predictions))
	return instances, results
}

func classNumber(class string) int {
	for i, c := range photoClasses {
		if c == class {
			return i
		}
	}
	panic(class)
}

// vocFolder writes an xml for each image.
func vocFolder(t *testing.T, dir string, list []photo) string {
	t.Helper()
	putImages(t, filepath.Join(dir, "JPEGImages"), list)
	for _, p := range list {
		var out strings.Builder
		fmt.Fprintf(&out, "<annotation><filename>%s.png</filename><size><width>%d</width><height>%d</height><depth>3</depth></size>", p.name, photoSide, photoSide)
		for _, o := range p.things {
			fmt.Fprintf(&out, "<object><name>%s</name><bndbox><xmin>%d</xmin><ymin>%d</ymin><xmax>%d</xmax><ymax>%d</ymax></bndbox></object>", o.class, o.box[0]+1, o.box[1]+1, o.box[2], o.box[3])
		}
		put(t, filepath.Join(dir, "Annotations", p.name+".xml"), out.String()+"</annotation>")
	}
	return dir
}

// yoloFolder writes a txt for each image with objects.
func yoloFolder(t *testing.T, dir string, list []photo) string {
	t.Helper()
	putImages(t, filepath.Join(dir, "images/train"), list)
	for _, p := range list {
		var out strings.Builder
		for _, o := range p.things {
			w, h := float64(o.box[2]-o.box[0]), float64(o.box[3]-o.box[1])
			fmt.Fprintf(&out, "%d %v %v %v %v\n", classNumber(o.class), (float64(o.box[0])+w/2)/photoSide, (float64(o.box[1])+h/2)/photoSide, w/photoSide, h/photoSide)
		}
		if out.Len() > 0 {
			put(t, filepath.Join(dir, "labels/train", p.name+".txt"), out.String())
		}
	}
	put(t, filepath.Join(dir, "data.yaml"), "path: .\ntrain: images/train\nnames: ["+strings.Join(photoClasses, ", ")+"]\n")
	return dir
}

// cityscapesFolder writes polygons.
func cityscapesFolder(t *testing.T, dir string, list []photo) string {
	t.Helper()
	for _, p := range list {
		objects := []map[string]any{}
		for _, o := range p.things {
			x1, y1, x2, y2 := o.box[0], o.box[1], o.box[2], o.box[3]
			objects = append(objects, map[string]any{"label": o.class, "polygon": [][2]int{{x1, y1}, {x2, y1}, {x2, y2}, {x1, y2}}})
		}
		stem := "town_" + strings.TrimPrefix(p.name, "photo_") + "_000019"
		put(t, filepath.Join(dir, "gtFine/train/town", stem+"_gtFine_polygons.json"), toJSON(t, map[string]any{"imgHeight": photoSide, "imgWidth": photoSide, "objects": objects}))
		put(t, filepath.Join(dir, "leftImg8bit/train/town", stem+"_leftImg8bit.png"), string(p.png))
	}
	return dir
}

// nano is the encoder of these tests.
const nano = "random:dinov2-nano:7"

// encoderCache keeps the encoder's folder for all tests of the process.
func encoderCache(t *testing.T) {
	t.Helper()
	t.Setenv("CURATE_CACHE", filepath.Join(scratch, "encoders"))
}

// embed runs `curate embed` and returns its folder.
func embed(t *testing.T, args ...string) string {
	t.Helper()
	encoderCache(t)
	out := filepath.Join(t.TempDir(), "objects")
	mustCurate(t, append([]string{"embed", "--encoder", nano, "--backend", "go", "--output", out, "--quiet"}, args...)...)
	return out
}

// choose runs `curate select --method ofds` and returns its folder.
func choose(t *testing.T, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "chosen")
	mustCurate(t, append([]string{"select", "--method", "ofds", "--backend", "go", "--output", out, "--quiet", "--compare", "random"}, args...)...)
	return out
}

// hashOf is a short digest for messages.
func hashOf(b []byte) string {
	sum := fnv.New64a()
	sum.Write(b)
	return fmt.Sprintf("%x", sum.Sum64())
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
