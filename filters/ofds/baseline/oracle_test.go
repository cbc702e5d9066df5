package baseline

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Oracles: the methods once more, in the plainest form, from scratch at every
// step.

// setting is a drawn pool of image vectors with what a method is asked for.
type setting struct {
	pool   *ofds.Pool
	before []int
	budget int
	seed   uint64
}

func drawSetting(t *rapid.T, most int) setting {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "pool"), 0))
	n := rapid.IntRange(2, most).Draw(t, "images")
	s := setting{
		pool:   imagePool(gaussian(random, n, rapid.IntRange(1, 8).Draw(t, "dim"), 5, rapid.SampledFrom([]float64{0.01, 0.3}).Draw(t, "spread"))),
		before: rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 0, min(3, n-1), rapid.ID).Draw(t, "preselected"),
		seed:   rapid.Uint64().Draw(t, "seed"),
	}
	s.budget = rapid.IntRange(1, n-len(s.before)).Draw(t, "budget")
	if s.budget == n-len(s.before) {
		s.budget-- // a budget for everything is another path
	}
	return s
}

func (s setting) common() Common { return Common{Preselected: preselected(s.before)} }

func (s setting) run(t *rapid.T, m ofds.Selector) *ofds.Selection {
	out, err := m.Select(context.Background(), s.pool, s.budget, s.seed)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// plainSquare is the square of the distance with nothing clever.
func plainSquare(a, b []float32) float64 {
	sum := 0.0
	for k := range a {
		sum += (float64(a[k]) - float64(b[k])) * (float64(a[k]) - float64(b[k]))
	}
	return sum
}

// near says that two numbers are the same but for the order of a sum.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(math.Abs(a)+math.Abs(b))+1e-12 }

func TestKCenterIsGreedy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSetting(t, 80)
		have := slices.Clone(s.before)
		for step, image := range chosen(s.run(t, KCenter{s.common()})) {
			if len(have) > 0 {
				distance := func(i int) float64 { return nearestOf(s.pool.ImageVectors, i, have) }
				for i := range s.pool.Images {
					if !slices.Contains(have, i) && distance(i) > distance(image) && !near(distance(i), distance(image)) {
						t.Fatalf("choice %d is image %d at %g, image %d is at %g", step, image, distance(image), i, distance(i))
					}
					if i < image && !slices.Contains(have, i) && slices.Equal(s.pool.ImageVectors.Row(i), s.pool.ImageVectors.Row(image)) {
						t.Fatalf("choice %d is image %d, image %d is the same", step, image, i)
					}
				}
			}
			have = append(have, image)
		}
	})
}

func nearestOf(vectors kmeans.Matrix, i int, have []int) float64 {
	least := math.Inf(1)
	for _, h := range have {
		least = min(least, plainSquare(vectors.Row(i), vectors.Row(h)))
	}
	return least
}

// subsets calls visit with all sets of k of the numbers below n.
func subsets(n, k int, visit func([]int)) {
	set := make([]int, 0, k)
	var from func(int)
	from = func(first int) {
		if len(set) == k {
			visit(set)
			return
		}
		for i := first; i < n; i++ {
			set = append(set, i)
			from(i + 1)
			set = set[:len(set)-1]
		}
	}
	from(0)
}

func TestKCenterIsWithinTwiceTheBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSetting(t, 10)
		s.before, s.budget = nil, min(3, max(1, s.budget))
		radius := func(set []int) float64 {
			most := 0.0
			for i := range s.pool.Images {
				most = max(most, nearestOf(s.pool.ImageVectors, i, set))
			}
			return math.Sqrt(most)
		}
		best := math.Inf(1)
		subsets(len(s.pool.Images), s.budget, func(set []int) { best = min(best, radius(set)) })
		if got := radius(chosen(s.run(t, KCenter{}))); got > 2*best*(1+1e-9) {
			t.Fatalf("radius %g, the best is %g", got, best)
		}
	})
}

