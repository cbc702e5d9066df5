package lm

import (
	"errors"
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"golang.org/x/sync/errgroup"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
)

// replica is the weights of all models on one device. One batch at a time runs
// on it.
type replica struct {
	device   compute.DeviceNum
	weights  [][]*tensors.Tensor // by model
	most     int                 // tokens of a call; less than a batch after memory ran out
	oneByOne bool
}

func newReplica(device compute.DeviceNum, o ScorerOptions) *replica {
	return &replica{device: device, most: max(o.BatchTokens, o.SequenceLength), oneByOne: o.OneByOne}
}

// put adds a tensor of the last model.
func (r *replica) put(be *backend.Backend, p Param, precision Precision, data []byte) error {
	weight, err := tensors.FromRaw(be.Backend, r.device, shapes.Make(precision.dtype(), p.Shape...), data)
	if err != nil {
		return err
	}
	last := len(r.weights) - 1
	r.weights[last] = append(r.weights[last], weight)
	return weight.ToDevice(be.Backend, r.device)
}

func (r *replica) close() error {
	var faults []error
	for _, model := range r.weights {
		for _, w := range model {
			faults = append(faults, w.FinalizeAll())
		}
	}
	r.weights = nil
	return errors.Join(faults...)
}

// caller runs a model's code on a device, where all its inputs are. It is a
// field of Scorer for the tests that make memory run out.
type caller func(exec *graph.Exec, device compute.DeviceNum, inputs []any) (*tensors.Tensor, error)

func onDevice(exec *graph.Exec, device compute.DeviceNum, inputs []any) (*tensors.Tensor, error) {
	out, _, err := exec.CallWithGraphOnDevice(device, inputs...)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// run adds up the losses of one batch under all models. When the device runs
// out of memory it goes on with less at a time, from the first row whose losses are
// not there yet.
func (s *Scorer) run(r *replica, b batch, windows []pipeline.Window, sums [][]float64) error {
	tokens, segments, positions := b.inputs(windows)
	inputs := [][]int32{tokens, segments, positions}
	packed := b.packed()
	if !packed {
		inputs = inputs[:1]
	}
	losses := make([][]float32, len(s.compiled))
	for m := range losses {
		losses[m] = make([]float32, 0, b.rows*(b.length-1))
	}
	for row := 0; row < b.rows; {
		rows := min(b.rows-row, max(1, r.most/b.length))
		part := make([][]int32, len(inputs))
		for i, input := range inputs {
			part[i] = input[row*b.length : (row+rows)*b.length]
		}
		got, err := s.losses(r, packed, part, rows)
		if backend.OutOfMemory(err) && r.backOff(rows, b.length, len(s.compiled)) {
			s.notice(r, b.length)
			continue
		}
		if err != nil {
			return fmt.Errorf("run models on %d x %d tokens, %s device %d: %w", rows, b.length, s.be.Name, r.device, memoryAdvice(err))
		}
		for m := range losses {
			losses[m] = append(losses[m], got[m]...)
		}
		row += rows
	}
	for m := range losses {
		b.addUp(losses[m], windows, sums[m])
	}
	return nil
}

// backOff asks less of the device after a call of rows x length tokens found
// too little memory: first models take turns, then calls have half the rows. It
// is false when nothing is left to give up.
func (r *replica) backOff(rows, length, models int) bool {
	switch {
	case !r.oneByOne && models > 1:
		r.oneByOne = true
	case rows > 1:
		r.most = rows / 2 * length
	default:
		return false
	}
	return true
}

func (s *Scorer) notice(r *replica, length int) {
	if s.options.Notice == nil {
		return
	}
	text := fmt.Sprintf("%s device %d ran out of memory: going on with batches of %d x %d tokens", s.be.Name, r.device, max(1, r.most/length), length)
	if len(s.compiled) > 1 {
		text += ", one model at a time"
	}
	s.options.Notice(text)
}

// memoryAdvice says what to do when not even one row fits.
func memoryAdvice(err error) error {
	if !backend.OutOfMemory(err) {
		return backend.Brief(err)
	}
	return fmt.Errorf("the device's memory does not suffice: free it, or use --precision bf16, a shorter --sequence-length, a smaller model or another --backend: %w", backend.Brief(err))
}

// losses runs all models on the same inputs, [rows,T] each, and returns
// [rows,T-1] losses of each model. The inputs go to the device once.
func (s *Scorer) losses(r *replica, packed bool, inputs [][]int32, rows int) (losses [][]float32, err error) {
	var on []any
	defer func() {
		for _, input := range on {
			err = errors.Join(err, input.(*tensors.Tensor).FinalizeAll())
		}
	}()
	shape := shapes.Make(dtypes.Int32, rows, len(inputs[0])/rows)
	err = backend.Catch("put tokens on the device", func() error {
		for _, ids := range inputs {
			input, err := tensors.FromRaw(s.be.Backend, r.device, shape, dtypes.UnsafeByteSlice(ids))
			if err != nil {
				return err
			}
			on = append(on, input)
			if err := input.ToDevice(s.be.Backend, r.device); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	losses = make([][]float32, len(s.compiled))
	var group errgroup.Group
	if r.oneByOne {
		group.SetLimit(1)
	}
	for m := range s.compiled {
		group.Go(func() error {
			return backend.Catch(fmt.Sprintf("model %d", m), func() (err error) {
				losses[m], err = s.lossesOf(r, m, packed, on)
				return err
			})
		})
	}
	return losses, group.Wait()
}

// lossesOf runs model m.
func (s *Scorer) lossesOf(r *replica, m int, packed bool, inputs []any) ([]float32, error) {
	exec := s.compiled[m].whole
	if packed {
		exec = s.compiled[m].packed
	}
	all := make([]any, 0, len(inputs)+len(r.weights[m]))
	all = append(all, inputs...)
	for _, weight := range r.weights[m] {
		all = append(all, weight)
	}
	loss, err := s.call(exec, r.device, all)
	if err != nil {
		return nil, err
	}
	values, err := tensors.CopyFlatData[float32](loss)
	return values, errors.Join(err, loss.FinalizeAll())
}
