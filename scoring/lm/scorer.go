package lm

import (
	"context"
	"errors"
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/scoring/backend"
)

// ScorerOptions say in what shapes sequences reach the device.
type ScorerOptions struct {
	SequenceLength int // T: the longest sequence
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
	buckets []bucket
	models  []deviceModel
}

// deviceModel is a model on the device. Models with the same graph share the
// executable, one per bucket: weights are its inputs.
type deviceModel struct {
	exec       *graph.Exec
	weights    []*tensors.Tensor
	embeddings int
}

// NewScorer puts the models on the device; they can be dropped afterwards. A
// bucket's code is compiled when it is first needed.
func NewScorer(be *backend.Backend, models []*Model, options ScorerOptions) (*Scorer, error) {
	if options.BatchTokens == 0 {
		options.BatchTokens = 4096
	}
	if err := options.validate(models); err != nil {
		return nil, fmt.Errorf("set up scorer: %w", err)
	}
	s := &Scorer{be: be, options: options, buckets: buckets(options)}
	compiled := map[Arch]*graph.Exec{}
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

func (s *Scorer) add(m *Model, compiled map[Arch]*graph.Exec) error {
	key, config := m.Config.Arch, m.Config
	if compiled[key] == nil {
		exec, err := graph.NewExec(s.be.Backend, func(inputs []*graph.Node) *graph.Node {
			loss, _ := Losses(config, inputs[1:], Inputs{Tokens: inputs[0]})
			return loss
		})
		if err != nil {
			return err
		}
		compiled[key] = exec
	}
	model := deviceModel{exec: compiled[key], embeddings: config.Embeddings}
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

// Close frees the models.
func (s *Scorer) Close() error {
	return backend.Catch("free models", func() error {
		var faults []error
		for _, m := range s.models {
			for _, w := range m.weights {
				faults = append(faults, w.FinalizeAll())
			}
			m.exec.Finalize()
		}
		s.models = nil
		return errors.Join(faults...)
	})
}

// Score returns for each model and each sequence, in the caller's order, the
// sum of its token losses in nats over its len-1 next-token positions; 0 for a
// sequence of fewer than 2 tokens. Sums are in float64 of float32 losses. The
// same call gives the same bits; in other company a sequence may land in
// another bucket and differ by float32 rounding, about 1e-6 nats per token.
// Between batches it stops when ctx ends.
func (s *Scorer) Score(ctx context.Context, sequences [][]int32) ([][]float64, error) {
	if err := s.check(sequences); err != nil {
		return nil, err
	}
	sums := make([][]float64, len(s.models))
	for m := range sums {
		sums[m] = make([]float64, len(sequences))
	}
	for _, b := range plan(sequences, s.buckets) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		err := backend.Catch(fmt.Sprintf("run models on %d x %d tokens", b.rows, b.length), func() error { return s.run(b, sequences, sums) })
		if err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// check refuses what the device would read without complaint: ids without a
// row in the embedding.
func (s *Scorer) check(sequences [][]int32) error {
	if len(s.models) == 0 {
		return errors.New("score: the scorer is closed")
	}
	limit := s.models[0].embeddings
	for _, m := range s.models {
		limit = min(limit, m.embeddings)
	}
	for i, sequence := range sequences {
		if len(sequence) > s.options.SequenceLength {
			return fmt.Errorf("score: sequence %d has %d tokens: want at most %d", i, len(sequence), s.options.SequenceLength)
		}
		for j, id := range sequence {
			if id < 0 || int(id) >= limit {
				return fmt.Errorf("score: sequence %d has id %d at %d: the models know ids 0 to %d; is this their tokenizer?", i, id, j, limit-1)
			}
		}
	}
	return nil
}

// run adds up the losses of one batch, model after model.
func (s *Scorer) run(b batch, sequences [][]int32, sums [][]float64) error {
	tokens := tensors.FromFlatDataAndDimensions(b.tokens(sequences), b.rows, b.length)
	defer tokens.FinalizeAll()
	for m, model := range s.models {
		inputs := []any{tokens}
		for _, weight := range model.weights {
			inputs = append(inputs, weight)
		}
		loss, err := model.exec.Call1(inputs...)
		if err != nil {
			return err
		}
		err = tensors.ConstFlatData(loss, func(flat []float32) { b.addUp(flat, sequences, sums[m]) })
		if err := errors.Join(err, loss.FinalizeAll()); err != nil {
			return err
		}
	}
	return nil
}
