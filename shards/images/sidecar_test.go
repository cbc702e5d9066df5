package images_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/images"
)

// madeImages returns images with everything that a sidecar keeps, and some of it
// missing here and there.
func madeImages(n, dim int) []*pipeline.Image {
	r := rand.New(rand.NewPCG(1, 2))
	vector := func() []float32 {
		if r.IntN(5) == 0 {
			return nil
		}
		v := make([]float32, dim)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return v
	}
	var all []*pipeline.Image
	for i := range n {
		img := &pipeline.Image{
			RowID: pipeline.RowID{Shard: fmt.Sprintf("in/%d.tar", i/100), Row: int64(3 * i)}, ID: fmt.Sprint("i", i),
			Rows: []int64{0, 2, 3}[i%3], Reason: []pipeline.Reason{"", "broken_image"}[i%2],
			Group: []string{"", "a", "b"}[i%3], Width: 640 * (i % 2), Height: 480 * (i % 2), Vector: vector(),
		}
		if i%4 == 0 {
			img.Unlabelled = []string{"owl", "rail"}
		}
		for k := range r.IntN(6) {
			img.Objects = append(img.Objects, pipeline.Object{
				ID: fmt.Sprint(k), Class: []string{"car", "owl"}[r.IntN(2)], Score: r.Float32(), Area: float32(r.IntN(3)), Source: []string{"", "x"}[k%2], Ignore: k%3 == 0,
				Box: pipeline.Box{X1: r.Float32(), Y1: r.Float32(), X2: 1 + r.Float32(), Y2: 1 + r.Float32()}, Vector: vector(),
			})
		}
		all = append(all, img)
	}
	all[1].Objects = []pipeline.Object{{ID: "0", Class: "nan", Score: float32(math.NaN()), Vector: slices.Repeat([]float32{float32(math.NaN())}, dim)}}
	return all
}

