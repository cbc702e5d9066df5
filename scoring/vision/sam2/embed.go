package sam2

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

// Embed returns the vectors of images and of their objects, in order, with one
// forward of the encoder per image. An object is what the model sees in its box; a
// mask that a region has is not looked at. Between images, and between batches of boxes, Embed
// stops when ctx ends.
func (m *Model) Embed(ctx context.Context, requests []pixels.Request) ([]pixels.Vectors, error) {
	if m.image.exec == nil {
		return nil, errors.New("embed: the model is closed")
	}
	all := make([]pixels.Vectors, len(requests))
	for i, request := range requests {
		err := backend.Catch(fmt.Sprintf("embed image %d of %d", i, len(requests)), func() (err error) {
			all[i], err = m.embed(ctx, request)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// embed returns the vectors of one image.
func (m *Model) embed(ctx context.Context, request pixels.Request) (found pixels.Vectors, err error) {
	if ctx.Err() != nil {
		return found, context.Cause(ctx)
	}
	at, err := m.input.Fill(request.Picture, m.buffer)
	if err != nil {
		return found, err
	}
	image := tensors.FromFlatDataAndDimensions(m.buffer, 3, m.input.Height, m.input.Width)
	seen, err := m.image.call(image)
	defer func() { err = errors.Join(err, free(append(seen, image))) }()
	if err != nil {
		return found, err
	}
	if found.Image, err = tensors.CopyFlatData[float32](seen[0]); err != nil {
		return found, err
	}
	found.Image = m.finish(found.Image)
	found.Objects = make([][]float32, len(request.Objects))
	var prompts []prompt
	var which []int
	for i, object := range request.Objects {
		if p, ok := m.config.prompt(at, object.Box); ok {
			prompts, which = append(prompts, p), append(which, i)
		}
	}
	for from := 0; from < len(prompts); from += m.options.Batch {
		if ctx.Err() != nil {
			return found, context.Cause(ctx)
		}
		to := min(len(prompts), from+m.options.Batch)
		vectors, err := m.decode(prompts[from:to], seen[1:])
		if err != nil {
			return found, fmt.Errorf("objects %d to %d: %w", which[from], which[to-1], err)
		}
		for i, vector := range vectors {
			found.Objects[which[from+i]] = m.finish(vector)
		}
	}
	return found, nil
}

// finish brings a vector to L2 norm 1 unless it is to stay raw; one of zeros has
// no direction and stays.
func (m *Model) finish(vector []float32) []float32 {
	square := 0.0
	for _, v := range vector {
		square += float64(v) * float64(v)
	}
	if m.options.Raw || square == 0 {
		return vector
	}
	for i, v := range vector {
		vector[i] = float32(float64(v) / math.Sqrt(square))
	}
	return vector
}

// decode returns the vectors of up to Batch boxes.
func (m *Model) decode(prompts []prompt, seen []*tensors.Tensor) (vectors [][]float32, err error) {
	inputs := m.prompts(prompts)
	outputs, err := m.object.call(append(inputs[:2:2], seen...)...)
	defer func() { err = errors.Join(err, free(append(inputs, outputs...))) }()
	if err != nil {
		return nil, err
	}
	flat, err := tensors.CopyFlatData[float32](outputs[0])
	if err != nil {
		return nil, err
	}
	width := m.Dim()
	for i := range prompts {
		vectors = append(vectors, flat[i*width:(i+1)*width:(i+1)*width])
	}
	return vectors, nil
}

// prompts returns the decoder's first inputs. Empty rows of the batch hold the
// last box again.
func (m *Model) prompts(prompts []prompt) []*tensors.Tensor {
	width, cells, batch := m.Dim(), m.config.cells()*m.config.cells(), m.options.Batch
	corners, spread := make([]float32, batch*2*width), make([]float32, 0, batch*cells)
	for i := range batch {
		p := prompts[min(i, len(prompts)-1)]
		m.config.corners(m.corners, p.box, corners[i*2*width:(i+1)*2*width])
		spread = append(spread, p.cells...)
	}
	return []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(corners, batch, 2, width), tensors.FromFlatDataAndDimensions(spread, batch, cells),
	}
}

func free(all []*tensors.Tensor) error {
	var faults []error
	for _, t := range all {
		faults = append(faults, t.FinalizeAll())
	}
	return errors.Join(faults...)
}
