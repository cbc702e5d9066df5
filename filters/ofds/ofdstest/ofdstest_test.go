package ofdstest_test

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/curate-data/curate/filters/ofds/ofdstest"
)

// A random subset of 100 images has what the method's reference states for such
// pools: a mode recall of .632 (.472 at the stronger imbalance), 20 (3.6) rare
// objects and a cover radius of .818 (1.013). The generator is ours, so the figures
// are near, not equal.
func TestRandomSubsetsAreAsTheReferenceHasThem(t *testing.T) {
	for _, c := range []struct{ zipf, recall, rare, cover float64 }{{1.6, .632, 20, .818}, {2.4, .472, 3.6, 1.013}} {
		var measures []ofdstest.Measures
		for seed := range uint64(4) {
			p := ofdstest.New(ofdstest.Default(c.zipf, seed))
			var ids []string
			for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(p.Config.Images)[:100] {
				ids = append(ids, ofdstest.ImageID(i))
			}
			measures = append(measures, p.Measure(ids))
		}
		m := ofdstest.Mean(measures)
		if math.Abs(m.ModeRecall-c.recall) > .05 || math.Abs(m.RareObjects-c.rare) > 5 || math.Abs(m.CoverP95-c.cover) > .12 {
			t.Errorf("zipf %v: %+v, want about %+v", c.zipf, m, c)
		}
	}
}

func TestPoolsDependOnTheSeedOnly(t *testing.T) {
	config := ofdstest.Default(1.6, 7)
	config.Images = 50
	a, b := ofdstest.New(config), ofdstest.New(config)
	if !reflect.DeepEqual(a, b) {
		t.Error("two pools of one seed differ")
	}
	config.Seed = 8
	if reflect.DeepEqual(a.List, ofdstest.New(config).List) {
		t.Error("two pools of different seeds are equal")
	}
}

func TestMeasures(t *testing.T) {
	p := ofdstest.New(ofdstest.Default(1.6, 1))
	var all []string
	for _, image := range p.List {
		all = append(all, image.ID)
	}
	whole, none := p.Measure(all), p.Measure(nil)
	if whole.ModeRecall != 1 || whole.RareRecall != 1 || whole.CoverP95 > 1e-3 || whole.Classes != 1 {
		t.Errorf("the whole pool measures %+v", whole)
	}
	if none.ModeRecall != 0 || none.RareObjects != 0 || math.Abs(none.CoverP95-math.Sqrt2) > 1e-9 {
		t.Errorf("nothing measures %+v", none)
	}
}
