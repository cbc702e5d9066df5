package ofds_test

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/ofdstest"
	"github.com/curate-data/curate/pipeline"
)

func newPool(t *testing.T, source pipeline.ImageSource, opt ofds.PoolOptions) *ofds.Pool {
	t.Helper()
	pool, err := ofds.NewPool(context.Background(), source, opt)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// object has a box of its own: number n of a grid.
func object(id, class string, score float32, n int, vector ...float32) pipeline.Object {
	x, y := float32(n%10)*20, float32(n/10)*20
	return pipeline.Object{ID: id, Class: class, Score: score, Box: pipeline.Box{X1: x, Y1: y, X2: x + 10, Y2: y + 10}, Vector: vector}
}

func image(id string, row int64, objects ...pipeline.Object) *pipeline.Image {
	return &pipeline.Image{RowID: pipeline.RowID{Shard: "s", Row: row}, ID: id, Width: 200, Height: 200, Objects: objects}
}

func TestPoolIsSortedAndCountsWhatItLeavesOut(t *testing.T) {
	nan := float32(math.NaN())
	with := func(o pipeline.Object, change func(*pipeline.Object)) pipeline.Object { change(&o); return o }
	source := ofdstest.Slice{
		image("b", 0,
			object("2", "cat", .9, 0, 3, 4),
			object("1", "dog", .5, 1, 0, 2),
			with(object("3", "cat", .8, 0, 1, 0), func(o *pipeline.Object) { o.Box.X2++ }), // overlaps the first
			with(object("4", "dog", .8, 0, 1, 0), func(o *pipeline.Object) { o.Box.X2++ }), // is of another class
			object("5", "cat", .29, 2, 1, 0),
			object("6", "cat", nan, 2, 1, 0),
			object("7", "", 1, 2, 1, 0),
			object("8", "bird", 1, 2, 1, 0),
			with(object("9", "cat", 1, 2, 1, 0), func(o *pipeline.Object) { o.Ignore = true }),
		),
		image("a", 1,
			object("1", "cat", 1, 0, 1, nan),
			object("2", "cat", 1, 1, 0, 0),
			object("3", "cat", 1, 2, 1, 2, 3),
			object("4", "cat", 1, 3),
			with(object("5", "cat", 1, 4, 1, 0), func(o *pipeline.Object) { o.Box.X1, o.Box.X2 = 300, 310 }),
			with(object("6", "cat", 1, 5, 1, 0), func(o *pipeline.Object) { o.Box.Y2 = nan }),
			with(object("7", "cat", 1, 6, 1, 0), func(o *pipeline.Object) { o.Box.X2 = o.Box.X1 + 1 }),
			with(object("8", "cat", 1, 7, -1, 0), func(o *pipeline.Object) { o.Box.X1, o.Box.X2 = 190, 230 }),
		),
		image("c", 2),
	}
	pool := newPool(t, source, ofds.PoolOptions{Classes: []string{"zebra", "dog", "cat"}, MinBoxPixels: 3})
	var got []string
	for i, o := range pool.Objects {
		v := pool.Vectors.Row(i)
		if n := math.Hypot(float64(v[0]), float64(v[1])); math.Abs(n-1) > 1e-6 {
			t.Errorf("object %d has length %v", i, n)
		}
		got = append(got, pool.Images[o.Image].ID+o.ID+pool.Classes[o.Class])
	}
	if diff := cmp.Diff([]string{"a8cat", "b1dog", "b2cat", "b4dog"}, got); diff != "" {
		t.Errorf("objects: %s", diff)
	}
	if pool.Objects[0].Box.X2 != 200 || pool.Objects[0].Area != 100 {
		t.Errorf("a box across the border is %+v", pool.Objects[0])
	}
	if diff := cmp.Diff([]string{"cat", "dog", "zebra"}, pool.Classes); diff != "" {
		t.Errorf("classes: %s", diff)
	}
	want := map[ofds.Filter]int64{
		ofds.Duplicate: 1, ofds.LowScore: 1, ofds.NaNScore: 1, ofds.NoClass: 1, ofds.OtherClass: 1, ofds.Ignored: 1,
		ofds.NaNVector: 1, ofds.ZeroVector: 1, ofds.RaggedVector: 1, ofds.NullVector: 1, ofds.EmptyBox: 2, ofds.SmallBox: 1,
	}
	if diff := cmp.Diff(want, pool.Filtered); diff != "" {
		t.Errorf("filtered: %s", diff)
	}
	for i, want := range [][2]int32{{0, 1}, {1, 4}, {4, 4}} {
		if got := [2]int32{pool.Images[i].First, pool.Images[i].End}; got != want {
			t.Errorf("image %d has objects %v, want %v", i, got, want)
		}
	}
}

func TestDuplicatesKeepTheHigherScoreThenTheLowerID(t *testing.T) {
	for name, c := range map[string]struct {
		a, b float32
		want string
	}{"score": {.5, .9, "b"}, "tie": {.9, .9, "a"}} {
		pool := newPool(t, ofdstest.Slice{image("i", 0, object("b", "cat", c.b, 0, 1), object("a", "cat", c.a, 0, 1))}, ofds.PoolOptions{})
		if len(pool.Objects) != 1 || pool.Objects[0].ID != c.want {
			t.Errorf("%s: kept %+v, want %s", name, pool.Objects, c.want)
		}
	}
}

// What a duplicate overlaps is no duplicate, since the duplicate is gone.
func TestDuplicatesOfDuplicatesStay(t *testing.T) {
	var im = image("i", 0)
	for i := range 3 {
		o := object(fmt.Sprint(i), "cat", .9-.1*float32(i), 0, 1)
		o.Box = pipeline.Box{X1: float32(2 * i), Y1: 0, X2: float32(2*i + 20), Y2: 20}
		im.Objects = append(im.Objects, o)
	}
	pool := newPool(t, ofdstest.Slice{im}, ofds.PoolOptions{}) // neighbours overlap by .82, the ends by .67
	if len(pool.Objects) != 2 || pool.Objects[1].ID != "2" {
		t.Errorf("kept %+v", pool.Objects)
	}
}

func TestLimitsAndDimensionsAtTheEdge(t *testing.T) {
	im := image("i", 0, object("1", "cat", .3, 0, 1, 2), object("2", "cat", .9, 1, 1, 2, 3), object("3", "dog", .1, 2, 1, 2), object("4", "dog", 1, 3, 1, 2, 3))
	pool := newPool(t, ofdstest.Slice{im}, ofds.PoolOptions{ClassScoreMin: map[string]float32{"dog": .1}, MinBoxPixels: 10, MinAreaFraction: .0025})
	if len(pool.Objects) != 2 || pool.Vectors.Dim != 2 || pool.Filtered[ofds.RaggedVector] != 2 {
		t.Errorf("kept %+v with vectors of dimension %d, filtered %v: want those of the smaller dimension, of two that are equally common", pool.Objects, pool.Vectors.Dim, pool.Filtered)
	}
}

func TestPoolDoesNotDependOnTheOrderOfImages(t *testing.T) {
	config := ofdstest.Default(1.6, 3)
	config.Images = 300
	synthetic := ofdstest.New(config)
	for _, normalize := range []string{"l2", "none", "zscore_per_class"} {
		opt := ofds.PoolOptions{Normalize: normalize}
		want := newPool(t, synthetic, opt)
		if len(want.Objects) == 0 || want.ImageVectors.Rows() != 300 {
			t.Fatalf("%d objects, %d image vectors", len(want.Objects), want.ImageVectors.Rows())
		}
		for seed := range uint64(3) {
			if got := newPool(t, synthetic.Shuffled(seed), opt); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: the pool of shuffled images differs", normalize)
			}
		}
	}
}

