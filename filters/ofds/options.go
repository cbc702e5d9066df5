package ofds

import (
	"cmp"
	"math"
)

// Options are the choice points of the reconstruction. The zero value of a field
// means the first of its values; WithDefaults writes them out. Budget and seed
// are arguments of Select.
type Options struct {
	ClassOrder      string          `json:"class_order"`           // rare_first, frequent_first, given, random
	GivenOrder      []string        `json:"given_order,omitempty"` // of given: classes, first to last; others follow, the rare ones first
	Quota           string          `json:"quota"`                 // uniform_rollover, proportional, sqrt, explicit, uniform_objects
	Quotas          map[string]int  `json:"quotas,omitempty"`      // of explicit: images by class; other classes get none
	KPolicy         string          `json:"k_policy"`              // adaptive_uncovered, fixed_quota, ratio, bisect_cut
	KRatio          float64         `json:"k_ratio"`               // of ratio; 0 means 0.5
	Representative  string          `json:"representative"`        // nearest_centroid, max_score, medoid, score_centrality, random
	IgnoreExisting  bool            `json:"ignore_existing"`       // count_existing=false: images chosen for another class cover nothing
	ClusterOrder    string          `json:"cluster_order"`         // size_desc, size_asc, tightness
	Leftover        string          `json:"leftover"`              // repeat (up to 6 rounds, then random), random, object_kcenter, none (an error)
	ScoreGamma      float64         `json:"score_gamma"`           // weight of a point in k-means is score^gamma
	MinClusterSize  int             `json:"min_cluster_size"`      // 0 means 1
	BudgetUnit      string          `json:"budget_unit"`           // images, objects (predicted), cost
	ImageCost       float64         `json:"image_cost"`            // of cost: per image
	ObjectCost      float64         `json:"object_cost"`           // of cost: per predicted object
	BackgroundShare float64         `json:"background_share"`      // of the budget, for images without proposals
	GroupMax        int             `json:"group_max"`             // images per group at most, the preselected included; 0 means no limit
	Nested          bool            `json:"nested"`                // a smaller budget's answer is the beginning of a larger one's
	Preselected     map[string]bool `json:"-"`                     // IDs of images that are labelled already: they cover, are not chosen and cost nothing
}

// WithDefaults returns the options with every zero value replaced by what it
// means.
func (o Options) WithDefaults() Options {
	policy := "adaptive_uncovered"
	if o.Nested {
		policy = "bisect_cut"
	}
	o.ClassOrder = cmp.Or(o.ClassOrder, "rare_first")
	o.Quota = cmp.Or(o.Quota, "uniform_rollover")
	o.KPolicy = cmp.Or(o.KPolicy, policy)
	o.KRatio = cmp.Or(o.KRatio, 0.5)
	o.Representative = cmp.Or(o.Representative, "nearest_centroid")
	o.ClusterOrder = cmp.Or(o.ClusterOrder, "size_desc")
	o.Leftover = cmp.Or(o.Leftover, "repeat")
	o.MinClusterSize = cmp.Or(o.MinClusterSize, 1)
	o.BudgetUnit = cmp.Or(o.BudgetUnit, "images")
	return o
}

// Validate returns an error that lists everything that is wrong with the
// options, or nil.
func (o Options) Validate() error {
	var f faults
	f.choice("class_order", o.ClassOrder, "rare_first", "frequent_first", "given", "random")
	f.choice("quota", o.Quota, "uniform_rollover", "proportional", "sqrt", "explicit", "uniform_objects")
	f.choice("k_policy", o.KPolicy, "adaptive_uncovered", "fixed_quota", "ratio", "bisect_cut")
	f.choice("representative", o.Representative, "nearest_centroid", "max_score", "medoid", "score_centrality", "random")
	f.choice("cluster_order", o.ClusterOrder, "size_desc", "size_asc", "tightness")
	f.choice("leftover", o.Leftover, "repeat", "random", "object_kcenter", "none")
	f.choice("budget_unit", o.BudgetUnit, "images", "objects", "cost")
	f.when((o.ClassOrder == "given") != (len(o.GivenOrder) > 0), "given_order and class_order: given go together: set both or none")
	given := make(map[string]bool)
	for _, class := range o.GivenOrder {
		f.when(given[class], "given_order has %q twice: name it once", class)
		given[class] = true
	}
	f.when((o.Quota == "explicit") != (len(o.Quotas) > 0), "quotas and quota: explicit go together: set both or none")
	for _, class := range sortedKeys(o.Quotas) {
		f.when(o.Quotas[class] < 0, "quotas has %d images of %q: give 0 or more", o.Quotas[class], class)
	}
	f.when(!(o.KRatio >= 0 && o.KRatio <= 1), "k_ratio is %v: give a part of the objects from above 0 to 1", o.KRatio)
	f.when(!amount(o.ScoreGamma), "score_gamma is %v: give a number, 0 or more", o.ScoreGamma)
	f.when(o.MinClusterSize < 0, "min_cluster_size is %d: give 1 or more", o.MinClusterSize)
	f.when(!amount(o.ImageCost), "image_cost is %v: give a number, 0 or more", o.ImageCost)
	f.when(!amount(o.ObjectCost), "object_cost is %v: give a number, 0 or more", o.ObjectCost)
	f.when((o.BudgetUnit == "cost") != (o.ImageCost > 0 || o.ObjectCost > 0), "image_cost or object_cost, and budget_unit: cost, go together: set both or none")
	f.when(!(o.BackgroundShare >= 0 && o.BackgroundShare < 1), "background_share is %v: give a part of the budget from 0 to below 1", o.BackgroundShare)
	f.when(o.GroupMax < 0, "group_max is %d: give images per group, or 0 for no limit", o.GroupMax)
	f.when(o.Nested && o.KPolicy != "" && o.KPolicy != "bisect_cut", "nested works with k_policy: bisect_cut only, not %q", o.KPolicy)
	return f.err("options of ofds")
}

func amount(x float64) bool { return x >= 0 && !math.IsInf(x, 1) }

// PoolOptions say which objects count. The zero value of a field means its
// default; WithDefaults writes the defaults out.
type PoolOptions struct {
	Classes         []string           `json:"classes"`           // target classes; empty means all there are
	ScoreMin        float32            `json:"score_min"`         // 0 means 0.3, negative means no limit
	ClassScoreMin   map[string]float32 `json:"class_score_min"`   // overrides, by class
	MinBoxPixels    float32            `json:"min_box_px"`        // shortest side
	MinAreaFraction float32            `json:"min_area_fraction"` // of the image, where its size is known
	DuplicateIoU    float32            `json:"duplicate_iou"`     // 0 means 0.7, 1 keeps all; above it the lower score goes
	Normalize       string             `json:"normalize"`         // l2, none, zscore_per_class
}
