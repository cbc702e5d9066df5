// Package metrics measures how well a selection of images covers the objects of
// a pool, by the figures of object-focused data selection: recall and balance of
// the classes, how far objects are from the nearest chosen one of their class,
// how many clusters of a class are hit, and how much of the choice is alike.
//
// In the formulas below, S is the set of chosen images, c a class, n_c the
// objects of c in the pool and s_c those in S, z the vector of an object as the
// pool has it, and d(o) the Euclidean distance of an object to the nearest
// object of its class in S, which is 0 for those in S. A class is reachable when
// n_c > 0; averages over classes are over reachable classes and weigh each the same.
//
// Where a class has nothing in S there is no nearest object. Leaving it out would
// make a selection that misses a class look better, so its objects have d =
// Limit, twice the longest vector of the pool, beyond which no two objects can be.
package metrics

import (
	"encoding/json"
	"math"
)

// Metrics are the figures of one selection.
type Metrics struct {
	Images     int     `json:"images"`      // |S|
	PoolImages int     `json:"pool_images"` // N
	Share      Number  `json:"share"`       // |S| / N
	Proposals  Figures `json:"proposals"`   // on the objects of the pool
	// Truth has the same figures on the true objects of the images, where they
	// are given. Classes, bins and clusters are those of the truth.
	Truth *Figures `json:"truth,omitempty"`
	// ImagesWithoutTruth counts chosen images that the truth does not have.
	ImagesWithoutTruth int `json:"images_without_truth,omitempty"`
	// FalsePositives is about the proposals of chosen images that the truth has.
	FalsePositives *FalsePositives `json:"false_positives,omitempty"`
	Overlap        []Overlap       `json:"overlap,omitempty"` // with other selections, in the order given
}

// Figures are the figures on one set of objects.
type Figures struct {
	BinRule string `json:"bin_rule"` // lvis or terciles
	// Deltas are the distances of every CoverAt. Limit is the distance of
	// objects whose class has nothing in S; both are null without vectors.
	Deltas  []float64 `json:"deltas,omitempty"`
	Limit   Number    `json:"limit"`
	Overall Group     `json:"overall"`
	Bins    []Group   `json:"bins"`    // rare, common, frequent
	Classes []Class   `json:"classes"` // every class of the pool, in its order

	ObjectsPerImage     Number `json:"objects_per_image"`      // objects in S / |S|
	PoolObjectsPerImage Number `json:"pool_objects_per_image"` // the same of the whole pool
	LabelCost           Number `json:"label_cost"`             // ImageCost |S| + ObjectCost (objects in S); null where neither is given

	Unreachable int `json:"unreachable"` // classes without objects in the pool
	Missed      int `json:"missed"`      // reachable classes without objects in S
	Starved     int `json:"starved"`     // classes that the budget was too small for, as the method says
}

// Group sums up several classes.
type Group struct {
	Name          string `json:"name"`           // overall, rare, common or frequent
	Classes       int    `json:"classes"`        // |C|, the reachable ones
	Covered       int    `json:"covered"`        // those with s_c > 0
	ClassCoverage Number `json:"class_coverage"` // Covered / |C|
	Objects       int64  `json:"objects"`        // sum of n_c
	ChosenObjects int64  `json:"chosen_objects"` // sum of s_c
	Recall        Number `json:"recall"`         // sum of s_c / sum of n_c
	Lift          Number `json:"lift"`           // Recall / (|S| / N); 1 is what random images give
	Balance       Number `json:"balance"`        // entropy of p_c = s_c / sum of s_c, divided by log |C|; null for one class
	MinMax        Number `json:"min_max"`        // smallest s_c / largest s_c

	CoverMax        Number   `json:"cover_max"`         // mean over classes of the largest d
	CoverP95        Number   `json:"cover_p95"`         // mean over classes of the 95th percentile of d
	CoverMean       Number   `json:"cover_mean"`        // mean over classes of the mean of d
	CoverP95Reached Number   `json:"cover_p95_reached"` // CoverP95 over the classes with s_c > 0
	CoverAt         []Number `json:"cover_at,omitempty"`
	ModeRecall      Number   `json:"mode_recall"`          // mean over classes
	Modes           int      `json:"modes"`                // clusters of all classes
	ModesHit        int      `json:"modes_hit"`            // those with an object in S
	NearestMean     Number   `json:"nearest_mean"`         // mean over classes that have one
	NearDuplicates  int64    `json:"near_duplicate_pairs"` // sum over classes
}

