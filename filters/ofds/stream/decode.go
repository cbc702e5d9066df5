package stream

import (
	"fmt"
	"math"
	"slices"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

const mostDim = 1 << 20

// DecodeCensus reads what Census.Encode wrote.
func DecodeCensus(state []byte) (*Census, error) {
	r, err := open(state, censusMagic)
	if err != nil {
		return nil, fmt.Errorf("decode census: %w", err)
	}
	c := &Census{classes: make(map[string]*classCensus)}
	c.seed = r.fixed()
	c.room = r.number(0, math.MaxInt64)
	c.most = r.plain(1 << 30)
	c.dim = r.plain(mostDim)
	c.images = r.number(0, math.MaxInt64)
	c.left = r.left()
	before := ""
	for i := range r.count(4) {
		name := r.name(i, &before)
		class := &classCensus{objects: r.number(0, math.MaxInt64), images: r.number(0, math.MaxInt64)}
		n := r.count(16 + 4*c.dim)
		if int64(n) != min(class.objects, int64(c.most)) {
			r.fail("class %q has %d objects and a sample of %d", name, class.objects, n)
			break
		}
		class.sample.kept = make([]sampled, n)
		for k := range class.sample.kept {
			s := sampled{key{r.fixed(), r.fixed()}, make([]float32, c.dim)}
			r.floats(s.vector)
			if k > 0 && s.key.compare(class.sample.kept[n-k].key) < 0 {
				r.fail("the sample of class %q is not in order", name)
			}
			class.sample.kept[n-1-k] = s // the highest first, which is a heap
		}
		if r.fault != nil {
			break
		}
		c.classes[name] = class
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("decode census: %w", err)
	}
	return c, nil
}

// plain returns a count that no list has: up to high.
func (r *reader) plain(high int) int {
	n := 0
	for shift := 0; ; shift += 7 {
		if len(r.from) == 0 || shift > 28 {
			r.fail("%w", errCut)
			return 0
		}
		b := r.from[0]
		r.from = r.from[1:]
		n |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	if n > high {
		r.fail("a number is %d: want at most %d", n, high)
		return 0
	}
	return n
}

// name returns a text that must come after the one before.
func (r *reader) name(i int, before *string) string {
	name := r.text()
	if i > 0 && name <= *before {
		r.fail("%q comes after %q", name, *before)
	}
	*before = name
	return name
}

func (r *reader) left() map[ofds.Filter]int64 {
	left, before := make(map[ofds.Filter]int64), ""
	for i := range r.count(2) {
		filter := r.name(i, &before)
		left[ofds.Filter(filter)] = r.number(0, math.MaxInt64)
	}
	return left
}

// DecodeCodebook reads what Codebook.Encode wrote.
func DecodeCodebook(state []byte) (*Codebook, error) {
	r, err := open(state, codebookMagic)
	if err != nil {
		return nil, fmt.Errorf("decode codebook: %w", err)
	}
	b := &Codebook{dim: r.plain(mostDim), images: r.number(0, math.MaxInt64), shift: int(r.number(-400, 400)), left: r.left()}
	before := ""
	for i := range r.count(4) {
		class := classBook{name: r.name(i, &before), objects: r.number(0, math.MaxInt64), images: r.number(0, math.MaxInt64)}
		k := r.count(max(1, 4*b.dim))
		if k > 0 && b.dim == 0 || int64(k) > class.objects || (k == 0) != (class.objects == 0) {
			r.fail("class %q of %d objects has %d clusters of %d dimensions", class.name, class.objects, k, b.dim)
			break
		}
		class.centroids = kmeans.NewMatrix(k, b.dim)
		r.floats(class.centroids.Data)
		b.classes = append(b.classes, class)
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("decode codebook: %w", err)
	}
	return b, nil
}

// DecodeTally reads what Tally.Encode wrote. The codebook and the options must be those that it was
// made with.
func DecodeTally(state []byte, book *Codebook, opt Options) (*Tally, error) {
	t, err := NewTally(book, opt)
	if err != nil {
		return nil, err
	}
	r, err := open(state, tallyMagic)
	if err != nil {
		return nil, fmt.Errorf("decode tally: %w", err)
	}
	if len(r.from) < 32 || string(r.from[:32]) != string(t.digest[:]) {
		return nil, fmt.Errorf("decode tally: it was made with another codebook")
	}
	r.from = r.from[32:]
	if seed, budget, nearest := r.fixed(), r.plain(1<<30), r.plain(1<<30); seed != t.opt.Seed || budget != t.opt.Budget || nearest != t.opt.Nearest {
		return nil, fmt.Errorf("decode tally: it was made with other options: seed %d, budget %d, nearest %d", seed, budget, nearest)
	}
	t.seen = r.number(0, math.MaxInt64)
	images := r.images(t)
	for range r.count(1) {
		if h := r.image(images); h != nil {
			h.lists++
			t.fill = append(t.fill, h)
		}
	}
	for i := range t.classes {
		for k := range t.classes[i] {
			r.cluster(t, &t.classes[i][k], images)
			if r.fault != nil {
				return nil, fmt.Errorf("decode tally: %w", r.fault)
			}
		}
	}
	if err := r.check(t, images); err != nil {
		return nil, fmt.Errorf("decode tally: %w", err)
	}
	return t, nil
}

func (r *reader) images(t *Tally) []*held {
	var images []*held
	before := ""
	for i := range r.count(6) {
		h := &held{id: r.name(i, &before), group: r.text()}
		h.row.Shard, h.row.Row, h.row.Seq = r.text(), r.number(math.MinInt64, math.MaxInt64), int32(r.number(math.MinInt32, math.MaxInt32))
		h.key = t.hasher.key(t.opt.Seed, "image", h.id)
		for k := range r.count(3) {
			l := link{int32(r.plain(math.MaxInt32)), int32(r.plain(math.MaxInt32)), int32(r.plain(math.MaxInt32))}
			if int(l.class) >= len(t.classes) || int(l.cluster) >= len(t.classes[l.class]) || k > 0 && l.compare(h.links[k-1]) <= 0 {
				r.fail("image %q has objects of cluster %d of class %d, which is not there or not in its turn", h.id, l.cluster, l.class)
			}
			if r.fault != nil {
				return nil
			}
			h.links = append(h.links, l)
		}
		if t.opt.OFDS.Preselected[h.id] {
			h.lists++
		}
		t.held[h.id] = h
		images = append(images, h)
	}
	return images
}

// image returns the image that a place in the list of images stands for.
func (r *reader) image(images []*held) *held {
	at := r.plain(math.MaxInt32)
	if at >= len(images) {
		r.fail("image %d of %d", at, len(images))
		return nil
	}
	return images[at]
}

func (r *reader) cluster(t *Tally, c *cluster, images []*held) {
	c.size = r.number(0, math.MaxInt64)
	if c.size > 0 {
		if len(r.from) < 8*t.book.dim {
			r.fail("%w", errCut)
			return
		}
		c.sum = make([]int64, t.book.dim)
		for j := range c.sum {
			c.sum[j] = int64(r.fixed())
		}
	}
	n := r.count(10)
	if n > t.opt.Nearest || (n == 0) != (c.size == 0) || int64(n) > c.size {
		r.fail("a cluster of %d objects keeps %d images", c.size, n)
	}
	for k := range n {
		one := candidate{image: r.image(images), object: r.text(), distance: r.float(), score: r.float()}
		if r.fault != nil {
			return
		}
		if k > 0 && one.compare(c.nearest[k-1]) <= 0 {
			r.fail("the images of a cluster are not in order")
			return
		}
		one.image.lists++
		c.nearest = append(c.nearest, one)
	}
}

// check looks at what belongs together.
func (r *reader) check(t *Tally, images []*held) error {
	for _, h := range images {
		if h.lists == 0 {
			r.fail("image %q is in no list", h.id)
		}
	}
	if !slices.IsSortedFunc(t.fill, func(a, b *held) int { return a.key.compare(b.key) }) || len(t.fill) > t.fillSize() {
		r.fail("the random choice is too long or not in order")
	}
	return r.end()
}
