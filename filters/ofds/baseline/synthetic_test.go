package baseline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/ofdstest"
)

// figures are mode recalls that the method's reference states for pools like
// these, at 100 of 2500 images, the mean of 8 pools; 0 where it has none.
func figures() map[string][2]float64 {
	return map[string][2]float64{
		random: {.632, .472}, kmeansImage: {.654, .49}, typiClust: {.659, .49}, kCenter: {.623, .520},
		objectD2: {.714, .599}, classBalanced: {.733, .597},
	}
}

// TestRecall measures all methods on synthetic pools; -v prints the table. The
// pools are ours, so figures are near those of the reference, not equal. With
// CURATE_FULL=1 it takes 8 pools per imbalance, as the reference does, and 2 otherwise.
func TestRecall(t *testing.T) {
	pools, tolerance := uint64(2), .15
	if os.Getenv("CURATE_FULL") != "" {
		pools, tolerance = 8, .1
	}
	recall := make(map[string][2]float64)
	rare := make(map[string][2]float64)
	for at, zipf := range []float64{1.6, 2.4} {
		measures := make(map[string][]ofdstest.Measures)
		for seed := range pools {
			synthetic := ofdstest.New(ofdstest.Default(zipf, seed))
			pool := newPool(t, synthetic)
			for _, name := range names() {
				m, _ := ByName(name, Options{})
				s := mustSelect(t, m, pool, 100, seed)
				measures[name] = append(measures[name], synthetic.Measure(ids(pool, s)))
			}
		}
		for name, m := range measures {
			mean := ofdstest.Mean(m)
			both, objects := recall[name], rare[name]
			both[at], objects[at] = mean.ModeRecall, mean.RareObjects
			recall[name], rare[name] = both, objects
		}
	}
	t.Logf("mode recall at B=100, mean of %d pools (reference); rare objects", pools)
	for _, name := range names() {
		want := figures()[name]
		line := fmt.Sprintf("%-22s", name)
		for at, zipf := range []float64{1.6, 2.4} {
			line += fmt.Sprintf("  zipf %.1f: %.3f (%.3f) %5.1f", zipf, recall[name][at], want[at], rare[name][at])
			if off := recall[name][at] - want[at]; want[at] > 0 && math.Abs(off) > tolerance {
				t.Errorf("%s, zipf %.1f: mode recall %.3f, the reference has %.3f", name, zipf, recall[name][at], want[at])
			}
		}
		own, chance := recall[name], recall[random]
		if looks := name == classBalanced || name == objectD2 || name == freeSel; looks && own[0]+own[1] < chance[0]+chance[1]+.08 {
			t.Errorf("%s: mode recalls %.3f, random has %.3f", name, own, chance)
		}
		t.Log(line)
	}
}

func ids(pool *ofds.Pool, s *ofds.Selection) []string {
	var list []string
	for _, c := range s.Chosen {
		list = append(list, pool.Images[c.Image].ID)
	}
	return list
}

// TestManyImages has pools of many tiles and stretches, in another order, with
// other workers and a rough product.
func TestManyImages(t *testing.T) {
	list := source(rand.New(rand.NewPCG(6, 6)), 4200, 3)
	pool := newPool(t, list)
	rand.New(rand.NewPCG(7, 7)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	shuffled := newPool(t, list)
	for _, name := range names() {
		opt := Options{
			Common:    Common{Workers: 1, Preselected: preselected([]int{0, 77, 4199})},
			TypiClust: TypiClustOptions{MaxClusters: 4}, ProbCover: ProbCoverOptions{Purity: 0.9, Clusters: 5}, ActiveFT: ActiveFTOptions{Steps: 2},
		}
		a, _ := ByName(name, opt)
		opt.Workers, opt.Product = 7, rough{}
		b, _ := ByName(name, opt)
		if x, y := mustSelect(t, a, pool, 30, 3), mustSelect(t, b, shuffled, 30, 3); !reflect.DeepEqual(x, y) {
			t.Errorf("%s: %v; in another order, with 7 workers and a rough product: %v", name, x, y)
		}
	}
}
