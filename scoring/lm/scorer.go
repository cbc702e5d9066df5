package lm

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"
	"golang.org/x/sync/errgroup"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
)

// DefaultBatchTokens is the size of a device batch that options of 0 mean:
// enough rows for full-speed matrix products on a CPU, with activations of
// some hundred MB.
const DefaultBatchTokens = 4096

// ScorerOptions say in what shapes windows reach the device, and how it computes.
type ScorerOptions struct {
	SequenceLength int // T: the longest window, and the length of rows
	// BatchTokens is rows x length of a device batch; 0 means DefaultBatchTokens.
	// It decides the last bits of losses, as Precision decides more of them.
	BatchTokens int
	Precision   Precision // "" means auto
	Devices     int       // how many devices, from the first, get the models; 0 means 1
	OneByOne    bool      // models run on a batch in turns, for half the activations
	// Notice hears when memory ran out and how the Scorer goes on. It may be nil.
	Notice func(text string)
}

// Scorer runs models over the same device batches. Every device has their
// weights, and beside them the activations of one batch for each model (with
// OneByOne for one of them).
type Scorer struct {
	be       *backend.Backend
	options  ScorerOptions
	compiled []executables // by model; models with the same Arch share them
	known    int           // ids that all models have a row for
	replicas []*replica
	free     chan *replica
	call     caller
}

// executables are a graph's two forms: for rows of one window each, and for
// rows of several.
type executables struct{ whole, packed *graph.Exec }

// NewScorer puts the models on the devices; they can be dropped afterwards. The
// host holds one tensor of a Folder at a time. Code is compiled when it is first
// needed.
func NewScorer[M Source](be *backend.Backend, models []M, options ScorerOptions) (*Scorer, error) {
	var sources []Source
	for _, m := range models {
		sources = append(sources, m)
	}
	options, err := options.resolve(be, sources)
	if err != nil {
		return nil, fmt.Errorf("set up scorer: %w", err)
	}
	s := &Scorer{be: be, options: options, free: make(chan *replica, options.Devices), call: onDevice}
	for d := range options.Devices {
		s.replicas = append(s.replicas, newReplica(compute.DeviceNum(d), options))
	}
	shared := map[Arch]executables{}
	for i, m := range sources {
		err := backend.Catch(fmt.Sprintf("put model %d on %s", i, be.Name), func() error { return s.add(m, shared) })
		if err != nil {
			// What is wrong with a folder may take many lines; a device's error gets one.
			if backend.OutOfMemory(err) {
				err = memoryAdvice(err)
			}
			return nil, errors.Join(err, s.Close())
		}
	}
	for _, r := range s.replicas {
		s.free <- r
	}
	return s, nil
}

// resolve replaces zeros by what they mean and lists all faults.
func (o ScorerOptions) resolve(be *backend.Backend, models []Source) (ScorerOptions, error) {
	var faults []error
	if o.SequenceLength < 2 {
		faults = append(faults, fmt.Errorf("sequence length %d: want at least 2", o.SequenceLength))
	}
	if o.BatchTokens < 0 {
		faults = append(faults, fmt.Errorf("batch of %d tokens: want at least 1", o.BatchTokens))
	}
	if most := be.Devices(); o.Devices < 0 || o.Devices > most {
		faults = append(faults, fmt.Errorf("%d devices: %s has %d", o.Devices, be.Name, most))
	}
	if len(models) == 0 {
		faults = append(faults, errors.New("no models"))
	}
	for i, m := range models {
		c := m.configuration()
		if err := c.Validate(); err != nil {
			faults = append(faults, fmt.Errorf("model %d: %w", i, err))
		} else if o.SequenceLength > c.MaxSequenceLength {
			faults = append(faults, fmt.Errorf("sequence length %d: model %d takes at most max_sequence_length = %d", o.SequenceLength, i, c.MaxSequenceLength))
		}
	}
	var err error
	if o.Precision, err = o.Precision.On(be.Name); err != nil {
		faults = append(faults, err)
	}
	if o.BatchTokens == 0 {
		o.BatchTokens = DefaultBatchTokens
	}
	o.Devices = max(1, o.Devices)
	return o, errors.Join(faults...)
}

