package metrics

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/curate-data/curate/filters/ofds"
)

// Chosen is a selection to measure.
type Chosen struct {
	Name   string
	Images []int32 // indexes in Pool.Images, in any order, each once
	// Classes is what the method says of the classes, in the order of the pool's;
	// nil for methods that do not look at them.
	Classes []ofds.ClassOutcome
}

// Of returns what a selector chose, to be measured.
func Of(name string, s *ofds.Selection) Chosen {
	c := Chosen{Name: name, Classes: s.Classes, Images: make([]int32, len(s.Chosen))}
	for i, choice := range s.Chosen {
		c.Images[i] = choice.Image
	}
	return c
}

// Measure computes all figures of a selection. Others are compared with it. Where
// images were selected before, the caller decides whether they are a part of
// the selection.
func (e *Evaluator) Measure(ctx context.Context, chosen Chosen, others ...Chosen) (*Metrics, error) {
	images, err := e.sorted(chosen)
	if err != nil {
		return nil, err
	}
	m := &Metrics{Images: len(images), PoolImages: len(e.pool.Images)}
	m.Share = ratio(float64(m.Images), float64(m.PoolImages))
	if m.Proposals, err = e.figures(ctx, images, chosen.Classes); err != nil {
		return nil, fmt.Errorf("measure %s: %w", chosen.Name, err)
	}
	for _, other := range others {
		theirs, err := e.sorted(other)
		if err != nil {
			return nil, err
		}
		m.Overlap = append(m.Overlap, overlap(other.Name, images, theirs))
	}
	if e.truth == nil {
		return m, nil
	}
	var inTruth []int32
	for _, i := range images {
		if t := e.inTruth[i]; t >= 0 {
			inTruth = append(inTruth, t)
		}
	}
	m.ImagesWithoutTruth = len(images) - len(inTruth)
	slices.Sort(inTruth)
	truth, err := e.truth.figures(ctx, inTruth, nil)
	if err != nil {
		return nil, fmt.Errorf("measure %s on true objects: %w", chosen.Name, err)
	}
	m.Truth, m.FalsePositives = &truth, e.falsePositives(images)
	return m, nil
}

// sorted checks the indexes of a selection and returns them in order.
func (e *Evaluator) sorted(chosen Chosen) ([]int32, error) {
	images := slices.Sorted(slices.Values(chosen.Images))
	for i, at := range images {
		if at < 0 || int(at) >= len(e.pool.Images) {
			return nil, fmt.Errorf("measure %s: image %d of a pool of %d", chosen.Name, at, len(e.pool.Images))
		}
		if i > 0 && at == images[i-1] {
			return nil, fmt.Errorf("measure %s: image %q is chosen twice", chosen.Name, e.pool.Images[at].ID)
		}
	}
	if n := len(chosen.Classes); n != 0 && n != len(e.pool.Classes) {
		return nil, fmt.Errorf("measure %s: outcomes of %d classes, but the pool has %d", chosen.Name, n, len(e.pool.Classes))
	}
	return images, nil
}

// figures measures on the evaluator's own pool. Images are in order.
func (e *Evaluator) figures(ctx context.Context, images []int32, outcomes []ofds.ClassOutcome) (Figures, error) {
	f := Figures{BinRule: e.rule, Limit: Number(2 * e.longest)}
	if f.Limit.Exists() {
		f.Deltas = slices.Clone(e.opt.Deltas)
	}
	share := ratio(float64(len(images)), float64(len(e.pool.Images)))
	objects := 0
	perClass := make([][]int, len(e.classes))
	inImages := make([]int64, len(e.classes))
	for _, i := range images {
		image := e.pool.Images[i]
		for at := image.First; at < image.End; at++ {
			c := e.pool.Objects[at].Class
			if n := len(perClass[c]); n == 0 || perClass[c][n-1] < int(image.First) {
				inImages[c]++
			}
			perClass[c] = append(perClass[c], int(at))
		}
		objects += int(image.End - image.First)
	}
	for c := range e.classes {
		class, err := e.class(ctx, c, perClass[c], share)
		if err != nil {
			return f, fmt.Errorf("class %q: %w", e.pool.Classes[c], err)
		}
		class.ChosenImages = inImages[c]
		class.Starved = outcomes != nil && outcomes[c].Starved
		f.Classes = append(f.Classes, class)
		f.Unreachable += one(class.Unreachable)
		f.Missed += one(class.Missed)
		f.Starved += one(class.Starved)
	}
	f.Overall = group("overall", f.Classes, share, func(Class) bool { return true })
	for _, bin := range []Bin{Rare, Common, Frequent} {
		f.Bins = append(f.Bins, group(string(bin), f.Classes, share, func(c Class) bool { return c.Bin == bin }))
	}
	f.ObjectsPerImage = ratio(float64(objects), float64(len(images)))
	f.PoolObjectsPerImage = ratio(float64(len(e.pool.Objects)), float64(len(e.pool.Images)))
	f.LabelCost = missing()
	if e.opt.ImageCost > 0 || e.opt.ObjectCost > 0 {
		f.LabelCost = Number(e.opt.ImageCost*float64(len(images)) + e.opt.ObjectCost*float64(objects))
	}
	return f, nil
}

