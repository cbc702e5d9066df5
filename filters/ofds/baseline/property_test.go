package baseline

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
	"pgregory.net/rapid"
)

// TestEveryMethod checks what package comment and interface promise.
func TestEveryMethod(t *testing.T) {
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { checkMethod(t, name) })
		})
	}
}

func checkMethod(t *rapid.T, name string) {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "pool"), 0))
	list := source(random, rapid.IntRange(1, 60).Draw(t, "images"), rapid.IntRange(1, 9).Draw(t, "dim"))
	pool := newPool(t, list)
	budget, seed := rapid.IntRange(0, len(list)+2).Draw(t, "budget"), rapid.Uint64().Draw(t, "seed")
	opt := Options{Common: Common{Workers: 1, Preselected: preselected(rapid.SliceOfNDistinct(rapid.IntRange(0, len(list)+1), 0, 6, rapid.ID).Draw(t, "preselected"))}}
	opt.TypiClust.Neighbours = rapid.SampledFrom([]int{0, 2}).Draw(t, "neighbours")
	opt.ProbCover.Delta = rapid.SampledFrom([]float64{0, 0.05, 3}).Draw(t, "delta")
	opt.FreeSel.Farthest = rapid.Bool().Draw(t, "farthest")
	opt.ActiveFT.Steps, opt.ActiveFT.Batch = 3, rapid.SampledFrom([]int{0, 10}).Draw(t, "batch")
	run := func(pool *ofds.Pool, opt Options) *ofds.Selection {
		m, err := ByName(name, opt)
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.Select(context.Background(), pool, budget, seed)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := run(pool, opt)
	checkSelection(t, pool, s, budget, opt.Preselected)

	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	shuffled := newPool(t, list)
	opt.Workers = 5
	if again := run(shuffled, opt); !reflect.DeepEqual(s, again) {
		t.Fatalf("%v; of the pool in another order, by 5 workers: %v", s, again)
	}
	opt.Product = rough{}
	if again := run(pool, opt); !reflect.DeepEqual(s, again) {
		t.Fatalf("%v; with a rough product: %v", s, again)
	}
}

func checkSelection(t *rapid.T, pool *ofds.Pool, s *ofds.Selection, budget int, before map[string]bool) {
	free, looks := 0, s.Dropped != nil
	for i, image := range pool.Images {
		if !before[image.ID] {
			free++
		}
		count := 0
		for _, c := range s.Chosen {
			if c.Image == int32(i) {
				count++
			}
		}
		reason, dropped := s.Dropped[int32(i)]
		switch {
		case count > 1 || count == 1 && (before[image.ID] || dropped):
			t.Fatalf("image %d: chosen %d times, preselected %t, dropped %t", i, count, before[image.ID], dropped)
		case before[image.ID] && reason != ofds.Preselected:
			t.Fatalf("image %d is preselected, its reason %q", i, reason)
		case count == 0 && looks && !dropped:
			t.Fatalf("image %d has no reason", i)
		case reason == ofds.NoProposals && image.First < image.End:
			t.Fatalf("image %d has proposals", i)
		}
	}
	if want := min(budget, free); len(s.Chosen) != want {
		t.Fatalf("%d images chosen of %d, want %d", len(s.Chosen), free, want)
	}
	warned := func(text string) bool {
		return slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, text) })
	}
	if (budget > free) != warned("all are chosen") {
		t.Fatalf("budget %d of %d: %q", budget, free, s.Warnings)
	}
	leftover := slices.ContainsFunc(s.Chosen, func(c ofds.Choice) bool { return c.Reason.Kind == ofds.Leftover })
	if leftover != warned("are random ones") {
		t.Fatalf("leftovers %t: %q", leftover, s.Warnings)
	}
	for _, c := range s.Chosen {
		if o := c.Reason.Object; o >= 0 && pool.Objects[o].Image != c.Image {
			t.Fatalf("image %d is chosen for object %d of image %d", c.Image, o, pool.Objects[o].Image)
		}
	}
}

func TestSeedsDiffer(t *testing.T) {
	pool := newPool(t, source(rand.New(rand.NewPCG(1, 1)), 60, 8))
	for _, name := range names() {
		m, _ := ByName(name, Options{ActiveFT: ActiveFTOptions{Steps: 2}, ProbCover: ProbCoverOptions{Delta: 0.05}})
		a, b := mustSelect(t, m, pool, 15, 1), mustSelect(t, m, pool, 15, 2)
		if same := reflect.DeepEqual(a.Chosen, b.Chosen); same != (name == probCover) {
			t.Errorf("%s: two seeds give the same: %t", name, same)
		}
	}
}

