package ofds

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// arena keeps copies of vectors of any dimension in large chunks, so that a
// million of them cost a few hundred allocations and each chunk can be let go
// as soon as its vectors are where they belong.
type arena struct {
	chunks [][]float32
	left   []int // vectors of the chunk that were not taken yet
}

// reference is where a vector is. The zero dimension means that there is none.
type reference struct{ chunk, at, dim int32 }

const chunkFloats = 1 << 20

func (a *arena) put(v []float32) reference {
	if len(v) == 0 {
		return reference{}
	}
	last := len(a.chunks) - 1
	if last < 0 || cap(a.chunks[last])-len(a.chunks[last]) < len(v) {
		a.chunks, a.left = append(a.chunks, make([]float32, 0, max(chunkFloats, len(v)))), append(a.left, 0)
		last++
	}
	at := len(a.chunks[last])
	a.chunks[last] = append(a.chunks[last], v...)
	a.left[last]++
	return reference{int32(last), int32(at), int32(len(v))}
}

// take copies a vector out, for the last time, or drops it where to is nil.
func (a *arena) take(r reference, to []float32) {
	if r.dim == 0 {
		return
	}
	copy(to, a.chunks[r.chunk][r.at:r.at+r.dim])
	if a.left[r.chunk]--; a.left[r.chunk] == 0 {
		a.chunks[r.chunk] = nil
	}
}

// assemble sorts what was collected and applies the filters that compare
// objects with each other.
func (b *builder) assemble() (*Pool, error) {
	order := make([]int32, len(b.images))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int {
		x, y := &b.images[i], &b.images[j]
		return cmp.Or(cmp.Compare(x.ID, y.ID), x.RowID.Compare(y.RowID))
	})
	for k := 1; k < len(order); k++ {
		x, y := &b.images[order[k-1]], &b.images[order[k]]
		if x.ID == y.ID {
			return nil, fmt.Errorf("build pool: image ID %q is that of shard %s row %d and of shard %s row %d: make IDs unique, or remove the second", x.ID, x.RowID.Shard, x.RowID.Row, y.RowID.Shard, y.RowID.Row)
		}
	}
	b.sortClasses()
	b.place(order)
	b.placeImageVectors(order)
	b.normalize()
	return b.pool, nil
}

// sortClasses numbers classes in the order of their names.
func (b *builder) sortClasses() {
	b.pool.Classes = sortedKeys(b.class)
	number := make([]int32, len(b.class))
	for i, class := range b.pool.Classes {
		number[b.class[class]] = int32(i)
	}
	for i := range b.objects {
		b.objects[i].Class = number[b.objects[i].Class]
	}
}

// place puts images, objects and their vectors where they belong.
func (b *builder) place(order []int32) {
	p := b.pool
	dim := usualDimension(len(b.objects), func(i int) int32 { return b.objects[i].vector.dim })
	p.Images = make([]Image, len(order))
	p.Objects = make([]Object, 0, len(b.objects))
	references := make([]reference, 0, len(b.objects))
	for at, from := range order {
		image := b.images[from]
		objects := b.objects[image.First:image.End]
		slices.SortStableFunc(objects, func(x, y staged) int { return cmp.Compare(x.ID, y.ID) })
		out := b.filter(objects, dim)
		image.First = int32(len(p.Objects))
		for i := range objects {
			if out[i] != "" {
				p.Filtered[out[i]]++
				b.vectors.take(objects[i].vector, nil)
				continue
			}
			object := objects[i].Object
			object.Image = int32(at)
			p.Objects = append(p.Objects, object)
			references = append(references, objects[i].vector)
		}
		image.End = int32(len(p.Objects))
		p.Images[at] = image
	}
	b.images, b.objects = nil, nil
	if dim == 0 {
		return
	}
	p.Vectors = kmeans.NewMatrix(len(p.Objects), int(dim))
	for i, r := range references {
		b.vectors.take(r, p.Vectors.Row(i))
	}
}

