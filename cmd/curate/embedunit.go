package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/vision/pixels"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/images"
)

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
