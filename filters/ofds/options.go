package ofds

// Options are the choice points of the reconstruction. The zero value of a field
// means the first of its values. Budget and seed are arguments of Select.
type Options struct {
	ClassOrder      string          `json:"class_order"`      // rare_first, frequent_first, given, random
	Quota           string          `json:"quota"`            // uniform_rollover, proportional, sqrt, explicit, uniform_objects
	Quotas          map[string]int  `json:"quotas,omitempty"` // of explicit, by class
	KPolicy         string          `json:"k_policy"`         // adaptive_uncovered, fixed_quota, ratio, bisect_cut
	KRatio          float64         `json:"k_ratio"`          // of ratio; 0 means 0.5
	Representative  string          `json:"representative"`   // nearest_centroid, max_score, medoid, score_centrality, random
	IgnoreExisting  bool            `json:"ignore_existing"`  // count_existing=false
	ClusterOrder    string          `json:"cluster_order"`    // size_desc, size_asc, tightness
	Leftover        string          `json:"leftover"`         // repeat, random, object_kcenter, none
	ScoreGamma      float64         `json:"score_gamma"`      // weight of a point in k-means is score^gamma
	MinClusterSize  int             `json:"min_cluster_size"` // 0 means 1
	BudgetUnit      string          `json:"budget_unit"`      // images, objects, cost
	ImageCost       float64         `json:"image_cost"`       // of cost: per image
	ObjectCost      float64         `json:"object_cost"`      // of cost: per predicted object
	BackgroundShare float64         `json:"background_share"` // of the budget, for images without proposals
	GroupMax        int             `json:"group_max"`        // images per group at most; 0 means no limit
	Nested          bool            `json:"nested"`           // a smaller budget's answer is a part of a larger one's
	Preselected     map[string]bool `json:"-"`                // IDs of images that are labelled already
}

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
