package stream

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/curate-data/curate/filters/ofds"
)

// Encode returns the census as bytes, which DecodeCensus reads.
func (c *Census) Encode() []byte {
	w := &writer{to: []byte(censusMagic)}
	w.fixed(c.seed)
	w.number(c.room)
	w.count(c.most)
	w.count(c.dim)
	w.number(c.images)
	w.left(c.left)
	names := sortedNames(c.classes)
	w.count(len(names))
	for _, name := range names {
		class := c.classes[name]
		w.text(name)
		w.number(class.objects)
		w.number(class.images)
		w.count(len(class.sample.kept))
		for _, s := range class.sample.sorted() {
			w.fixed(s.key[0])
			w.fixed(s.key[1])
			w.floats(s.vector)
		}
	}
	return w.sealed()
}

func (w *writer) left(left map[ofds.Filter]int64) {
	filters := slices.Sorted(maps.Keys(left))
	w.count(len(filters))
	for _, filter := range filters {
		w.text(string(filter))
		w.number(left[filter])
	}
}

// Encode returns the codebook as bytes, which DecodeCodebook reads.
func (b *Codebook) Encode() []byte {
	w := &writer{to: []byte(codebookMagic)}
	w.count(b.dim)
	w.number(b.images)
	w.number(int64(b.shift))
	w.left(b.left)
	w.count(len(b.classes))
	for _, class := range b.classes {
		w.text(class.name)
		w.number(class.objects)
		w.number(class.images)
		w.count(class.centroids.Rows())
		w.floats(class.centroids.Data)
	}
	return w.sealed()
}

func (b *Codebook) digest() [32]byte { return sha256.Sum256(b.Encode()) }

// Encode returns the tally as bytes, which DecodeTally reads.
func (t *Tally) Encode() []byte {
	t.cutFill()
	w := &writer{to: []byte(tallyMagic)}
	w.to = append(w.to, t.digest[:]...)
	w.fixed(t.opt.Seed)
	w.count(t.opt.Budget)
	w.count(t.opt.Nearest)
	w.number(t.seen)
	images := slices.SortedFunc(maps.Values(t.held), func(a, b *held) int { return cmp.Compare(a.id, b.id) })
	at := make(map[*held]int, len(images))
	w.count(len(images))
	for i, h := range images {
		at[h] = i
		w.text(h.id)
		w.text(h.group)
		w.text(h.row.Shard)
		w.number(h.row.Row)
		w.number(int64(h.row.Seq))
		w.count(len(h.links))
		for _, l := range h.links {
			w.count(int(l.class))
			w.count(int(l.cluster))
			w.count(int(l.objects))
		}
	}
	w.count(len(t.fill))
	for _, h := range t.fill {
		w.count(at[h])
	}
	for _, class := range t.classes {
		for _, c := range class {
			w.number(c.size)
			for _, x := range c.sum {
				w.fixed(uint64(x))
			}
			w.count(len(c.nearest))
			for _, one := range c.nearest {
				w.count(at[one.image])
				w.text(one.object)
				w.float(one.distance)
				w.float(one.score)
			}
		}
	}
	return w.sealed()
}
