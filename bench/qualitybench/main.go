// Command qualitybench selects images of the pools of bench/quality_data.py and
// measures what the methods chose:
//
//	qualitybench SETTING VECTORS OTHER OUT
//
// VECTORS and OTHER are vector files or sidecars of the same images and objects.
// Selection works on VECTORS; both measure. SETTING is final (pools of the parts train and
// val, all methods with their defaults), or variants (pools of the part train, options
// of OFDS). OUT gets a JSON line for each selection.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/metrics"
)

const (
	seeds = 10
	// share of the images of the parts that are in the pool of a seed.
	share = 0.8
)

func budgets() []int { return []int{5, 10, 20, 40, 80} }

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "qualitybench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) != 4 || (args[0] != "final" && args[0] != "variants") {
		return errors.New("usage: qualitybench final|variants VECTORS OTHER OUT")
	}
	final := args[0] == "final"
	all, err := methods(final)
	if err != nil {
		return err
	}
	vectors, err := read(ctx, args[1])
	if err != nil {
		return err
	}
	other, err := read(ctx, args[2])
	if err != nil {
		return err
	}
	file, err := os.Create(args[3])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := bufio.NewWriter(file)
	parts := []string{"train"}
	if final {
		parts = append(parts, "val")
	}
	for seed := range seeds {
		w := world{seed: seed, parts: parts, vectors: vectors, other: other, out: json.NewEncoder(out)}
		if err := w.all(ctx, all); err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// world is the pool of a seed: a part of the images, with what one detector says.
type world struct {
	seed           int
	parts          []string
	vectors, other data
	out            *json.Encoder

	evaluator, inOther *metrics.Evaluator
	images             map[string]int32 // of the pool of inOther, by ID
	pools              map[string]*ofds.Pool
}

// all makes every selection. Methods with options of the pool have pools of their
// own; figures are always of the pool with default options.
func (w *world) all(ctx context.Context, methods []method) error {
	truth := truthOptions()
	real, err := ofds.NewPool(ctx, w.vectors.pool(w.seed, w.parts, "truth"), truth)
	if err != nil {
		return err
	}
	far, err := ofds.NewPool(ctx, w.other.pool(w.seed, w.parts, "truth"), truth)
	if err != nil {
		return err
	}
	w.images = make(map[string]int32)
	for i, image := range far.Images {
		w.images[image.ID] = int32(i)
	}
	w.pools = make(map[string]*ofds.Pool)
	base, err := w.pool(ctx, ofds.PoolOptions{})
	if err != nil {
		return err
	}
	// The clusters of the metrics have another seed than those of any selection.
	opt := metrics.Options{Seed: uint64(1000 + w.seed), Truth: real}
	if w.evaluator, err = metrics.New(ctx, base, opt); err != nil {
		return err
	}
	opt.Truth = nil
	if w.inOther, err = metrics.New(ctx, far, opt); err != nil {
		return err
	}
	for _, m := range methods {
		pool, err := w.pool(ctx, m.pool)
		if err != nil {
			return err
		}
		if m.centre != "" {
			pool = centred(pool, m.centre)
		}
		for _, budget := range budgets() {
			if err := w.one(ctx, m, pool, budget); err != nil {
				return fmt.Errorf("%s, %d images: %w", m.name, budget, err)
			}
		}
	}
	return nil
}

// pool is that of the seed's detector.
func (w *world) pool(ctx context.Context, opt ofds.PoolOptions) (*ofds.Pool, error) {
	key := fmt.Sprint(opt)
	if pool := w.pools[key]; pool != nil {
		return pool, nil
	}
	opt.Classes = classes()
	pool, err := ofds.NewPool(ctx, w.vectors.pool(w.seed, w.parts, fmt.Sprintf("detector-%d", w.seed)), opt)
	w.pools[key] = pool
	return pool, err
}

func classes() []string { return []string{"Platelets", "RBC", "WBC"} }

// truthOptions keep every true object that has an area.
func truthOptions() ofds.PoolOptions {
	return ofds.PoolOptions{Classes: classes(), ScoreMin: -1, DuplicateIoU: 1}
}

// line is what OUT has of a selection. Distances and clusters are of the vectors
// that the selection saw, or of the others.
type line struct {
	Method     string             `json:"method"`
	Budget     int                `json:"budget"`
	Seed       int                `json:"seed"`
	Images     []string           `json:"images"`
	PoolImages int                `json:"pool_images"`
	Recall     map[string]float64 `json:"recall"` // of the true objects of each class
	Balance    metrics.Number     `json:"balance"`
	Objects    metrics.Number     `json:"objects_per_image"`
	Cover      metrics.Number     `json:"cover"`
	Modes      metrics.Number     `json:"modes"`
	CoverOther metrics.Number     `json:"cover_other"`
	ModesOther metrics.Number     `json:"modes_other"`
	False      metrics.Number     `json:"false"` // share of false detections in the chosen images
	Fits       int                `json:"fits"`
}

func (w *world) one(ctx context.Context, m method, pool *ofds.Pool, budget int) error {
	selection, err := m.selector.Select(ctx, pool, budget, uint64(w.seed))
	if err != nil {
		return err
	}
	if len(selection.Chosen) != budget {
		return fmt.Errorf("%d images chosen", len(selection.Chosen))
	}
	chosen := metrics.Of(m.name, selection)
	l := line{Method: m.name, Budget: budget, Seed: w.seed, PoolImages: len(pool.Images), Recall: make(map[string]float64), Fits: selection.Fits}
	elsewhere := metrics.Chosen{Name: m.name}
	for _, i := range chosen.Images {
		id := pool.Images[i].ID
		l.Images = append(l.Images, id)
		elsewhere.Images = append(elsewhere.Images, w.images[id])
	}
	figures, err := w.evaluator.Measure(ctx, chosen)
	if err != nil {
		return err
	}
	far, err := w.inOther.Measure(ctx, elsewhere)
	if err != nil {
		return err
	}
	all := figures.Truth.Overall
	l.Balance, l.Objects, l.False = all.Balance, figures.Truth.ObjectsPerImage, figures.FalsePositives.Share
	l.Cover, l.Modes = all.CoverP95, all.ModeRecall
	l.CoverOther, l.ModesOther = far.Proposals.Overall.CoverP95, far.Proposals.Overall.ModeRecall
	for _, c := range figures.Truth.Classes {
		l.Recall[c.Name] = float64(c.Recall)
	}
	slices.Sort(l.Images)
	if d := slices.Compact(slices.Clone(l.Images)); len(d) != budget {
		return fmt.Errorf("images chosen twice: %s", strings.Join(l.Images, " "))
	}
	return w.out.Encode(l)
}
