package ofds

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
)

// fill spends what coverage left. Images with proposals come first; those
// without come where the budget is of images, which must be met exactly.
func (r *run) fill(ctx context.Context, proposals bool) error {
	for r.left > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		image, err := r.nextFiller(proposals)
		if err != nil {
			return err
		}
		if image < 0 {
			return nil
		}
		r.choose(image, reason(Leftover))
	}
	return nil
}

// nextFiller returns the next image that fills, or -1.
func (r *run) nextFiller(proposals bool) (int32, error) {
	if !proposals && r.opt.BudgetUnit != "images" {
		return -1, nil // they add no objects: only BackgroundShare asks for them
	}
	image := int32(-1)
	if proposals && r.opt.Leftover == "object_kcenter" {
		image = r.farthest()
	}
	if image < 0 {
		image = r.nextRandom(proposals)
	}
	if image >= 0 && r.opt.Leftover == "none" {
		return -1, fmt.Errorf("%w: %v of %v is left and leftover is none: choose repeat, random or object_kcenter, or a smaller budget", ErrBudgetLeft, r.left, r.budget)
	}
	return image, nil
}

// nextRandom returns the next image in random order, with proposals or without,
// that can be had; -1 if there is none.
func (r *run) nextRandom(proposals bool) int32 {
	if r.queue == nil {
		r.queue = r.shuffled()
	}
	for _, image := range r.queue[r.next:] {
		if r.empty(image) == proposals {
			if proposals { // those without come last, so no image with proposals is left
				return -1
			}
			r.next++
			continue
		}
		if r.affordable(image) {
			return image
		}
		r.next++ // never to be had again: groups only fill up, and the budget only shrinks
	}
	return -1
}

// shuffled lists all images in an order that the seed and their IDs decide,
// those without proposals last.
func (r *run) shuffled() []int32 {
	type entry struct {
		image int32
		empty bool
		hash  uint64
	}
	list := make([]entry, len(r.pool.Images))
	for i := range list {
		list[i] = entry{int32(i), r.empty(int32(i)), hash(r.seed, "image", r.pool.Images[i].ID)}
	}
	slices.SortStableFunc(list, func(x, y entry) int {
		if x.empty != y.empty {
			if x.empty {
				return 1
			}
			return -1
		}
		return cmp.Compare(x.hash, y.hash)
	})
	queue := make([]int32, len(list))
	for i, e := range list {
		queue[i] = e.image
	}
	return queue
}

// empty says whether an image has no proposals.
func (r *run) empty(image int32) bool {
	i := &r.pool.Images[image]
	return i.First == i.End
}

// keepForBackground takes the share of images without proposals off the budget,
// if there are any, and returns it.
func (r *run) keepForBackground() float64 {
	price := 1.0
	switch r.opt.BudgetUnit {
	case "objects":
		price = 0
	case "cost":
		price = r.opt.ImageCost
	}
	if price == 0 { // they cost nothing: addBackground counts them by images
		return 0
	}
	have := 0.0
	for i := range r.pool.Images {
		if r.empty(int32(i)) && r.free(int32(i)) {
			have++
		}
	}
	kept := min(have, math.Floor(r.opt.BackgroundShare*r.budget/price)) * price
	r.left -= kept
	return kept
}

// addBackground chooses images without proposals for their part of the budget,
// or, where they cost nothing, for their part of the images.
func (r *run) addBackground(kept float64) {
	share := r.opt.BackgroundShare
	wanted := math.Floor(share / (1 - share) * float64(len(r.choices)))
	for share > 0 {
		image := r.nextBackground()
		switch {
		case image < 0:
			r.warn("%d images without proposals are chosen for background_share %v: there are no more", r.background, share)
			return
		case r.price(image) > 0 && kept < r.price(image), r.price(image) == 0 && float64(r.background) >= wanted:
			return
		}
		kept -= r.price(image)
		r.choose(image, reason(Background))
	}
}

// nextBackground returns the next image without proposals in random order, or -1.
func (r *run) nextBackground() int32 {
	if r.queue == nil {
		r.queue = r.shuffled()
	}
	for ; r.nextEmpty < len(r.queue); r.nextEmpty++ {
		if image := r.queue[r.nextEmpty]; r.empty(image) && r.affordable(image) {
			return image
		}
	}
	return -1
}
