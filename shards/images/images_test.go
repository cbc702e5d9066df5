package images_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/images"
	"github.com/curate-data/curate/shards/local"
)

// inputOf returns the Input of a local file.
func inputOf(t testing.TB, file string) shards.Input {
	t.Helper()
	inputs, err := shards.ListInputs(context.Background(), local.Locate, []string{file})
	if err != nil {
		t.Fatal(err)
	}
	return inputs[0]
}

// readAll reads all images of a file.
func readAll(t testing.TB, file string, opt images.Options) ([]*pipeline.Image, error) {
	t.Helper()
	r, err := images.Open(context.Background(), inputOf(t, file), opt)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var all []*pipeline.Image
	for img, err := range r.Images(context.Background()) {
		if err != nil {
			return all, err
		}
		all = append(all, img)
	}
	return all, nil
}

// TestBCCD reads real images with unequal classes, if CURATE_SHARED names the
// folder of larger fixtures.
func TestBCCD(t *testing.T) {
	shared := os.Getenv("CURATE_SHARED")
	if shared == "" {
		t.Skip("CURATE_SHARED is not set")
	}
	file := filepath.Join(shared, "data", "images", "bccd.parquet")
	all, err := readAll(t, file, images.Options{Data: true})
	if err != nil {
		t.Fatal(err)
	}
	classes, boxes := map[string]int{}, 0
	for i, img := range all {
		if img.Row != int64(i) || img.ID == "" || img.Width != 640 || img.Height != 480 || len(img.Data) < 1000 || img.URI != "" {
			t.Fatalf("image %d: %+v", i, img)
		}
		for _, o := range img.Objects {
			classes[o.Class]++
			if o.Score == 1 && o.Box.Area() > 0 {
				boxes++
			}
		}
	}
	if want := map[string]int{"RBC": 4155, "WBC": 372, "Platelets": 361}; len(all) != 364 || !maps.Equal(classes, want) || boxes != 4886 {
		t.Errorf("%d images, classes %v, want %v; %d boxes with an area", len(all), classes, want, boxes)
	}
}
