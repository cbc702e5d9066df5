package images_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards/images"
	"github.com/curate-data/curate/shards/local"
)

// number is a float of truth.json, where those that are not finite are strings.
type number float32

func (n *number) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	f, err := strconv.ParseFloat(text, 64)
	*n = number(f)
	return err
}

// trueObject and trueImage are what truth.json says of an object and an image.
type trueObject struct {
	ID, Class, Source string
	Score, Area       number
	Box               [4]number
	Ignore            bool
	Vector            []number
}

type trueImage struct {
	ID, URI, Group string
	Row            *int64 // its place in the file if nil
	Width, Height  int
	Vector         []number
	Objects        []trueObject
	Data           []byte
}

// reading is how a file is to be read, and what of it there must be.
type reading struct {
	Same    string // the file that it is a reading of
	Options images.Options
	Side    string
	Images  []trueImage
	Error   []string
}

func numbers(list []number) []float32 {
	if list == nil {
		return nil
	}
	out := make([]float32, len(list))
	for i, n := range list {
		out[i] = float32(n)
	}
	return out
}

func (i trueImage) image(shard string, at int) *pipeline.Image {
	img := &pipeline.Image{
		RowID: pipeline.RowID{Shard: shard, Row: int64(at)}, ID: i.ID, URI: i.URI, Group: i.Group,
		Width: i.Width, Height: i.Height, Vector: numbers(i.Vector), Data: i.Data,
	}
	if i.Row != nil {
		img.Row = *i.Row
		if len(i.Objects) > 1 { // the flat form
			img.Rows = int64(len(i.Objects))
		}
	}
	for _, o := range i.Objects {
		img.Objects = append(img.Objects, pipeline.Object{
			ID: o.ID, Class: o.Class, Score: float32(o.Score), Area: float32(o.Area), Source: o.Source, Ignore: o.Ignore, Vector: numbers(o.Vector),
			Box: pipeline.Box{X1: float32(o.Box[0]), Y1: float32(o.Box[1]), X2: float32(o.Box[2]), Y2: float32(o.Box[3])},
		})
	}
	return img
}

// sameFloats compares floats by their bits, but for what a NaN holds.
var sameFloats = cmp.Comparer(func(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
})

func loadTruth(t testing.TB) map[string]reading {
	t.Helper()
	b, err := os.ReadFile("testdata/truth.json")
	if err != nil {
		t.Fatal(err)
	}
	var truth map[string]reading
	if err := json.Unmarshal(b, &truth); err != nil {
		t.Fatal(err)
	}
	return truth
}

// TestTruth reads the files of scripts/golden/make_images.py, which has written
// what is in them.
func TestTruth(t *testing.T) {
	truth := loadTruth(t)
	for name, want := range truth {
		if want.Same != "" {
			want = truth[want.Same]
		}
		t.Run(name, func(t *testing.T) {
			file, _, _ := strings.Cut(name, "#")
			if want.Side != "" {
				want.Options.Vectors = openMatrix(t, want.Side)
			}
			got, err := readAll(t, filepath.Join("testdata", file), want.Options)
			if want.Error != nil {
				for _, part := range append([]string{"shard " + file}, want.Error...) {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("error %v, want it to say %q", err, part)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var all []*pipeline.Image
			for i, img := range want.Images {
				all = append(all, img.image(file, i))
			}
			if diff := cmp.Diff(all, got, sameFloats); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func openMatrix(t testing.TB, name string) *images.Matrix {
	t.Helper()
	ctx := context.Background()
	store, name, err := local.Locate(ctx, filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	obj, err := store.Open(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { obj.Close() })
	m, err := images.OpenMatrix(obj)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
