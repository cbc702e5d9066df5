package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"slices"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/images"
	"github.com/curate-data/curate/shards/local"
)

// data is the images of a vector file, with the objects of the truth and of all
// detectors. Their Source tells them apart; Group is the split of the publishers.
type data []*pipeline.Image

func read(ctx context.Context, path string) (all data, err error) {
	inputs, err := shards.ListInputs(ctx, local.Locate, []string{path})
	if err != nil {
		return nil, err
	}
	for _, in := range inputs {
		r, err := images.Open(ctx, in, images.Options{})
		if err != nil {
			return nil, err
		}
		for image, err := range r.Images(ctx) {
			if err != nil {
				return nil, errors.Join(err, r.Close())
			}
			c := *image
			c.Objects = slices.Clone(image.Objects)
			for i := range c.Objects {
				c.Objects[i].Vector = slices.Clone(c.Objects[i].Vector)
			}
			c.Vector = slices.Clone(image.Vector)
			all = append(all, &c)
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// pool gives the images of a seed's pool with the objects of one source.
func (d data) pool(seed int, parts []string, source string) pipeline.ImageSource {
	var list selected
	for _, image := range d {
		if slices.Contains(parts, image.Group) {
			c := *image
			c.Objects = slices.Clone(image.Objects)
			c.Objects = slices.DeleteFunc(c.Objects, func(o pipeline.Object) bool { return o.Source != source })
			list = append(list, &c)
		}
	}
	key := func(i *pipeline.Image) uint64 {
		h := fnv.New64a()
		fmt.Fprintf(h, "%s, pool of seed %d", i.ID, seed)
		x := h.Sum64() // FNV alone leaves the high bits of like texts alike
		x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
		return x ^ x>>27
	}
	slices.SortFunc(list, func(a, b *pipeline.Image) int {
		if key(a) < key(b) {
			return -1
		}
		return 1
	})
	return list[:int(share*float64(len(list)))]
}

type selected []*pipeline.Image

// Images implements pipeline.ImageSource. The order does not matter to pools.
func (s selected) Images(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		for _, image := range s {
			if !yield(image, ctx.Err()) || ctx.Err() != nil {
				return
			}
		}
	}
}
