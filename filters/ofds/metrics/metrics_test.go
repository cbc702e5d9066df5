package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// planted is a pool of images with one object each, in well separated groups:
// group g of class c lies at (10 c, 10 g), and has the given number of objects.
func planted(groups ...[]int) *ofds.Pool {
	random := rand.New(rand.NewPCG(3, 4))
	p := &ofds.Pool{Vectors: kmeans.Matrix{Dim: 2}}
	for c, sizes := range groups {
		p.Classes = append(p.Classes, fmt.Sprintf("class-%d", c))
		for g, n := range sizes {
			for range n {
				at := int32(len(p.Images))
				p.Images = append(p.Images, ofds.Image{ID: fmt.Sprintf("image-%04d", at), First: at, End: at + 1})
				p.Objects = append(p.Objects, ofds.Object{Image: at, Class: int32(c), Score: 1, ID: "0"})
				p.Vectors.Data = append(p.Vectors.Data,
					float32(10*c)+random.Float32(), float32(10*g)+random.Float32())
			}
		}
	}
	return p
}

func measure(t *testing.T, p *ofds.Pool, opt Options, images ...int32) *Metrics {
	t.Helper()
	e, err := New(t.Context(), p, opt)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Measure(t.Context(), Chosen{Images: images})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Four groups of 8 objects have sqrt(32/2) = 4 clusters: k-means finds the
// groups, and one object of each of two groups hits half of them.
func TestClustersAreFound(t *testing.T) {
	p := planted([]int{8, 8, 8, 8}, []int{2})
	for seed := range uint64(5) {
		m := measure(t, p, Options{Seed: seed}, 0, 1, 9)
		class := m.Proposals.Classes[0]
		if class.Modes != 4 || class.ModesHit != 2 || class.ModeRecall != 0.5 {
			t.Errorf("seed %d: %d of %d clusters hit", seed, class.ModesHit, class.Modes)
		}
		if one := m.Proposals.Classes[1]; one.Modes != 1 || one.ModesHit != 0 || !one.Missed {
			t.Errorf("seed %d: missed class %+v", seed, one)
		}
	}
}

func TestClustersDifferFromTheSelections(t *testing.T) {
	if hash(7, "clusters of metrics", "a") == hash(7, "a") || hash(7, "x", "yz") == hash(7, "xy", "z") || hash(7, "a") == hash(8, "a") {
		t.Error("two seeds are the same")
	}
}

// A sample holds the same objects wherever they stand in the pool, and samples
// of a larger size hold those of a smaller one.
func TestSample(t *testing.T) {
	p := planted([]int{300})
	ids := func(p *ofds.Pool, most int) []string {
		e, err := New(t.Context(), p, Options{Sample: most, Seed: 5})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, row := range e.classes[0].sample {
			ids = append(ids, p.Images[p.Objects[row].Image].ID)
		}
		slices.Sort(ids)
		return ids
	}
	small, large := ids(p, 20), ids(p, 60)
	if len(small) != 20 || len(large) != 60 || len(ids(p, 300)) != 300 || len(ids(p, -1)) != 300 {
		t.Fatalf("samples of %d and %d", len(small), len(large))
	}
	for _, id := range small {
		if !slices.Contains(large, id) {
			t.Errorf("%s is in the sample of 20 and not in that of 60", id)
		}
	}
	q := planted([]int{300})
	slices.Reverse(q.Images)
	for i := range q.Images {
		q.Images[i].First, q.Images[i].End = int32(i), int32(i+1)
	}
	if diff := cmp.Diff(small, ids(q, 20)); diff != "" {
		t.Error(diff)
	}
	if m := measure(t, p, Options{Sample: 20}, 0, 1, 2); m.Proposals.Classes[0].Sampled != 20 || m.Proposals.Classes[0].Objects != 300 {
		t.Errorf("sampled %+v", m.Proposals.Classes[0])
	}
}

func TestWorkersChangeNothing(t *testing.T) {
	p := planted([]int{40, 30, 2}, []int{9, 9})
	var images []int32
	for i := int32(0); i < 90; i += 3 {
		images = append(images, i)
	}
	want := measure(t, p, Options{Workers: 1}, images...)
	for _, workers := range []int{0, 2, 8} {
		if diff := cmp.Diff(text(t, want), text(t, measure(t, p, Options{Workers: workers}, images...))); diff != "" {
			t.Errorf("%d workers: %s", workers, diff)
		}
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestBins(t *testing.T) {
	images := func(counts ...int64) []classOf {
		classes := make([]classOf, len(counts))
		for i, n := range counts {
			classes[i] = classOf{objects: make([]int32, n), images: n}
		}
		return classes
	}
	for _, test := range []struct {
		counts    []int64
		rule      string
		used, bin string
	}{
		{[]int64{9, 10, 99, 100, 0}, "", LVIS, "rare common common frequent "},
		{[]int64{10, 99, 100}, "", Terciles, "rare common frequent"},
		{[]int64{10, 99, 100}, LVIS, LVIS, "common common frequent"},
		{[]int64{5, 1, 3, 2, 4, 0, 6}, Terciles, Terciles, "frequent rare common rare common  frequent"},
		{[]int64{0, 0}, "", Terciles, " "},
		{[]int64{50}, "", Terciles, "rare"},
	} {
		classes := images(test.counts...)
		used := binned(classes, test.rule)
		var bins []string
		for _, c := range classes {
			bins = append(bins, string(c.bin))
		}
		if got := strings.Join(bins, " "); used != test.used || got != test.bin {
			t.Errorf("%v by %q: %s %q, want %s %q", test.counts, test.rule, used, got, test.used, test.bin)
		}
	}
}

func TestNumber(t *testing.T) {
	in := []Number{1.5, missing(), Number(math.Inf(1)), 0}
	if got := text(t, in); got != "[1.5,null,null,0]" {
		t.Errorf("wrote %s", got)
	}
	var out []Number
	if err := json.Unmarshal([]byte("[1.5,null]"), &out); err != nil || out[0] != 1.5 || out[1].Exists() {
		t.Errorf("read %v, %v", out, err)
	}
}

func TestBadInput(t *testing.T) {
	p := planted([]int{3})
	for _, test := range []struct {
		opt  Options
		want string
	}{
		{Options{Bins: "quartiles"}, `bins "quartiles": want lvis or terciles`},
		{Options{Clusters: -1}, "clusters -1"},
		{Options{Modes: []int32{1}}, "modes of 1 objects, but the pool has 3"},
		{Options{MatchIoU: 2}, "IoU 2"},
		{Options{NearDuplicate: math.NaN()}, "distance NaN"},
		{Options{ImageCost: -1}, "costs -1 per image"},
		{Options{Deltas: []float64{math.Inf(1)}}, "coverage distance +Inf"},
		{Options{Truth: p, TruthModes: []int32{1}}, "true objects: options of metrics: modes of 1"},
	} {
		if _, err := New(t.Context(), p, test.opt); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
	short := planted([]int{3})
	short.Vectors.Data = short.Vectors.Data[:4]
	if _, err := New(t.Context(), short, Options{}); err == nil {
		t.Error("a pool with too few vectors was measured")
	}
	e, err := New(t.Context(), p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Chosen{
		"image 3 of a pool of 3":         {Images: []int32{3}},
		"image -1 of a pool of 3":        {Images: []int32{-1}},
		`"image-0001" is chosen twice`:   {Images: []int32{1, 0, 1}},
		"outcomes of 2 classes, but the": {Classes: make([]ofds.ClassOutcome, 2)},
	} {
		if _, err := e.Measure(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if _, err := e.Measure(t.Context(), Chosen{}, c); err == nil {
			t.Errorf("compared with %v", c)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(ctx, p, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
	if _, err := e.Measure(ctx, Chosen{Images: []int32{0, 1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

// firstImages chooses the images with the lowest indexes from one that the seed
// gives.
type firstImages struct{}

func (firstImages) Select(ctx context.Context, pool *ofds.Pool, budget int, seed uint64) (*ofds.Selection, error) {
	s := &ofds.Selection{}
	for i := int32(seed); len(s.Chosen) < budget && int(i) < len(pool.Images); i++ {
		o := pool.Images[i].First
		s.Chosen = append(s.Chosen, ofds.Choice{Image: i,
			Reason: ofds.Why{Kind: ofds.Coverage, Class: pool.Objects[o].Class, Object: o}})
	}
	return s, nil
}

type broken struct{}

func (broken) Select(context.Context, *ofds.Pool, int, uint64) (*ofds.Selection, error) {
	return nil, errors.New("no image vectors")
}

func TestCurves(t *testing.T) {
	p := planted([]int{10}, []int{30})
	e, err := New(t.Context(), p, Options{Bins: Terciles})
	if err != nil {
		t.Fatal(err)
	}
	curves, err := e.Curves(t.Context(), []Method{{"first", firstImages{}}, {"broken", broken{}}}, []int{4, 100}, []uint64{0, 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(curves) != 2 || len(curves[0].Points) != 2 || curves[0].Failed != "" {
		t.Fatalf("curves %+v", curves)
	}
	if c := curves[1]; c.Failed != "select 4 images: no image vectors" || len(c.Points) != 0 {
		t.Errorf("broken method: %+v", c)
	}
	four, all := curves[0].Points[0], curves[0].Points[1]
	if four.RareRecall != (Estimate{0.4, 0}) || four.ClassCoverage != (Estimate{0.5, 0}) || four.Images.Mean != 4 {
		t.Errorf("four images: %+v", four)
	}
	// All 40 images, and those from the third on, in which 8 of 10 rare objects are.
	if all.RareRecall.Mean != 0.9 || math.Abs(float64(all.RareRecall.Error)-0.1) > 1e-12 || all.Images.Mean != 39 {
		t.Errorf("all images: %+v", all)
	}
	single, err := e.Curves(t.Context(), []Method{{"first", firstImages{}}}, []int{4}, []uint64{0})
	if err != nil || single[0].Points[0].Recall.Error.Exists() {
		t.Errorf("one seed: %+v %v", single, err)
	}
	if s := text(t, single); strings.Contains(s, "NaN") {
		t.Error(s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Curves(ctx, []Method{{"broken", broken{}}}, []int{4}, []uint64{0}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

func TestMap(t *testing.T) {
	p := planted([]int{50, 50}, []int{4}, nil)
	e, err := New(t.Context(), p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := firstImages{}.Select(t.Context(), p, 102, 0)
	s.Chosen = append(s.Chosen[:3:3], s.Chosen[101])
	points, shown, err := e.Map(t.Context(), 0, s, 20)
	if err != nil {
		t.Fatal(err)
	}
	chosen := 0
	for _, point := range points {
		if point.Chosen != (point.Object < 3) || point.Representative != point.Chosen {
			t.Errorf("point %+v", point)
		}
		if point.Chosen {
			chosen++
		}
		// The groups lie 10 apart, so the first axis tells them apart.
		if first, second := points[0].X, point.X; (math.Abs(first-second) < 3) != (point.Object < 50) {
			t.Errorf("object %d at %v", point.Object, point.X)
		}
	}
	if len(points) != 22 || chosen != 3 || math.Abs(float64(shown)-1) > 1e-9 {
		t.Errorf("%d points, %d chosen, %v shown", len(points), chosen, shown)
	}
	if points, _, err := e.Map(t.Context(), 2, s, 20); len(points) != 0 || err != nil {
		t.Errorf("a class without objects: %v %v", points, err)
	}
	p.Vectors = kmeans.Matrix{}
	if _, _, err := e.Map(t.Context(), 0, s, 20); err == nil {
		t.Error("mapped without vectors")
	}
	if _, err := Project(kmeans.Matrix{Dim: 3}); err == nil {
		t.Error("projected nothing")
	}
}

// The figures of counts come from the truth where it is given; those of distances
// too, unless it has no vectors.
func TestCurvesOnTruth(t *testing.T) {
	p, truth := planted([]int{10}, []int{30}), planted([]int{10}, []int{30})
	for i := range truth.Objects { // all of one class
		truth.Objects[i].Class = 1
	}
	point := func() CurvePoint {
		e, err := New(t.Context(), p, Options{Bins: Terciles, Truth: truth})
		if err != nil {
			t.Fatal(err)
		}
		curves, err := e.Curves(t.Context(), []Method{{"first", firstImages{}}}, []int{4}, []uint64{0})
		if err != nil {
			t.Fatal(err)
		}
		return curves[0].Points[0]
	}
	with := point()
	truth.Vectors = kmeans.Matrix{}
	without := point()
	if with.RareRecall.Mean != 0.1 || without.RareRecall.Mean != 0.1 {
		t.Errorf("recall %v and %v, want 4 of 40", with.RareRecall, without.RareRecall)
	}
	if on := measure(t, p, Options{}, 0, 1, 2, 3).Proposals.Overall.CoverP95; without.CoverP95.Mean != on || with.CoverP95.Mean == on {
		t.Errorf("cover %v on truth, %v without its vectors, want %v", with.CoverP95, without.CoverP95, on)
	}
}

// The fast way to compare all pairs finds what comparing them one by one does,
// also where there are exact duplicates and distances at the limit.
func TestAlikeIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 9))
	points := kmeans.NewMatrix(400, 24)
	for i := range points.Data {
		points.Data[i] = 100 + random.Float32() // far from 0, where rounding is coarse
	}
	for i := 0; i < 40; i += 2 {
		copy(points.Row(i), points.Row(i+1))
	}
	for i := 40; i < 80; i += 2 { // just below and just above the limit
		copy(points.Row(i), points.Row(i+1))
		points.Row(i)[0] += float32(0.5 + 0.001*float64(i%4-1))
	}
	e := &Evaluator{opt: Options{NearDuplicate: 0.5}}
	nearest, pairs, err := e.alike(t.Context(), points)
	if err != nil {
		t.Fatal(err)
	}
	var want int64
	for i := range 400 {
		least := math.Inf(1)
		for j := range 400 {
			if j == i {
				continue
			}
			d := squared(points.Row(i), points.Row(j))
			least = min(least, d)
			if j > i && d < 0.25 {
				want++
			}
		}
		if nearest[i] != math.Sqrt(least) {
			t.Errorf("point %d: %v, want %v", i, nearest[i], math.Sqrt(least))
		}
	}
	if pairs != want || want < 21 || want > 39 {
		t.Errorf("%d pairs, want %d", pairs, want)
	}
	e.opt.Product = failing{}
	if _, _, err := e.alike(t.Context(), points); !errors.Is(err, errFailing) {
		t.Errorf("got %v", err)
	}
}

var errFailing = errors.New("no device")

type failing struct{}

func (failing) Multiply(context.Context, kmeans.Matrix, kmeans.Matrix, []float32) error {
	return errFailing
}
