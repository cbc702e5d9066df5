package vision

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

func open(t testing.TB, be *backend.Backend, folder string, options Options) *Encoder {
	t.Helper()
	encoder, err := Open(be, folder, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := encoder.Close(); err != nil {
			t.Error(err)
		}
	})
	return encoder
}

func embed(t testing.TB, encoder *Encoder, requests ...pixels.Request) []pixels.Vectors {
	t.Helper()
	vectors, err := encoder.Embed(context.Background(), requests)
	if err != nil {
		t.Fatal(err)
	}
	return vectors
}

func box(x1, y1, x2, y2 float32) pixels.Region {
	return pixels.Region{Box: pipeline.Box{X1: x1, Y1: y1, X2: x2, Y2: y2}}
}

// requests are pictures that differ, with objects that have vectors and some
// that have none.
func requests(t testing.TB, n int) []pixels.Request {
	t.Helper()
	var all []pixels.Request
	for i := range n {
		picture, err := photo(t).Crop(i, i/2, 61-i/3, 47-i/2)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pixels.Request{Picture: picture, Objects: []pixels.Region{box(3, 4, 20, 30), box(-9, -9, -1, -1), box(10, 2, 40, 40)}[:i%4]})
	}
	return all
}

// What else is in a batch, where in it, and how large it is: the vectors are the
// same. With pure Go bit for bit on one batch size; XLA's products round by where
// a row lies in the batch on some processors (seen with AVX2, not with AVX-512).
func TestCompanyChangesNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		tolerance := 0.0
		if be.Name != backend.Go {
			tolerance = 1e-6
		}
		all := requests(t, 9)
		encoder := open(t, be, nano(t), Options{Batch: 4})
		together := embed(t, encoder, all...)
		slices.Reverse(all)
		backwards := embed(t, encoder, all...)
		slices.Reverse(all)
		slices.Reverse(backwards)
		for i, request := range all {
			alone := embed(t, encoder, request)[0]
			for name, other := range map[string]pixels.Vectors{"alone": alone, "in reverse order": backwards[i]} {
				if !same(together[i], other, tolerance) {
					t.Errorf("picture %d has other vectors %s", i, name)
				}
			}
		}
		if be.Name != backend.Go {
			return
		}
		for i, other := range embed(t, open(t, be, nano(t), Options{Batch: 2}), all...) {
			if !same(together[i], other, 1e-5) {
				t.Errorf("picture %d has other vectors in batches of 2", i)
			}
		}
	})
}

func same(a, b pixels.Vectors, tolerance float64) bool {
	close := func(a, b []float32) bool {
		return len(a) == len(b) && (a == nil) == (b == nil) && !slices.ContainsFunc(slices.Collect(differences(a, b)), func(d float64) bool { return !(d <= tolerance) })
	}
	return close(a.Image, b.Image) && slices.EqualFunc(a.Objects, b.Objects, close)
}

func differences(a, b []float32) func(yield func(float64) bool) {
	return func(yield func(float64) bool) {
		for i := range a {
			if !yield(math.Abs(float64(a[i]) - float64(b[i]))) {
				return
			}
		}
	}
}

func TestVectorsHaveTheirPlaces(t *testing.T) {
	be := openBackend(t, backend.Go)
	folder := nano(t)
	for _, pooling := range []Pooling{Box, Mask, Crop} {
		encoder := open(t, be, folder, Options{Pooling: pooling})
		all := requests(t, 8)
		for i, v := range embed(t, encoder, all...) {
			if len(v.Objects) != len(all[i].Objects) || len(v.Image) != encoder.Dim() {
				t.Fatalf("%s: picture %d has %d vectors for %d objects, its own has %d numbers", pooling, i, len(v.Objects), len(all[i].Objects), len(v.Image))
			}
			for j, vector := range append(v.Objects, v.Image) {
				if outside := j == 1 && j < len(v.Objects); (vector == nil) != outside {
					t.Errorf("%s: object %d of picture %d: %v", pooling, j, i, vector)
				} else if norm := dot(vector, vector); !outside && math.Abs(norm-1) > 1e-5 {
					t.Errorf("%s: object %d of picture %d has norm %v", pooling, j, i, norm)
				}
			}
		}
	}
}

// An object of the whole picture is the mean of all patches; a mask counts where
// masks are asked for; raw vectors keep their length.
func TestPoolings(t *testing.T) {
	be := openBackend(t, backend.Go)
	folder := nano(t)
	picture := photo(t)
	left := &pipeline.Mask{Polygons: [][]float32{{0, 0, 20, 0, 20, 47, 0, 47}}}
	request := pixels.Request{Picture: picture, Objects: []pixels.Region{box(0, 0, 61, 47), {Box: box(0, 0, 61, 47).Box, Mask: left}, box(0, 0, 20, 47)}}
	byBox := embed(t, open(t, be, folder, Options{Pooling: Box}), request)[0].Objects
	byMask := embed(t, open(t, be, folder, Options{Pooling: Mask}), request)[0].Objects
	if d := dot(byBox[0], byBox[1]); math.Abs(d-1) > 1e-6 {
		t.Errorf("with boxes a mask counts: cosine %v", d)
	}
	if d := dot(byMask[1], byMask[2]); math.Abs(d-1) > 1e-5 {
		t.Errorf("a mask and a box of the same place have cosine %v", d)
	}
	if d := dot(byMask[0], byMask[1]); d > 0.9999 {
		t.Errorf("with masks a mask does not count: cosine %v", d)
	}
	raw := embed(t, open(t, be, folder, Options{Raw: true}), request)[0].Objects
	if norm := math.Sqrt(dot(raw[0], raw[0])); math.Abs(norm-1) < 1e-3 || math.Abs(dot(raw[0], byBox[0])/norm-1) > 1e-5 {
		t.Errorf("a raw vector has norm %v", norm)
	}
	early := embed(t, open(t, be, folder, Options{Layer: 1}), request)[0].Objects
	if d := dot(early[0], byBox[0]); d > 0.999 {
		t.Errorf("one layer gives the vectors of all: cosine %v", d)
	}
	// The crop of the whole picture is the picture; that of a part is not.
	cropped := embed(t, open(t, be, folder, Options{Pooling: Crop}), request)[0]
	if d := dot(cropped.Image, cropped.Objects[0]); math.Abs(d-1) > 1e-6 {
		t.Errorf("the crop of everything has cosine %v with the picture", d)
	}
	if d := dot(cropped.Image, cropped.Objects[2]); d > 0.9999 {
		t.Errorf("a crop has the picture's vector: cosine %v", d)
	}
}

