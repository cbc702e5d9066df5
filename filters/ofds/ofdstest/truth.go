package ofdstest

import (
	"math"
	"slices"
)

// Measures are figures of a subset of the images, on the true objects.
type Measures struct {
	ModeRecall  float64 // share of a class's modes that the subset has, mean of the classes
	RareRecall  float64 // the same, of the rare classes
	CoverP95    float64 // 95th percentile of the distance of a class's objects to the nearest of the subset, mean of the classes
	RareObjects float64 // true objects of the rare classes in the subset
	Classes     float64 // share of the classes that the subset has
}

// missing is the distance to the nearest object where there is none: that of
// two vectors of length 1 that have nothing in common.
const missing = math.Sqrt2

// Rare is how many of the least frequent classes count as rare.
func (c Config) Rare() int { return (3*c.Classes + 9) / 10 }

// Measure judges a subset, given by the images' IDs. Modes and classes that no
// image of the pool has are left out.
func (p *Pool) Measure(ids []string) Measures {
	chosen := make(map[string]bool, len(ids))
	for _, id := range ids {
		chosen[id] = true
	}
	var m Measures
	classes, rare := 0.0, 0.0
	for class := range p.Config.Classes {
		recall, cover, objects, exists := p.measure(class, chosen)
		if !exists {
			continue
		}
		classes++
		m.ModeRecall += recall
		m.CoverP95 += cover
		if objects > 0 {
			m.Classes++
		}
		if class >= p.Config.Classes-p.Rare() {
			rare++
			m.RareRecall += recall
			m.RareObjects += float64(objects)
		}
	}
	m.ModeRecall /= max(1, classes)
	m.CoverP95 /= max(1, classes)
	m.Classes /= max(1, classes)
	m.RareRecall /= max(1, rare)
	return m
}

func (p *Pool) measure(class int, chosen map[string]bool) (recall, cover float64, objects int, exists bool) {
	modes, hit := make(map[int]bool), make(map[int]bool)
	var all, in [][]float32
	for _, t := range p.Truth {
		if t.Class != class {
			continue
		}
		modes[t.Mode] = true
		all = append(all, t.Vector)
		if chosen[t.Image] {
			hit[t.Mode] = true
			in = append(in, t.Vector)
		}
	}
	if len(all) == 0 {
		return 0, 0, 0, false
	}
	distances := make([]float64, len(all))
	for i, v := range all {
		distances[i] = nearest(v, in)
	}
	slices.Sort(distances)
	return float64(len(hit)) / float64(len(modes)), distances[(len(distances)-1)*95/100], len(in), true
}

// nearest uses that vectors have length 1.
func nearest(v []float32, others [][]float32) float64 {
	most := float32(1 - missing*missing/2) // inner product
	for _, other := range others {
		product := float32(0)
		for j, x := range other {
			product += x * v[j]
		}
		most = max(most, product)
	}
	return math.Sqrt(max(0, 2-2*float64(most)))
}

// Mean is the mean of several measures.
func Mean(of []Measures) Measures {
	var sum Measures
	for _, m := range of {
		sum.ModeRecall += m.ModeRecall / float64(len(of))
		sum.RareRecall += m.RareRecall / float64(len(of))
		sum.CoverP95 += m.CoverP95 / float64(len(of))
		sum.RareObjects += m.RareObjects / float64(len(of))
		sum.Classes += m.Classes / float64(len(of))
	}
	return sum
}
