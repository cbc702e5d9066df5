package stream

import (
	"errors"
	"fmt"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// Options are those of a selection. All machines that work on one must have
// the same, but for Product and Workers.
type Options struct {
	Budget int // images
	Seed   uint64
	// OFDS are the choice points. The streaming form takes class_order (all values),
	// quota uniform_rollover, k_policy bisect_cut (the default here),
	// representative nearest_centroid, ignore_existing, cluster_order size_desc and
	// size_asc, leftover repeat, random and none, min_cluster_size, budget_unit
	// images, group_max and preselected images.
	OFDS ofds.Options
	// Alpha is the number of clusters for each image of a class's quota; 0 means 4.
	Alpha int
	// SamplePerCluster is the number of objects that k-means sees for each cluster
	// at most; 0 means 256.
	SamplePerCluster int
	// SampleBytes bounds the vectors of the samples of all classes; 0 means 1 GiB. The
	// sample per class halves until they fit.
	SampleBytes int64
	// Nearest is the number of images that a cluster keeps as candidates; 0 means 8.
	Nearest int
	// MaxIterations are those of k-means; 0 means 10.
	MaxIterations int
	Product       kmeans.Product // nil means plain Go; does not change the result
	Workers       int            // goroutines; 0 means one per processor; does not change the result
}

// WithDefaults returns the options with every zero value replaced by what it
// means.
func (o Options) WithDefaults() Options {
	for value, usual := range map[*int]int{&o.Alpha: 4, &o.SamplePerCluster: 256, &o.Nearest: 8, &o.MaxIterations: 10, &o.OFDS.MinClusterSize: 1} {
		if *value == 0 {
			*value = usual
		}
	}
	if o.SampleBytes == 0 {
		o.SampleBytes = 1 << 30
	}
	for value, usual := range map[*string]string{
		&o.OFDS.ClassOrder: "rare_first", &o.OFDS.Quota: "uniform_rollover", &o.OFDS.KPolicy: "bisect_cut", &o.OFDS.Representative: "nearest_centroid",
		&o.OFDS.ClusterOrder: "size_desc", &o.OFDS.Leftover: "repeat", &o.OFDS.BudgetUnit: "images",
	} {
		if *value == "" {
			*value = usual
		}
	}
	return o
}

// Validate returns an error that lists everything that is wrong with the
// options or that only the form in memory can do, or nil.
func (o Options) Validate() error {
	o = o.WithDefaults()
	var faults []error
	word := func(name, value string, words ...string) {
		for _, w := range words {
			if value == w {
				return
			}
		}
		faults = append(faults, fmt.Errorf("%s %q: the streaming form takes %v", name, value, words))
	}
	word("class_order", o.OFDS.ClassOrder, "rare_first", "frequent_first", "given", "random")
	word("quota", o.OFDS.Quota, "uniform_rollover")
	word("k_policy", o.OFDS.KPolicy, "bisect_cut")
	word("representative", o.OFDS.Representative, "nearest_centroid")
	word("cluster_order", o.OFDS.ClusterOrder, "size_desc", "size_asc")
	word("leftover", o.OFDS.Leftover, "repeat", "random", "none")
	word("budget_unit", o.OFDS.BudgetUnit, "images")
	for _, not := range []struct {
		set  bool
		name string
	}{{o.OFDS.ScoreGamma != 0, "score_gamma"}, {o.OFDS.BackgroundShare != 0, "background_share"}, {o.OFDS.Nested, "nested"}, {len(o.OFDS.Quotas) > 0, "quotas"}} {
		if not.set {
			faults = append(faults, fmt.Errorf("%s: the streaming form does not have it; leave it out, or select in memory", not.name))
		}
	}
	for name, value := range map[string]int{"budget": o.Budget, "alpha": o.Alpha, "sample_per_cluster": o.SamplePerCluster, "nearest": o.Nearest,
		"max_iterations": o.MaxIterations, "min_cluster_size": o.OFDS.MinClusterSize} {
		if value < 1 || value > 1<<30 {
			faults = append(faults, fmt.Errorf("%s is %d: want at least 1", name, value))
		}
	}
	if o.OFDS.GroupMax < 0 || o.SampleBytes < 0 {
		faults = append(faults, errors.New("group_max and sample_bytes: want no negative number"))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("check options of the streaming form: %w", err)
	}
	return nil
}
