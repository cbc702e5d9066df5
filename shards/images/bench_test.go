package images_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/curate-data/curate/shards/images"
)

const benchDim = 256

// BenchmarkWriteSidecar writes the vectors of some 3,000 objects and 1,000 images.
func BenchmarkWriteSidecar(b *testing.B) {
	all := madeImages(1000, benchDim)
	for b.Loop() {
		writeSidecar(b, all, images.Encoder{Name: "x", Dim: benchDim, Type: images.Float16})
	}
}

// BenchmarkReadSidecar reads them.
func BenchmarkReadSidecar(b *testing.B) {
	file := filepath.Join(b.TempDir(), "v.parquet")
	if err := os.WriteFile(file, writeSidecar(b, madeImages(1000, benchDim), images.Encoder{Name: "x", Dim: benchDim, Type: images.Float16}), 0o600); err != nil {
		b.Fatal(err)
	}
	r, err := images.Open(context.Background(), inputOf(b, file), images.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for b.Loop() {
		for _, err := range r.Images(context.Background()) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