func TestZScoreMakesEveryClassComparable(t *testing.T) {
	pool := newPool(t, ofdstest.Slice{image("i", 0,
		object("1", "cat", 1, 0, 10, 5), object("2", "cat", 1, 1, 30, 5), object("3", "dog", 1, 2, 7, 8))},
		ofds.PoolOptions{Normalize: "zscore_per_class"})
	if diff := cmp.Diff([]float32{-1, 0, 1, 0, 0, 0}, pool.Vectors.Data); diff != "" {
		t.Error(diff)
	}
}

func TestPoolsWithoutVectors(t *testing.T) {
	pool := newPool(t, ofdstest.Slice{image("i", 0, object("1", "cat", 1, 0), object("2", "cat", 1, 1))}, ofds.PoolOptions{})
	if len(pool.Objects) != 2 || pool.Vectors.Rows() != 0 || len(pool.Filtered) != 0 {
		t.Errorf("%d objects, %d vectors, filtered %v", len(pool.Objects), pool.Vectors.Rows(), pool.Filtered)
	}
	one := image("i", 0)
	one.Vector = []float32{3, 4}
	pool = newPool(t, ofdstest.Slice{one, image("j", 1)}, ofds.PoolOptions{})
	if pool.ImageVectors.Rows() != 0 || pool.ImageFaults[ofds.NullVector] != 1 {
		t.Errorf("image vectors %v, faults %v", pool.ImageVectors, pool.ImageFaults)
	}
}

func TestPoolErrors(t *testing.T) {
	twice := ofdstest.Slice{image("same", 5), image("other", 6), image("same", 2)}
	nan := float32(math.NaN())
	for _, c := range []struct {
		source pipeline.ImageSource
		opt    ofds.PoolOptions
		want   []string
	}{
		{twice, ofds.PoolOptions{}, []string{`"same"`, "row 2", "row 5"}},
		{ofdstest.Slice{image("", 4)}, ofds.PoolOptions{}, []string{"row 4", "no ID"}},
		{ofdstest.Slice{}, ofds.PoolOptions{
			Classes: []string{"a", "a", ""}, ScoreMin: nan, MinBoxPixels: -1, MinAreaFraction: 1, DuplicateIoU: 2, Normalize: "l1",
			ClassScoreMin: map[string]float32{"b": 0},
		}, []string{"empty name", `"a" twice`, "score_min", "min_box_px", "min_area_fraction", "duplicate_iou", `"l1"`, `"b"`}},
	} {
		_, err := ofds.NewPool(context.Background(), c.source, c.opt)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %s in it", err, want)
			}
		}
	}
}

func TestPoolStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ofds.NewPool(ctx, ofdstest.Slice{image("i", 0)}, ofds.PoolOptions{}); err == nil {
		t.Error("no error")
	}
}