// class measures one class, of which the given objects are chosen.
func (e *Evaluator) class(ctx context.Context, class int, chosen []int, share Number) (Class, error) {
	known := &e.classes[class]
	c := Class{
		Name: e.pool.Classes[class], Bin: known.bin, Objects: int64(len(known.objects)), Images: known.images,
		ChosenObjects: int64(len(chosen)), Sampled: int64(len(known.sample)),
		Recall:   ratio(float64(len(chosen)), float64(len(known.objects))),
		CoverMax: missing(), CoverP95: missing(), CoverMean: missing(), ModeRecall: missing(), NearestMean: missing(),
		Unreachable: len(known.objects) == 0, Missed: len(known.objects) > 0 && len(chosen) == 0,
	}
	c.Lift = ratio(float64(c.Recall), float64(share))
	if err := e.cover(ctx, &c, known, chosen); err != nil {
		return c, err
	}
	if err := e.modes(ctx, &c, known, chosen); err != nil {
		return c, err
	}
	return c, e.redundancy(ctx, &c, chosen)
}

// group sums up the reachable classes that belong to it.
func group(name string, classes []Class, share Number, belongs func(Class) bool) Group {
	g := Group{Name: name}
	var in, reached []Class
	for _, c := range classes {
		if c.Unreachable || !belongs(c) {
			continue
		}
		in = append(in, c)
		if !c.Missed {
			reached = append(reached, c)
		}
		g.Objects += c.Objects
		g.ChosenObjects += c.ChosenObjects
		g.Modes += c.Modes
		g.ModesHit += c.ModesHit
		g.NearDuplicates += c.NearDuplicates
	}
	g.Classes, g.Covered = len(in), len(reached)
	g.ClassCoverage = ratio(float64(g.Covered), float64(g.Classes))
	g.Recall = ratio(float64(g.ChosenObjects), float64(g.Objects))
	g.Lift = ratio(float64(g.Recall), float64(share))
	g.Balance, g.MinMax = balance(in, float64(g.ChosenObjects))
	g.CoverMax = mean(in, func(c Class) Number { return c.CoverMax })
	g.CoverP95 = mean(in, func(c Class) Number { return c.CoverP95 })
	g.CoverMean = mean(in, func(c Class) Number { return c.CoverMean })
	g.CoverP95Reached = mean(reached, func(c Class) Number { return c.CoverP95 })
	g.ModeRecall = mean(in, func(c Class) Number { return c.ModeRecall })
	g.NearestMean = mean(in, func(c Class) Number { return c.NearestMean })
	if len(in) > 0 {
		for i := range in[0].CoverAt {
			g.CoverAt = append(g.CoverAt, mean(in, func(c Class) Number { return c.CoverAt[i] }))
		}
	}
	return g
}

// balance returns how evenly chosen objects are spread over classes.
func balance(classes []Class, total float64) (entropy, minMax Number) {
	if total == 0 {
		return missing(), missing()
	}
	least, most, h := math.Inf(1), 0.0, 0.0
	for _, c := range classes {
		n := float64(c.ChosenObjects)
		least, most = min(least, n), max(most, n)
		if n > 0 {
			h -= n / total * math.Log(n/total)
		}
	}
	return ratio(h, math.Log(float64(len(classes)))), ratio(least, most)
}

// mean is over the classes that have the figure.
func mean(classes []Class, figure func(Class) Number) Number {
	sum, n := 0.0, 0.0
	for _, c := range classes {
		if x := figure(c); x.Exists() {
			sum += float64(x)
			n++
		}
	}
	return ratio(sum, n)
}

// overlap compares two selections that are in order.
func overlap(name string, ours, theirs []int32) Overlap {
	o := Overlap{Name: name, Images: len(theirs)}
	for _, i := range theirs {
		if _, both := slices.BinarySearch(ours, i); both {
			o.Shared++
		}
	}
	o.Jaccard = ratio(float64(o.Shared), float64(len(ours)+len(theirs)-o.Shared))
	return o
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
