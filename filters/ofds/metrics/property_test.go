package metrics

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// anyPool draws a small pool: images with any number of objects of any classes, on
// a coarse grid, so that distances are often equal and vectors the same.
func anyPool(t *rapid.T) *ofds.Pool {
	p := &ofds.Pool{Vectors: kmeans.Matrix{Dim: 2}}
	for c := range rapid.IntRange(1, 4).Draw(t, "classes") {
		p.Classes = append(p.Classes, fmt.Sprint(c))
	}
	for i := range int32(rapid.IntRange(1, 20).Draw(t, "images")) {
		first := int32(len(p.Objects))
		for j := range rapid.IntRange(0, 4).Draw(t, "objects") {
			class := rapid.IntRange(0, len(p.Classes)-1).Draw(t, "class")
			p.Objects = append(p.Objects, ofds.Object{Image: i, Class: int32(class), ID: fmt.Sprint(j)})
			for range 2 {
				p.Vectors.Data = append(p.Vectors.Data, float32(rapid.IntRange(-3, 3).Draw(t, "z")))
			}
		}
		p.Images = append(p.Images, ofds.Image{ID: fmt.Sprintf("%03d", i), First: first, End: int32(len(p.Objects))})
	}
	return p
}

// Whatever the pool: one more image makes no figure of coverage worse, everything
// covers everything, nothing covers nothing, and no figure leaves its range.
func TestMoreImagesCoverMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPool(t)
		e, err := New(t.Context(), p, Options{Seed: rapid.Uint64().Draw(t, "seed")})
		if err != nil {
			t.Fatal(err)
		}
		images := rapid.Permutation(indexesOf(p)).Draw(t, "order")
		var before *Metrics
		for n := range len(images) + 1 {
			m, err := e.Measure(t.Context(), Chosen{Images: images[:n]})
			if err != nil {
				t.Fatal(err)
			}
			if before != nil {
				checkBetter(t, before, m)
			}
			before = m
		}
		for _, c := range before.Proposals.Classes {
			if !c.Unreachable && (c.Recall != 1 || c.CoverMax != 0 || c.ModeRecall != 1 || c.Lift != 1) {
				t.Errorf("everything chosen: %+v", c)
			}
		}
	})
}

func indexesOf(p *ofds.Pool) []int32 {
	all := make([]int32, len(p.Images))
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

func checkBetter(t *rapid.T, before, after *Metrics) {
	const rounding = 1e-9
	up := func(name string, a, b Number) {
		if float64(b) < float64(a)-rounding || float64(b) > 1+rounding || a.Exists() != b.Exists() {
			t.Errorf("%s went from %v to %v with one more image", name, a, b)
		}
	}
	down := func(name string, a, b Number) {
		if float64(b) > float64(a)+rounding || b < 0 || a.Exists() != b.Exists() {
			t.Errorf("%s went from %v to %v with one more image", name, a, b)
		}
	}
	for i, b := range append([]Group{after.Proposals.Overall}, after.Proposals.Bins...) {
		a := append([]Group{before.Proposals.Overall}, before.Proposals.Bins...)[i]
		up("class coverage of "+a.Name, a.ClassCoverage, b.ClassCoverage)
		up("recall of "+a.Name, a.Recall, b.Recall)
		up("mode recall of "+a.Name, a.ModeRecall, b.ModeRecall)
		down("cover radius of "+a.Name, a.CoverMax, b.CoverMax)
		down("95th percentile of "+a.Name, a.CoverP95, b.CoverP95)
		for j := range b.CoverAt {
			up("coverage of "+a.Name, a.CoverAt[j], b.CoverAt[j])
		}
		if x := float64(b.Balance); x < -rounding || x > 1+rounding || math.IsInf(x, 0) {
			t.Errorf("balance of %s is %v", b.Name, x)
		}
	}
}
