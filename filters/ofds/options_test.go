package ofds_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/curate-data/curate/filters/ofds/ofdstest"
)

func TestExplicitQuotas(t *testing.T) {
	pool := newPool(t, ofdstest.New(small(4)), ofds.PoolOptions{})
	quotas := map[string]int{ofdstest.ClassName(0): 7, ofdstest.ClassName(2): 3}
	opt := ofds.Options{Quota: "explicit", Quotas: quotas}
	s := choose(t, pool, opt, 15, 1)
	checkSelection(t, pool, s, opt, 15)
	for c, o := range s.Classes {
		if want := int64(quotas[pool.Classes[c]]); o.Quota != want || o.Chosen != want {
			t.Errorf("class %s: %+v, want %d images", pool.Classes[c], o, want)
		}
	}
}

// uniform_objects makes the classes' numbers of objects more equal than
// uniform shares of images do.
func TestUniformObjectsLevelsClasses(t *testing.T) {
	ratio := func(s *ofds.Selection) float64 {
		least, most := int64(1<<60), int64(0)
		for _, c := range s.Classes {
			least, most = min(least, c.Achieved), max(most, c.Achieved)
		}
		return float64(most) / float64(least)
	}
	for seed := range uint64(4) {
		pool := newPool(t, ofdstest.New(small(seed)), ofds.PoolOptions{})
		shares := choose(t, pool, ofds.Options{}, 40, 1)
		levelled := choose(t, pool, ofds.Options{Quota: "uniform_objects"}, 40, 1)
		if ratio(levelled) >= ratio(shares) {
			t.Errorf("seed %d: classes differ by %.2f, with shares of images by %.2f", seed, ratio(levelled), ratio(shares))
		}
	}
}

func TestWeightsOfQuotas(t *testing.T) {
	var source ofdstest.Slice
	for c, n := range []int{4, 16, 64} {
		for i := range n {
			source = append(source, image(fmt.Sprintf("%d-%02d", c, i), int64(100*c+i), object("1", string(rune('a'+c)), .9, 0, float32(i), 1)))
		}
	}
	pool := newPool(t, source, ofds.PoolOptions{Normalize: "none"})
	for quota, want := range map[string][3]int64{"uniform_rollover": {4, 8, 9}, "sqrt": {3, 6, 12}, "proportional": {1, 4, 16}} {
		s := choose(t, pool, ofds.Options{Quota: quota}, 21, 1)
		if got := [3]int64{s.Classes[0].Chosen, s.Classes[1].Chosen, s.Classes[2].Chosen}; got != want {
			t.Errorf("%s: %v images, want %v", quota, got, want)
		}
	}
}

func TestPreselectedImagesCover(t *testing.T) {
	// Two groups of cats; the larger one has a labelled image.
	var source ofdstest.Slice
	for i := range 9 {
		source = append(source, image(fmt.Sprintf("near-%d", i), int64(i), object("1", "cat", .9, 0, float32(i)/10, 1)))
	}
	for i := range 3 {
		source = append(source, image(fmt.Sprintf("far-%d", i), int64(20+i), object("1", "cat", .9, 0, 90+float32(i)/10, 1)))
	}
	pool := newPool(t, source, ofds.PoolOptions{Normalize: "none"})
	for _, opt := range []ofds.Options{{}, {IgnoreExisting: true}, {KPolicy: "bisect_cut"}, {Nested: true}} {
		opt.Preselected = map[string]bool{"near-3": true, "elsewhere": true, "near-5": false}
		s := choose(t, pool, opt, 1, 1)
		checkSelection(t, pool, s, opt, 1)
		if got := ids(pool, s); got[0] != "far-1" {
			t.Errorf("%+v: chosen %v, want far-1", opt, got)
		}
		if len(s.Warnings) != 1 || s.Warnings[0] != "1 of 2 preselected images are not in the pool" {
			t.Errorf("warnings %q", s.Warnings)
		}
		checkSelection(t, pool, choose(t, pool, opt, 100, 1), opt, 100)
	}
}

