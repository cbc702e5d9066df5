package vision

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

// view is one input of the model: a part of a picture.
type view struct {
	request int
	object  int // -1 for the whole picture
	part    part
}

// part is a rectangle of whole pixels; right and bottom are exclusive.
type part struct{ left, top, right, bottom int }

// loaded is a batch of views as values. The last batch is filled up with black,
// so that there is one shape to compile.
type loaded struct {
	views      []view
	placements []pixels.Placement
	values     []float32
}

// Embed returns the vectors of each request's picture and objects. An object has
// none (nil) where its box and mask cover no pixel of the picture, or of the part
// that the fit shows. What else is in a batch has no influence on a vector beyond
// the last bits of float32. While the device runs one batch, the next is resized.
func (t *transformer) Embed(ctx context.Context, requests []pixels.Request) ([]pixels.Vectors, error) {
	if t.exec == nil {
		return nil, errors.New("embed pictures: the encoder is closed")
	}
	vectors := make([]pixels.Vectors, len(requests))
	views, err := t.views(requests, vectors)
	if err != nil {
		return nil, fmt.Errorf("embed pictures: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	ready, free := make(chan loaded), make(chan []float32, 2)
	for range cap(free) {
		free <- nil
	}
	group.Go(func() error {
		defer close(ready)
		for from := 0; from < len(views); from += t.options.Batch {
			batch, err := t.load(ctx, requests, views[from:min(len(views), from+t.options.Batch)], free)
			if err != nil {
				return err
			}
			select {
			case ready <- batch:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	group.Go(func() error {
		for batch := range ready {
			if err := t.embed(batch, requests, vectors); err != nil {
				return err
			}
			free <- batch.values
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("embed pictures: %w", err)
	}
	return vectors, nil
}

// views lists the inputs of all requests and makes room for the answers.
func (t *transformer) views(requests []pixels.Request, vectors []pixels.Vectors) ([]view, error) {
	var all []view
	for i, r := range requests {
		if r.Picture == nil {
			return nil, fmt.Errorf("request %d has no picture", i)
		}
		all = append(all, view{i, -1, part{0, 0, r.Picture.Width, r.Picture.Height}})
		vectors[i].Objects = make([][]float32, len(r.Objects))
		if t.options.Pooling != Crop {
			continue
		}
		for j, region := range r.Objects {
			if square, ok := around(region.Box, r.Picture); ok {
				all = append(all, view{i, j, square})
			}
		}
	}
	return all, nil
}

// margin is what Crop leaves around an object, as a share of its size.
const margin = 0.1

// around returns the square around a box with its margin, in whole pixels,
// moved and cut to lie in the picture; false where the box covers none of it.
func around(box pipeline.Box, p *pixels.Picture) (part, bool) {
	whole := pixels.Placement{ScaleX: 1, ScaleY: 1, Width: p.Width, Height: p.Height}
	if whole.Box(box, pixels.Grid{Rows: 1, Columns: 1, Patch: max(p.Width, p.Height, 1)}) == nil {
		return part{}, false
	}
	shown := pipeline.Box{X1: max(0, box.X1), Y1: max(0, box.Y1), X2: min(float32(p.Width), box.X2), Y2: min(float32(p.Height), box.Y2)}
	side := int(math.Ceil(float64(max(shown.Width(), shown.Height())) * (1 + 2*margin)))
	along := func(from, to float32, length int) (low, high int) {
		low = int(math.Floor(float64(from+to)/2 - float64(side)/2))
		low = max(0, min(low, length-side))
		return low, min(length, low+side)
	}
	var square part
	square.left, square.right = along(shown.X1, shown.X2, p.Width)
	square.top, square.bottom = along(shown.Y1, shown.Y2, p.Height)
	return square, true
}

// load resizes the views of a batch, several at a time.
func (t *transformer) load(ctx context.Context, requests []pixels.Request, views []view, free <-chan []float32) (loaded, error) {
	batch := loaded{views: views, placements: make([]pixels.Placement, len(views))}
	if ctx.Err() != nil {
		return batch, context.Cause(ctx)
	}
	select {
	case batch.values = <-free:
	case <-ctx.Done():
		return batch, context.Cause(ctx)
	}
	length := t.input.Len()
	if batch.values == nil {
		batch.values = make([]float32, t.options.Batch*length)
	}
	clear(batch.values[len(views)*length:])
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, v := range views {
		group.Go(func() (err error) {
			picture := requests[v.request].Picture
			if v.part != (part{0, 0, picture.Width, picture.Height}) {
				if picture, err = picture.Crop(v.part.left, v.part.top, v.part.right, v.part.bottom); err != nil {
					return fmt.Errorf("request %d, object %d: %w", v.request, v.object, err)
				}
			}
			if batch.placements[i], err = t.input.Fill(picture, batch.values[i*length:(i+1)*length]); err != nil {
				return fmt.Errorf("request %d: %w", v.request, err)
			}
			return nil
		})
	}
	return batch, group.Wait()
}

// embed runs a batch and stores the vectors of its views.
func (t *transformer) embed(batch loaded, requests []pixels.Request, vectors []pixels.Vectors) error {
	images, patches, err := t.run(batch.values)
	if err != nil {
		return err
	}
	d, n := t.Dim(), t.grid.Rows*t.grid.Columns
	for i, v := range batch.views {
		vector := t.finish(images[i*d : (i+1)*d])
		if v.object >= 0 {
			vectors[v.request].Objects[v.object] = vector
			continue
		}
		vectors[v.request].Image = vector
		if t.options.Pooling == Crop {
			continue
		}
		for j, region := range requests[v.request].Objects {
			shares, err := t.shares(batch.placements[i], region)
			if err != nil {
				return fmt.Errorf("request %d, object %d: %w", v.request, j, err)
			}
			if shares != nil {
				vectors[v.request].Objects[j] = t.finish(mean(patches[i*n*d:(i+1)*n*d], shares, d))
			}
		}
	}
	return nil
}

func (t *transformer) shares(placement pixels.Placement, region pixels.Region) ([]float32, error) {
	if t.options.Pooling == Mask {
		return placement.Region(region, t.grid)
	}
	return placement.Box(region.Box, t.grid), nil
}

// mean is the mean of patch vectors [N,d], weighted by shares.
func mean(patches, shares []float32, d int) []float32 {
	sums, total := make([]float64, d), 0.0
	for i, share := range shares {
		if share == 0 {
			continue
		}
		total += float64(share)
		for j, v := range patches[i*d : (i+1)*d] {
			sums[j] += float64(share) * float64(v)
		}
	}
	out := make([]float32, d)
	for j, sum := range sums {
		out[j] = float32(sum / total)
	}
	return out
}

// finish returns a vector of its own, with L2 norm 1 unless it is to stay raw; a
// vector of zeros stays one.
func (t *transformer) finish(vector []float32) []float32 {
	out := append([]float32(nil), vector...)
	square := 0.0
	for _, v := range out {
		square += float64(v) * float64(v)
	}
	if t.options.Raw || square == 0 {
		return out
	}
	norm := math.Sqrt(square)
	for i, v := range out {
		out[i] = float32(float64(v) / norm)
	}
	return out
}