func TestKMeansImageTakesTheNearestToCentroids(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSetting(t, 60)
		fit, err := kmeans.Fit(context.Background(), s.pool.ImageVectors, kmeans.Options{K: s.budget + len(s.before), Seed: s.seed})
		if err != nil {
			t.Fatal(err)
		}
		out := s.run(t, KMeansImage{s.common()})
		used, size := make(map[int32]bool), len(s.pool.Images)
		for _, c := range out.Chosen {
			if c.Reason.Kind == ofds.Leftover {
				t.Fatal("clusters were not enough")
			}
			cluster := fit.Cluster[c.Image]
			if used[cluster] || fit.Size[cluster] > size {
				t.Fatalf("cluster %d of %d images comes after one of %d, or twice", cluster, fit.Size[cluster], size)
			}
			used[cluster], size = true, fit.Size[cluster]
			for i, other := range fit.Cluster {
				if other == cluster && (slices.Contains(s.before, i) || fit.Distance[i] < fit.Distance[c.Image]) {
					t.Fatalf("image %d is chosen, image %d is preselected or nearer", c.Image, i)
				}
			}
		}
	})
}

func TestTypiClustIsTheFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSetting(t, 90)
		opt := TypiClustOptions{MaxClusters: rapid.IntRange(1, 12).Draw(t, "clusters"), Neighbours: rapid.SampledFrom([]int{0, 3}).Draw(t, "neighbours")}
		vectors := unit(s.pool.ImageVectors)
		fit, err := kmeans.Fit(context.Background(), vectors, kmeans.Options{K: min(opt.MaxClusters, s.budget+len(s.before)), Seed: s.seed})
		if err != nil {
			t.Fatal(err)
		}
		out := s.run(t, TypiClust{s.common(), opt})
		if err := opt.defaults(); err != nil {
			t.Fatal(err)
		}
		members := make([][]int, fit.Centroids.Rows())
		before := make([]int, len(members))
		for i, c := range fit.Cluster {
			if slices.Contains(s.before, i) {
				before[c]++
			} else {
				members[c] = append(members[c], i)
			}
		}
		var large, small []int
		for c := range members {
			if fit.Size[c] > opt.SmallCluster {
				large = append(large, c)
			} else {
				small = append(small, c)
			}
		}
		order := func(a, b int) int {
			return cmp.Or(cmp.Compare(before[a], before[b]), cmp.Compare(fit.Size[b], fit.Size[a]), cmp.Compare(a, b))
		}
		slices.SortFunc(large, order)
		slices.SortFunc(small, order)
		at := 0
		for _, clusters := range [][]int{large, small} {
			for turn := 0; at < len(out.Chosen) && slices.ContainsFunc(clusters, func(c int) bool { return len(members[c]) > 0 }); turn++ {
				c := clusters[turn%len(clusters)]
				if len(members[c]) == 0 {
					continue
				}
				image := int(out.Chosen[at].Image)
				place := slices.Index(members[c], image)
				if place < 0 {
					t.Fatalf("choice %d is image %d of cluster %d, it is the turn of %d", at, image, fit.Cluster[image], c)
				}
				own := typicality(vectors, members[c], image, opt.Neighbours)
				for _, other := range members[c] {
					if its := typicality(vectors, members[c], other, opt.Neighbours); its > own && !near(its, own) {
						t.Fatalf("choice %d is image %d with typicality %g, image %d has %g", at, image, own, other, its)
					}
				}
				members[c] = slices.Delete(members[c], place, place+1)
				at++
			}
		}
		if at != len(out.Chosen) {
			t.Fatalf("%d of %d choices have a turn", at, len(out.Chosen))
		}
	})
}

func typicality(vectors kmeans.Matrix, members []int, image, neighbours int) float64 {
	var distances []float64
	for _, other := range members {
		if other != image {
			distances = append(distances, plainSquare(vectors.Row(image), vectors.Row(other)))
		}
	}
	slices.Sort(distances)
	k, sum := min(neighbours, len(members)/2), 0.0
	for _, d := range distances[:k] {
		sum += d
	}
	return 1 / (sum/float64(max(1, k)) + 1e-5)
}