func TestCancelled(t *testing.T) {
	pool := newPool(t, source(rand.New(rand.NewPCG(1, 1)), 60, 8))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range names() {
		m, _ := ByName(name, Options{})
		if _, err := m.Select(ctx, pool, 10, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// cancels gives up at the n-th product.
type cancels struct {
	after  *int
	cancel func()
}

func (c cancels) Multiply(ctx context.Context, a, b kmeans.Matrix, out []float32) error {
	if *c.after--; *c.after == 0 {
		c.cancel()
	}
	return rough{}.Multiply(ctx, a, b, out)
}

func TestCancelledAtWork(t *testing.T) {
	pool := newPool(t, source(rand.New(rand.NewPCG(1, 1)), 60, 8))
	for _, name := range []string{kmeansImage, typiClust, probCover, freeSel, activeFT, objectD2} {
		ctx, cancel := context.WithCancel(t.Context())
		after := 3
		m, _ := ByName(name, Options{Common: Common{Product: cancels{&after, cancel}, Workers: 1}})
		if _, err := m.Select(ctx, pool, 10, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v after %d products", name, err, 3-after)
		}
		cancel()
	}
}

func TestWhatIsMissing(t *testing.T) {
	bare := objectPool([]string{"car"}, [][]int{{0}, {0, 0}, {}}, kmeans.Matrix{})
	for _, name := range names() {
		want := map[string]error{
			kCenter: ErrNoImageVectors, kmeansImage: ErrNoImageVectors, typiClust: ErrNoImageVectors, probCover: ErrNoImageVectors,
			activeFT: ErrNoImageVectors, freeSel: ErrNoObjectVectors, objectD2: ErrNoObjectVectors,
		}[name]
		m, _ := ByName(name, Options{})
		s, err := m.Select(t.Context(), bare, 2, 1)
		if !errors.Is(err, want) || (err != nil) != (want != nil) {
			t.Errorf("%s: error %v, want %v", name, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not in %q", name, err)
		}
		if want == nil && len(s.Chosen) != 2 {
			t.Errorf("%s: %d images", name, len(s.Chosen))
		}
		if s, err := m.Select(t.Context(), &ofds.Pool{}, 2, 1); err != nil || len(s.Chosen) != 0 || len(s.Warnings) == 0 {
			t.Errorf("%s of an empty pool: %+v, %v", name, s, err)
		}
	}
}

func TestBadInput(t *testing.T) {
	list := source(rand.New(rand.NewPCG(1, 1)), 30, 4)
	list[7].Vector = nil
	faulty := newPool(t, list)
	nan := newPool(t, source(rand.New(rand.NewPCG(1, 1)), 30, 4))
	nan.ImageVectors.Row(3)[2] = float32(math.NaN())
	nan.Vectors.Row(5)[1] = nan.ImageVectors.Row(3)[2]
	short := newPool(t, source(rand.New(rand.NewPCG(1, 1)), 30, 4))
	short.ImageVectors.Data = short.ImageVectors.Data[4:]
	order := newPool(t, source(rand.New(rand.NewPCG(1, 1)), 30, 4))
	order.Images[2].ID, order.Images[3].ID = order.Images[3].ID, order.Images[2].ID
	for _, c := range []struct {
		name   string
		opt    Options
		pool   *ofds.Pool
		budget int
		want   string
	}{
		{random, Options{}, order, 5, "after"},
		{random, Options{}, nan, -1, "budget"},
		{kCenter, Options{}, faulty, 5, "null_vector: 1 images"},
		{kCenter, Options{}, nan, 5, `image "image-0003"`},
		{kCenter, Options{}, short, 5, "29 image vectors for 30"},
		{objectD2, Options{}, nan, 5, "object "},
		{probCover, Options{ProbCover: ProbCoverOptions{Delta: -1}}, order, 5, "after"},
		{probCover, Options{ProbCover: ProbCoverOptions{Delta: -1}}, pool30(t), 5, "delta"},
		{probCover, Options{ProbCover: ProbCoverOptions{Purity: 0.9, Clusters: 99}}, pool30(t), 5, "number of clusters"},
		{probCover, Options{ProbCover: ProbCoverOptions{Purity: 0.9, Clusters: 1}}, pool30(t), 5, "number of clusters"},
		{freeSel, Options{FreeSel: FreeSelOptions{Patterns: -1}}, pool30(t), 5, "patterns"},
		{typiClust, Options{TypiClust: TypiClustOptions{MaxClusters: -1}}, pool30(t), 5, "max_clusters"},
		{activeFT, Options{ActiveFT: ActiveFTOptions{Temperature: -1}}, pool30(t), 5, "temperature"},
		{activeFT, Options{ActiveFT: ActiveFTOptions{Steps: -1}}, pool30(t), 5, "steps"},
	} {
		m, _ := ByName(c.name, c.opt)
		if _, err := m.Select(t.Context(), c.pool, c.budget, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	if _, err := ByName("k-centre", Options{}); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "k_center") {
		t.Errorf("error of an unknown name: %v", err)
	}
}

func pool30(t *testing.T) *ofds.Pool { return newPool(t, source(rand.New(rand.NewPCG(1, 1)), 30, 4)) }

func TestNames(t *testing.T) {
	for _, n := range Names() {
		if m, err := ByName(n.Name, Options{}); err != nil || m == nil || n.Does == "" || strings.Contains(n.Does, "\n") {
			t.Errorf("%+v: %v", n, err)
		}
	}
}
