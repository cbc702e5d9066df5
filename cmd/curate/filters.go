package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/scoring"
)

// The filters of a run.
const (
	filterColor = "colorfilter" // texts, by color score
	filterOFDS  = "ofds"        // images, by coverage of objects
)

// imageConfig says where a run finds images and their labels. All inputs are
// looked at, and annotations if there are any.
type imageConfig struct {
	Annotations   string `yaml:"annotations,omitempty"`
	Folder        string `yaml:"folder,omitempty"`
	Format        string `yaml:"annotation_format,omitempty"`
	Instances     string `yaml:"instances,omitempty"`
	Split         string `yaml:"split,omitempty"`
	ZeroBased     bool   `yaml:"voc_zero_based,omitempty"`
	KeepDifficult bool   `yaml:"keep_difficult,omitempty"`
	RegionMode    string `yaml:"region_mode,omitempty"`
	LabelField    string `yaml:"label_field,omitempty"`
	AllowOrphans  bool   `yaml:"allow_orphans,omitempty"`
	BoxForm       string `yaml:"box_form,omitempty"`
	IDColumn      string `yaml:"id_column,omitempty"`
	ImageColumn   string `yaml:"image_column,omitempty"`
	ObjectsColumn string `yaml:"objects_column,omitempty"`
	GroupColumn   string `yaml:"group_column,omitempty"`
	TruthColumn   string `yaml:"truth_column,omitempty"` // true labels, to measure with
}

func (c config) imagePlaces() imagePlaces {
	i := c.Images
	return imagePlaces{
		Inputs: c.Inputs, Labels: i.Annotations, Folder: i.Folder, Format: i.Format, Images: i.Instances, Split: i.Split, Box: i.BoxForm,
		ZeroBased: i.ZeroBased, KeepDifficult: i.KeepDifficult, RegionMode: i.RegionMode, Field: i.LabelField, AllowOrphans: i.AllowOrphans,
		Columns: imagesColumns{ID: i.IDColumn, Image: i.ImageColumn, Objects: i.ObjectsColumn, Group: i.GroupColumn},
	}
}

func (c config) has(filter string) bool { return slices.Contains(c.Filters, filter) }

// filterFaults lists what is wrong with the list of filters and the image section.
func (c config) filterFaults() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("  "+format, args...)) }
	if len(c.Filters) == 0 {
		fault("filters: name %s, %s or both", filterColor, filterOFDS)
	}
	for i, filter := range c.Filters {
		switch {
		case filter != filterColor && filter != filterOFDS:
			fault("filters: there is no %q; there are %s and %s", filter, filterColor, filterOFDS)
		case slices.Index(c.Filters, filter) < i:
			fault("filters: %s is there twice", filter)
		}
	}
	if !c.has(filterOFDS) {
		return faults
	}
	if err := c.OFDS.validate(); err != nil {
		fault("ofds: %s", strings.ReplaceAll(err.Error(), "\n", "\n    "))
	}
	if c.Embed.Encoder != "" {
		if err := c.Embed.validate(); err != nil {
			fault("embed: %w", err)
		}
	}
	if len(c.Filters) > 1 && c.Score.Unit == string(scoring.Sequence) {
		fault("score.unit: filters that follow each other choose rows: want document")
	}
	if len(c.Filters) > 1 && c.Images.Annotations != "" && len(c.Inputs) == 0 {
		fault("inputs: texts and images must be in the same rows")
	}
	return faults
}

// selectionFolder is where the i-th filter puts its decisions: the last one's are
// those that count.
func (r *pipelineRun) selectionFolder(i int) string {
	if i == len(r.config.Filters)-1 {
		return r.folder("selection")
	}
	return r.folder("selection-" + r.config.Filters[i])
}

// step is a stage of a run.
type step struct {
	name string
	run  func(context.Context) (stageResult, error)
}

// steps are the stages of a run in their order.
func (r *pipelineRun) steps() []step {
	var steps []step
	if r.config.has(filterColor) {
		steps = append(steps, step{"train prior", r.trainPrior}, step{"train conditional", r.trainConditional}, step{"score", r.runScore})
	}
	if r.config.has(filterOFDS) && r.config.Embed.Encoder != "" {
		steps = append(steps, step{"embed", r.runEmbed})
	}
	for i, filter := range r.config.Filters {
		earlier := ""
		if i > 0 {
			earlier = r.selectionFolder(i - 1)
		}
		run, name := r.runSelect, "select"
		if filter == filterOFDS {
			run, name = r.runSelectImages, "select images"
		}
		steps = append(steps, step{name, func(ctx context.Context) (stageResult, error) { return run(ctx, r.selectionFolder(i), earlier) }})
	}
	return append(steps, step{"write", r.runWrite})
}

func (r *pipelineRun) runEmbed(ctx context.Context) (stageResult, error) {
	return runEmbed(ctx, r.app, embedOptions{
		Encoder: r.config.Embed, Places: r.config.imagePlaces(), Output: r.folder("objects"), Backend: r.config.Backend,
	})
}

func (r *pipelineRun) runSelectImages(ctx context.Context, output, earlier string) (result stageResult, err error) {
	objects, places := "", r.config.imagePlaces()
	if r.config.Embed.Encoder != "" {
		objects, places = r.folder("objects"), imagePlaces{}
	}
	pool, thumbs, closePool, err := openImagePool(ctx, r.app, objects, places)
	if err != nil {
		return stageResult{}, err
	}
	defer closePool()
	r.chosen, err = runSelectImages(ctx, r.app, selectImagesOptions{
		Config: r.config.OFDS, Seed: r.config.Seed, Backend: r.config.Backend, Output: output, Earlier: earlier, Pool: pool, Thumbs: thumbs,
		Truth: r.config.Images.TruthColumn,
	})
	return r.chosen, err
}

// printImages prints the table of counts.
func (r *pipelineRun) printImages() {
	out, counts := r.app.stdout, r.chosen.manifest.Counts
	rows := [][]string{
		{"in", progress.Count(counts.RowsIn), ""},
		{"chosen", progress.Count(counts.Kept), share(counts.Kept, counts.RowsIn)},
	}
	for _, reason := range sortedReasons(counts.Dropped) {
		rows = append(rows, []string{"dropped: " + reason.Reason, progress.Count(reason.Rows), share(reason.Rows, counts.RowsIn)})
	}
	fmt.Fprintln(out)
	progress.Table(out, []string{"", "images", "share"}, rows, []bool{false, true, true})
	fmt.Fprintf(out, "\ndata    %s\nreport  %s\n", r.folder("data"), joinPlace(r.chosen.folder, reportName))
}
