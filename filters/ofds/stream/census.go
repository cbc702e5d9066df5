package stream

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/curate-data/curate/filters/ofds"
)

// Census counts the objects of each class and samples them. One goroutine may
// use it at a time.
type Census struct {
	seed    uint64
	room    int64 // bytes of vectors that all samples may take
	most    int   // objects of a class's sample
	dim     int   // of the vectors; 0 before the first
	images  int64
	classes map[string]*classCensus
	left    map[ofds.Filter]int64 // objects that the pool's filters left out
	hasher  hasher
}

type classCensus struct {
	objects, images int64
	sample          sample
}

// NewCensus returns an empty census.
func NewCensus(opt Options) (*Census, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	opt = opt.WithDefaults()
	most := int64(opt.SamplePerCluster) * int64(opt.Alpha) // for each image; at most all are of one class
	if most > (1<<30)/int64(opt.Budget) {
		most = 1 << 30
	} else {
		most *= int64(opt.Budget)
	}
	return &Census{seed: opt.Seed, room: opt.SampleBytes, most: int(most), classes: make(map[string]*classCensus), left: make(map[ofds.Filter]int64)}, nil
}

// Count takes the census of a source.
func (c *Census) Count(ctx context.Context, source Source) error {
	for batch, err := range source.Batches(ctx) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = c.Add(batch)
		}
		if err != nil {
			return fmt.Errorf("count objects, after %d images: %w", c.images, err)
		}
	}
	return ctx.Err()
}

// Add counts a batch, of which it keeps nothing.
func (c *Census) Add(batch *ofds.Pool) error {
	if len(batch.Objects) > 0 {
		dim := batch.Vectors.Dim
		if batch.Vectors.Rows() != len(batch.Objects) {
			return errors.New("objects have no vectors: the streaming form needs one for each")
		}
		if c.dim != 0 && c.dim != dim {
			return fmt.Errorf("vectors have %d dimensions, those before %d: did one model make them all?", dim, c.dim)
		}
		c.dim = dim
	}
	classes := make([]*classCensus, len(batch.Classes))
	for i, name := range batch.Classes {
		classes[i] = c.class(name)
	}
	c.images += int64(len(batch.Images))
	for filter, n := range batch.Filtered {
		c.left[filter] += n
	}
	seen := make([]int32, len(batch.Classes)) // the last image with the class, plus 1
	for i, o := range batch.Objects {
		class := classes[o.Class]
		class.objects++
		if seen[o.Class] != o.Image+1 {
			seen[o.Class] = o.Image + 1
			class.images++
		}
		class.sample.offer(c.hasher.key(c.seed, "object", batch.Images[o.Image].ID, o.ID), batch.Vectors.Row(i), c.most)
	}
	c.shrink()
	return nil
}

func (c *Census) class(name string) *classCensus {
	if c.classes[name] == nil {
		c.classes[strings.Clone(name)] = &classCensus{}
	}
	return c.classes[name]
}

// shrink halves samples until they fit. How often depends on the counts alone,
// so merged censuses end where one census of everything would.
func (c *Census) shrink() {
	for c.most > 1 {
		kept := int64(0)
		for _, class := range c.classes {
			kept += min(class.objects, int64(c.most))
		}
		if kept*int64(c.dim)*4 <= c.room {
			return
		}
		c.most /= 2
		for _, class := range c.classes {
			class.sample.cut(c.most)
		}
	}
}

// Merge adds another census, taken with the same options of other images. The
// other must not be used any more.
func (c *Census) Merge(other *Census) error {
	switch {
	case c.seed != other.seed || c.room != other.room:
		return errors.New("merge censuses: they were taken with different options")
	case c.dim != 0 && other.dim != 0 && c.dim != other.dim:
		return fmt.Errorf("merge censuses: vectors of %d and of %d dimensions: did one model make them all?", c.dim, other.dim)
	}
	for _, name := range slices.Sorted(maps.Keys(other.classes)) {
		if c.classes[name] != nil && c.classes[name].sample.shares(&other.classes[name].sample) {
			return fmt.Errorf("merge censuses: an object of class %q is in both: merge each part of the pool once", name)
		}
	}
	c.dim = max(c.dim, other.dim)
	c.images += other.images
	for filter, n := range other.left {
		c.left[filter] += n
	}
	c.most = min(c.most, other.most)
	for _, class := range c.classes {
		class.sample.cut(c.most)
	}
	for name, class := range other.classes {
		own := c.class(name)
		own.objects += class.objects
		own.images += class.images
		for _, s := range class.sample.kept {
			own.sample.offer(s.key, s.vector, c.most)
		}
	}
	c.shrink()
	return nil
}

// sample keeps the vectors with the lowest keys. It is a heap, the highest on top.
type sample struct{ kept []sampled }

type sampled struct {
	key    key
	vector []float32
}

func (s *sample) Len() int           { return len(s.kept) }
func (s *sample) Less(i, j int) bool { return s.kept[i].key.compare(s.kept[j].key) > 0 }
func (s *sample) Swap(i, j int)      { s.kept[i], s.kept[j] = s.kept[j], s.kept[i] }
func (s *sample) Push(x any)         { s.kept = append(s.kept, x.(sampled)) }
func (s *sample) Pop() any {
	last := s.kept[len(s.kept)-1]
	s.kept = s.kept[:len(s.kept)-1]
	return last
}

// offer takes a copy of a vector if its key is low enough.
func (s *sample) offer(k key, vector []float32, most int) {
	switch {
	case len(s.kept) < most:
		heap.Push(s, sampled{k, slices.Clone(vector)})
	case k.compare(s.kept[0].key) < 0:
		copy(s.kept[0].vector, vector)
		s.kept[0].key = k
		heap.Fix(s, 0)
	}
}

func (s *sample) cut(most int) {
	if len(s.kept) <= most {
		return
	}
	s.kept = slices.Clone(s.sorted()[:most])
	slices.Reverse(s.kept) // the highest first is a heap
}

// sorted returns the sample from the lowest key.
func (s *sample) sorted() []sampled {
	list := slices.Clone(s.kept)
	slices.SortFunc(list, func(a, b sampled) int { return a.key.compare(b.key) })
	return list
}

// shares says whether two samples have an object in common.
func (s *sample) shares(other *sample) bool {
	keys := make(map[key]bool, len(s.kept))
	for _, k := range s.kept {
		keys[k.key] = true
	}
	return slices.ContainsFunc(other.kept, func(o sampled) bool { return keys[o.key] })
}
