package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/curate-data/curate/filters/colorfilter"
	"github.com/curate-data/curate/filters/ofds/baseline"
	"github.com/curate-data/curate/internal/progress"
)

// selectImagesHelp is the part of the help of `curate select` about images.
const selectImagesHelp = `
Images: --method ofds chooses --budget images for labelling so that the objects of every target
class are covered (OFDS, reconstruction): per class, rarest first, k-means on object vectors, grown
until enough clusters hold nothing that is covered, and the image nearest to each centre. Objects
come from 'curate embed' (--objects) or from columns and label files (IN, --annotations). Written
are the decisions, _choices.parquet (what each image was chosen for), metrics.json and report.html.
--option key=value sets a choice point, such as class_order, quota, k_policy, representative,
leftover, budget_unit, group_max or nested; docs/OFDS.md lists them.`

// imageFlags are the flags of methods that choose images.
type imageFlags struct {
	places  imagePlaces
	config  ofdsConfig
	objects string
	backend string
	truth   string
	options []string
}

func (f *imageFlags) add(flags *pflag.FlagSet) {
	addImageFlags(flags, &f.places)
	flags.StringVar(&f.objects, "objects", "", "folder that 'curate embed' wrote")
	flags.IntVar(&f.config.Budget, "budget", 0, "images to choose; objects or cost with --option budget_unit=...")
	flags.StringSliceVar(&f.config.Classes, "classes", nil, "target classes; default: all")
	flags.Float32Var(&f.config.ScoreMin, "score-min", 0, "confidence below which an object does not count, 0 for all; default 0.3")
	flags.StringVar(&f.config.Preselected, "preselected", "", "images that are labelled already: a file of ids, or a folder of a selection; they cover and are not chosen")
	flags.BoolVar(&f.config.Stream, "stream", false, "read the pool three times instead of holding it in memory, for very large ones")
	flags.StringArrayVar(&f.options, "option", nil, "a choice point of the method, as key=value (repeatable)")
	flags.StringVar(&f.truth, "truth-column", "", "column with the true objects, to measure with")
	flags.StringSliceVar(&f.config.Report.Baselines, "compare", nil, "methods that the page compares with; default: those that are quick")
	flags.StringVar(&f.backend, "backend", "auto", "device for k-means: auto, xla:cuda, xla:cpu or go")
}

// check refuses flags of images beside a method of texts, and methods that there
// are not.
func (f *imageFlags) check(cmd *cobra.Command, method string, args []string) error {
	if cmd.Flags().Changed("score-min") && f.config.ScoreMin == 0 {
		f.config.ScoreMin = noScoreMin
	}
	if f.isImageMethod(method, args) {
		return nil
	}
	if !slices.Contains([]colorfilter.Method{colorfilter.Color, colorfilter.Conditional, colorfilter.Perplexity, colorfilter.Random}, colorfilter.Method(method)) {
		return usagef("--method %s: there is none of this name; there are, %s", method, methodHelp())
	}
	for _, name := range []string{"objects", "annotations", "budget", "classes", "option", "preselected"} {
		if cmd.Flags().Changed(name) {
			return usagef("--%s is for methods that choose images, such as --method ofds; --method %s ranks texts", name, method)
		}
	}
	return nil
}

// isImageMethod tells methods that choose images from those that rank texts.
// Random is one of texts unless images are given.
func (f *imageFlags) isImageMethod(method string, args []string) bool {
	if method == methodOFDS {
		return true
	}
	known := slices.ContainsFunc(baseline.Names(), func(n baseline.Name) bool { return n.Name == method })
	return known && (method != string(colorfilter.Random) || f.objects != "" || len(args) > 0 || f.places.Labels != "")
}

// methodHelp names all methods.
func methodHelp() string {
	var names []string
	for _, n := range baseline.Names() {
		names = append(names, n.Name)
	}
	return "of texts: color (prior minus conditional loss), conditional, perplexity, random; of images: ofds, " + strings.Join(names, ", ")
}

// run chooses images as the flags say.
func (f *imageFlags) run(ctx context.Context, a *app, method, output, earlier string, seed uint64, args []string) error {
	for _, option := range f.options {
		if err := f.config.set(option); err != nil {
			return usagef("--option %s: %w", option, err)
		}
	}
	f.config.Method = method
	f.places.Inputs = args
	pool, thumbs, closePool, err := openImagePool(ctx, a, f.objects, f.places)
	if err != nil {
		return err
	}
	defer closePool()
	result, err := runSelectImages(ctx, a, selectImagesOptions{
		Config: f.config, Seed: seed, Backend: f.backend, Output: output, Earlier: earlier, Pool: pool, Thumbs: thumbs, Truth: f.truth,
	})
	if err == nil && !a.json && !result.nothing {
		counts := result.manifest.Counts
		a.say("chose %s of %s images; the page is %s", progress.Count(counts.Kept), progress.Count(counts.RowsIn), joinPlace(output, reportName))
	}
	return a.finishStage(result, err)
}

// openImagePool opens the pool of a selection: vectors of `curate embed`, or
// shards and labels.
func openImagePool(ctx context.Context, a *app, objects string, places imagePlaces) (imagePool, pictures, func() error, error) {
	if objects != "" {
		if len(places.Inputs) > 0 || places.Labels != "" {
			return nil, pictures{}, nil, usagef("--objects has images and labels of its own: leave IN and --annotations out")
		}
		pool, err := openEmbedded(ctx, a, objects)
		if err != nil {
			return nil, pictures{}, nil, err
		}
		return pool, pictures{a, pool.places()}, func() error { return nil }, nil
	}
	set, err := a.openImages(ctx, places)
	if err != nil {
		return nil, pictures{}, nil, fmt.Errorf("open images: %w", err)
	}
	return shardPool{set.source(false)}, pictures{a, places}, set.close, nil
}
