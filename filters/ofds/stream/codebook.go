package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// Codebook holds the clusters of every class, and what the census counted. It
// does not change; goroutines may share it.
type Codebook struct {
	dim     int
	images  int64
	shift   int // sums are integers of vectors times 2^shift
	classes []classBook
	left    map[ofds.Filter]int64
}

type classBook struct {
	name            string
	objects, images int64
	centroids       kmeans.Matrix
}

// Train clusters the samples of a census. The census is not changed.
func Train(ctx context.Context, census *Census, opt Options) (*Codebook, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	opt = opt.WithDefaults()
	if opt.Seed != census.seed {
		return nil, errors.New("train clusters: the census was taken with another seed")
	}
	book := &Codebook{dim: census.dim, images: census.images, left: census.left}
	for _, name := range sortedNames(census.classes) {
		class := census.classes[name]
		book.classes = append(book.classes, classBook{name: name, objects: class.objects, images: class.images})
	}
	book.scale(census)
	for i, quota := range book.quotas(opt) {
		class := &book.classes[i]
		samples := census.classes[class.name].sample.sorted()
		for k := 1; k < len(samples); k++ {
			if samples[k].key == samples[k-1].key {
				return nil, fmt.Errorf("train clusters: an object of class %q was counted twice: make image IDs unique, and read each image once", class.name)
			}
		}
		centroids, err := clusters(ctx, class.name, samples, census.dim, opt.Alpha*int(quota), opt)
		if err != nil {
			return nil, fmt.Errorf("train clusters of class %q: %w", class.name, err)
		}
		class.centroids = centroids
	}
	return book, nil
}

// deepFrom is the number of clusters from which on k-means goes in two levels:
// most of them are merged again, so that the last percents of inertia are not worth
// ten times the work.
const deepFrom = 256

// clusters returns k centroids, or fewer if there are not so many samples.
func clusters(ctx context.Context, class string, samples []sampled, dim, k int, opt Options) (kmeans.Matrix, error) {
	k = min(k, len(samples))
	if most := int64(k) * int64(opt.SamplePerCluster); int64(len(samples)) > most {
		samples = samples[:most] // those with the lowest hashes are a sample as well
	}
	vectors := kmeans.NewMatrix(len(samples), dim)
	for i, s := range samples {
		copy(vectors.Row(i), s.vector)
	}
	if k == len(samples) {
		return vectors, nil // every object by itself
	}
	var h hasher
	fit := kmeans.Options{K: k, Seed: h.seed(opt.Seed, "class", class), MaxIterations: opt.MaxIterations, Product: opt.Product, Workers: opt.Workers}
	if k >= deepFrom {
		return kmeans.Deep(ctx, vectors, fit)
	}
	fitted, err := kmeans.Fit(ctx, vectors, fit)
	if err != nil {
		return kmeans.Matrix{}, err
	}
	return fitted.Centroids, nil
}

// scale chooses the precision of sums: 30 bits for the largest number in the
// samples. With 4 billion such vectors a sum does not overflow.
func (b *Codebook) scale(census *Census) {
	largest := 0.0
	for _, class := range census.classes {
		for _, s := range class.sample.kept {
			for _, x := range s.vector {
				largest = max(largest, math.Abs(float64(x)))
			}
		}
	}
	_, exponent := math.Frexp(largest)
	b.shift = 30 - exponent
}

// order returns the classes that have objects, in the order of their turns.
func (b *Codebook) order(opt Options) []int {
	var order []int
	for i, class := range b.classes {
		if class.objects > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(b.classes[i].objects, b.classes[j].objects) })
	switch opt.OFDS.ClassOrder {
	case "given":
		turn := make(map[string]int)
		for i, name := range opt.OFDS.GivenOrder {
			turn[name] = i - len(opt.OFDS.GivenOrder) // before 0, which is for the others
		}
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(turn[b.classes[i].name], turn[b.classes[j].name]) })
	case "frequent_first":
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(b.classes[j].objects, b.classes[i].objects) })
	case "random":
		var h hasher
		random := rand.New(rand.NewPCG(opt.Seed, h.seed(opt.Seed, "class order")))
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	return order
}

// quotas returns how many images each class may be asked for in the first
// round: equal shares, of which later classes get what earlier ones have no
// images for.
func (b *Codebook) quotas(opt Options) []int64 {
	quotas, order, left := make([]int64, len(b.classes)), b.order(opt), int64(opt.Budget)
	for j, class := range order {
		share := max(1, left/int64(len(order)-j))
		quotas[class] = share
		left = max(0, left-min(share, b.classes[class].images))
	}
	return quotas
}

func sortedNames(classes map[string]*classCensus) []string {
	names := make([]string, 0, len(classes))
	for name := range classes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func ldexp(shift int) float64 { return math.Ldexp(1, shift) }
