package baseline

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/google/go-cmp/cmp"
)

// The golden choices are those of the published methods, worked out by numpy:
// see scripts/golden/make_ofds_baselines.py.

type golden struct {
	Vectors  string
	Dim      int
	Seed     uint64
	Budget   int
	Labelled []int
	Chosen   []int
	Images   int       // of random and class_balanced_random
	Classes  []string  // of class_balanced_random
	Objects  [][]int   // the same: classes of each image's objects
	ByClass  []int     `json:"by_class"` // the same: classes of the turns
	Labels   []int32   // clusters that both sides are given
	Centres  string    // of kmeans_image
	Delta    float64   // of probcover
	Gains    []int     // the same: images newly covered by each choice
	Skipping []int     // the same: the choice without balls for the last batch
	Counts   []int     // of object_d2: vectors of each image
	Farthest bool      // the same
	Uniforms []float64 // the same: what each draw is made from
	Losses   []float64 // of activeft: at steps 1, 10 and 100
}

func (g golden) vectors(t *testing.T, text string) kmeans.Matrix {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	m := kmeans.Matrix{Dim: g.Dim}
	for ; len(raw) > 0; raw = raw[4:] {
		m.Data = append(m.Data, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	}
	return m
}

func (g golden) common() Common { return Common{Preselected: preselected(g.Labelled)} }

func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/baselines.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string][]golden
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	checks := map[string]func(*testing.T, golden) *ofds.Selection{
		random: func(t *testing.T, g golden) *ofds.Selection {
			return mustSelect(t, Random{g.common()}, &ofds.Pool{Images: images(g.Images)}, g.Budget, g.Seed)
		},
		classBalanced: goldenClassBalanced,
		kCenter: func(t *testing.T, g golden) *ofds.Selection {
			return mustSelect(t, KCenter{g.common()}, imagePool(g.vectors(t, g.Vectors)), g.Budget, g.Seed)
		},
		kmeansImage: goldenKMeans,
		typiClust:   goldenTypiClust,
		probCover:   goldenProbCover,
		objectD2:    goldenD2,
		activeFT:    goldenActiveFT,
	}
	for name, check := range checks {
		if len(cases[name]) < 2 {
			t.Errorf("testdata has %d cases of %s: has it been cut short?", len(cases[name]), name)
		}
		for i, g := range cases[name] {
			t.Run(fmt.Sprintf("%s/%d", name, i), func(t *testing.T) {
				s := check(t, g)
				if diff := cmp.Diff(g.Chosen, chosen(s)); diff != "" {
					t.Errorf("chosen by numpy and here: %s", diff)
				}
			})
		}
	}
}

func goldenClassBalanced(t *testing.T, g golden) *ofds.Selection {
	s := mustSelect(t, ClassBalancedRandom{g.common()}, objectPool(g.Classes, g.Objects, kmeans.Matrix{}), g.Budget, g.Seed)
	var by []int
	for _, c := range s.Chosen {
		if c.Reason.Kind == ofds.Method {
			by = append(by, int(c.Reason.Class))
		}
	}
	if diff := cmp.Diff(g.ByClass, by); diff != "" {
		t.Errorf("classes of the turns: %s", diff)
	}
	return s
}

func goldenKMeans(t *testing.T, g golden) *ofds.Selection {
	pool := imagePool(g.vectors(t, g.Vectors))
	r := mustBegin(t, kmeansImage, needImageVectors, g.common(), pool, g.Budget, 0)
	fit := &kmeans.Result{Centroids: g.vectors(t, g.Centres), Cluster: g.Labels}
	fit.Size = make([]int, fit.Centroids.Rows())
	for i, c := range g.Labels {
		fit.Size[c]++
		fit.Distance = append(fit.Distance, float32(math.Sqrt(squared(pool.ImageVectors.Row(i), fit.Centroids.Row(int(c))))))
	}
	r.centroids(fit)
	return r.finish()
}

func mustBegin(t *testing.T, name string, need need, common Common, pool *ofds.Pool, budget int, seed uint64) *run {
	t.Helper()
	r, err := begin(t.Context(), name, need, common, pool, budget, seed)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func goldenTypiClust(t *testing.T, g golden) *ofds.Selection {
	pool := imagePool(g.vectors(t, g.Vectors))
	r := mustBegin(t, typiClust, needImageVectors, g.common(), pool, g.Budget, 0)
	var opt TypiClustOptions
	if err := opt.defaults(); err != nil {
		t.Fatal(err)
	}
	if err := r.typical(t.Context(), unit(pool.ImageVectors), g.Labels, opt); err != nil {
		t.Fatal(err)
	}
	return r.finish()
}

func goldenProbCover(t *testing.T, g golden) *ofds.Selection {
	s := mustSelect(t, ProbCover{g.common(), ProbCoverOptions{Delta: g.Delta}}, imagePool(g.vectors(t, g.Vectors)), g.Budget, 0)
	var gains []int
	for _, c := range s.Chosen {
		gains = append(gains, c.Reason.Size)
	}
	if diff := cmp.Diff(g.Gains, gains); diff != "" {
		t.Errorf("images covered by each choice: %s", diff)
	}
	if slices.Equal(chosen(s), g.Skipping) {
		t.Error("the last batch has no balls")
	}
	return s
}

func goldenD2(t *testing.T, g golden) *ofds.Selection {
	objects := make([][]int, len(g.Counts))
	for i, n := range g.Counts {
		objects[i] = make([]int, n)
	}
	pool := objectPool([]string{"thing"}, objects, g.vectors(t, g.Vectors))
	r := mustBegin(t, objectD2, needObjectVectors, g.common(), pool, g.Budget, g.Seed)
	p, err := r.patterns(t.Context(), math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	draw := p.farthest
	if !g.Farthest {
		draw = func() int32 {
			u := g.Uniforms[0]
			g.Uniforms = g.Uniforms[1:]
			return p.draw(u)
		}
	}
	if err := r.drawD2(t.Context(), p, draw); err != nil {
		t.Fatal(err)
	}
	if len(g.Uniforms) > 0 {
		t.Errorf("%d numbers were not used", len(g.Uniforms))
	}
	s := r.finish()
	if g.Farthest { // by name as well
		if diff := cmp.Diff(s.Chosen, mustSelect(t, ObjectD2{g.common(), ObjectD2Options{true}}, pool, g.Budget, g.Seed).Chosen); diff != "" {
			t.Error(diff)
		}
	}
	return s
}

func goldenActiveFT(t *testing.T, g golden) *ofds.Selection {
	pool := imagePool(g.vectors(t, g.Vectors))
	r := mustBegin(t, activeFT, needImageVectors, g.common(), pool, g.Budget, g.Seed)
	var opt ActiveFTOptions
	if err := opt.defaults(); err != nil {
		t.Fatal(err)
	}
	vectors := unit(pool.ImageVectors)
	trainer := newTrainer(vectors, r.shuffled()[:g.Budget], nil, opt, r.Common)
	var losses []float64
	for step := range 100 {
		loss, err := trainer.loss(context.Background(), vectors)
		if err != nil {
			t.Fatal(err)
		}
		if step == 0 || step == 9 || step == 99 {
			losses = append(losses, loss)
		}
		trainer.adam()
		trainer.normalize()
	}
	for i, want := range g.Losses {
		if math.Abs(losses[i]-want) > 1e-6*want {
			t.Errorf("loss %d is %.9f, numpy's %.9f", i, losses[i], want)
		}
	}
	return mustSelect(t, ActiveFT{g.common(), ActiveFTOptions{}}, pool, g.Budget, g.Seed)
}
