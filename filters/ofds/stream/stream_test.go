package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/ofdstest"
	"github.com/curate-data/curate/filters/ofds/stream"
	"github.com/curate-data/curate/pipeline"
)

func small(seed uint64) *ofdstest.Pool {
	config := ofdstest.Default(1.6, seed)
	config.Images, config.Dim = 700, 16
	return ofdstest.New(config)
}

func source(list []*pipeline.Image, batch int) stream.Images {
	return stream.Images{Source: ofdstest.Slice(list), Batch: batch}
}

// census and tally are those of one machine, carried over a wire.
func census(t testing.TB, list []*pipeline.Image, batch int, opt stream.Options) *stream.Census {
	t.Helper()
	c, err := stream.NewCensus(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Count(context.Background(), source(list, batch)); err != nil {
		t.Fatal(err)
	}
	carried, err := stream.DecodeCensus(c.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return carried
}

func tally(t testing.TB, list []*pipeline.Image, batch int, book *stream.Codebook, opt stream.Options) *stream.Tally {
	t.Helper()
	s, err := stream.NewTally(book, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Count(context.Background(), source(list, batch)); err != nil {
		t.Fatal(err)
	}
	carried, err := stream.DecodeTally(s.Encode(), book, opt)
	if err != nil {
		t.Fatal(err)
	}
	return carried
}

// TestMachinesAgree divides a pool among three machines and merges what they
// say in every order: all bytes must be those of one machine.
func TestMachinesAgree(t *testing.T) {
	pool := small(1)
	for name, opt := range map[string]stream.Options{
		"all sampled":  {Budget: 60, Seed: 7},
		"little room":  {Budget: 60, Seed: 7, SampleBytes: 16 * 4 * 600, Nearest: 3},
		"tiny samples": {Budget: 9, Seed: 8, SamplePerCluster: 2, Alpha: 2, Nearest: 1},
		"preselected":  {Budget: 20, Seed: 9, OFDS: ofds.Options{Preselected: map[string]bool{ofdstest.ImageID(5): true, ofdstest.ImageID(600): true}}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			whole := census(t, pool.List, 10000, opt)
			book, err := stream.Train(ctx, whole, opt)
			if err != nil {
				t.Fatal(err)
			}
			all := tally(t, pool.List, 10000, book, opt)
			want, err := all.Choose(ctx)
			if err != nil {
				t.Fatal(err)
			}
			parts := [][]*pipeline.Image{pool.List[:50], pool.List[50:400], pool.List[400:]}
			for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
				c := census(t, parts[order[0]], 33, opt)
				for _, i := range order[1:] {
					if err := c.Merge(census(t, parts[i], 101, opt)); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(c.Encode(), whole.Encode()) {
					t.Fatalf("order %v: another census", order)
				}
				s := tally(t, parts[order[0]], 29, book, opt)
				for _, i := range order[1:] {
					if err := s.Merge(tally(t, parts[i], 90, book, opt)); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(s.Encode(), all.Encode()) {
					t.Fatalf("order %v: another tally", order)
				}
				got, err := s.Choose(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("order %v: %s", order, diff)
				}
			}
		})
	}
}

// TestSelectKeepsItsPromises draws options and looks at the outcome.
func TestSelectKeepsItsPromises(t *testing.T) {
	pool := small(2)
	for i, image := range pool.List {
		image.Group = fmt.Sprint("scene ", i/7)
	}
	rapid.Check(t, func(t *rapid.T) {
		list := pool.List[:rapid.IntRange(30, 300).Draw(t, "images")]
		opt := stream.Options{
			Budget: rapid.IntRange(1, 350).Draw(t, "budget"), Seed: rapid.Uint64().Draw(t, "seed"),
			Alpha: rapid.IntRange(0, 6).Draw(t, "alpha"), Nearest: rapid.IntRange(0, 3).Draw(t, "nearest"),
			SampleBytes: rapid.SampledFrom([]int64{0, 16 * 4 * 50}).Draw(t, "room"), Workers: rapid.IntRange(1, 3).Draw(t, "workers"),
			OFDS: ofds.Options{
				ClassOrder:     rapid.SampledFrom([]string{"", "frequent_first", "given", "random"}).Draw(t, "order"),
				IgnoreExisting: rapid.Bool().Draw(t, "ignore"), GroupMax: rapid.IntRange(0, 2).Draw(t, "group"),
				ClusterOrder: rapid.SampledFrom([]string{"", "size_asc"}).Draw(t, "clusters"),
				Leftover:     rapid.SampledFrom([]string{"repeat", "random"}).Draw(t, "leftover"),
				Preselected:  map[string]bool{ofdstest.ImageID(3): true, "not there": true},
			},
		}
		out, err := stream.Select(context.Background(), source(list, rapid.IntRange(20, 400).Draw(t, "batch")), opt)
		if err != nil {
			t.Fatal(err)
		}
		seen, groups, chosen := map[string]bool{ofdstest.ImageID(3): true}, map[string]int{list[3].Group: 1}, make([]int64, len(out.ClassNames))
		for k, choice := range out.Chosen {
			image, why := out.Images[choice.Image], choice.Reason
			if seen[image.ID] {
				t.Fatalf("choice %d is %q again", k, image.ID)
			}
			seen[image.ID] = true
			groups[image.Group]++
			if why.Kind == ofds.Coverage {
				chosen[why.Class]++
			}
			if why.Kind == ofds.Coverage && (why.Object < 0 || out.Objects[why.Object].Image != choice.Image || out.Objects[why.Object].Class != why.Class || why.Size < 1 || why.K < 1) {
				t.Fatalf("choice %d has no good reason: %+v", k, why)
			}
		}
		for group, n := range groups {
			if opt.OFDS.GroupMax > 0 && n > opt.OFDS.GroupMax {
				t.Fatalf("%d images of %s", n, group)
			}
		}
		if want := min(opt.Budget, len(list)-1); opt.OFDS.GroupMax == 0 && len(out.Chosen) != want {
			t.Fatalf("%d images of a pool of %d and a budget of %d", len(out.Chosen), len(list), opt.Budget)
		}
		if len(out.Chosen) < opt.Budget && len(out.Warnings) == 0 {
			t.Fatal("a budget that is not spent and no word about it")
		}
		reached := map[int32]bool{}
		for _, o := range out.Objects {
			reached[o.Class] = true
		}
		for i, class := range out.Classes {
			if !opt.OFDS.IgnoreExisting && opt.OFDS.GroupMax == 0 && opt.Budget >= len(out.Classes) && !class.Unreachable && class.Achieved == 0 && !strings.Contains(fmt.Sprint(list[3].Objects), out.ClassNames[i]) {
				t.Fatalf("class %s has nothing", out.ClassNames[i])
			}
		}
	})
}

// TestAchievedIsTrue counts the objects of the chosen images again.
func TestAchievedIsTrue(t *testing.T) {
	pool := small(3)
	out, err := stream.Select(context.Background(), source(pool.List, 64), stream.Options{Budget: 40})
	if err != nil {
		t.Fatal(err)
	}
	all, err := ofds.NewPool(context.Background(), pool, ofds.PoolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	objects, achieved := make([]int64, len(all.Classes)), make([]int64, len(all.Classes))
	for _, o := range all.Objects {
		objects[o.Class]++
		if slices.ContainsFunc(out.Images, func(i ofds.Image) bool { return i.ID == all.Images[o.Image].ID }) {
			achieved[o.Class]++
		}
	}
	for i, class := range out.Classes {
		if out.ClassNames[i] != all.Classes[i] || class.Objects != objects[i] || class.Achieved != achieved[i] {
			t.Errorf("class %s: %d of %d, want %s: %d of %d", out.ClassNames[i], class.Achieved, class.Objects, all.Classes[i], achieved[i], objects[i])
		}
	}
}

// TestGivenOrder wants the classes' turns in the order given, and an error where
// nothing may fill the budget.
func TestGivenOrder(t *testing.T) {
	ctx, pool := context.Background(), small(6)
	opt := stream.Options{Budget: 30, OFDS: ofds.Options{ClassOrder: "given", GivenOrder: []string{ofdstest.ClassName(0), ofdstest.ClassName(7)}}}
	out, err := stream.Select(ctx, source(pool.List, 200), opt)
	if err != nil {
		t.Fatal(err)
	}
	var turns []string
	for _, c := range out.Chosen {
		if name := out.ClassNames[c.Reason.Class]; len(turns) == 0 || turns[len(turns)-1] != name {
			turns = append(turns, name)
		}
	}
	if turns[0] != ofdstest.ClassName(0) || turns[1] != ofdstest.ClassName(7) {
		t.Errorf("turns %v", turns)
	}
	opt = stream.Options{Budget: 699, OFDS: ofds.Options{Leftover: "none"}}
	if _, err := stream.Select(ctx, source(pool.List, 200), opt); !errors.Is(err, ofds.ErrBudgetLeft) {
		t.Errorf("leftover none: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	ctx, pool := context.Background(), small(4)
	opt := stream.Options{Budget: 30, Seed: 1}
	a, b := census(t, pool.List[:400], 100, opt), census(t, pool.List[300:], 100, opt)
	book, err := stream.Train(ctx, census(t, pool.List, 100, opt), opt)
	if err != nil {
		t.Fatal(err)
	}
	part := tally(t, pool.List[:400], 100, book, opt)
	_, incomplete := part.Choose(ctx)
	_, twice := stream.Select(ctx, source(slices.Concat(pool.List, pool.List[:9]), 100), opt)
	other := census(t, small(5).List[:90], 100, opt)
	otherBook, err := stream.Train(ctx, other, opt)
	if err != nil {
		t.Fatal(err)
	}
	foreign := tally(t, small(5).List[:90], 100, otherBook, opt)
	_, wrongBook := stream.DecodeTally(foreign.Encode(), book, opt)
	for want, err := range map[string]error{
		"is in both":            a.Merge(b),
		"is a part missing":     incomplete,
		"counted twice":         twice,
		"different codebooks":   part.Merge(foreign),
		"another codebook":      wrongBook,
		"budget is 0":           stream.Options{}.Validate(),
		`k_policy "ratio"`:      stream.Options{Budget: 1, OFDS: ofds.Options{KPolicy: "ratio"}}.Validate(),
		"score_gamma":           stream.Options{Budget: 1, OFDS: ofds.Options{ScoreGamma: 1}}.Validate(),
		"with different option": a.Merge(census(t, pool.List[600:], 10, stream.Options{Budget: 30, Seed: 2})),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := tally(t, pool.List[:400], 100, book, opt).Merge(tally(t, pool.List[399:], 100, book, opt)); err == nil || !strings.Contains(err.Error(), ofdstest.ImageID(399)) {
		// The image that both have is noticed only while a list holds it.
		t.Errorf("an image in two parts: %v", err)
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if _, err := stream.Select(stopped, source(pool.List, 100), opt); err == nil {
		t.Error("a stopped selection succeeds")
	}
}
