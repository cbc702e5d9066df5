package ofds_test

import (
	"math"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
)

// checkSelection wants what holds for every pool, option and budget.
func checkSelection(t rapidT, pool *ofds.Pool, s *ofds.Selection, opt ofds.Options, budget int) {
	t.Helper()
	opt = opt.WithDefaults()
	seen := make(map[int32]bool)
	chosenFor := make([]int64, len(pool.Classes))
	achieved := make([]int64, len(pool.Classes))
	group := make(map[string]int)
	before, spent := 0, 0.0
	for _, image := range pool.Images {
		if opt.Preselected[image.ID] {
			before++
			group[image.Group]++
		}
	}
	for i, c := range s.Chosen {
		if seen[c.Image] {
			t.Errorf("image %d is chosen twice", c.Image)
		}
		seen[c.Image] = true
		image := pool.Images[c.Image]
		if opt.Preselected[image.ID] {
			t.Errorf("preselected image %s is chosen", image.ID)
		}
		objects := float64(image.End - image.First)
		spent += map[string]float64{"images": 1, "objects": objects, "cost": opt.ImageCost + opt.ObjectCost*objects}[opt.BudgetUnit]
		group[image.Group]++
		for _, o := range pool.Objects[image.First:image.End] {
			achieved[o.Class]++
		}
		checkWhy(t, pool, c, i)
		if c.Reason.Kind == ofds.Coverage {
			chosenFor[c.Reason.Class]++
		}
	}
	for name, n := range group {
		if opt.GroupMax > 0 && name != "" && n > max(opt.GroupMax, preselectedOf(pool, opt, name)) {
			t.Errorf("group %q has %d images, the most is %d", name, n, opt.GroupMax)
		}
	}
	if spent > float64(budget)+1e-9 {
		t.Errorf("%v of a budget of %d is spent", spent, budget)
	}
	if want := min(budget, len(pool.Images)-before); opt.BudgetUnit == "images" && opt.GroupMax == 0 && len(s.Chosen) != want {
		t.Errorf("%d images are chosen, want %d", len(s.Chosen), want)
	}
	if len(s.Dropped)+len(s.Chosen) != len(pool.Images) {
		t.Errorf("%d of %d images have a reason", len(s.Dropped)+len(s.Chosen), len(pool.Images))
	}
	for image, reason := range s.Dropped {
		i := pool.Images[image]
		if seen[image] || reason == "" || (reason == ofds.Preselected) != opt.Preselected[i.ID] ||
			(reason == ofds.NoProposals) != (i.First == i.End && !opt.Preselected[i.ID]) ||
			reason == ofds.GroupFull && group[i.Group] < opt.GroupMax || reason == ofds.NotChosen && i.Group != "" && opt.GroupMax > 0 && group[i.Group] >= opt.GroupMax ||
			reason == ofds.OverBudget && opt.BudgetUnit == "images" {
			t.Errorf("image %s is dropped as %q", i.ID, reason)
		}
	}
	for c, o := range s.Classes {
		if o.Chosen != chosenFor[c] || o.Achieved != achieved[c] || o.Unreachable != (o.Objects == 0) || o.Chosen > o.Quota {
			t.Errorf("class %s: %+v, want %d chosen and %d achieved", pool.Classes[c], o, chosenFor[c], achieved[c])
		}
	}
}

func checkWhy(t rapidT, pool *ofds.Pool, c ofds.Choice, at int) {
	t.Helper()
	w := c.Reason
	switch w.Kind {
	case ofds.Coverage:
		o := pool.Objects[w.Object]
		if o.Image != c.Image || o.Class != w.Class || w.Size < 1 || w.Cluster >= w.K || !(w.Distance >= 0) || math.IsInf(float64(w.Distance), 0) {
			t.Errorf("choice %d of image %d has the reason %+v", at, c.Image, w)
		}
	case ofds.Leftover, ofds.Background:
		if w.Object != -1 || w.Class != -1 {
			t.Errorf("choice %d of image %d has the reason %+v", at, c.Image, w)
		}
		if image := pool.Images[c.Image]; w.Kind == ofds.Background && image.First != image.End {
			t.Errorf("background image %s has objects", image.ID)
		}
	default:
		t.Errorf("choice %d of image %d has the reason %q", at, c.Image, w.Kind)
	}
}

func preselectedOf(pool *ofds.Pool, opt ofds.Options, group string) int {
	n := 0
	for _, image := range pool.Images {
		if opt.Preselected[image.ID] && image.Group == group {
			n++
		}
	}
	return n
}

// rapidT is what *testing.T and *rapid.T have in common.
type rapidT interface {
	Helper()
	Errorf(format string, args ...any)
}

var _ rapidT = (*testing.T)(nil)