// ball returns what an image covers, and how many of those are open.
func ball(vectors kmeans.Matrix, image int, delta float64, covered []bool) (inside []int, open int) {
	for i := range vectors.Rows() {
		if plainSquare(vectors.Row(image), vectors.Row(i)) < delta*delta {
			inside = append(inside, i)
			if !covered[i] {
				open++
			}
		}
	}
	return inside, open
}

func TestProbCoverIsGreedy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSetting(t, 80)
		delta := rapid.SampledFrom([]float64{0.05, 0.3, 0.75}).Draw(t, "delta")
		vectors, covered := unit(s.pool.ImageVectors), make([]bool, len(s.pool.Images))
		cover := func(image int) {
			inside, _ := ball(vectors, image, delta, covered)
			for _, i := range inside {
				covered[i] = true
			}
		}
		for _, image := range s.before {
			cover(image)
		}
		for step, c := range s.run(t, ProbCover{s.common(), ProbCoverOptions{Delta: delta}}).Chosen {
			best, most := -1, 0
			for i := range covered {
				if _, open := ball(vectors, i, delta, covered); open > most {
					best, most = i, open
				}
			}
			if c.Reason.Kind == ofds.Leftover {
				if most > 0 {
					t.Fatalf("choice %d is a random image, image %d would cover %d", step, best, most)
				}
				continue
			}
			if int(c.Image) != best || c.Reason.Size != most {
				t.Fatalf("choice %d is image %d that covers %d, want %d with %d", step, c.Image, c.Reason.Size, best, most)
			}
			cover(int(c.Image))
		}
	})
}

func TestProbCoverIsNearTheBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSetting(t, 10)
		s.before, s.budget = nil, min(3, max(1, s.budget))
		vectors := unit(s.pool.ImageVectors)
		share := func(set []int) int {
			covered := make([]bool, len(s.pool.Images))
			n := 0
			for _, image := range set {
				inside, open := ball(vectors, image, 0.5, covered)
				n += open
				for _, i := range inside {
					covered[i] = true
				}
			}
			return n
		}
		best := 0
		subsets(len(s.pool.Images), s.budget, func(set []int) { best = max(best, share(set)) })
		if got := share(chosen(s.run(t, ProbCover{Options: ProbCoverOptions{Delta: 0.5}}))); float64(got) < (1-1/math.E)*float64(best) {
			t.Fatalf("%d images covered, the best is %d", got, best)
		}
	})
}

func TestProbCoverFindsDelta(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSetting(t, 60)
		s.budget = 1
		opt := ProbCoverOptions{Purity: rapid.SampledFrom([]float64{0.5, 0.95, 1}).Draw(t, "purity"), Clusters: 2}
		vectors := unit(s.pool.ImageVectors)
		fit, err := kmeans.Fit(context.Background(), vectors, kmeans.Options{K: 2, Seed: s.seed})
		if err != nil {
			t.Fatal(err)
		}
		pure := func(delta float64) float64 {
			n := 0
			for i, c := range fit.Cluster {
				inside, _ := ball(vectors, i, delta, make([]bool, len(fit.Cluster)))
				if !slices.ContainsFunc(inside, func(j int) bool { return fit.Cluster[j] != c }) {
					n++
				}
			}
			return float64(n) / float64(len(fit.Cluster))
		}
		out, err := ProbCover{Common{}, opt}.Select(context.Background(), s.pool, 1, s.seed)
		if err != nil {
			if pure(1e-5) >= opt.Purity { // there is a delta
				t.Fatal(err)
			}
			return
		}
		if len(s.pool.Images) == 1+len(s.before) {
			return
		}
		delta := float64(out.Chosen[0].Reason.Distance)
		if pure(delta*(1-1e-6)) < opt.Purity || pure(delta*(1+1e-6)) >= opt.Purity {
			t.Fatalf("delta %g: purity %g just below, %g just above", delta, pure(delta*(1-1e-6)), pure(delta*(1+1e-6)))
		}
	})
}

