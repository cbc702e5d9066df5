package ofds

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// WithDefaults returns the options with every zero value replaced by what it
// means.
func (o PoolOptions) WithDefaults() PoolOptions {
	if o.ScoreMin == 0 {
		o.ScoreMin = 0.3
	}
	if o.DuplicateIoU == 0 {
		o.DuplicateIoU = 0.7
	}
	if o.Normalize == "" {
		o.Normalize = "l2"
	}
	return o
}

// Validate returns an error that lists everything that is wrong with the
// options, or nil.
func (o PoolOptions) Validate() error {
	var faults faults
	known := make(map[string]bool)
	for _, class := range o.Classes {
		faults.when(class == "", "classes has an empty name: leave it out")
		faults.when(known[class], "classes has %q twice: name it once", class)
		known[class] = true
	}
	for _, class := range sortedKeys(o.ClassScoreMin) {
		faults.when(len(known) > 0 && !known[class], "class_score_min has %q, which is not in classes", class)
		faults.when(!finite(o.ClassScoreMin[class]), "class_score_min of %q is %v: give a number", class, o.ClassScoreMin[class])
	}
	faults.when(!finite(o.ScoreMin) || o.ScoreMin > 1, "score_min is %v: give a number up to 1", o.ScoreMin)
	faults.when(!finite(o.MinBoxPixels) || o.MinBoxPixels < 0, "min_box_px is %v: give pixels, 0 or more", o.MinBoxPixels)
	faults.when(!(o.MinAreaFraction >= 0 && o.MinAreaFraction < 1), "min_area_fraction is %v: give a part of the image from 0 to below 1", o.MinAreaFraction)
	faults.when(!(o.DuplicateIoU >= 0 && o.DuplicateIoU <= 1), "duplicate_iou is %v: give a number from 0 to 1 (1 keeps all)", o.DuplicateIoU)
	faults.choice("normalize", o.Normalize, "l2", "none", "zscore_per_class")
	return faults.err("pool options")
}

// builder collects what a source gives, in its order, until assemble sorts it.
type builder struct {
	opt     PoolOptions
	target  map[string]bool // nil for all classes
	class   map[string]int32
	images  []Image  // First and End are indexes in objects
	objects []staged // that passed all filters but those that look at others
	vectors arena
	image   []reference // of each image's vector
	pool    *Pool
}

// staged is an object that waits to be sorted. Class is an index in order of
// appearance.
type staged struct {
	Object
	vector reference
}

func newBuilder(opt PoolOptions) *builder {
	b := &builder{opt: opt, class: make(map[string]int32), pool: &Pool{Filtered: make(map[Filter]int64), ImageFaults: make(map[Filter]int64)}}
	if len(opt.Classes) > 0 {
		b.target = make(map[string]bool, len(opt.Classes))
		for _, class := range opt.Classes {
			b.target[class] = true
			b.class[class] = int32(len(b.class))
		}
	}
	return b
}

func (b *builder) read(ctx context.Context, source pipeline.ImageSource) error {
	for image, err := range source.Images(ctx) {
		if err != nil {
			return fmt.Errorf("read images of the pool: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.add(image); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// add copies what selection needs of an image. The image may be used again by
// its source.
func (b *builder) add(image *pipeline.Image) error {
	if image.ID == "" {
		return fmt.Errorf("add image of shard %s row %d: it has no ID: give the image ID's column or let the row's address stand for it", image.Shard, image.Row)
	}
	first := int32(len(b.objects))
	for i := range image.Objects {
		object, filter := b.check(image, &image.Objects[i])
		if filter != "" {
			b.pool.Filtered[filter]++
			continue
		}
		object.vector = b.vectors.put(image.Objects[i].Vector)
		b.objects = append(b.objects, object)
	}
	if len(b.objects) > math.MaxInt32 || len(b.images) >= math.MaxInt32 {
		return fmt.Errorf("add image %q: more than %d objects or images do not fit in one pool: select by the streaming form", image.ID, math.MaxInt32)
	}
	b.images = append(b.images, Image{
		RowID: image.RowID, ID: image.ID, Group: image.Group,
		Width: int32(image.Width), Height: int32(image.Height),
		First: first, End: int32(len(b.objects)),
	})
	b.image = append(b.image, b.vectors.put(image.Vector))
	return nil
}

// check applies the filters that look at one object.
func (b *builder) check(image *pipeline.Image, o *pipeline.Object) (staged, Filter) {
	if o.Class == "" {
		return staged{}, NoClass
	}
	if b.target != nil && !b.target[o.Class] {
		return staged{}, OtherClass
	}
	class, ok := b.class[o.Class]
	if !ok { // listed even if none of its objects passes: then it is unreachable, which the user should know
		class = int32(len(b.class))
		b.class[strings.Clone(o.Class)] = class
	}
	if o.Ignore {
		return staged{}, Ignored
	}
	if !finite(o.Score) {
		return staged{}, NaNScore
	}
	least, ok := b.opt.ClassScoreMin[o.Class]
	if !ok {
		least = b.opt.ScoreMin
	}
	if o.Score < least {
		return staged{}, LowScore
	}
	box, ok := clip(o.Box, image.Width, image.Height)
	if !ok {
		return staged{}, EmptyBox
	}
	area := o.Area
	if !(area > 0) || !finite(area) {
		area = box.Area()
	}
	if min(box.Width(), box.Height()) < b.opt.MinBoxPixels ||
		image.Width > 0 && image.Height > 0 && area < b.opt.MinAreaFraction*float32(image.Width)*float32(image.Height) {
		return staged{}, SmallBox
	}
	return staged{Object: Object{Image: int32(len(b.images)), Class: class, Score: o.Score, Box: box, Area: area, ID: o.ID}}, checkVector(o.Vector)
}

// clip returns the part of a box that lies in an image, where its size is
// known, and whether there is any.
func clip(box pipeline.Box, width, height int) (pipeline.Box, bool) {
	if !finite(box.X1) || !finite(box.Y1) || !finite(box.X2) || !finite(box.Y2) {
		return box, false
	}
	if width > 0 {
		box.X1, box.X2 = max(0, box.X1), min(box.X2, float32(width))
	}
	if height > 0 {
		box.Y1, box.Y2 = max(0, box.Y1), min(box.Y2, float32(height))
	}
	return box, box.Width() > 0 && box.Height() > 0
}

// checkVector finds what is wrong with a vector by itself. No vector at all is
// no fault yet: perhaps no object has one.
func checkVector(v []float32) Filter {
	zero := len(v) > 0
	for _, x := range v {
		if !finite(x) {
			return NaNVector
		}
		zero = zero && x == 0
	}
	if zero {
		return ZeroVector
	}
	return ""
}

func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }

// faults collects what is wrong with options.
type faults []string

func (f *faults) when(wrong bool, format string, args ...any) {
	if wrong {
		*f = append(*f, fmt.Sprintf(format, args...))
	}
}

// choice wants one of several words, of which the first may also be left empty.
func (f *faults) choice(name, value string, words ...string) {
	for _, word := range words {
		if value == word || value == "" {
			return
		}
	}
	*f = append(*f, fmt.Sprintf("%s is %q: give one of %s", name, value, strings.Join(words, ", ")))
}

func (f faults) err(of string) error {
	if len(f) == 0 {
		return nil
	}
	return errors.New("check " + of + ": " + strings.Join(f, "; "))
}
