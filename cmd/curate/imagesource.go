package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/images"
)

// source gives all images of the set in (shard, row) order. With data the encoded
// images come with them.
func (s *imageSet) source(data bool) *setSource { return &setSource{imageSet: s, data: data} }

// setSource is an imageSet as a pipeline.ImageSource.
type setSource struct {
	*imageSet
	data bool
	skip map[string]bool // shards that could not be read
	at   int             // index of the shard that was read last
}

// Images implements pipeline.ImageSource.
func (s *setSource) Images(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	if len(s.inputs) == 0 {
		return s.labelled(ctx)
	}
	return func(yield func(*pipeline.Image, error) bool) {
		join, err := s.newJoin(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for i, in := range s.inputs {
			if s.skip[in.Shard] {
				continue
			}
			s.at = i
			for image, err := range join.apply(s.ofShard(ctx, i, s.data)) {
				if !yield(image, err) || err != nil {
					return
				}
			}
		}
		if err := join.check(); err != nil {
			yield(nil, err)
		}
	}
}

// ofShard gives the images of one shard, without what label files add.
func (s *imageSet) ofShard(ctx context.Context, i int, data bool) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		opt, broken := s.options(data), map[int64]bool{}
		opt.Unreadable = func(row pipeline.RowID, err error) {
			s.app.log.Warn("image cannot be decoded; it is never selected", "shard", row.Shard, "row", row.Row, "cause", err)
			broken[row.Row] = true
		}
		reader, err := images.Open(ctx, s.inputs[i], opt)
		if err != nil {
			yield(nil, shardError{err})
			return
		}
		defer reader.Close()
		for image, err := range reader.Images(ctx) {
			if err != nil && ctx.Err() == nil {
				err = shardError{err}
			}
			if err == nil && broken[image.Row] {
				image.Reason = pipeline.BrokenImage
				clear(broken)
			}
			if !yield(image, err) || err != nil {
				return
			}
		}
	}
}

// labelled gives the images of the label files, as rows of one shard.
func (s *setSource) labelled(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		row := int64(0)
		for image, err := range s.labels.Images(ctx) {
			if err == nil {
				image.RowID = pipeline.RowID{Shard: s.name, Row: row}
				if row++; image.Reason != "" {
					s.app.log.Warn("image cannot be decoded; it is never selected", "labels", s.name, "image", image.ID)
				}
			}
			if !yield(image, err) || err != nil {
				return
			}
		}
	}
}

// maxImageBytes bounds an image file.
const maxImageBytes = 1 << 30

// load reads the file of an image whose row does not hold its bytes.
func (s *imageSet) load(ctx context.Context, image *pipeline.Image) error {
	if len(image.Data) > 0 || image.URI == "" {
		return nil
	}
	uri := s.fileOf(image)
	var err error
	if image.Data, err = s.fetch(ctx, uri); err == nil {
		return nil
	}
	err = fmt.Errorf("image %q: read %s: %w", image.ID, uri, err)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = fmt.Errorf("%w: put the file there, name its folder with --images, or take the image out of the labels", err)
	if len(s.inputs) > 0 {
		return shardError{err}
	}
	return err
}

// fileOf is the place of an image file. Rows of shards name it from the shard's
// folder.
func (s *imageSet) fileOf(image *pipeline.Image) string {
	i := slices.IndexFunc(s.inputs, func(in shards.Input) bool { return in.Shard == image.Shard })
	if i < 0 || strings.Contains(image.URI, "://") || filepath.IsAbs(image.URI) {
		return image.URI
	}
	shard := s.inputs[i].URI
	return joinPlace(cmp.Or(shard[:strings.LastIndex(shard, "/")+1], "."), image.URI)
}

// fetch reads an image file.
func (s *imageSet) fetch(ctx context.Context, uri string) ([]byte, error) {
	store, name, err := s.app.stores.Locate(ctx, uri)
	if err != nil {
		return nil, err
	}
	object, err := store.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	if object.Size() > maxImageBytes {
		return nil, fmt.Errorf("it has %d bytes, more than %d", object.Size(), maxImageBytes)
	}
	data := make([]byte, object.Size())
	if _, err := object.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}

// rows gives the images of some rows, with their bytes.
func (s *imageSet) rows(ctx context.Context, wanted map[pipeline.RowID]bool) iter.Seq2[*pipeline.Image, error] {
	last := map[string]int64{}
	for row := range wanted {
		last[row.Shard] = max(last[row.Shard], row.Row)
	}
	return func(yield func(*pipeline.Image, error) bool) {
		if len(s.inputs) == 0 {
			for image, err := range s.source(false).labelled(ctx) {
				if err == nil && !wanted[image.RowID] {
					continue
				}
				if !yield(image, err) || err != nil {
					return
				}
			}
			return
		}
		for i, in := range s.inputs {
			end, ok := last[in.Shard]
			if !ok {
				continue
			}
			for image, err := range s.ofShard(ctx, i, true) {
				if err == nil && !wanted[image.RowID] {
					continue
				}
				if !yield(image, err) || err != nil {
					return
				}
				if image.Row == end {
					break
				}
			}
		}
	}
}
