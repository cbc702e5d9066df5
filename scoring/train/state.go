package train

import (
	"fmt"
	"io"
	"slices"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
)

// writeState implements state.
func (e *engine) writeState(to io.Writer) error {
	for _, list := range [][]*tensors.Tensor{e.params, e.first, e.second} {
		for i, t := range list {
			if err := readTensor(t, func(values []float32) error { return writeFloats(to, values) }); err != nil {
				return fmt.Errorf("write %s: %w", e.specs[i].Name, err)
			}
		}
	}
	return nil
}

// readState implements state.
func (e *engine) readState(from io.Reader) error {
	for _, list := range []*[]*tensors.Tensor{&e.params, &e.first, &e.second} {
		*list = nil
		for _, spec := range e.specs {
			values, err := readFloats(from, spec.Size())
			if err != nil {
				return fmt.Errorf("read %s: %w", spec.Name, err)
			}
			*list = append(*list, tensors.FromFlatDataAndDimensions(values, spec.Shape...))
		}
	}
	return nil
}

// weights returns a copy of the weights.
func (e *engine) weights() ([]lm.Param, error) {
	var params []lm.Param
	for i, t := range e.params {
		p := lm.Param{Name: e.specs[i].Name, Shape: e.specs[i].Shape}
		err := readTensor(t, func(values []float32) error { p.Data = slices.Clone(values); return nil })
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p.Name, err)
		}
		params = append(params, p)
	}
	return params, nil
}

// readTensor shows a tensor's values to f and lets go of the host's copy.
func readTensor(t *tensors.Tensor, f func([]float32) error) error {
	return backend.Catch("copy from device", func() error {
		var inner error
		if err := tensors.ConstFlatData(t, func(values []float32) { inner = f(values) }); err != nil {
			return err
		}
		if t.IsOnAnyDevice() && t.HasLocal() {
			t.FinalizeLocal()
		}
		return inner
	})
}
