package lm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
)

// ScorerOptions say in what shapes windows reach the device.
type ScorerOptions struct {
	SequenceLength int // T: the longest window, and the length of rows
	// BatchTokens is rows x length of a device batch. 0 means 4096: enough rows
	// for full-speed matrix products on a CPU, with activations of tens of MB.
	BatchTokens int
}

// Scorer runs models over the same device batches. It holds their weights on
// the device, and beside them the activations of one batch. One goroutine may
// use it at a time.
type Scorer struct {
	be      *backend.Backend
	options ScorerOptions
	models  []deviceModel
}

// deviceModel is a model on the device. Models with the same graph share
// executables: weights are inputs.
type deviceModel struct {
	executables
	weights    []*tensors.Tensor
	embeddings int
}

// executables are a graph's two forms: for rows of one window each, and for
// rows of several.
type executables struct{ whole, packed *graph.Exec }

// NewScorer puts the models on the device; they can be dropped afterwards. Code
// is compiled when it is first needed.
func NewScorer(be *backend.Backend, models []*Model, options ScorerOptions) (*Scorer, error) {
	if options.BatchTokens == 0 {
		options.BatchTokens = 4096
	}
	if err := options.validate(models); err != nil {
		return nil, fmt.Errorf("set up scorer: %w", err)
	}
	s := &Scorer{be: be, options: options}
	compiled := map[Arch]executables{}
	for i, m := range models {
		err := backend.Catch(fmt.Sprintf("put model %d on %s", i, be.Name), func() error { return s.add(m, compiled) })
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

func (o ScorerOptions) validate(models []*Model) error {
	var faults []error
	if o.SequenceLength < 2 {
		faults = append(faults, fmt.Errorf("sequence length %d: want at least 2", o.SequenceLength))
	}
	if o.BatchTokens < 0 {
		faults = append(faults, fmt.Errorf("batch of %d tokens: want at least 1", o.BatchTokens))
	}
	if len(models) == 0 {
		faults = append(faults, errors.New("no models"))
	}
	for i, m := range models {
		if err := m.Validate(); err != nil {
			faults = append(faults, fmt.Errorf("model %d: %w", i, err))
		}
		if longest := m.Config.MaxSequenceLength; o.SequenceLength > longest {
			faults = append(faults, fmt.Errorf("sequence length %d: model %d takes at most max_sequence_length = %d", o.SequenceLength, i, longest))
		}
	}
	return errors.Join(faults...)
}

func (s *Scorer) add(m *Model, compiled map[Arch]executables) error {
	key, config := m.Config.Arch, m.Config
	if _, ok := compiled[key]; !ok {
		made, err := newExecutables(s.be, config)
		if err != nil {
			return err
		}
		compiled[key] = made
	}
	model := deviceModel{executables: compiled[key], embeddings: config.Embeddings}
	s.models = append(s.models, model)
	last := &s.models[len(s.models)-1]
	for _, p := range m.Params {
		weight := tensors.FromFlatDataAndDimensions(p.Data, p.Shape...)
		last.weights = append(last.weights, weight)
		if err := weight.ToDevice(s.be.Backend, 0); err != nil {
			return fmt.Errorf("tensor %s: %w", p.Name, err)
		}
	}
	return nil
}

// newExecutables takes tokens, or tokens, segments and positions, and weights.
func newExecutables(be *backend.Backend, config Config) (e executables, err error) {
	e.whole, err = graph.NewExec(be.Backend, func(in []*graph.Node) *graph.Node {
		loss, _ := Losses(config, in[1:], Inputs{Tokens: in[0]})
		return loss
	})
	if err != nil {
		return e, err
	}
	e.packed, err = graph.NewExec(be.Backend, func(in []*graph.Node) *graph.Node {
		loss, _ := Losses(config, in[3:], Inputs{Tokens: in[0], Segments: in[1], Positions: in[2]})
		return loss
	})
	return e, err
}

// Close frees the models.
func (s *Scorer) Close() error {
	return backend.Catch("free models", func() error {
		var faults []error
		for _, m := range s.models {
			for _, w := range m.weights {
				faults = append(faults, w.FinalizeAll())
			}
			m.whole.Finalize()
			m.packed.Finalize()
		}
		s.models = nil
		return errors.Join(faults...)
	})
}

// Score returns the losses of windows in the caller's order. Sums are in float64
// of float32 losses. The same call gives the same bits; in other company a
// window may lie elsewhere in a row and differ by float32 rounding, about 1e-6
// nats per token. done, if not nil, hears of every batch how many of the windows'
// tokens it had. Between batches Score stops when ctx ends.
func (s *Scorer) Score(ctx context.Context, windows []pipeline.Window, done func(tokens int)) (pipeline.WindowLosses, error) {
	if err := s.check(windows); err != nil {
		return pipeline.WindowLosses{}, err
	}
	losses := pipeline.WindowLosses{Sums: make([][]float64, len(s.models))}
	for m := range losses.Sums {
		losses.Sums[m] = make([]float64, len(windows))
	}
	for _, b := range plan(windows, s.options) {
		if ctx.Err() != nil {
			return pipeline.WindowLosses{}, context.Cause(ctx)
		}
		err := backend.Catch(fmt.Sprintf("run models on %d x %d tokens", b.rows, b.length), func() error { return s.run(b, windows, losses.Sums) })
		if err != nil {
			return pipeline.WindowLosses{}, err
		}
		losses.DeviceTokens += int64(b.rows * b.length)
		if done != nil {
			done(b.used(windows))
		}
	}
	return losses, nil
}

// check refuses what the device would read without complaint: ids without a
// row in the embedding.
func (s *Scorer) check(windows []pipeline.Window) error {
	if len(s.models) == 0 {
		return errors.New("score: the scorer is closed")
	}
	limit := s.models[0].embeddings
	for _, m := range s.models {
		limit = min(limit, m.embeddings)
	}
	for i, window := range windows {
		if len(window.Tokens) > s.options.SequenceLength {
			return fmt.Errorf("score: window %d has %d tokens: want at most %d", i, len(window.Tokens), s.options.SequenceLength)
		}
		for j, id := range window.Tokens {
			if id < 0 || int(id) >= limit {
				return fmt.Errorf("score: window %d has id %d at %d: the models know ids 0 to %d; is this their tokenizer?", i, id, j, limit-1)
			}
		}
	}
	return nil
}

// run adds up the losses of one batch, model after model.
func (s *Scorer) run(b batch, windows []pipeline.Window, sums [][]float64) error {
	var inputs []any
	tokens, segments, positions := b.inputs(windows)
	packed := b.packed()
	for _, ids := range [][]int32{tokens, segments, positions} {
		input := tensors.FromFlatDataAndDimensions(ids, b.rows, b.length)
		defer input.FinalizeAll()
		inputs = append(inputs, input)
		if !packed {
			break
		}
	}
	for m, model := range s.models {
		exec := model.whole
		if packed {
			exec = model.packed
		}
		all := slices.Clone(inputs)
		for _, weight := range model.weights {
			all = append(all, weight)
		}
		loss, err := exec.Call1(all...)
		if err != nil {
			return err
		}
		err = tensors.ConstFlatData(loss, func(flat []float32) { b.addUp(flat, windows, sums[m]) })
		if err := errors.Join(err, loss.FinalizeAll()); err != nil {
			return err
		}
	}
	return nil
}
