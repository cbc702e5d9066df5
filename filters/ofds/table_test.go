package ofds_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/ofdstest"
)

// variant is a row of the table.
type variant struct {
	name string
	pool ofds.PoolOptions
	opt  ofds.Options
}

func variants() []variant {
	list := []variant{{name: "default"}}
	for _, o := range []struct {
		name string
		opt  ofds.Options
	}{
		{"class_order frequent_first", ofds.Options{ClassOrder: "frequent_first"}},
		{"class_order random", ofds.Options{ClassOrder: "random"}},
		{"quota proportional", ofds.Options{Quota: "proportional"}},
		{"quota sqrt", ofds.Options{Quota: "sqrt"}},
		{"quota uniform_objects", ofds.Options{Quota: "uniform_objects"}},
		{"k_policy fixed_quota", ofds.Options{KPolicy: "fixed_quota"}},
		{"k_policy ratio 0.1", ofds.Options{KPolicy: "ratio", KRatio: .1}},
		{"k_policy ratio 0.5", ofds.Options{KPolicy: "ratio"}},
		{"k_policy bisect_cut", ofds.Options{KPolicy: "bisect_cut"}},
		{"nested", ofds.Options{Nested: true}},
		{"representative max_score", ofds.Options{Representative: "max_score"}},
		{"representative medoid", ofds.Options{Representative: "medoid"}},
		{"representative score_centrality", ofds.Options{Representative: "score_centrality"}},
		{"representative random", ofds.Options{Representative: "random"}},
		{"count_existing false", ofds.Options{IgnoreExisting: true}},
		{"cluster_order size_asc", ofds.Options{ClusterOrder: "size_asc"}},
		{"cluster_order tightness", ofds.Options{ClusterOrder: "tightness"}},
		{"leftover object_kcenter, fixed_quota", ofds.Options{Leftover: "object_kcenter", KPolicy: "fixed_quota"}},
		{"score_gamma 1", ofds.Options{ScoreGamma: 1}},
		{"min_cluster_size 2", ofds.Options{MinClusterSize: 2}},
		{"min_cluster_size 3", ofds.Options{MinClusterSize: 3}},
		{"bisect_cut, min_cluster_size 3", ofds.Options{KPolicy: "bisect_cut", MinClusterSize: 3}},
	} {
		list = append(list, variant{name: o.name, opt: o.opt})
	}
	for _, p := range []struct {
		name string
		pool ofds.PoolOptions
	}{
		{"score_min none", ofds.PoolOptions{ScoreMin: -1}}, {"score_min 0.45", ofds.PoolOptions{ScoreMin: .45}},
		{"normalize none", ofds.PoolOptions{Normalize: "none"}}, {"normalize zscore_per_class", ofds.PoolOptions{Normalize: "zscore_per_class"}},
	} {
		list = append(list, variant{name: p.name, pool: p.pool})
	}
	return list
}

// TestOptionsTable measures every option on synthetic pools and prints a table
// for the documentation: CURATE_FULL=1 go test -v -run OptionsTable. Without
// CURATE_FULL it takes one small pool of each imbalance, as a check only.
func TestOptionsTable(t *testing.T) {
	pools, images := uint64(1), 500
	if os.Getenv("CURATE_FULL") != "" {
		pools, images = 8, 2500
	}
	rows := map[string]string{}
	for _, zipf := range []float64{1.6, 2.4} {
		measures := make(map[string][]ofdstest.Measures)
		fits, filled := make(map[string]int), make(map[string]int)
		for seed := range pools {
			config := ofdstest.Default(zipf, seed)
			config.Images = images
			truth := ofdstest.New(config)
			w := world{truth, newPool(t, truth, ofds.PoolOptions{})}
			measures["random"] = append(measures["random"], truth.Measure(w.random(100, seed)))
			measures["class_balanced_random"] = append(measures["class_balanced_random"], truth.Measure(w.balanced(100, seed)))
			for _, v := range variants() {
				pool := w.pool
				if v.pool.ScoreMin != 0 || v.pool.Normalize != "" {
					pool = newPool(t, truth, v.pool)
				}
				s := choose(t, pool, v.opt, 100, seed)
				checkSelection(t, pool, s, v.opt, 100)
				m := truth.Measure(ids(pool, s))
				if m.ModeRecall < .4 {
					t.Errorf("%s: mode recall %.3f: worse than random", v.name, m.ModeRecall)
				}
				measures[v.name] = append(measures[v.name], m)
				fits[v.name] += s.Fits
				for _, c := range s.Chosen {
					if c.Reason.Kind == ofds.Leftover {
						filled[v.name]++
					}
				}
			}
		}
		for name, list := range measures {
			m := ofdstest.Mean(list)
			rows[name] += fmt.Sprintf(" %.3f / %.3f / %.3f / %.1f | %d, %d |", m.ModeRecall, m.RareRecall, m.CoverP95, m.RareObjects,
				fits[name]/int(pools), filled[name]/int(pools))
		}
	}
	var table strings.Builder
	fmt.Fprintf(&table, "mode recall / of rare classes / cover P95 / rare objects; mean of %d pools, 100 of %d images\n", pools, images)
	table.WriteString("| method | zipf 1.6 | fits, filled | zipf 2.4 | fits, filled |\n|---|---|---|---|---|\n")
	for _, name := range []string{"random", "class_balanced_random"} {
		fmt.Fprintf(&table, "| %s |%s\n", name, rows[name])
	}
	for _, v := range variants() {
		fmt.Fprintf(&table, "| %s |%s\n", v.name, rows[v.name])
	}
	t.Log(table.String())
}
