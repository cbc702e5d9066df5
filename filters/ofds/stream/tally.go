package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/curate-data/curate/pipeline"
)

// Tally is what the assignment of objects to the clusters of a codebook leaves:
// per cluster its size, the sum of its vectors and the images nearest to its
// centroid; and all clusters that these images have objects in. An image that is
// pushed out of every list is forgotten. One goroutine may use it at a time.
type Tally struct {
	opt     Options
	book    *Codebook
	digest  [32]byte // of the codebook
	seen    int64    // images
	classes [][]cluster
	held    map[string]*held
	fill    []*held // images with the lowest keys: a random choice
	hasher  hasher
}

type cluster struct {
	size    int64
	sum     []int64 // times 2^shift of the codebook; nil while it is empty
	nearest []candidate
}

// candidate is an image with an object in a cluster; of several, the nearest.
type candidate struct {
	image    *held
	object   string
	distance float32
	score    float32
}

func (c candidate) compare(o candidate) int {
	return cmp.Or(cmp.Compare(c.distance, o.distance), cmp.Compare(c.image.id, o.image.id), cmp.Compare(c.object, o.object))
}

// held is an image that a list has.
type held struct {
	row   pipeline.RowID
	id    string
	group string
	links []link // sorted by class and cluster
	lists int    // that have it
	key   key
}

// link says that an image has objects in a cluster.
type link struct{ class, cluster, objects int32 }

// NewTally returns an empty tally.
func NewTally(book *Codebook, opt Options) (*Tally, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	t := &Tally{opt: opt.WithDefaults(), book: book, digest: book.digest(), held: make(map[string]*held)}
	for _, class := range book.classes {
		t.classes = append(t.classes, make([]cluster, class.centroids.Rows()))
	}
	return t, nil
}

// Count assigns the objects of a source.
func (t *Tally) Count(ctx context.Context, source Source) error {
	for batch, err := range source.Batches(ctx) {
		if err == nil {
			err = t.Add(ctx, batch)
		}
		if err != nil {
			return fmt.Errorf("assign objects, after %d images: %w", t.seen, err)
		}
	}
	return ctx.Err()
}

// assigned says of each object of a batch where it belongs.
type assigned struct {
	class, cluster []int32
	distance       []float32
}

// Add assigns the objects of a batch, of which it keeps no vector.
func (t *Tally) Add(ctx context.Context, batch *ofds.Pool) error {
	a, err := t.assign(ctx, batch)
	if err != nil {
		return err
	}
	for i := range batch.Images {
		if err := t.offer(batch, i, a); err != nil {
			return err
		}
	}
	t.seen += int64(len(batch.Images))
	return nil
}

func (t *Tally) assign(ctx context.Context, batch *ofds.Pool) (assigned, error) {
	a := assigned{make([]int32, len(batch.Objects)), make([]int32, len(batch.Objects)), make([]float32, len(batch.Objects))}
	if len(batch.Objects) > 0 && (batch.Vectors.Rows() != len(batch.Objects) || batch.Vectors.Dim != t.book.dim) {
		return a, fmt.Errorf("%d objects have %d vectors of %d dimensions, the census saw %d dimensions: did the pool change?",
			len(batch.Objects), batch.Vectors.Rows(), batch.Vectors.Dim, t.book.dim)
	}
	members := make([][]int, len(batch.Classes))
	for i, o := range batch.Objects {
		members[o.Class] = append(members[o.Class], i)
	}
	for local, rows := range members {
		if len(rows) == 0 {
			continue
		}
		class, found := slices.BinarySearchFunc(t.book.classes, batch.Classes[local], func(c classBook, name string) int { return cmp.Compare(c.name, name) })
		if !found || t.book.classes[class].centroids.Rows() == 0 {
			return a, fmt.Errorf("class %q was not in the census: did the pool change?", batch.Classes[local])
		}
		vectors := batch.Vectors.Gather(rows)
		nearest, distance, err := kmeans.Nearest(ctx, vectors, t.book.classes[class].centroids, t.opt.Product, t.opt.Workers)
		if err != nil {
			return a, err
		}
		for k, i := range rows {
			a.class[i], a.cluster[i], a.distance[i] = int32(class), nearest[k], distance[k]
			t.classes[class][nearest[k]].add(vectors.Row(k), t.book.shift)
		}
	}
	return a, nil
}

// add counts a vector. A number more than twice as large as any in the samples is cut.
func (c *cluster) add(vector []float32, shift int) {
	if c.sum == nil {
		c.sum = make([]int64, len(vector))
	}
	c.size++
	scale, sum := ldexp(shift), c.sum[:len(vector)]
	for j, x := range vector {
		sum[j] += int64(max(-1<<31, min(1<<31, float64(x)*scale)))
	}
}