func TestCountExisting(t *testing.T) {
	// Every image with a cat shows the same dog too; other dogs are far away.
	var source ofdstest.Slice
	for i := range 6 {
		source = append(source, image(fmt.Sprintf("both-%d", i), int64(i), object("1", "cat", .9, 0, float32(i), 1), object("2", "dog", .9, 1, 1, 0.1*float32(i))))
	}
	for i := range 3 {
		source = append(source, image(fmt.Sprintf("dog-%d", i), int64(10+i), object("1", "dog", .9, 0, 80, float32(i))))
	}
	pool := newPool(t, source, ofds.PoolOptions{Normalize: "none", MinBoxPixels: 1})
	if got := ids(pool, choose(t, pool, ofds.Options{}, 2, 1)); got[1] != "dog-1" {
		t.Errorf("chosen %v: the dog beside the cat was not counted", got)
	}
	s := choose(t, pool, ofds.Options{IgnoreExisting: true, KPolicy: "fixed_quota"}, 2, 1)
	if w := s.Chosen[1].Reason; w.Kind != ofds.Coverage || w.Size != 9 {
		t.Errorf("the second choice is for %+v: the dog beside the cat was counted", w)
	}
}

func TestGroupsBackgroundAndUnits(t *testing.T) {
	truth := ofdstest.New(small(5))
	for i, im := range truth.List {
		if i%4 == 0 {
			im.Objects = nil
		}
		im.Group = fmt.Sprintf("video-%02d", i/10) // 24 videos of 10 images
	}
	pool := newPool(t, truth, ofds.PoolOptions{})
	empties := 0
	for _, im := range pool.Images {
		if im.First == im.End {
			empties++
		}
	}
	background := func(s *ofds.Selection) (n int) {
		for _, c := range s.Chosen {
			if c.Reason.Kind == ofds.Background {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		opt             ofds.Options
		budget          int
		images, empties int // -1: any
	}{
		{ofds.Options{GroupMax: 2}, 30, 30, 0},
		{ofds.Options{GroupMax: 2}, 60, 48, 0},
		{ofds.Options{GroupMax: 2, Nested: true}, 60, 48, 0},
		{ofds.Options{BackgroundShare: .25}, 40, 40, 10},
		{ofds.Options{BackgroundShare: .25, Nested: true}, 40, 40, 10},
		{ofds.Options{BackgroundShare: .9}, 100, 100, -1},
		{ofds.Options{BudgetUnit: "objects"}, 50, -1, 0},
		{ofds.Options{BudgetUnit: "objects", BackgroundShare: .5}, 50, -1, -1},
		{ofds.Options{BudgetUnit: "cost", ImageCost: 3, ObjectCost: 1.5, BackgroundShare: .1}, 120, -1, 4},
		{ofds.Options{BudgetUnit: "cost", ImageCost: 10, GroupMax: 1, Quota: "uniform_objects"}, 95, 9, 0},
	} {
		s := choose(t, pool, c.opt, c.budget, 1)
		checkSelection(t, pool, s, c.opt, c.budget)
		if c.images >= 0 && len(s.Chosen) != c.images {
			t.Errorf("%+v: %d images, want %d", c.opt, len(s.Chosen), c.images)
		}
		if c.opt.BackgroundShare == .9 && (background(s) != empties || s.Chosen[99-empties].Reason.Kind != ofds.Coverage) {
			t.Errorf("%+v: %d of %d images without proposals are chosen, and the last of the others for %s", c.opt, background(s), empties, s.Chosen[99-empties].Reason.Kind)
		}
		if c.empties >= 0 && background(s) != c.empties {
			t.Errorf("%+v: %d images are background, want %d", c.opt, background(s), c.empties)
		}
	}
}

// Each class has one cluster; the options say which of its objects stands for it.
func TestRepresentatives(t *testing.T) {
	source := ofdstest.Slice{
		image("a", 0, object("1", "cat", .5, 0, 0, 1)),
		image("b", 1, object("1", "cat", .9, 0, 3, 1)),
		image("c", 2, object("1", "cat", .6, 0, 4, 1)), // nearest to most others
		image("d", 3, object("1", "cat", .7, 0, 5, 1)),
		image("e", 4, object("1", "cat", .4, 0, 14, 1)), // draws the mean, 5.2, to d
	}
	pool := newPool(t, source, ofds.PoolOptions{Normalize: "none"})
	for option, want := range map[string]string{"nearest_centroid": "d", "max_score": "b", "medoid": "c", "score_centrality": "d"} {
		if got := ids(pool, choose(t, pool, ofds.Options{Representative: option}, 1, 1)); got[0] != want {
			t.Errorf("%s: %v, want %s", option, got, want)
		}
	}
	seen := make(map[string]bool)
	for seed := range uint64(40) {
		seen[ids(pool, choose(t, pool, ofds.Options{Representative: "random"}, 1, seed))[0]] = true
	}
	if len(seen) != 5 {
		t.Errorf("random representatives: %v", seen)
	}
}

func TestOrders(t *testing.T) {
	var source ofdstest.Slice
	add := func(class string, at float32, n int, wide float32) {
		for i := range n {
			source = append(source, image(fmt.Sprintf("%s-%v-%d", class, at, i), int64(len(source)), object("1", class, .9, 0, at+wide*float32(i), 1)))
		}
	}
	add("b", 0, 3, .1)
	add("b", 500, 5, 3)
	add("a", 0, 2, .1)
	add("c", 0, 9, .1)
	add("d", 0, 2, .1)
	pool := newPool(t, source, ofds.PoolOptions{Normalize: "none"})
	first := func(opt ofds.Options, budget int) string { return ids(pool, choose(t, pool, opt, budget, 1))[0] }
	for order, want := range map[string]string{"rare_first": "a", "frequent_first": "c"} {
		if got := first(ofds.Options{ClassOrder: order}, 4); got[:1] != want {
			t.Errorf("%s: first %s", order, got)
		}
	}
	s := choose(t, pool, ofds.Options{}, 4, 1)
	for i, want := range []int32{0, 3, 1, 2} { // a and d have two objects each
		if got := s.Chosen[i].Reason.Class; got != want {
			t.Errorf("choice %d is for class %d, want %d", i, got, want)
		}
	}
	if got := first(ofds.Options{ClassOrder: "given", GivenOrder: []string{"b"}}, 3); got[:1] != "b" {
		t.Errorf("given: first %s", got)
	}
	only := ofds.Options{Quota: "explicit", Quotas: map[string]int{"b": 2}}
	for order, want := range map[string]string{"size_desc": "b-500", "size_asc": "b-0", "tightness": "b-0"} {
		only.ClusterOrder = order
		if got := first(only, 2); got[:len(want)] != want {
			t.Errorf("%s: first %s, want %s", order, got, want)
		}
	}
}

// A class does not go over its part of the budget, but for its first image.
func TestSharesInObjects(t *testing.T) {
	var source ofdstest.Slice
	for i := range 8 { // cats come two to an image, dogs one
		source = append(source, image(fmt.Sprintf("cat-%d", i), int64(i), object("1", "cat", .9, 0, float32(10*i), 1), object("2", "cat", .9, 1, float32(10*i), 2)))
	}
	for i := range 20 {
		source = append(source, image(fmt.Sprintf("dog-%02d", i), int64(10+i), object("1", "dog", .9, 0, float32(10*i), 1)))
	}
	pool := newPool(t, source, ofds.PoolOptions{Normalize: "none"})
	for budget, want := range map[int][2]int64{10: {2, 6}, 3: {1, 1}, 12: {3, 6}} {
		s := choose(t, pool, ofds.Options{BudgetUnit: "objects"}, budget, 1)
		if got := [2]int64{s.Classes[0].Chosen, s.Classes[1].Chosen}; got != want {
			t.Errorf("%d objects: %v images for cats and dogs, want %v", budget, got, want)
		}
	}
}

// The second image for a class must fit into what its share has left: there is
// one beside the dear one.
func TestSharesKeepDearImagesOut(t *testing.T) {
	var source ofdstest.Slice
	for i, x := range []float32{0, 100, 1, 101} {
		im := image(fmt.Sprintf("i%d", i), int64(i), object("0", "cat", .9, 0, x, 1))
		for k := 1; i < 2 && k < 8; k++ {
			im.Objects = append(im.Objects, object(fmt.Sprint(k), "dog", .9, k, float32(k), 1))
		}
		source = append(source, im)
	}
	pool := newPool(t, source, ofds.PoolOptions{Normalize: "none"})
	if got := fmt.Sprint(ids(pool, choose(t, pool, ofds.Options{BudgetUnit: "objects"}, 20, 1))[:2]); got != "[i0 i3]" && got != "[i1 i2]" {
		t.Errorf("chosen for cats: %s, want a dear one and then the cheap one of the other pair", got)
	}
}

// Clustering again begins with the centroids that a class has.
func TestRefitsBeginWithTheCentroidsBefore(t *testing.T) {
	pool := newPool(t, ofdstest.New(small(7)), ofds.PoolOptions{})
	again, last := 0, make(map[int]kmeans.Matrix) // by the number of points, which tells classes apart
	fit := func(ctx context.Context, points kmeans.Matrix, opt kmeans.Options) (*kmeans.Result, error) {
		r, err := kmeans.Fit(ctx, points, opt)
		if before, ok := last[points.Rows()]; ok {
			again++
			if !slices.Equal(before.Data, opt.Start.Data) {
				t.Errorf("%d clusters of %d points do not begin with the %d before", opt.K, points.Rows(), before.Rows())
			}
		}
		if err == nil {
			last[points.Rows()] = r.Centroids
		}
		return r, err
	}
	s, err := ofds.SelectClustered(context.Background(), ofds.OFDS{}, pool, 50, 1, fit)
	if err != nil || again == 0 || s.Fits != again+len(last) {
		t.Errorf("%d fits of %d classes, %d refits, error %v", s.Fits, len(last), again, err)
	}
}

// Nested answers keep to the quotas' ratio all the way.
func TestNestedQuotas(t *testing.T) {
	pool := newPool(t, ofdstest.New(small(6)), ofds.PoolOptions{})
	a, b := ofdstest.ClassName(0), ofdstest.ClassName(1)
	s := choose(t, pool, ofds.Options{Nested: true, Quota: "explicit", Quotas: map[string]int{a: 8, b: 2}}, 10, 1)
	count := make(map[string]int)
	for i, c := range s.Chosen {
		count[pool.Classes[c.Reason.Class]]++
		if i == 4 && (count[a] != 4 || count[b] != 1) {
			t.Errorf("of the first five images %v", count)
		}
	}
	if count[a] != 8 || count[b] != 2 {
		t.Errorf("of ten images %v", count)
	}
}

// Equal nodes of a tree go by their first objects; the tree is cut where two far
// pairs of near groups fall apart.
func TestCutByHand(t *testing.T) {
	var source ofdstest.Slice
	for i, x := range []float32{500, 0, 510, 10, 500, 0, 510, 10, 505, 5} { // names alternate between the two ends
		source = append(source, image(fmt.Sprintf("i%d", i), int64(i), object("1", "cat", .9, 0, x, 1)))
	}
	pool := newPool(t, source, ofds.PoolOptions{Normalize: "none"})
	for _, opt := range []ofds.Options{{KPolicy: "bisect_cut"}, {Nested: true}} {
		for budget, want := range map[int][]string{2: {"i8", "i9"}} {
			s := choose(t, pool, opt, budget, 1)
			if opt.Nested { // the first node is everything, whose middle lies between the ends
				if w := s.Chosen[0].Reason; w.K != 1 || w.Size != 10 {
					t.Errorf("the first choice is for %+v", w)
				}
				if w := s.Chosen[1].Reason; w.K != 2 || w.Size != 5 {
					t.Errorf("the second choice is for %+v", w)
				}
				continue
			}
			if got := ids(pool, s); got[0] != want[0] || got[1] != want[1] {
				t.Errorf("budget %d: %v, want %v", budget, got, want)
			}
		}
	}
}

// What coverage leaves goes to the objects that are farthest from all chosen.
func TestObjectKCenter(t *testing.T) {
	var source ofdstest.Slice
	for i, x := range []float32{0, 1, 2, 3, 4, 30, 31, 44} {
		source = append(source, image(fmt.Sprintf("i%d", i), int64(i), object("1", "cat", .9, 0, x, 1)))
	}
	for i, x := range []float32{30, 70} { // equally far from the first one's dog
		source = append(source, image(fmt.Sprintf("j%d", i), int64(10+i), object("1", "dog", .9, 0, x, 1)))
	}
	source[0].Objects = append(source[0].Objects, object("2", "dog", .9, 1, 50, 1))
	pool := newPool(t, source, ofds.PoolOptions{Normalize: "none"})
	opt := ofds.Options{Leftover: "object_kcenter", KPolicy: "fixed_quota", Quota: "explicit", Quotas: map[string]int{"cat": 0}, Preselected: map[string]bool{"i0": true}}
	if got := fmt.Sprint(ids(pool, choose(t, pool, opt, 5, 1))); got != "[i7 j0 j1 i5 i4]" {
		t.Errorf("farthest first: %s, want [i7 j0 j1 i5 i4]", got)
	}
}
