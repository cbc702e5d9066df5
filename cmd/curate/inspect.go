package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/shards"
)

const inspectHelp = `Say what is in a shard, in an output folder or in a model folder: format, rows, row groups, columns
and types of a shard; stage, counts and provenance of an output, of chosen images also the classes; family, sizes,
positions and tokenizer of a model.`

func newInspectCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "inspect PATH...",
		Short:   "what is in a shard, output folder or model",
		Long:    inspectHelp,
		Example: "  curate inspect pool/00000.parquet\n  curate inspect out/demo/scores out/demo/models/prior --json\n  curate inspect s3://bucket/pool/00000.parquet\n  curate inspect out/objects out/chosen   # vectors of images, and what was chosen for each class",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name a shard, an output folder or a model folder")
			}
			var all []any
			for _, arg := range args {
				found, err := inspect(cmd.Context(), a, arg)
				if err != nil {
					return err
				}
				all = append(all, found...)
			}
			if a.json {
				return a.printJSON(all)
			}
			for i, found := range all {
				if i > 0 {
					fmt.Fprintln(a.stdout)
				}
				found.(interface{ print(*app) }).print(a)
			}
			return nil
		},
	}
}

// inspect looks at one argument: an output folder, a model folder or shards.
func inspect(ctx context.Context, a *app, arg string) ([]any, error) {
	store, name, err := a.stores.Locate(ctx, arg)
	if err != nil || name != "" {
		return inspectShards(ctx, a, arg) // which says what is wrong
	}
	manifest, err := shards.ReadManifest(ctx, store, manifestName)
	switch {
	case err == nil && manifest.Stage != "train":
		found, err := inspectOutput(ctx, store, arg, manifest)
		return []any{found}, err
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	isModel, err := objectExists(ctx, store, "config.json")
	if err != nil {
		return nil, err
	}
	if isModel {
		model, err := a.loadModel(ctx, arg)
		if err != nil {
			return nil, err
		}
		found, err := a.newInspectedModel(ctx, arg, model, manifest)
		return []any{found}, err
	}
	return inspectShards(ctx, a, arg)
}

// inspectShards looks at the shards that an argument names.
func inspectShards(ctx context.Context, a *app, arg string) ([]any, error) {
	inputs, err := a.listInputs(ctx, []string{arg})
	if err != nil {
		return nil, err
	}
	var all []any
	for _, in := range inputs {
		found, err := inspectShard(ctx, in)
		if err != nil {
			return nil, err
		}
		all = append(all, found)
	}
	return all, nil
}

// inspectedShard is what a reader sees of a shard.
type inspectedShard struct {
	URI       string          `json:"uri"`
	Format    shards.Format   `json:"format"`
	Size      int64           `json:"size"`
	Rows      int64           `json:"rows"` // -1: not known before all is read
	RowGroups int             `json:"row_groups"`
	Columns   []shards.Column `json:"columns"`
}

func inspectShard(ctx context.Context, in shards.Input) (inspectedShard, error) {
	shard, err := shards.Open(ctx, in)
	if err != nil {
		return inspectedShard{}, err
	}
	defer shard.Close()
	return inspectedShard{in.URI, in.Format, in.Size, shard.NumRows(), shard.NumRowGroups(), shard.Columns()}, nil
}

func (s inspectedShard) print(a *app) {
	rows := "rows unknown before all is read"
	if s.Rows >= 0 {
		rows = fmt.Sprintf("%s rows in %d row groups", progress.Count(s.Rows), s.RowGroups)
	}
	fmt.Fprintf(a.stdout, "%s: %s, %s bytes, %s\n", s.URI, s.Format, progress.Count(s.Size), rows)
	var table [][]string
	for _, c := range s.Columns {
		table = append(table, []string{c.Name, c.Type})
	}
	if len(table) > 0 {
		progress.Table(a.stdout, []string{"column", "type"}, table, []bool{false, false})
	}
}

// inspectedOutput is the manifest of a stage.
type inspectedOutput struct {
	Folder   string           `json:"folder"`
	Manifest *shards.Manifest `json:"manifest"`
	Images   *imageMeasures   `json:"images,omitempty"` // of a selection of images, without curves
}

// inspectOutput reads what a stage has beside its manifest.
func inspectOutput(ctx context.Context, store shards.Store, folder string, m *shards.Manifest) (inspectedOutput, error) {
	found := inspectedOutput{Folder: folder, Manifest: m}
	if optionOf(m, "kind") != imagesKind || m.Stage != "select" {
		return found, nil
	}
	raw, err := shards.ReadObject(ctx, store, metricsName, maxMetrics)
	if err == nil {
		err = json.Unmarshal(raw, &found.Images)
	}
	if err != nil {
		return found, fmt.Errorf("inspect %s: read %s: %w", folder, metricsName, err)
	}
	found.Images.Curves = nil
	return found, nil
}

// maxMetrics bounds the file of metrics.
const maxMetrics = 64 << 20

func (o inspectedOutput) print(a *app) {
	m := o.Manifest
	fmt.Fprintf(a.stdout, "%s: output of `curate %s` %s, %d inputs, %d units\n", o.Folder, m.Stage, m.Curate, len(m.Inputs), len(m.Units))
	fmt.Fprintf(a.stdout, "rows in %s, kept %s", progress.Count(m.Counts.RowsIn), progress.Count(m.Counts.Kept))
	for _, reason := range slices.Sorted(maps.Keys(m.Counts.Dropped)) {
		fmt.Fprintf(a.stdout, ", %s %s", reason, progress.Count(m.Counts.Dropped[reason]))
	}
	fmt.Fprintf(a.stdout, ", quarantined %s\n", progress.Count(m.Counts.Quarantined))
	for _, in := range failedInputs(m) {
		fmt.Fprintf(a.stdout, "failed  %s: %s\n", in.Shard, in.Fault)
	}
	for _, model := range m.Models {
		fmt.Fprintf(a.stdout, "%-11s %s\n", model.Role, model.Digest)
	}
	fmt.Fprintf(a.stdout, "backend     %s\noptions     %s\n", m.Backend, m.Options)
	var vectors embedDetail
	if m.Stage == "embed" && decodeDetail(m, &vectors) == nil {
		fmt.Fprintf(a.stdout, "vectors     of %s, dimension %d, %s: one for each image and each of its objects\n", vectors.Encoder, vectors.Dim, vectors.Type)
	}
	if o.Images != nil {
		o.printImages(a)
	}
}

// printImages says what a selection of images chose.
func (o inspectedOutput) printImages(a *app) {
	i := o.Images
	fmt.Fprintf(a.stdout, "method      %s, budget %d, %d images chosen\npage        %s\n", i.Method, i.Budget, i.Chosen, joinPlace(o.Folder, reportName))
	for _, reason := range slices.Sorted(maps.Keys(i.Filtered)) {
		fmt.Fprintf(a.stdout, "left out    %s objects: %s\n", progress.Count(i.Filtered[reason]), reason)
	}
	for _, warning := range i.Warnings {
		fmt.Fprintf(a.stdout, "warning     %s\n", warning)
	}
	var table [][]string
	for _, c := range i.Outcome {
		table = append(table, []string{c.Class, progress.Count(c.Objects), progress.Count(c.Images), progress.Count(c.Quota), progress.Count(c.Chosen), progress.Count(c.Achieved)})
	}
	if len(table) > 0 {
		progress.Table(a.stdout, []string{"class", "objects", "in images", "images asked", "chosen for it", "objects chosen"}, table, []bool{false, true, true, true, true, true})
	}
}