// offer shows an image to the lists that it might be in.
func (t *Tally) offer(batch *ofds.Pool, i int, a assigned) error {
	image := batch.Images[i]
	h := &held{row: image.RowID, id: image.ID, group: image.Group, key: t.hasher.key(t.opt.Seed, "image", image.ID)}
	var all []candidate // one for each link
	for o := int(image.First); o < int(image.End); o++ {
		l := link{a.class[o], a.cluster[o], 1}
		one := candidate{h, batch.Objects[o].ID, a.distance[o], batch.Objects[o].Score}
		at, found := slices.BinarySearchFunc(h.links, l, link.compare)
		if !found {
			h.links, all = slices.Insert(h.links, at, l), slices.Insert(all, at, one)
			continue
		}
		h.links[at].objects++
		if one.compare(all[at]) < 0 {
			all[at] = one
		}
	}
	for k, l := range h.links {
		t.enter(&t.classes[l.class][l.cluster], all[k])
	}
	t.enterFill(h)
	if t.opt.OFDS.Preselected[h.id] {
		h.lists++
	}
	return t.hold(h)
}

func (a link) compare(b link) int {
	return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.cluster, b.cluster))
}

// hold remembers an image if a list has it, with copies of names that may be
// parts of larger texts.
func (t *Tally) hold(h *held) error {
	if h.lists == 0 {
		return nil
	}
	if t.held[h.id] != nil {
		return fmt.Errorf("image %q is there twice: make IDs unique, and read each image once", h.id)
	}
	h.id, h.group, h.row.Shard = strings.Clone(h.id), strings.Clone(h.group), strings.Clone(h.row.Shard)
	t.held[h.id] = h
	return nil
}

func (t *Tally) release(h *held) {
	if h.lists--; h.lists == 0 {
		delete(t.held, h.id)
	}
}

// enter puts a candidate into a cluster's list if it is near enough.
func (t *Tally) enter(c *cluster, one candidate) {
	if n := len(c.nearest); n == t.opt.Nearest {
		if one.compare(c.nearest[n-1]) >= 0 {
			return
		}
		t.release(c.nearest[n-1].image)
		c.nearest = c.nearest[:n-1]
	}
	at, _ := slices.BinarySearchFunc(c.nearest, one, candidate.compare)
	one.object = strings.Clone(one.object)
	one.image.lists++
	c.nearest = slices.Insert(c.nearest, at, one)
}

// enterFill keeps the images with the lowest keys, twice as many at times.
func (t *Tally) enterFill(h *held) {
	h.lists++
	t.fill = append(t.fill, h)
	if len(t.fill) >= 2*t.fillSize() {
		t.cutFill()
	}
}

// fillSize is enough to fill a budget with images that are not preselected.
func (t *Tally) fillSize() int { return t.opt.Budget + len(t.opt.OFDS.Preselected) }

func (t *Tally) cutFill() {
	slices.SortFunc(t.fill, func(a, b *held) int { return a.key.compare(b.key) })
	for len(t.fill) > t.fillSize() {
		last := len(t.fill) - 1
		t.release(t.fill[last])
		t.fill = t.fill[:last]
	}
}

// Merge adds another tally of the same codebook and options, of other images.
// The other must not be used any more.
func (t *Tally) Merge(other *Tally) error {
	if t.digest != other.digest {
		return errors.New("merge tallies: they are of different codebooks")
	}
	if t.opt.Nearest != other.opt.Nearest || t.opt.Budget != other.opt.Budget || t.opt.Seed != other.opt.Seed {
		return errors.New("merge tallies: they were made with different options")
	}
	for id := range other.held {
		if t.held[id] != nil {
			return fmt.Errorf("merge tallies: image %q is in both: merge each part of the pool once", id)
		}
	}
	for id, h := range other.held { // all are held until the lists have decided
		h.lists = 1
		t.held[id] = h
	}
	for i := range other.classes {
		for k := range other.classes[i] {
			t.mergeCluster(&t.classes[i][k], &other.classes[i][k])
		}
	}
	for _, h := range other.fill {
		h.lists++
		t.fill = append(t.fill, h)
	}
	t.cutFill()
	t.seen += other.seen
	for _, h := range other.held {
		if !t.opt.OFDS.Preselected[h.id] {
			t.release(h)
		}
	}
	return nil
}

func (t *Tally) mergeCluster(own, other *cluster) {
	own.size += other.size
	if own.sum == nil {
		own.sum = other.sum
	} else {
		for j, x := range other.sum {
			own.sum[j] += x
		}
	}
	for _, one := range other.nearest {
		t.enter(own, one)
	}
}
