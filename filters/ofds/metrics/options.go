package metrics

import (
	"fmt"
	"math"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// Bin is the size class of a class, as LVIS has them.
type Bin string

// Bins by the number of images that have the class.
const (
	Rare     Bin = "rare"     // fewer than 10 images, or the lowest third of the classes
	Common   Bin = "common"   // 10 to 99 images, or the middle third
	Frequent Bin = "frequent" // 100 images and more, or the upper third
)

// Rules that put classes in bins.
const (
	LVIS     = "lvis"
	Terciles = "terciles"
)

// Options say how to measure. The zero value is valid.
type Options struct {
	// Bins is LVIS or Terciles. Empty means LVIS where that leaves neither rare
	// nor frequent without a class, and Terciles otherwise.
	Bins string
	// Seed decides the clusters and the samples. Clusters differ from those of a
	// selection with the same seed.
	Seed uint64
	// Clusters is the largest number of clusters of a class; 0 means 20. A class
	// of n objects has sqrt(n/2) of them, rounded, if that is fewer.
	Clusters int
	// Modes are the clusters of the pool's objects where they are known, as in
	// synthetic pools: a number for each object, counted within its class, below
	// 0 for none. Nothing is clustered then. TruthModes are those of Truth.
	Modes, TruthModes []int32
	// Sample is the most objects of a class that distances are computed of; 0
	// means 10,000, below 0 all. Larger classes are sampled by a hash of seed,
	// image and object, so that every selection is measured on the same objects.
	Sample int
	// Deltas are the distances of coverage; empty means 0.1, 0.2, ... 1.5 times the
	// longest vector of the pool.
	Deltas []float64
	// NearDuplicate is the distance below which two objects are nearly the same; 0
	// means a tenth of the longest vector.
	NearDuplicate float64
	// ImageCost and ObjectCost are those of labelling an image, and an object in
	// it, in any unit.
	ImageCost, ObjectCost float64
	// Truth has the true objects of the pool's images, found by their IDs; nil
	// for none. Filters that are meant for proposals (duplicates, small boxes)
	// should not have been applied to it.
	Truth *ofds.Pool
	// MatchIoU is the overlap at which a proposal is a true object; 0 means 0.5.
	MatchIoU float32

	Product kmeans.Product // nil means plain Go
	Workers int            // goroutines; 0 means one per processor
}

const (
	defaultSample   = 10_000
	defaultClusters = 20
	defaultIoU      = 0.5
)

// withDefaults checks options against the pool that they are for, and fills in
// what is left open. longest is the length of the pool's longest vector.
func (o Options) withDefaults(pool *ofds.Pool, longest float64) (Options, error) {
	if o.Bins != "" && o.Bins != LVIS && o.Bins != Terciles {
		return o, fmt.Errorf("bins %q: want %s or %s", o.Bins, LVIS, Terciles)
	}
	if o.Clusters < 0 {
		return o, fmt.Errorf("clusters %d: want 1 or more, or 0 for %d", o.Clusters, defaultClusters)
	}
	if n := len(o.Modes); n != 0 && n != len(pool.Objects) {
		return o, fmt.Errorf("modes of %d objects, but the pool has %d", n, len(pool.Objects))
	}
	if !(o.MatchIoU >= 0 && o.MatchIoU <= 1) {
		return o, fmt.Errorf("IoU %v of a match: want 0 to 1", o.MatchIoU)
	}
	if !(o.NearDuplicate >= 0) {
		return o, fmt.Errorf("near-duplicate distance %v: want 0 or more", o.NearDuplicate)
	}
	if !(o.ImageCost >= 0) || !(o.ObjectCost >= 0) {
		return o, fmt.Errorf("costs %v per image and %v per object: want 0 or more", o.ImageCost, o.ObjectCost)
	}
	for _, d := range o.Deltas {
		if math.IsNaN(d) || math.IsInf(d, 0) {
			return o, fmt.Errorf("coverage distance %v: want a number", d)
		}
	}
	if o.Clusters == 0 {
		o.Clusters = defaultClusters
	}
	if o.Sample == 0 {
		o.Sample = defaultSample
	}
	if o.MatchIoU == 0 {
		o.MatchIoU = defaultIoU
	}
	if len(o.Deltas) == 0 {
		for i := range 15 {
			o.Deltas = append(o.Deltas, longest*float64(i+1)/10)
		}
	}
	if o.NearDuplicate == 0 {
		o.NearDuplicate = longest / 10
	}
	return o, nil
}