func TestClassBalancedRandomIsRoundRobin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		objects := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 4), 0, 4), 2, 40).Draw(t, "objects")
		classes := []string{"ant", "bee", "cat", "dog", "eel"}
		pool := objectPool(classes, objects, kmeans.Matrix{})
		budget, seed := rapid.IntRange(1, len(objects)-1).Draw(t, "budget"), rapid.Uint64().Draw(t, "seed")
		s, err := ClassBalancedRandom{}.Select(context.Background(), pool, budget, seed)
		if err != nil {
			t.Fatal(err)
		}
		var turns []int
		count := make([]int, len(classes))
		for c := range classes {
			for _, list := range objects {
				for _, o := range list {
					if o == c {
						count[c]++
					}
				}
			}
			if count[c] > 0 {
				turns = append(turns, c)
			}
		}
		slices.SortStableFunc(turns, func(a, b int) int { return cmp.Compare(count[a], count[b]) })
		taken := make([]bool, len(objects))
		open := func(c int) (list []int) {
			for i := range objects {
				if !taken[i] && slices.Contains(objects[i], c) {
					list = append(list, i)
				}
			}
			return list
		}
		at := 0
		for turn := 0; at < budget && slices.ContainsFunc(turns, func(c int) bool { return len(open(c)) > 0 }); turn++ {
			c := turns[turn%len(turns)]
			list := open(c)
			if len(list) == 0 {
				continue
			}
			want := slices.MinFunc(list, func(a, b int) int { return cmp.Compare(hash(seed, classes[c], id(a)), hash(seed, classes[c], id(b))) })
			if got := s.Chosen[at]; int(got.Image) != want || got.Reason.Class != int32(c) {
				t.Fatalf("choice %d is %+v, want image %d for class %d", at, got, want, c)
			}
			taken[want] = true
			at++
		}
		for _, rest := range s.Chosen[at:] {
			if rest.Reason.Kind != ofds.Leftover {
				t.Fatalf("%+v is of no class", rest)
			}
		}
		asked := int64(0)
		for c, class := range s.Classes {
			asked += class.Quota
			if class.Objects != int64(count[c]) || class.Unreachable != (count[c] == 0) || class.Starved != (budget < len(turns) && count[c] > 0) {
				t.Fatalf("class %d: %+v", c, class)
			}
		}
		if len(turns) > 0 && asked != int64(budget) {
			t.Fatalf("%d images asked for, the budget is %d", asked, budget)
		}
	})
}

// TestFreeSelClustersManyVectors compares it with ObjectD2 on a pool that has
// the centroids as objects.
func TestFreeSelClustersManyVectors(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	for _, limit := range []int{0, 3} {
		patterns := cmp.Or(limit, 5)
		counts := []int{2, 9, 0, 5, 7, 30, 1, 6, 4, 0, 12, 3}
		all, few := make([][]int, len(counts)), make([][]int, len(counts))
		vectors, seed := gaussian(random, 79, 6, 9, 0.3), uint64(77)
		centroids, first := kmeans.Matrix{Dim: 6}, 0
		for i, n := range counts {
			all[i], few[i] = make([]int, n), make([]int, min(n, patterns))
			own := vectors.Slice(first, first+n)
			first += n
			if n > patterns {
				fit, err := kmeans.Fit(t.Context(), own, kmeans.Options{K: patterns, Seed: hash(seed, "", id(i))})
				if err != nil {
					t.Fatal(err)
				}
				own = fit.Centroids
			}
			centroids.Data = append(centroids.Data, own.Data...)
		}
		got := mustSelect(t, FreeSel{Options: FreeSelOptions{Patterns: limit, Farthest: true}}, objectPool([]string{"patch"}, all, vectors), 9, seed)
		want := mustSelect(t, ObjectD2{Options: ObjectD2Options{Farthest: true}}, objectPool([]string{"patch"}, few, centroids), 9, seed)
		if diff := gocmp.Diff(chosen(want), chosen(got)); diff != "" {
			t.Errorf("up to %d patterns: %s", patterns, diff)
		}
		if got.Fits == 0 {
			t.Error("nothing was clustered")
		}
	}
}
