package annotations_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/internal/s3server"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/annotations"
	"github.com/curate-data/curate/shards/local"
	"github.com/curate-data/curate/shards/s3"
)

// TestS3 reads labels from a bucket and wants what a local folder gives.
func TestS3(t *testing.T) {
	ctx := context.Background()
	server := s3server.Start(t)
	server.Setenv(t)
	client, err := s3.New(ctx, s3.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	uri := "s3://" + server.Bucket(t) + "/set"
	far, err := client.Store(uri)
	if err != nil {
		t.Fatal(err)
	}
	near := local.New(t.TempDir())
	coco, err := os.ReadFile("testdata/coco.json")
	if err != nil {
		t.Fatal(err)
	}
	webp, err := os.ReadFile("testdata/33x17.webp")
	if err != nil {
		t.Fatal(err)
	}
	voc := "<annotation><size><width>9</width></size><object><name>x</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></object></annotation>"
	files := map[string]string{"coco/annotations/instances_x.json": string(coco), "yolo/classes.txt": "a\nb\n"}
	for i := range 12 {
		files[fmt.Sprintf("voc/Annotations/%d.xml", i)] = voc
		files[fmt.Sprintf("voc/JPEGImages/%d.jpg", i)] = "-"
		files[fmt.Sprintf("yolo/images/%d.webp", i)] = string(webp)
		files[fmt.Sprintf("yolo/labels/%d.txt", i)] = "1 .5 .5 1 1"
	}
	for name, text := range files {
		for _, store := range []shards.Store{near, far} {
			put(t, store, name, text)
		}
	}
	for _, name := range []string{"coco", "voc", "yolo"} {
		want, wantSubset := everything(t, annotations.Place{Files: near, Name: name, URI: "/near"})
		got, gotSubset := everything(t, annotations.Place{Files: far, Name: name, URI: uri})
		if len(want) < 12 {
			t.Errorf("%s has %d images", name, len(want))
		}
		if diff := cmp.Diff(want, got); diff != "" || gotSubset != wantSubset {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func put(t *testing.T, store shards.Store, name, text string) {
	t.Helper()
	ctx := context.Background()
	pending, err := store.Create(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pending.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := pending.Finish(ctx); err != nil {
		t.Fatal(err)
	}
}

// everything returns the images at a place as text, without their folder, and the
// subset of every second one.
func everything(t *testing.T, place annotations.Place) (images []string, subset string) {
	t.Helper()
	ctx := context.Background()
	d, err := annotations.Open(ctx, place, annotations.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for image, err := range d.Images(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if len(images)%2 == 0 {
			ids = append(ids, image.ID)
		}
		image.URI = path.Base(image.URI)
		text, err := json.Marshal(image)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, string(text))
	}
	var out bytes.Buffer
	if err := d.WriteSubset(ctx, &out, ids); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return images, out.String()
}
