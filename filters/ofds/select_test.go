package ofds_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/ofdstest"
	"github.com/curate-data/curate/pipeline"
)

// small is a synthetic pool that takes milliseconds.
func small(seed uint64) ofdstest.Config {
	c := ofdstest.Default(1.6, seed)
	c.Images, c.Classes, c.Modes, c.Dim = 240, 5, 4, 8
	return c
}

func TestSelectionHasTheSameBytes(t *testing.T) {
	truth := ofdstest.New(small(1))
	for name, opt := range map[string]ofds.Options{
		"default": {}, "cut": {KPolicy: "bisect_cut"}, "nested": {Nested: true}, "random": {ClassOrder: "random", Representative: "random"},
		"kcenter": {Leftover: "object_kcenter", KPolicy: "fixed_quota"}, "objects": {Quota: "uniform_objects", BudgetUnit: "objects"},
	} {
		var want []byte
		for _, workers := range []int{1, 8} {
			for order := range uint64(3) {
				pool := newPool(t, truth.Shuffled(order), ofds.PoolOptions{})
				s, err := ofds.OFDS{Options: opt, Workers: workers}.Select(context.Background(), pool, 60, 5)
				if err != nil {
					t.Fatal(err)
				}
				got, err := json.Marshal(s)
				if err != nil {
					t.Fatal(err)
				}
				if want == nil {
					want = got
				}
				if string(got) != string(want) {
					t.Errorf("%s: order %d with %d workers gives another selection", name, order, workers)
				}
			}
		}
		other, err := json.Marshal(choose(t, newPool(t, truth, ofds.PoolOptions{}), opt, 60, 6))
		if err != nil || string(other) == string(want) {
			t.Errorf("%s: another seed gives the same selection, error %v", name, err)
		}
	}
}

// The answer for a budget is the beginning of the answer for a larger one.
func TestNestedBudgets(t *testing.T) {
	pool := newPool(t, ofdstest.New(small(2)), ofds.PoolOptions{})
	for name, opt := range map[string]ofds.Options{
		"images": {}, "background": {BackgroundShare: .2}, "cost": {BudgetUnit: "cost", ImageCost: 2, ObjectCost: .5},
		"objects": {BudgetUnit: "objects"}, "uniform_objects": {Quota: "uniform_objects"}, "sqrt": {Quota: "sqrt"}, "kcenter": {Leftover: "object_kcenter"},
		"existing": {IgnoreExisting: true, Preselected: map[string]bool{ofdstest.ImageID(3): true}},
	} {
		opt.Nested = true
		var before []ofds.Choice
		for _, budget := range []int{1, 3, 17, 60, 200, 240, 1000} {
			s := choose(t, pool, opt, budget, 3)
			checkSelection(t, pool, s, opt, budget)
			if len(s.Chosen) < len(before) {
				t.Fatalf("%s: budget %d chooses %d images, a smaller one %d", name, budget, len(s.Chosen), len(before))
			}
			if !slices.Equal(before, s.Chosen[:len(before)]) {
				t.Errorf("%s: budget %d does not begin as a smaller one", name, budget)
			}
			before = s.Chosen
		}
	}
}

// A pool whose answer is seen by eye: per class two far groups of objects, the
// larger one first, and of each the image in the middle.
func TestDefaultRuleByHand(t *testing.T) {
	source := ofdstest.Slice{
		image("a", 0, object("1", "cat", .9, 0, 0, 1)),
		image("b", 1, object("1", "cat", .9, 0, 1, 1)),
		image("c", 2, object("1", "cat", .9, 0, 2.5, 1)),
		image("d", 3, object("1", "cat", .9, 0, 100, 1)),
		image("e", 4, object("1", "dog", .9, 0, 0, 50)),
		image("f", 5, object("1", "dog", .9, 0, 0, -50)),
		image("g", 6),
	}
	pool := newPool(t, source, ofds.PoolOptions{Normalize: "none"})
	s := choose(t, pool, ofds.Options{}, 4, 1)
	var got []string
	for _, c := range s.Chosen {
		got = append(got, fmt.Sprint(pool.Images[c.Image].ID, " ", pool.Classes[c.Reason.Class], " ", c.Reason.Size, " of ", c.Reason.K))
	}
	if diff := cmp.Diff([]string{"e dog 1 of 2", "f dog 1 of 2", "b cat 3 of 2", "d cat 1 of 2"}, got); diff != "" {
		t.Error(diff)
	}
	want := map[int32]pipeline.Reason{0: ofds.NotChosen, 2: ofds.NotChosen, 6: ofds.NoProposals}
	if diff := cmp.Diff(want, s.Dropped); diff != "" {
		t.Error(diff)
	}
}

// What a class cannot use goes to the classes after it, and at last to random
// images.
func TestRollOver(t *testing.T) {
	var source ofdstest.Slice
	for i := range 20 {
		source = append(source, image(fmt.Sprintf("dog-%02d", i), int64(i), object("1", "dog", .9, 0, float32(i*i), 1)))
	}
	source = append(source, image("cat-0", 30, object("1", "cat", .9, 0, 1, 1)), image("none", 31))
	pool := newPool(t, source, ofds.PoolOptions{Normalize: "none"})
	s := choose(t, pool, ofds.Options{}, 10, 1)
	if cat, dog := s.Classes[0], s.Classes[1]; cat.Chosen != 1 || cat.Quota != 5 || dog.Chosen != 9 || dog.Quota != 9 {
		t.Errorf("cat %+v, dog %+v", cat, dog)
	}
	s = choose(t, pool, ofds.Options{}, 22, 1)
	checkSelection(t, pool, s, ofds.Options{}, 22)
	if last := s.Chosen[21]; last.Reason.Kind != ofds.Leftover || pool.Images[last.Image].ID != "none" {
		t.Errorf("the last choice is %+v", last)
	}
}