func writeSidecar(t testing.TB, all []*pipeline.Image, e images.Encoder) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := images.NewSidecarWriter(&b, e)
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range all {
		if err := w.Write(img); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSidecarIsRead writes sidecars of both precisions and reads them back.
func TestSidecarIsRead(t *testing.T) {
	const dim = 37
	for _, kind := range []images.Precision{images.Float32, images.Float16} {
		t.Run(string(kind), func(t *testing.T) {
			all := madeImages(400, dim)
			e := images.Encoder{Name: "dinov2:sha256:00ff box", Dim: dim, Type: kind}
			first := writeSidecar(t, all, e)
			if !bytes.Equal(first, writeSidecar(t, all, e)) {
				t.Error("the same images give other bytes")
			}
			file := filepath.Join(t.TempDir(), "unit.vec.parquet")
			if err := os.WriteFile(file, first, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := images.Open(context.Background(), inputOf(t, file), images.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if r.Encoder() != e {
				t.Errorf("encoder %+v, want %+v", r.Encoder(), e)
			}
			var got []*pipeline.Image
			for img, err := range r.Images(context.Background()) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, img)
			}
			near := sameFloats
			if kind == images.Float16 {
				near = cmp.Comparer(func(a, b float32) bool {
					d := math.Abs(float64(a) - float64(b))
					return a != a && b != b || d <= math.Abs(float64(a))/2048 || d <= 1.0/(1<<25)
				})
			}
			if diff := cmp.Diff(all, got, near); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSidecarRefuses checks what a sidecar cannot hold.
func TestSidecarRefuses(t *testing.T) {
	good := pipeline.Image{RowID: pipeline.RowID{Shard: "s", Row: 4}, ID: "a", Vector: []float32{1, 2}}
	e := images.Encoder{Name: "x", Dim: 2, Type: images.Float16}
	for name, c := range map[string]struct {
		change func(img *pipeline.Image)
		want   string
	}{
		"order":  {func(img *pipeline.Image) { img.Row = 3 }, "row 3 of s: it comes after row 4 of s"},
		"again":  {func(img *pipeline.Image) {}, "it comes after row 4"},
		"vector": {func(img *pipeline.Image) { img.Row, img.Vector = 5, []float32{1} }, "a vector of 1 numbers, want 2"},
		"object": {func(img *pipeline.Image) { img.Row, img.Objects = 5, []pipeline.Object{{}, {Vector: []float32{}}} }, "object 1: a vector of 0 numbers"},
		"large":  {func(img *pipeline.Image) { img.Row, img.Vector = 5, []float32{1, 70000} }, "70000 is too large for f16: use f32"},
		"id":     {func(img *pipeline.Image) { img.Row, img.ID = 5, "" }, "want both names and a size"},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := images.NewSidecarWriter(&bytes.Buffer{}, e)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Write(&good); err != nil {
				t.Fatal(err)
			}
			bad := good
			c.change(&bad)
			if err := w.Write(&bad); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	for _, e := range []images.Encoder{{Dim: 1, Type: images.Float32}, {Name: "a", Type: images.Float32}, {Name: "a", Dim: 3}} {
		if _, err := images.NewSidecarWriter(&bytes.Buffer{}, e); err == nil {
			t.Errorf("%+v: no error", e)
		}
	}
	if b := writeSidecar(t, nil, e); len(b) > 0 {
		t.Errorf("%d bytes of no images", len(b))
	}
}

// TestSidecarEqualsPyarrow has pyarrow and DuckDB read a sidecar, where
// CURATE_PYTHON names a Python that has both.
func TestSidecarEqualsPyarrow(t *testing.T) {
	python := os.Getenv("CURATE_PYTHON")
	if python == "" {
		t.Skip("set CURATE_PYTHON to a Python with pyarrow and duckdb")
	}
	for _, kind := range []images.Precision{images.Float32, images.Float16} {
		dir := t.TempDir()
		all := madeImages(300, 5)
		file, list := filepath.Join(dir, "v.parquet"), filepath.Join(dir, "v.json")
		text, err := json.Marshal(plainRows(all))
		if err != nil {
			t.Fatal(err)
		}
		side := writeSidecar(t, all, images.Encoder{Name: "x", Dim: 5, Type: kind})
		if err := os.WriteFile(file, side, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(list, text, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, "../../scripts/golden/compare_vectors.py", file, list, string(kind)).CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		t.Logf("%s: %s", kind, out)
	}
}

// plainRows returns images as JSON that Python reads without losing bits: floats
// are their bits.
func plainRows(all []*pipeline.Image) []map[string]any {
	bits := func(v []float32) any {
		if v == nil {
			return nil
		}
		var b []byte
		for _, f := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
		}
		return b
	}
	null := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	var rows []map[string]any
	for _, img := range all {
		objects := []map[string]any{}
		for _, o := range img.Objects {
			objects = append(objects, map[string]any{
				"id": o.ID, "class": o.Class, "numbers": bits([]float32{o.Score, o.Box.X1, o.Box.Y1, o.Box.X2, o.Box.Y2}), "area": o.Area,
				"source": null(o.Source), "ignore": o.Ignore, "vec": bits(o.Vector),
			})
		}
		rows = append(rows, map[string]any{
			"shard": img.Shard, "row": img.Row, "image_id": img.ID, "group": null(img.Group), "width": img.Width, "height": img.Height,
			"vec": bits(img.Vector), "unlabelled": img.Unlabelled, "objects": objects, "rows": img.Rows, "reason": null(string(img.Reason)),
		})
	}
	return rows
}

// TestSidecarGroupsAreBounded checks that row groups end.
func TestSidecarGroupsAreBounded(t *testing.T) {
	vector := make([]float32, 1<<20)
	var all []*pipeline.Image
	for i := range 10 {
		all = append(all, &pipeline.Image{RowID: pipeline.RowID{Shard: "s", Row: int64(i)}, ID: "a", Vector: vector})
	}
	file := filepath.Join(t.TempDir(), "v.parquet")
	if err := os.WriteFile(file, writeSidecar(t, all, images.Encoder{Name: "x", Dim: len(vector), Type: images.Float32}), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := shards.Open(context.Background(), inputOf(t, file))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := s.NumRowGroups(); n != 2 {
		t.Errorf("%d row groups for 40 MB", n)
	}
}
