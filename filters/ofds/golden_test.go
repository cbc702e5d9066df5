package ofds_test

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/curate-data/curate/filters/ofds/ofdstest"
)

// golden is what scripts/golden/make_ofds.py writes.
type golden struct {
	Pools [][]struct {
		ID, Group string
		Objects   []struct {
			ID, Class string
			Score     float32
			Vector    []float32
		}
	}
	Cases []struct {
		Pool    int
		Options struct {
			ofds.Options
			Preselected []string
		}
		Budget   int
		Coverage []goldenChoice
	}
}

type goldenChoice struct {
	Image, Class            string
	Round, Cluster, K, Size int
	Object                  string
}

// runs clusters as the oracle does: by the first coordinate, in runs of nearly
// equal length.
func runs(_ context.Context, points kmeans.Matrix, opt kmeans.Options) (*kmeans.Result, error) {
	n := points.Rows()
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(points.Row(x)[0], points.Row(y)[0]) })
	r := &kmeans.Result{Centroids: kmeans.NewMatrix(opt.K, points.Dim), Cluster: make([]int32, n)}
	at := 0
	for k := range opt.K {
		size := n / opt.K
		if k < n%opt.K {
			size++
		}
		sum := make([]float64, points.Dim)
		for _, i := range order[at : at+size] {
			r.Cluster[i] = int32(k)
			for j, x := range points.Row(i) {
				sum[j] += float64(x)
			}
		}
		for j := range sum {
			r.Centroids.Row(k)[j] = float32(sum[j] / float64(size))
		}
		at += size
	}
	return r, nil
}

// Coverage chooses what a slow program in another language chooses, with the same
// rounds, clusters and objects, in the same order.
func TestCoverageEqualsTheOracle(t *testing.T) {
	text, err := os.ReadFile("testdata/select.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	var pools []*ofds.Pool
	for _, images := range g.Pools {
		var source ofdstest.Slice
		for i, from := range images {
			to := image(from.ID, int64(i))
			to.Group = from.Group
			for n, o := range from.Objects {
				to.Objects = append(to.Objects, object(o.ID, o.Class, o.Score, n, o.Vector...))
			}
			source = append(source, to)
		}
		pools = append(pools, newPool(t, source, ofds.PoolOptions{Normalize: "none"}))
	}
	choices := 0
	for i, c := range g.Cases {
		pool, opt := pools[c.Pool], c.Options.Options
		opt.Preselected = make(map[string]bool)
		for _, id := range c.Options.Preselected {
			opt.Preselected[id] = true
		}
		s, err := ofds.SelectClustered(context.Background(), ofds.OFDS{Options: opt}, pool, c.Budget, 1, runs)
		if err != nil {
			t.Fatal(err)
		}
		checkSelection(t, pool, s, opt, c.Budget)
		got := []goldenChoice{}
		for _, choice := range s.Chosen {
			if w := choice.Reason; w.Kind == ofds.Coverage {
				got = append(got, goldenChoice{pool.Images[choice.Image].ID, pool.Classes[w.Class], w.Round, w.Cluster, w.K, w.Size, pool.Objects[w.Object].ID})
			}
		}
		choices += len(got)
		if diff := gocmp.Diff(c.Coverage, got); diff != "" {
			t.Errorf("case %d, pool %d, budget %d, %+v: %s", i, c.Pool, c.Budget, c.Options, diff)
		}
	}
	if choices < 1000 {
		t.Errorf("only %d choices are compared", choices)
	}
}
