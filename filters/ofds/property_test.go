package ofds_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/ofdstest"
)

// drawSource makes a pool with few different vectors, so that ties, identical
// vectors and empty clusters are common.
func drawSource(t *rapid.T) ofdstest.Slice {
	dim := rapid.IntRange(1, 3).Draw(t, "dim")
	values := rapid.IntRange(1, 5).Draw(t, "values")
	var source ofdstest.Slice
	for i := range rapid.IntRange(1, 25).Draw(t, "images") {
		im := image(fmt.Sprintf("i%02d", i), int64(i))
		if g := rapid.IntRange(0, 5).Draw(t, "group"); g > 0 {
			im.Group = fmt.Sprint("g", g)
		}
		for k := range rapid.IntRange(0, 4).Draw(t, "objects") {
			vector := make([]float32, dim)
			for j := range vector {
				vector[j] = 1 + float32(rapid.IntRange(0, values).Draw(t, "x"))
			}
			class := fmt.Sprint("c", rapid.IntRange(0, 3).Draw(t, "class"))
			im.Objects = append(im.Objects, object(fmt.Sprint(k), class, float32(rapid.IntRange(30, 100).Draw(t, "score"))/100, k, vector...))
		}
		source = append(source, im)
	}
	return source
}

func drawOptions(t *rapid.T, pool *ofds.Pool) ofds.Options {
	word := func(name string, words ...string) string { return rapid.SampledFrom(words).Draw(t, name) }
	o := ofds.Options{
		ClassOrder:      word("class_order", "", "rare_first", "frequent_first", "given", "random"),
		Quota:           word("quota", "", "uniform_rollover", "proportional", "sqrt", "explicit", "uniform_objects"),
		KPolicy:         word("k_policy", "", "adaptive_uncovered", "fixed_quota", "ratio", "bisect_cut"),
		Representative:  word("representative", "", "nearest_centroid", "max_score", "medoid", "score_centrality", "random"),
		ClusterOrder:    word("cluster_order", "", "size_desc", "size_asc", "tightness"),
		Leftover:        word("leftover", "", "repeat", "random", "object_kcenter", "none"),
		BudgetUnit:      word("budget_unit", "", "images", "objects", "cost"),
		IgnoreExisting:  rapid.Bool().Draw(t, "ignore_existing"),
		ScoreGamma:      rapid.SampledFrom([]float64{0, 1, 2.5}).Draw(t, "score_gamma"),
		MinClusterSize:  rapid.IntRange(0, 3).Draw(t, "min_cluster_size"),
		KRatio:          rapid.SampledFrom([]float64{0, .1, 1}).Draw(t, "k_ratio"),
		BackgroundShare: rapid.SampledFrom([]float64{0, 0, .2, .7}).Draw(t, "background_share"),
		GroupMax:        rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "group_max"),
		Nested:          rapid.Bool().Draw(t, "nested"),
		Preselected:     make(map[string]bool),
	}
	if o.BudgetUnit == "cost" {
		o.ImageCost = rapid.SampledFrom([]float64{1, 0, 2.5}).Draw(t, "image_cost")
		o.ObjectCost = rapid.SampledFrom([]float64{1, .3}).Draw(t, "object_cost")
	}
	if o.Nested {
		o.KPolicy = ""
	}
	if o.ClassOrder == "given" && len(pool.Classes) > 0 {
		o.GivenOrder = pool.Classes[:1]
	} else if o.ClassOrder == "given" {
		o.ClassOrder = ""
	}
	if o.Quota == "explicit" && len(pool.Classes) > 0 {
		o.Quotas = map[string]int{pool.Classes[0]: rapid.IntRange(0, 3).Draw(t, "quota of the first class")}
	} else if o.Quota == "explicit" {
		o.Quota = ""
	}
	for _, im := range pool.Images {
		if rapid.IntRange(0, 9).Draw(t, "preselected") == 0 {
			o.Preselected[im.ID] = true
		}
	}
	return o
}

// Whatever the pool, the options and the budget are, the answer is one: distinct
// images, no preselected ones, within the budget and exactly it where the unit
// is images, every image with a reason, and the same from any order of shards.
func TestEverySelectionKeepsTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source := drawSource(t)
		pool, err := ofds.NewPool(context.Background(), source, ofds.PoolOptions{Normalize: "none"})
		if err != nil {
			t.Fatal(err)
		}
		opt := drawOptions(t, pool)
		budget := rapid.IntRange(3, 40).Draw(t, "budget")
		s, err := ofds.OFDS{Options: opt, Workers: 1}.Select(context.Background(), pool, budget, 7)
		if opt.Leftover == "none" && errors.Is(err, ofds.ErrBudgetLeft) {
			return
		}
		if err != nil {
			t.Fatalf("%+v: %v", opt, err)
		}
		checkSelection(t, pool, s, opt, budget)

		slices.Reverse(source)
		again, err := ofds.NewPool(context.Background(), source, ofds.PoolOptions{Normalize: "none"})
		if err != nil {
			t.Fatal(err)
		}
		other, err := ofds.OFDS{Options: opt, Workers: 2}.Select(context.Background(), again, budget, 7)
		if err != nil || !reflect.DeepEqual(s, other) {
			t.Errorf("reversed images give another selection, error %v", err)
		}
		if opt.Nested {
			more, err := ofds.OFDS{Options: opt}.Select(context.Background(), pool, budget+rapid.IntRange(1, 9).Draw(t, "more"), 7)
			if err == nil && (len(more.Chosen) < len(s.Chosen) || !slices.Equal(more.Chosen[:len(s.Chosen)], s.Chosen)) {
				t.Errorf("%+v: a larger budget does not begin with the smaller one's answer", opt)
			}
		}
	})
}

// Every class with a proposal is in the answer of the default rule, if the budget
// has as many images as there are classes.
func TestEveryClassIsCovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool, err := ofds.NewPool(context.Background(), drawSource(t), ofds.PoolOptions{})
		if err != nil {
			t.Fatal(err)
		}
		budget := max(1, len(pool.Classes)) + rapid.IntRange(0, 5).Draw(t, "more")
		for _, opt := range []ofds.Options{
			{}, {Nested: true}, {KPolicy: "bisect_cut"}, {Quota: "proportional", ClassOrder: "frequent_first"}, {Quota: "sqrt", IgnoreExisting: true},
		} {
			s, err := ofds.OFDS{Options: opt}.Select(context.Background(), pool, budget, 7)
			if err != nil {
				t.Fatal(err)
			}
			for c, o := range s.Classes {
				if o.Objects > 0 && o.Achieved == 0 {
					t.Errorf("%+v: class %s has no object in the answer of %d images: %+v", opt, pool.Classes[c], budget, o)
				}
			}
		}
	})
}