func TestAroundIsASquareWithAMargin(t *testing.T) {
	p := &pixels.Picture{Width: 100, Height: 60}
	for _, c := range []struct {
		box  pixels.Region
		want part
	}{
		{box(40, 20, 50, 25), part{39, 16, 51, 28}},   // 10 + 2 x 1 wide
		{box(0, 0, 10, 10), part{0, 0, 12, 12}},       // moved away from the border
		{box(95, 50, 120, 80), part{88, 48, 100, 60}}, // what is outside does not count
		{box(0, 0, 100, 60), part{0, 0, 100, 60}},
		{box(50.2, 30.2, 50.4, 30.4), part{49, 29, 50, 30}}, // less than a pixel
	} {
		got, ok := around(c.box.Box, p)
		if !ok || got != c.want {
			t.Errorf("around %v: %v, %v, want %v", c.box.Box, got, ok, c.want)
		}
	}
	if _, ok := around(pipeline.Box{X1: 100, Y1: 0, X2: 110, Y2: 9}, p); ok {
		t.Error("a box beside the picture has a crop")
	}
}

func TestProjectionMakesOneSpace(t *testing.T) {
	be := openBackend(t, backend.Go)
	encoder := open(t, be, filepath.Join("testdata", "clip_projected"), Options{Project: true, Size: 64})
	got := embed(t, encoder, requests(t, 3)[2])[0]
	if encoder.Dim() != 12 || len(got.Image) != 12 || len(got.Objects[0]) != 12 {
		t.Errorf("%d numbers, the picture's vector has %d", encoder.Dim(), len(got.Image))
	}
	if !strings.Contains(encoder.Name(), "64 x 64 pixels") {
		t.Error(encoder.Name())
	}
}

func TestDigestKnowsWhatDecidesVectors(t *testing.T) {
	be := openBackend(t, backend.Go)
	folder := nano(t)
	seen := map[string]string{}
	for name, options := range map[string]Options{
		"default": {}, "mask": {Pooling: Mask}, "crop": {Pooling: Crop}, "processor": {Fit: pixels.Cropped}, "size": {Size: 140}, "layer": {Layer: 1}, "raw": {Raw: true},
	} {
		digest := open(t, be, folder, options).Digest()
		if other, taken := seen[digest]; taken || len(digest) != 64 {
			t.Errorf("%s has the digest of %s: %s", name, other, digest)
		}
		seen[digest] = name
	}
	if seen[open(t, be, folder, Options{Batch: 3, Layer: 3, Pooling: Box}).Digest()] != "default" {
		t.Error("the batch or what is the default anyway changes the digest")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	be := openBackend(t, backend.Go)
	_, err := Open(be, nano(t), Options{Pooling: "cls", Layer: 4, Batch: -1, Project: true})
	for _, want := range []string{`pooling "cls"`, "layer 4: the model has 3", "batch of -1", "no projection"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := Open(be, nano(t), Options{Size: 13}); err == nil || !strings.Contains(err.Error(), "has no patch of 14") {
		t.Error(err)
	}
	if _, err := Open(be, nano(t), Options{Fit: "squash"}); err == nil || !strings.Contains(err.Error(), `fit "squash"`) {
		t.Error(err)
	}
}

func TestEmbedRefusesAndStops(t *testing.T) {
	be := openBackend(t, backend.Go)
	encoder := open(t, be, nano(t), Options{Pooling: Mask, Batch: 1})
	if !encoder.Random() || !strings.HasSuffix(encoder.Name(), "random weights") {
		t.Errorf("random weights are not named: %s", encoder.Name())
	}
	if got := embed(t, encoder); len(got) != 0 {
		t.Errorf("no requests gave %v", got)
	}
	bad := &pipeline.Mask{Counts: []uint32{4}, Width: 3, Height: 3}
	for want, request := range map[string]pixels.Request{
		"request 1 has no picture": {},
		"request 1, object 0":      {Picture: photo(t), Objects: []pixels.Region{{Mask: bad}}},
		"request 1":                {Picture: &pixels.Picture{Width: 5, Height: 5, RGB: make([]uint8, 3)}},
	} {
		if _, err := encoder.Embed(context.Background(), append(requests(t, 1), request)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("enough"))
	if _, err := encoder.Embed(ctx, requests(t, 9)); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("a cancelled run gave %v", err)
	}
	if err := encoder.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := encoder.Embed(context.Background(), requests(t, 1)); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a closed encoder gave %v", err)
	}
}
