package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/images"
)

const embedHelp = `Compute a vector for every labelled object of every image, and one for the image, with an image
encoder in the layout of Hugging Face: SAM2 (the object pointer of the box), DINOv2, ViT or CLIP (the
patches under the box or mask). Objects come from the rows or from --annotations. Written are Parquet
sidecars with objects and vectors, without the images; 'curate select --objects' reads them. An image
that cannot be decoded is counted and never selected. The same command goes on after an interruption.`

type embedOptions struct {
	Encoder encoderConfig
	Places  imagePlaces
	Output  string
	Backend string
}

func newEmbedCommand(a *app) *cobra.Command {
	var opt embedOptions
	cmd := &cobra.Command{
		Use:   "embed --encoder DIR --output DIR (IN... | --annotations PLACE)",
		Short: "object vectors of images",
		Long:  embedHelp + "\n" + exitHelp,
		Example: `  curate embed --encoder facebook-dinov2-small --output out/objects 'images/*.parquet'
  curate embed --encoder sam2.1-hiera-tiny --output out/objects --annotations coco/detections.json --instances coco/images.json
  curate embed --encoder s3://models/dinov2 --pooling crop --vector-type f16 --output s3://b/objects s3://b/images/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireFlags(map[string]string{"--encoder": opt.Encoder.Encoder, "--output": opt.Output}); err != nil {
				return err
			}
			if err := opt.Encoder.validate(); err != nil {
				return usageError{err}
			}
			opt.Places.Inputs = args
			return a.finishStage(runEmbed(cmd.Context(), a, opt))
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opt.Output, "output", "o", "", "folder for the vectors")
	flags.StringVar(&opt.Backend, "backend", "auto", "device: auto, xla:cuda, xla:cpu or go")
	addEncoderFlags(flags, &opt.Encoder)
	addImageFlags(flags, &opt.Places)
	return cmd
}

// embedDetail is what a folder of vectors tells people.
type embedDetail struct {
	Encoder string `json:"encoder"`
	Dim     int    `json:"dimension,omitempty"`
	Type    string `json:"vector_type,omitempty"` // f32 or f16
}

// runEmbed makes the vectors that are not there yet.
func runEmbed(ctx context.Context, a *app, opt embedOptions) (_ stageResult, err error) {
	set, err := a.openImages(ctx, opt.Places)
	if err != nil {
		return stageResult{}, err
	}
	defer set.close()
	s, ctx, err := newStage(ctx, a, "embed", opt.Output, set.inputs)
	if err != nil {
		return stageResult{}, err
	}
	defer s.close(&err)
	s.options = map[string]any{"embed": opt.Encoder, "images": opt.Places, "labels": opt.Places.Labels}
	if err := set.addLabels(ctx, s); err != nil {
		return stageResult{}, err
	}
	folder, digest, err := s.encoderFolder(ctx, opt.Encoder)
	if err != nil {
		return stageResult{}, err
	}
	s.models = []shards.ManifestModel{{Role: "encoder", Digest: digest}}
	if result, done, err := s.done(ctx, opt.Backend); done || err != nil {
		return result, err
	}
	be, err := openBackend(a, opt.Backend)
	if err != nil {
		return stageResult{}, err
	}
	defer be.Close()
	s.backend = be.Name
	encoder, err := openEncoder(be, folder, opt.Encoder)
	if err != nil {
		return stageResult{}, err
	}
	defer encoder.Close()
	w := &embedding{stage: s, set: set, encoder: encoder, kind: images.Encoder{Name: shards.UnitKey(digest, fmt.Sprintf("%+v", opt.Encoder.vectors())), Dim: encoder.Dim(), Type: images.Precision(opt.Encoder.VectorType)}}
	if w.kind.Type == "" {
		w.kind.Type = images.Float32
	}
	s.detail = embedDetail{opt.Encoder.describe(), w.kind.Dim, string(w.kind.Type)}
	if err := w.all(ctx); err != nil {
		return stageResult{}, err
	}
	if err := s.anyKept(); err != nil {
		return stageResult{}, err
	}
	return s.finish(ctx)
}

// anyKept is an error where the stage has read rows and none of them is of use.
func (s *stage) anyKept() error {
	var counts shards.Counts
	for _, unit := range s.units {
		counts.Add(unit.Counts)
	}
	if counts.Kept > 0 || len(s.units) == 0 && slices.ContainsFunc(s.inputs, func(in stageInput) bool { return in.fault != "" }) {
		return nil // where all shards failed, finish says so
	}
	if counts.RowsIn == 0 {
		return usagef("%s: the inputs have no images", s.name)
	}
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(counts.Dropped)) {
		reasons = append(reasons, fmt.Sprintf("%s %d", reason, counts.Dropped[reason]))
	}
	return fmt.Errorf("%s: none of the %d images can be used: %s; look at --image-column, --images and the warnings above", s.name, counts.RowsIn, strings.Join(reasons, ", "))
}

// embedding is the work of `curate embed`.
type embedding struct {
	stage   *stage
	set     *imageSet
	encoder imageEncoder
	kind    images.Encoder
	task    *progress.Task
}

// all embeds the images of all shards, or of the label files.
func (w *embedding) all(ctx context.Context) error {
	set, total := w.set, int64(-1)
	if len(set.inputs) > 0 {
		rows, opened := w.stage.totalRows(ctx)
		if err := opened.close(); err != nil {
			return err
		}
		total = rows
	}
	if len(set.inputs) == 0 {
		total = 0 // to read the labels once more is nothing beside the model
		for _, err := range set.labels.Images(ctx) {
			if err != nil {
				return err
			}
			total++
		}
	}
	w.task = w.stage.app.progress.Start("embed", "images", total)
	if len(set.inputs) == 0 {
		defer w.task.Done()
		return w.shard(ctx, &w.stage.inputs[0], set.source(false).labelled(ctx))
	}
	labels, err := set.newJoin(ctx)
	if err != nil {
		return err
	}
	for i := range set.inputs {
		in := &w.stage.inputs[i]
		err := w.shard(ctx, in, labels.apply(set.ofShard(ctx, i, true)))
		if err != nil {
			in.rows = rowsOf(ctx, in.Input)
		}
		if err := w.stage.shardFailed(ctx, in, err); err != nil {
			return err
		}
	}
	w.task.Done()
	return labels.check()
}

// rowsOf is how many rows a shard that failed says it has, -1 where it does not
// say.
func rowsOf(ctx context.Context, in shards.Input) int64 {
	shard, err := shards.Open(ctx, in)
	if err != nil {
		return -1
	}
	defer shard.Close()
	return shard.NumRows()
}