// add puts the next model on all devices.
func (s *Scorer) add(m Source, shared map[Arch]executables) error {
	config := m.configuration()
	made, ok := shared[config.Arch]
	if !ok {
		var err error
		if made, err = newExecutables(s.be, config); err != nil {
			return err
		}
		shared[config.Arch] = made
	}
	if len(s.compiled) == 0 || config.Embeddings < s.known {
		s.known = config.Embeddings
	}
	s.compiled = append(s.compiled, made)
	for _, r := range s.replicas {
		r.weights = append(r.weights, nil)
	}
	var half rounded
	return m.each(func(p Param) error {
		data, err := s.options.Precision.bytes(p, &half)
		if err != nil {
			return err
		}
		for _, r := range s.replicas {
			if err := r.put(s.be, p, s.options.Precision, data); err != nil {
				return fmt.Errorf("tensor %s: %w", p.Name, backend.Brief(err))
			}
		}
		return nil
	})
}

// newExecutables take tokens, or tokens, segments and positions, and weights.
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

// Close frees the models. Nobody may be scoring.
func (s *Scorer) Close() error {
	return backend.Catch("free models", func() error {
		var faults []error
		for _, r := range s.replicas {
			faults = append(faults, r.close())
		}
		for _, e := range s.compiled {
			e.whole.Finalize()
			e.packed.Finalize()
		}
		s.replicas, s.compiled = nil, nil
		return errors.Join(faults...)
	})
}

// Score returns the losses of windows in the caller's order. Sums are in float64
// of float32 losses. Batches go to devices as they free up. The same call gives
// the same bits, on however many devices; in other company a
// window may lie elsewhere in a row and differ by float32 rounding, about 1e-6
// nats per token. done, if not nil, hears of every batch how many of the windows'
// tokens it had. Between batches Score stops when ctx ends.
func (s *Scorer) Score(ctx context.Context, windows []pipeline.Window, done func(tokens int)) (pipeline.WindowLosses, error) {
	if err := s.check(windows); err != nil {
		return pipeline.WindowLosses{}, err
	}
	losses := pipeline.WindowLosses{Sums: make([][]float64, len(s.compiled))}
	for m := range losses.Sums {
		losses.Sums[m] = make([]float64, len(windows))
	}
	var mu sync.Mutex // over done and DeviceTokens; every window is in one batch only
	group, running := errgroup.WithContext(ctx)
	for _, b := range plan(windows, s.options) {
		r, err := s.take(running)
		if err != nil {
			break // ctx ended, or a batch failed
		}
		group.Go(func() error {
			defer func() { s.free <- r }()
			if err := s.run(r, b, windows, losses.Sums); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			losses.DeviceTokens += int64(b.rows * b.length)
			if done != nil {
				done(b.used(windows))
			}
			return nil
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return pipeline.WindowLosses{}, err
	}
	return losses, nil
}

// take waits for a device that has nothing to do.
func (s *Scorer) take(ctx context.Context) (*replica, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case r := <-s.free:
		return r, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// check refuses what the device would read without complaint: ids without a
// row in the embedding.
func (s *Scorer) check(windows []pipeline.Window) error {
	if len(s.compiled) == 0 {
		return errors.New("score: the scorer is closed")
	}
	for i, window := range windows {
		if len(window.Tokens) > s.options.SequenceLength {
			return fmt.Errorf("score: window %d has %d tokens: want at most %d", i, len(window.Tokens), s.options.SequenceLength)
		}
		for j, id := range window.Tokens {
			if id < 0 || int(id) >= s.known {
				return fmt.Errorf("score: window %d has id %d at %d: the models know ids 0 to %d; is this their tokenizer?", i, id, j, s.known-1)
			}
		}
	}
	return nil
}