// Class has the figures of one class.
type Class struct {
	Name          string `json:"name"`
	Bin           Bin    `json:"bin"`            // by the images of the pool with the class; empty where there are none
	Objects       int64  `json:"objects"`        // n_c
	Images        int64  `json:"images"`         // images of the pool with an object of the class
	ChosenObjects int64  `json:"chosen_objects"` // s_c
	ChosenImages  int64  `json:"chosen_images"`  // images of S with an object of the class
	Recall        Number `json:"recall"`         // s_c / n_c
	Lift          Number `json:"lift"`           // Recall / (|S| / N)

	Sampled   int64    `json:"sampled"`            // objects that d is computed of: all, or a sample of Options.Sample
	CoverMax  Number   `json:"cover_max"`          // largest d
	CoverP95  Number   `json:"cover_p95"`          // smallest x so that d <= x for 95 % of the objects
	CoverMean Number   `json:"cover_mean"`         // mean of d
	CoverAt   []Number `json:"cover_at,omitempty"` // share of objects with d < delta, for each of Deltas

	Modes      int    `json:"modes"`       // clusters of the class's objects, made for this measurement
	ModesHit   int    `json:"modes_hit"`   // clusters that an object in S lies in
	ModeRecall Number `json:"mode_recall"` // ModesHit / Modes

	NearestMean    Number `json:"nearest_mean"`         // mean over objects in S of the distance to the nearest other one of the class in S; null below two
	NearDuplicates int64  `json:"near_duplicate_pairs"` // pairs of objects of the class in S closer than Options.NearDuplicate

	Unreachable bool `json:"unreachable,omitempty"` // n_c = 0
	Missed      bool `json:"missed,omitempty"`      // n_c > 0 and s_c = 0
	Starved     bool `json:"starved,omitempty"`     // as the method says
}

// FalsePositives counts proposals that no true object explains: going through
// the proposals of an image and class by falling score, each takes the true
// object of the class that it overlaps most among those not taken yet, if their
// IoU is at least Options.MatchIoU, and is a false positive if there is none.
// Crowds and other ignored objects are in no pool, so proposals on them are false.
type FalsePositives struct {
	Proposals int64                 `json:"proposals"`
	False     int64                 `json:"false"`
	Share     Number                `json:"share"`      // False / Proposals in S
	PoolShare Number                `json:"pool_share"` // the same of the whole pool
	Classes   []ClassFalsePositives `json:"classes"`    // every class of the pool, in its order
}

// ClassFalsePositives are those of one class, in S.
type ClassFalsePositives struct {
	Name      string `json:"name"`
	Proposals int64  `json:"proposals"`
	False     int64  `json:"false"`
	Share     Number `json:"share"`
}

// Overlap compares with another selection of the same pool.
type Overlap struct {
	Name    string `json:"name"`
	Images  int    `json:"images"`  // of the other selection
	Shared  int    `json:"shared"`  // images in both
	Jaccard Number `json:"jaccard"` // Shared / images in either
}

// Number is a figure that may not exist: it is NaN then, and null in JSON.
type Number float64

// missing is the figure that does not exist.
func missing() Number { return Number(math.NaN()) }

// Exists says whether the figure is a finite number.
func (n Number) Exists() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// MarshalJSON writes a number, or null where there is none.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.Exists() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *Number) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*n = missing()
		return nil
	}
	return json.Unmarshal(data, (*float64)(n))
}

// ratio is part of whole, missing of nothing.
func ratio(part, whole float64) Number {
	if whole == 0 {
		return missing()
	}
	return Number(part / whole)
}
