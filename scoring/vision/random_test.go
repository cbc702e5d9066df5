package vision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

// nano writes the smallest random encoder and returns its folder.
func nano(t testing.TB) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "encoder")
	if err := WriteRandom(folder, "dinov2-nano", 1); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestRandomWeightsAreTheSameEverywhere(t *testing.T) {
	folder := nano(t)
	for name, want := range map[string]string{
		"model.safetensors":        "f2f64372b17107c6ebfc9054818658b7e729dc74c9aeb3cdeef96db6d200790b",
		"config.json":              "78d3524e8b8b2969421c139c536d7039be6a49629a6a32a9cb54f563cd1366c7",
		"preprocessor_config.json": "1e0c8d4c3b72c5e97587026363dd6460f43188b9d2aa510861f7e88d9b718ef5",
	} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s has SHA-256 %x", name, sum)
		}
	}
	other := t.TempDir()
	if err := WriteRandom(other, "dinov2-nano", 2); err != nil {
		t.Fatal(err)
	}
	a, err := load(folder)
	if err != nil {
		t.Fatal(err)
	}
	b, err := load(other)
	if err != nil {
		t.Fatal(err)
	}
	if a.digest() == b.digest() {
		t.Error("another seed gives the same weights")
	}
	if err := WriteRandom(other, "vit-giant", 1); err == nil || !strings.Contains(err.Error(), "dinov2-nano, dinov2-tiny, dinov2-small") {
		t.Errorf("an unknown preset: %v", err)
	}
}

// Random weights are of use only if what looks alike lies together.
func TestRandomVectorsTellTexturesApart(t *testing.T) {
	encoder, err := Open(openBackend(t, backend.Go), nano(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer encoder.Close()
	// Left stripes, right a flat colour; the same on a picture of another size.
	make2 := func(width, height int) pixels.Request {
		p := &pixels.Picture{Width: width, Height: height, RGB: make([]uint8, 3*width*height)}
		for i := range width * height {
			x := i % width
			switch {
			case x >= width/2:
				p.RGB[3*i+1], p.RGB[3*i+2] = 200, 90
			case x*8/width%2 == 0:
				p.RGB[3*i] = 255
			}
		}
		w, h := float32(width), float32(height)
		return pixels.Request{Picture: p, Objects: []pixels.Region{
			{Box: pipeline.Box{X1: w * .05, Y1: h * .1, X2: w * .45, Y2: h * .9}}, {Box: pipeline.Box{X1: w * .55, Y1: h * .1, X2: w * .95, Y2: h * .9}},
		}}
	}
	got, err := encoder.Embed(context.Background(), []pixels.Request{make2(160, 160), make2(224, 200)})
	if err != nil {
		t.Fatal(err)
	}
	a, b := got[0].Objects, got[1].Objects
	if same, across := min(dot(a[0], b[0]), dot(a[1], b[1])), max(dot(a[0], b[1]), dot(a[1], b[0]), dot(a[0], a[1])); same < across+0.05 {
		t.Errorf("the same texture has a cosine of %v, others %v", same, across)
	}
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}
