package ofds

import (
	"context"
	"fmt"
	"math"
)

// sequence chooses one image at a time, none of which depends on the budget, so
// that the answer for a smaller budget is the beginning of that for a larger one.
// It ends at the first image that it cannot pay.
func (r *run) sequence(ctx context.Context) error {
	for r.left > 0 {
		image, why, err := r.step(ctx)
		if err != nil {
			return err
		}
		if image < 0 {
			return nil
		}
		if r.price(image) > r.left {
			r.warn("%v of the budget of %v is left: the next image costs %v", r.left, r.budget, r.price(image))
			return nil
		}
		r.choose(image, why)
	}
	return nil
}

// step finds the next image: background where its share is due, one of the class
// that has the least for its weight, or one that fills; -1 if there is none.
func (r *run) step(ctx context.Context) (int32, Why, error) {
	if float64(r.background+1) <= r.opt.BackgroundShare*float64(len(r.choices)+1) {
		if image := r.nextBackground(); image >= 0 {
			return image, reason(Background), nil
		}
	}
	for {
		c := r.nextClass()
		if c < 0 {
			break
		}
		image, why, err := r.stepClass(ctx, c)
		if err != nil {
			return -1, Why{}, fmt.Errorf("cover class %q: %w", r.pool.Classes[c], err)
		}
		if image >= 0 {
			return image, why, nil
		}
		r.classes[c].done = true
	}
	image, err := r.nextFiller(true)
	if image < 0 && err == nil {
		image, err = r.nextFiller(false)
	}
	return image, reason(Leftover), err
}

// nextClass returns the class that has the fewest images for its weight, or the
// fewest objects; the first in the order of equals; -1 if all are done.
func (r *run) nextClass() int {
	best, least := -1, math.Inf(1)
	for _, c := range r.order {
		s := &r.classes[c]
		have := float64(s.chosen) / r.weight(c)
		switch r.opt.Quota {
		case "explicit":
			wanted := float64(r.opt.Quotas[r.pool.Classes[c]])
			if have >= wanted {
				continue
			}
			have /= wanted
		case "uniform_objects":
			have = float64(s.achieved)
		}
		if !s.done && have < least {
			best, least = c, have
		}
	}
	return best
}

// stepClass chooses an image for a class, as a visit for one image does.
func (r *run) stepClass(ctx context.Context, c int) (int32, Why, error) {
	s := &r.classes[c]
	if !r.coverable(c) {
		return -1, Why{}, nil
	}
	p, err := r.partition(ctx, c, 1)
	if err != nil {
		return -1, Why{}, err
	}
	for _, cluster := range r.usable(c, p) {
		if object, distance := r.representative(c, p, cluster, math.Inf(1)); object >= 0 {
			s.quota = max(s.quota, s.chosen+1)
			return r.pool.Objects[object].Image, Why{
				Kind: Coverage, Class: int32(c), Round: 0, Cluster: cluster, K: len(p.members),
				Size: len(p.members[cluster]), Distance: distance, Object: object,
			}, nil
		}
	}
	return -1, Why{}, nil
}

// reason is a Why of a choice that is for no object.
func reason(kind Kind) Why {
	return Why{Kind: kind, Class: -1, Round: -1, Cluster: -1, K: -1, Size: -1, Distance: -1, Object: -1}
}
