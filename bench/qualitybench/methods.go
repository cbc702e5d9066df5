package main

import (
	"math"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/baseline"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// method is a row of a table.
type method struct {
	name     string
	pool     ofds.PoolOptions
	centre   string // "", or what centred does to the vectors
	selector ofds.Selector
}

// methods are OFDS and what it is compared with, or variants of OFDS and the two
// methods that look at no vectors.
func methods(final bool) ([]method, error) {
	list := []method{{name: "ofds", selector: ofds.OFDS{}}}
	for _, n := range baseline.Names() {
		if !final && n.Name != "random" && n.Name != "class_balanced_random" {
			continue
		}
		m, err := baseline.ByName(n.Name, baseline.Options{})
		if err != nil {
			return nil, err
		}
		list = append(list, method{name: n.Name, selector: m})
	}
	if !final {
		list = append(list, variants()...)
	}
	return list, nil
}

func variants() []method {
	var list []method
	for _, v := range []struct {
		name string
		opt  ofds.Options
	}{
		{"class_order: frequent_first", ofds.Options{ClassOrder: "frequent_first"}},
		{"quota: proportional", ofds.Options{Quota: "proportional"}},
		{"quota: sqrt", ofds.Options{Quota: "sqrt"}},
		{"quota: uniform_objects", ofds.Options{Quota: "uniform_objects"}},
		{"k_policy: fixed_quota", ofds.Options{KPolicy: "fixed_quota"}},
		{"k_policy: ratio, 0.1", ofds.Options{KPolicy: "ratio", KRatio: .1}},
		{"k_policy: ratio, 0.5", ofds.Options{KPolicy: "ratio"}},
		{"k_policy: bisect_cut", ofds.Options{KPolicy: "bisect_cut"}},
		{"representative: max_score", ofds.Options{Representative: "max_score"}},
		{"representative: medoid", ofds.Options{Representative: "medoid"}},
		{"representative: score_centrality", ofds.Options{Representative: "score_centrality"}},
		{"ignore_existing", ofds.Options{IgnoreExisting: true}},
		{"cluster_order: tightness", ofds.Options{ClusterOrder: "tightness"}},
		{"score_gamma: 1", ofds.Options{ScoreGamma: 1}},
		{"score_gamma: 2", ofds.Options{ScoreGamma: 2}},
		{"min_cluster_size: 2", ofds.Options{MinClusterSize: 2}},
		{"max_score, score_gamma: 2, min_cluster_size: 2", ofds.Options{Representative: "max_score", ScoreGamma: 2, MinClusterSize: 2}},
	} {
		list = append(list, method{name: v.name, selector: ofds.OFDS{Options: v.opt}})
	}
	for _, p := range []struct {
		name string
		pool ofds.PoolOptions
		opt  ofds.Options
	}{
		{"score_min: none", ofds.PoolOptions{ScoreMin: -1}, ofds.Options{}},
		{"score_min: 0.5", ofds.PoolOptions{ScoreMin: .5}, ofds.Options{}},
		{"score_min: 0.6", ofds.PoolOptions{ScoreMin: .6}, ofds.Options{}},
		{"normalize: none", ofds.PoolOptions{Normalize: "none"}, ofds.Options{}},
		{"normalize: zscore_per_class", ofds.PoolOptions{Normalize: "zscore_per_class"}, ofds.Options{}},
		{"score_min: 0.6, max_score", ofds.PoolOptions{ScoreMin: .6}, ofds.Options{Representative: "max_score"}},
	} {
		list = append(list, method{name: p.name, pool: p.pool, selector: ofds.OFDS{Options: p.opt}})
	}
	for _, c := range []string{"centred", "standardised"} {
		list = append(list, method{name: "vectors " + c + ", then l2", pool: ofds.PoolOptions{Normalize: "none"}, centre: c, selector: ofds.OFDS{}})
	}
	return list
}

// centred returns a pool whose object vectors have the mean 0 (and standardised,
// the deviation 1 in every dimension) before they are brought to length 1. It is
// no option of ofds, but tried here.
func centred(pool *ofds.Pool, how string) *ofds.Pool {
	out := *pool
	out.Vectors = kmeans.NewMatrix(pool.Vectors.Rows(), pool.Vectors.Dim)
	n := float64(pool.Vectors.Rows())
	for j := range pool.Vectors.Dim {
		sum, square := 0.0, 0.0
		for i := range pool.Vectors.Rows() {
			sum += float64(pool.Vectors.Row(i)[j])
		}
		for i := range pool.Vectors.Rows() {
			d := float64(pool.Vectors.Row(i)[j]) - sum/n
			square += d * d
		}
		scale := 1.0
		if how == "standardised" && square > 0 {
			scale = 1 / math.Sqrt(square/n)
		}
		for i := range pool.Vectors.Rows() {
			out.Vectors.Row(i)[j] = float32((float64(pool.Vectors.Row(i)[j]) - sum/n) * scale)
		}
	}
	for i := range out.Vectors.Rows() {
		sum := 0.0
		for _, x := range out.Vectors.Row(i) {
			sum += float64(x) * float64(x)
		}
		for j := range out.Vectors.Row(i) {
			out.Vectors.Row(i)[j] = float32(float64(out.Vectors.Row(i)[j]) / math.Sqrt(max(sum, 1e-30)))
		}
	}
	return &out
}