func TestEdgeCases(t *testing.T) {
	all := image("all", 0, object("1", "a", .9, 0, 1, 0), object("2", "b", .9, 1, 1, 0), object("3", "c", .9, 2, 1, 0))
	same := ofdstest.Slice{}
	for i := range 30 {
		same = append(same, image(fmt.Sprintf("same-%02d", i), int64(i), object("1", "a", .9, 0, 1, 2)))
	}
	uneven := ofdstest.Slice{}
	for c, n := range []int{9, 2, 5, 1} {
		for i := range n {
			uneven = append(uneven, image(fmt.Sprintf("%c-%d", 'a'+c, i), int64(10*c+i), object("1", string(rune('a'+c)), .9, 0, float32(i), 1)))
		}
	}
	for name, c := range map[string]struct {
		source  ofdstest.Slice
		classes []string
		budget  int
		chosen  string // images, in order
		warning string
	}{
		"one image with all classes":   {source: ofdstest.Slice{all, image("z", 1)}, budget: 1, chosen: "all"},
		"no proposals":                 {source: ofdstest.Slice{image("x", 0), image("y", 1)}, classes: []string{"a"}, budget: 2, warning: "passed the filters: a"},
		"unreachable class":            {source: ofdstest.Slice{all}, classes: []string{"a", "unicorn"}, budget: 1, chosen: "all", warning: "passed the filters: unicorn"},
		"identical vectors":            {source: same, budget: 7},
		"fewer images than classes":    {source: uneven, budget: 2, chosen: "d-0 b-0", warning: "smaller than the number of classes, 4: nothing was chosen for a, c"},
		"budget larger than the pool":  {source: uneven, budget: 40, warning: "40 images and only 17 could be chosen"},
		"budget of exactly the pool":   {source: uneven, budget: 17},
		"pool of one image, no object": {source: ofdstest.Slice{image("x", 0)}, budget: 1, chosen: "x", warning: "1 images fill"},
	} {
		t.Run(name, func(t *testing.T) {
			pool := newPool(t, c.source, ofds.PoolOptions{Classes: c.classes, Normalize: "none"})
			for _, opt := range []ofds.Options{{}, {Nested: true}, {KPolicy: "bisect_cut"}, {Quota: "uniform_objects"}} {
				s := choose(t, pool, opt, c.budget, 1)
				checkSelection(t, pool, s, opt, c.budget)
				if c.chosen != "" && opt.Quota == "" && !opt.Nested {
					if got := strings.Join(ids(pool, s), " "); got != c.chosen {
						t.Errorf("chosen: %s, want %s", got, c.chosen)
					}
				}
				if warnings := strings.Join(s.Warnings, "\n"); !strings.Contains(warnings, c.warning) || c.warning == "" && warnings != "" && !strings.Contains(warnings, "fill") {
					t.Errorf("%+v: warnings %q, want %q", opt, warnings, c.warning)
				}
			}
		})
	}
}

func TestSelectErrors(t *testing.T) {
	pool := newPool(t, ofdstest.New(small(3)), ofds.PoolOptions{})
	blind := newPool(t, ofdstest.Slice{image("i", 0, object("1", "cat", 1, 0))}, ofds.PoolOptions{})
	two := newPool(t, ofdstest.Slice{image("i", 0, object("1", "cat", 1, 0, 1)), image("j", 1)}, ofds.PoolOptions{})
	for _, c := range []struct {
		pool   *ofds.Pool
		opt    ofds.Options
		budget int
		want   []string
	}{
		{pool, ofds.Options{}, 0, []string{"budget is 0"}},
		{blind, ofds.Options{}, 1, []string{"1 objects and 0 vectors"}},
		{pool, ofds.Options{Quota: "explicit", Quotas: map[string]int{"zebra": 4, ofdstest.ClassName(1): 9}}, 10, []string{`"zebra"`, "ask for 13 images"}},
		{pool, ofds.Options{ClassOrder: "given", GivenOrder: []string{"zebra"}}, 10, []string{`"zebra"`}},
		{two, ofds.Options{Leftover: "none"}, 2, []string{"1 of 2 is left", "leftover is none"}},
		{pool, ofds.Options{
			ClassOrder: "given", Quota: "explicit", KPolicy: "x1", Representative: "x2", ClusterOrder: "x3", Leftover: "x4", BudgetUnit: "x5",
			KRatio: 2, ScoreGamma: -1, MinClusterSize: -1, ImageCost: -1, ObjectCost: 1, BackgroundShare: 1, GroupMax: -1, Nested: true,
		}, 1, []string{
			"given_order", "quotas", "x1", "x2", "x3", "x4", "x5", "k_ratio", "score_gamma", "min_cluster_size", "image_cost", "budget_unit", "background_share", "group_max", "nested",
		}},
	} {
		_, err := ofds.OFDS{Options: c.opt}.Select(context.Background(), c.pool, c.budget, 1)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %s in it", err, want)
			}
		}
	}
	if _, err := (ofds.OFDS{Options: ofds.Options{Leftover: "none"}}).Select(context.Background(), two, 2, 1); !errors.Is(err, ofds.ErrBudgetLeft) {
		t.Errorf("error %v is not ErrBudgetLeft", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (ofds.OFDS{}).Select(ctx, pool, 10, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v of a context that has ended", err)
	}
}
