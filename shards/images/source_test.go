package images_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/images"
	"github.com/curate-data/curate/shards/local"
)

var _ pipeline.ImageSource = images.Source{}

// TestSource reads shards of several formats one after the other, twice.
func TestSource(t *testing.T) {
	inputs, err := shards.ListInputs(context.Background(), local.Locate, []string{"testdata/nested.parquet", "testdata/nested.jsonl", "testdata/samples.tar"})
	if err != nil {
		t.Fatal(err)
	}
	source := images.Source{Inputs: inputs}
	for range 2 {
		var last pipeline.RowID
		n := 0
		for img, err := range source.Images(context.Background()) {
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 && last.Compare(img.RowID) >= 0 {
				t.Errorf("%v comes after %v", img.RowID, last)
			}
			last = img.RowID
			n++
		}
		if n != 18 {
			t.Errorf("%d images, want 18", n)
		}
	}
	for range source.Images(context.Background()) {
		break
	}
}

// TestEncodersAreNotMixed puts sidecars of two models, and one with none, together.
func TestEncodersAreNotMixed(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, e images.Encoder) string {
		file := filepath.Join(dir, name)
		all := madeImages(3, e.Dim)
		if err := os.WriteFile(file, writeSidecar(t, all, e), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	a := write("a.parquet", images.Encoder{Name: "a", Dim: 2, Type: images.Float32})
	for want, other := range map[bool][]string{
		true:  {write("half.parquet", images.Encoder{Name: "a", Dim: 2, Type: images.Float16})},
		false: {write("b.parquet", images.Encoder{Name: "b", Dim: 2, Type: images.Float32}), write("dim.parquet", images.Encoder{Name: "a", Dim: 3, Type: images.Float32}), "testdata/nested.parquet"},
	} {
		for _, file := range other {
			inputs, err := shards.ListInputs(context.Background(), local.Locate, []string{a, file})
			if err != nil {
				t.Fatal(err)
			}
			var last error
			for _, err := range (images.Source{Inputs: inputs}).Images(context.Background()) {
				last = err
			}
			if errors.Is(last, images.ErrMixed) == want || want && last != nil {
				t.Errorf("%s: error %v", file, last)
			}
		}
	}
}
