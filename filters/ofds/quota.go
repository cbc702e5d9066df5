package ofds

import (
	"cmp"
	"math"
	"slices"
)

// classOrder lists the classes that have objects. Ties go by name.
func (r *run) classOrder() []int {
	given := make(map[string]int)
	for i, name := range r.opt.GivenOrder {
		given[name] = i - len(r.opt.GivenOrder) // below 0, so before all others
	}
	var order []int
	for c := range r.classes {
		if len(r.classes[c].objects) > 0 {
			order = append(order, c)
		}
	}
	slices.SortStableFunc(order, func(x, y int) int {
		rare := cmp.Compare(len(r.classes[x].objects), len(r.classes[y].objects))
		switch a, b := r.pool.Classes[x], r.pool.Classes[y]; r.opt.ClassOrder {
		case "frequent_first":
			return -rare
		case "given":
			return cmp.Or(cmp.Compare(given[a], given[b]), rare)
		case "random":
			return cmp.Compare(hash(r.seed, "order", a), hash(r.seed, "order", b))
		}
		return rare
	})
	return order
}

// plan returns a function that says how many images the j-th class of the order
// may have in this round, and how much of the budget.
func (r *run) plan() func(j int) (images int, share float64) {
	switch r.opt.Quota {
	case "explicit":
		return func(j int) (int, float64) {
			c := r.order[j]
			return r.opt.Quotas[r.pool.Classes[c]] - r.classes[c].chosen, math.Inf(1)
		}
	case "uniform_objects":
		images := r.levelled()
		return func(j int) (int, float64) { return images[j], math.Inf(1) }
	}
	after := make([]float64, len(r.order)+1) // weight of the classes from j on
	for j := len(r.order) - 1; j >= 0; j-- {
		after[j] = after[j+1] + r.weight(r.order[j])
	}
	return func(j int) (int, float64) {
		share := r.left * r.weight(r.order[j]) / after[j]
		if r.opt.BudgetUnit == "images" {
			others := float64(len(r.order) - j - 1) // which want one image at least
			share = max(1, min(math.Floor(share), r.left-others))
			return int(share), share
		}
		return max(1, int(share/max(r.meanPrice(r.order[j]), 1e-9))), share
	}
}

// weight is a class's part of the budget.
func (r *run) weight(c int) float64 {
	switch n := float64(len(r.classes[c].objects)); r.opt.Quota {
	case "proportional":
		return n
	case "sqrt":
		return math.Sqrt(n)
	}
	return 1
}

// meanPrice is the mean price of the objects' images of a class.
func (r *run) meanPrice(c int) float64 {
	if r.opt.BudgetUnit == "images" {
		return 1
	}
	sum := 0.0
	for _, o := range r.classes[c].objects {
		sum += r.price(r.pool.Objects[o].Image)
	}
	return sum / float64(len(r.classes[c].objects))
}

// levelled shares what is left so that, as far as can be foreseen, all classes
// come to the same number of objects: the largest that the budget can pay, found
// by bisection. What an image for one class is expected to bring to those after it is how many of their objects the images with
// that class have on average. Rounds mend what comes out otherwise.
func (r *run) levelled() []int {
	m := len(r.order)
	together := r.together()
	prices := make([]float64, m)
	most := 0.0
	for j, c := range r.order {
		prices[j] = r.meanPrice(c)
		most = max(most, float64(len(r.classes[c].objects)))
	}
	images := func(level float64) ([]int, float64) {
		out, price := make([]int, m), 0.0
		have := make([]float64, m)
		for j, c := range r.order {
			have[j] = float64(r.classes[c].achieved)
		}
		for j, c := range r.order {
			missing := min(level, float64(len(r.classes[c].objects))) - have[j]
			if missing <= 0 {
				continue
			}
			out[j] = int(math.Ceil(missing / together[j*m+j]))
			price += float64(out[j]) * prices[j]
			for k := range m {
				have[k] += float64(out[j]) * together[j*m+k]
			}
		}
		return out, price
	}
	low, high := 0.0, most
	for range 50 {
		if middle := (low + high) / 2; price(images(middle)) <= r.left {
			low = middle
		} else {
			high = middle
		}
	}
	if out, cost := images(high); cost <= r.left {
		return out
	}
	out, _ := images(low)
	if !slices.ContainsFunc(out, func(n int) bool { return n > 0 }) { // a step is more than what is left: the poorest class gets it
		poorest := -1
		for j, c := range r.order {
			if r.coverable(c) && (poorest < 0 || r.classes[c].achieved < r.classes[r.order[poorest]].achieved) {
				poorest = j
			}
		}
		if poorest >= 0 {
			out[poorest] = 1
		}
	}
	return out
}

func price(_ []int, price float64) float64 { return price }

// together holds, for classes j and k of the order at [j*m+k], how many objects
// of k an image with class j has on average.
func (r *run) together() []float64 {
	m := len(r.order)
	place := make([]int, len(r.classes))
	for j, c := range r.order {
		place[c] = j
	}
	sum := make([]float64, m*m)
	count := make([]int, m) // of the image at hand
	var present []int
	for _, image := range r.pool.Images {
		present = present[:0]
		for _, o := range r.pool.Objects[image.First:image.End] {
			j := place[o.Class]
			if count[j] == 0 {
				present = append(present, j)
			}
			count[j]++
		}
		for _, j := range present {
			for _, k := range present {
				sum[j*m+k] += float64(count[k])
			}
		}
		for _, j := range present {
			count[j] = 0
		}
	}
	for j, c := range r.order {
		for k := range m {
			sum[j*m+k] /= float64(r.classes[c].images)
		}
	}
	return sum
}

// hash mixes a seed and names into 64 bits: FNV-1a and a final mix. Whatever is
// random here is decided by it, so that no order of work changes it.
func hash(seed uint64, names ...string) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for i := range 8 {
		h = (h ^ seed>>(8*i)&0xff) * prime
	}
	for _, name := range names {
		for i := range len(name) {
			h = (h ^ uint64(name[i])) * prime
		}
		h = (h ^ 0x100) * prime // a mark between names, which no byte is
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