// usualDimension returns the dimension that most vectors have, the smaller of
// equals, and 0 if there is no vector. The first one's would depend on one
// broken row.
func usualDimension(n int, dim func(i int) int32) int32 {
	count := make(map[int32]int)
	for i := range n {
		if d := dim(i); d > 0 {
			count[d]++
		}
	}
	best := int32(0)
	for d, c := range count {
		if best == 0 || c > count[best] || c == count[best] && d < best {
			best = d
		}
	}
	return best
}

// filter says why objects of one image are left out, if they are: vectors that
// do not fit, and what a better object of the same class covers.
func (b *builder) filter(objects []staged, dim int32) []Filter {
	out := make([]Filter, len(objects))
	byScore := make([]int, 0, len(objects))
	for i := range objects {
		switch d := objects[i].vector.dim; {
		case d == dim:
			byScore = append(byScore, i)
		case d == 0:
			out[i] = NullVector
		default:
			out[i] = RaggedVector
		}
	}
	slices.SortFunc(byScore, func(i, j int) int { // objects are sorted by ID
		return cmp.Or(cmp.Compare(objects[j].Score, objects[i].Score), cmp.Compare(i, j))
	})
	for k, i := range byScore {
		for _, better := range byScore[:k] {
			if out[better] == "" && objects[better].Class == objects[i].Class && objects[better].Box.IoU(objects[i].Box) > b.opt.DuplicateIoU {
				out[i] = Duplicate
				break
			}
		}
	}
	return out
}

// placeImageVectors keeps the vectors of images if every image has a good one:
// a method that works on them cannot leave images out.
func (b *builder) placeImageVectors(order []int32) {
	p := b.pool
	dim := usualDimension(len(b.image), func(i int) int32 { return b.image[i].dim })
	if dim == 0 {
		return
	}
	p.ImageVectors = kmeans.NewMatrix(len(order), int(dim))
	for at, from := range order {
		r := b.image[from]
		row := p.ImageVectors.Row(at)
		if r.dim == dim {
			b.vectors.take(r, row)
		}
		switch fault := checkVector(row); {
		case r.dim == 0:
			p.ImageFaults[NullVector]++
		case r.dim != dim:
			p.ImageFaults[RaggedVector]++
		case fault != "":
			p.ImageFaults[fault]++
		}
	}
	b.vectors = arena{}
	if len(p.ImageFaults) > 0 {
		p.ImageVectors = kmeans.Matrix{}
	}
}

// normalize brings vectors to what distances are measured on.
func (b *builder) normalize() {
	switch p := b.pool; b.opt.Normalize {
	case "l2":
		unit(p.Vectors)
		unit(p.ImageVectors)
	case "zscore_per_class":
		p.standardise()
	}
}

func unit(m kmeans.Matrix) {
	for i := range m.Rows() {
		row := m.Row(i)
		sum := 0.0
		for _, x := range row {
			sum += float64(x) * float64(x)
		}
		scale := 1 / math.Sqrt(sum)
		for j, x := range row {
			row[j] = float32(float64(x) * scale)
		}
	}
}

// standardise gives every class mean 0 and deviation 1 in every dimension; a
// dimension that does not vary becomes 0.
func (p *Pool) standardise() {
	dim := p.Vectors.Dim
	n := make([]float64, len(p.Classes))
	mean := make([]float64, len(p.Classes)*dim)
	square := make([]float64, len(p.Classes)*dim)
	each := func(visit func(class, at int, row []float32)) {
		for i := range p.Vectors.Rows() {
			class := int(p.Objects[i].Class)
			visit(class, class*dim, p.Vectors.Row(i))
		}
	}
	each(func(class, at int, row []float32) {
		n[class]++
		for j, x := range row {
			mean[at+j] += float64(x)
		}
	})
	for i := range mean {
		mean[i] /= max(1, n[i/dim])
	}
	each(func(_, at int, row []float32) {
		for j, x := range row {
			square[at+j] += (float64(x) - mean[at+j]) * (float64(x) - mean[at+j])
		}
	})
	each(func(class, at int, row []float32) {
		for j, x := range row {
			row[j] = 0
			if s := math.Sqrt(square[at+j] / n[class]); s > 0 {
				row[j] = float32((float64(x) - mean[at+j]) / s)
			}
		}
	})
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
