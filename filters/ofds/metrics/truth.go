package metrics

import (
	"cmp"
	"slices"

	"github.com/curate-data/curate/filters/ofds"
)

// falsePositives matches the proposals of images with the true objects.
func (e *Evaluator) falsePositives(images []int32) *FalsePositives {
	f := &FalsePositives{Classes: make([]ClassFalsePositives, len(e.pool.Classes))}
	for c, name := range e.pool.Classes {
		f.Classes[c].Name = name
	}
	for _, i := range images {
		e.match(i, func(o *ofds.Object, wrong bool) {
			f.Classes[o.Class].Proposals++
			f.Classes[o.Class].False += int64(one(wrong))
		})
	}
	for c := range f.Classes {
		class := &f.Classes[c]
		class.Share = ratio(float64(class.False), float64(class.Proposals))
		f.Proposals += class.Proposals
		f.False += class.False
	}
	f.Share = ratio(float64(f.False), float64(f.Proposals))
	f.PoolShare = e.poolFalse
	return f
}

// falseShare is the share of false positives in the whole pool.
func (e *Evaluator) falseShare() Number {
	all, failed := 0.0, 0.0
	for i := range e.pool.Images {
		e.match(int32(i), func(_ *ofds.Object, wrong bool) {
			all++
			failed += float64(one(wrong))
		})
	}
	return ratio(failed, all)
}

// match calls found for every proposal of an image that the truth has.
func (e *Evaluator) match(image int32, found func(o *ofds.Object, wrong bool)) {
	at := e.inTruth[image]
	if at < 0 {
		return
	}
	proposals := indexes(e.pool.Images[image])
	slices.SortStableFunc(proposals, func(a, b int32) int {
		return cmp.Compare(e.pool.Objects[b].Score, e.pool.Objects[a].Score)
	})
	truth := e.truth.pool
	taken := make(map[int32]bool)
	for _, p := range proposals {
		o := &e.pool.Objects[p]
		best, most := int32(-1), float32(0)
		for _, t := range indexes(truth.Images[at]) {
			real := &truth.Objects[t]
			if taken[t] || truth.Classes[real.Class] != e.pool.Classes[o.Class] {
				continue
			}
			if iou := o.Box.IoU(real.Box); iou >= e.opt.MatchIoU && iou > most {
				best, most = t, iou
			}
		}
		if best >= 0 {
			taken[best] = true
		}
		found(o, best < 0)
	}
}

// indexes lists the objects of an image.
func indexes(image ofds.Image) []int32 {
	all := make([]int32, 0, image.End-image.First)
	for i := image.First; i < image.End; i++ {
		all = append(all, i)
	}
	return all
}
