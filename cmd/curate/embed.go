package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/vision/pixels"
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
	return labels.check(w.stage.app.log)
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

// unitImages is how many images a work unit of embedding has.
const unitImages = 1024

// shard embeds the images of one shard, unit by unit.
func (w *embedding) shard(ctx context.Context, in *stageInput, all iter.Seq2[*pipeline.Image, error]) error {
	next, stop := iter.Pull2(all)
	defer stop()
	run := &imageRun{next: next}
	in.rows = 0
	for n := 0; ; n++ {
		more, err := run.begin(unitImages)
		if err != nil || !more {
			return err
		}
		name := fmt.Sprintf("%s.%06d.objects.parquet", in.Shard, n)
		record, err := w.stage.unit(ctx, in, name, fmt.Sprint(unitImages, n, w.kind), rowGroups{n, n + 1}, func(ctx context.Context, out shards.Pending, record *shards.Unit) (bool, error) {
			return true, w.unit(ctx, in, run, out, record)
		})
		if err != nil {
			return err
		}
		skipped, err := run.skip()
		if err != nil {
			return err
		}
		w.task.Add(skipped)
		in.rows += record.Counts.RowsIn
	}
}

// imageRun hands out the images of a shard, a unit at a time.
type imageRun struct {
	next func() (*pipeline.Image, error, bool)
	held *pipeline.Image // read, and not yet handed out
	left int             // of the unit
}

// begin starts a unit and reports whether there is one.
func (r *imageRun) begin(size int) (bool, error) {
	r.left = size
	image, err := r.take()
	r.held = image
	if image != nil {
		r.left++
	}
	return image != nil, err
}

// take returns the next image of the unit, nil after the last.
func (r *imageRun) take() (*pipeline.Image, error) {
	if r.left == 0 {
		return nil, nil
	}
	r.left--
	if image := r.held; image != nil {
		r.held = nil
		return image, nil
	}
	image, err, ok := r.next()
	if err != nil || !ok {
		return nil, err
	}
	return image, nil
}

// skip passes over the rest of the unit and returns how many images that was.
func (r *imageRun) skip() (n int64, err error) {
	for {
		image, err := r.take()
		if err != nil || image == nil {
			return n, err
		}
		n++
	}
}

// Bounds of what is decoded at a time.
const (
	groupImages = 64
	groupPixels = 64 << 20
)

// unit embeds one work unit and writes its sidecar.
func (w *embedding) unit(ctx context.Context, in *stageInput, run *imageRun, out shards.Pending, record *shards.Unit) error {
	writer, err := images.NewSidecarWriter(out, w.kind)
	if err != nil {
		return err
	}
	counts := shards.Counts{Dropped: map[pipeline.Reason]int64{}}
	for {
		group, err := takeGroup(run)
		if err != nil {
			return err
		}
		if len(group) == 0 {
			break
		}
		if err := w.group(ctx, group); err != nil {
			return err
		}
		for _, image := range group {
			rows := max(1, image.Rows)
			counts.RowsIn += rows
			if image.Reason == "" {
				counts.Kept += rows
			} else {
				counts.Dropped[image.Reason] += rows
			}
			if err := writer.Write(image); err != nil {
				return err
			}
			record.Rows++
		}
		w.task.Add(int64(len(group)))
	}
	record.Counts = counts
	return writer.Close()
}

// takeGroup takes images until there are enough pixels.
func takeGroup(run *imageRun) (group []*pipeline.Image, err error) {
	pixels := 0
	for len(group) < groupImages && pixels < groupPixels {
		image, err := run.take()
		if err != nil {
			return nil, err
		}
		if image == nil {
			break
		}
		group = append(group, image)
		pixels += image.Width * image.Height
	}
	return group, nil
}

// group gives some images and their objects vectors. Images that cannot be decoded
// get a reason.
func (w *embedding) group(ctx context.Context, group []*pipeline.Image) error {
	requests := make([]pixels.Request, len(group))
	decode, decoding := errgroup.WithContext(ctx)
	decode.SetLimit(runtime.GOMAXPROCS(0))
	for i, image := range group {
		decode.Go(func() (err error) {
			requests[i], err = w.request(decoding, image)
			return err
		})
	}
	if err := decode.Wait(); err != nil {
		return err
	}
	var asked []pixels.Request
	var of []*pipeline.Image
	for i, image := range group {
		if image.Reason == "" {
			asked, of = append(asked, requests[i]), append(of, image)
		}
	}
	vectors, err := w.encoder.Embed(ctx, asked)
	if err != nil {
		return err
	}
	if len(vectors) != len(of) {
		return errors.New("embed images: the encoder has lost some")
	}
	for i, image := range of {
		image.Vector = vectors[i].Image
		for j := range image.Objects {
			image.Objects[j].Vector = vectors[i].Objects[j]
		}
	}
	return nil
}

// request decodes an image. One that cannot be decoded gets a reason instead.
func (w *embedding) request(ctx context.Context, image *pipeline.Image) (r pixels.Request, err error) {
	image.Vector = nil // vectors that the rows have already are not this encoder's
	for i := range image.Objects {
		image.Objects[i].Vector = nil
	}
	if image.Reason != "" {
		return r, ctx.Err()
	}
	if err := w.set.load(ctx, image); err != nil {
		return r, err
	}
	data := image.Data
	image.Data = nil
	if len(data) == 0 {
		image.Reason = pipeline.NoImage
		return r, ctx.Err()
	}
	if r.Picture, err = pixels.Decode(data); err != nil {
		w.stage.app.log.Warn("image cannot be decoded; it is never selected", "shard", image.Shard, "row", image.Row, "image", image.ID, "cause", err)
		image.Reason = pipeline.BrokenImage
		return r, ctx.Err()
	}
	image.Width, image.Height = r.Picture.Width, r.Picture.Height
	for _, o := range image.Objects {
		r.Objects = append(r.Objects, pixels.Region{Box: o.Box, Mask: o.Mask})
	}
	return r, ctx.Err()
}
