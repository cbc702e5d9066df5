package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/curate-data/curate/pipeline"
	"go.uber.org/goleak"
)

var errInjected = errors.New("injected fault")

var numberSchema = arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)

// house is a source, a number of stages and a sink that count what they hold,
// and fail where they are told to.
type house struct {
	memory  *memory.CheckedAllocator
	batches int            // what the source gives; below 0 it never ends
	fail    map[string]int // point -> number of the batch at which it fails
	block   chan struct{}  // if set, the sink waits for it or for the end of its context

	alive, mostAlive atomic.Int64
	given            atomic.Int64

	mu       sync.Mutex
	seen     map[string][]int64 // point -> first rows of the batches it got
	finishes int
	aborts   int
}

func newHouse(t *testing.T, batches int) *house {
	h := &house{memory: memory.NewCheckedAllocator(memory.NewGoAllocator()), batches: batches, fail: map[string]int{}, seen: map[string][]int64{}}
	t.Cleanup(func() {
		h.memory.AssertSize(t, 0)
		goleak.VerifyNone(t)
	})
	return h
}

// meets notes that a point got a batch, and says whether it should fail.
func (h *house) meets(point string, first int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen[point] = append(h.seen[point], first)
	if at, ok := h.fail[point]; ok && int64(at) == first {
		return fmt.Errorf("%s at batch %d: %w", point, first, errInjected)
	}
	return nil
}

func (h *house) record(n int64) arrow.Record {
	b := array.NewRecordBuilder(h.memory, numberSchema)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).Append(n)
	return b.NewRecord()
}

// Batches implements pipeline.Source.
func (h *house) Batches(ctx context.Context) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		for i := int64(0); h.batches < 0 || i < int64(h.batches); i++ {
			if err := h.meets("source", i); err != nil {
				yield(pipeline.Batch{}, err)
				return
			}
			h.given.Add(1)
			h.mostAlive.Store(max(h.mostAlive.Load(), h.alive.Add(1)))
			if !yield(pipeline.Batch{Record: h.record(i), Shard: "a", FirstRow: i}, nil) {
				return
			}
		}
	}
}

// stage is a pipeline.Stage that gives out another record than it got.
type stage struct {
	*house
	name string
}

func (s stage) Name() string { return s.name }

func (s stage) Apply(_ context.Context, b pipeline.Batch) (pipeline.Batch, error) {
	defer b.Release()
	if err := s.meets(s.name, b.FirstRow); err != nil {
		return pipeline.Batch{}, err
	}
	next := b
	next.Record = s.record(b.Record.Column(0).(*array.Int64).Value(0) + 100)
	return next, nil
}

// Write implements pipeline.Sink.
func (h *house) Write(ctx context.Context, b pipeline.Batch) error {
	defer b.Release()
	defer h.alive.Add(-1)
	if h.block != nil {
		select {
		case <-h.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := h.meets("sink", b.FirstRow); err != nil {
		return err
	}
	return h.meets("value", b.Record.Column(0).(*array.Int64).Value(0))
}

// Finish implements pipeline.Sink.
func (h *house) Finish(context.Context) error {
	h.finishes++
	return h.meets("finish", 0)
}

// Abort implements pipeline.Sink.
func (h *house) Abort() { h.aborts++ }

func (h *house) run(ctx context.Context, stages int) error {
	var list []pipeline.Stage
	for i := range stages {
		list = append(list, stage{h, fmt.Sprint("stage ", i)})
	}
	return pipeline.Run(ctx, h, list, h)
}

func upTo(n int) []int64 {
	var all []int64
	for i := range n {
		all = append(all, int64(i))
	}
	return all
}

func TestRunPassesEveryBatchInOrder(t *testing.T) {
	for _, stages := range []int{0, 1, 3} {
		for _, batches := range []int{0, 1, 2, 50} {
			h := newHouse(t, batches)
			if err := h.run(context.Background(), stages); err != nil {
				t.Fatal(err)
			}
			if got := h.seen["sink"]; !slices.Equal(got, upTo(batches)) {
				t.Errorf("%d stages: the sink got batches %v, want %d in order", stages, got, batches)
			}
			for i, v := range h.seen["value"] {
				if want := int64(i + 100*stages); v != want {
					t.Errorf("%d stages: batch %d holds %d, want %d: not every stage applied", stages, i, v, want)
				}
			}
			if h.finishes != 1 || h.aborts != 0 {
				t.Errorf("%d stages: Finish called %d times, Abort %d; want 1 and 0", stages, h.finishes, h.aborts)
			}
		}
	}
}

// Wherever a run fails, every batch is released (the checked allocator says
// so), every goroutine has ended, and the sink is aborted, not finished.
func TestRunFailsCleanlyAtEveryPoint(t *testing.T) {
	const batches = 20
	for _, point := range []string{"source", "stage 0", "stage 1", "stage 2", "sink"} {
		for _, at := range []int{0, 1, 7, batches - 1} {
			t.Run(fmt.Sprintf("%s at %d", point, at), func(t *testing.T) {
				h := newHouse(t, batches)
				h.fail[point] = at
				err := h.run(context.Background(), 3)
				if want := fmt.Sprintf("%s at batch %d: injected fault", point, at); err == nil || err.Error() != want {
					t.Errorf("error is %v, want %s", err, want)
				}
				if h.finishes != 0 || h.aborts != 1 {
					t.Errorf("Finish called %d times, Abort %d; want 0 and 1", h.finishes, h.aborts)
				}
				if got := h.seen["sink"]; !slices.Equal(got, upTo(len(got))) || len(got) > at+1 {
					t.Errorf("the sink got batches %v, want some of the first %d in order", got, at)
				}
				if got := h.seen[point]; len(got) != at+1 {
					t.Errorf("%s got %d batches, and failed at number %d", point, len(got), at)
				}
			})
		}
	}
}

func TestRunReturnsTheErrorOfFinish(t *testing.T) {
	h := newHouse(t, 3)
	h.fail["finish"] = 0
	if err := h.run(context.Background(), 1); !errors.Is(err, errInjected) {
		t.Errorf("error is %v, want that of Finish", err)
	}
	if h.finishes != 1 || h.aborts != 0 {
		t.Errorf("Finish called %d times, Abort %d; want 1 and 0: a sink that cannot finish cleans up by itself", h.finishes, h.aborts)
	}
}

func TestRunEndsWhenTheContextEnds(t *testing.T) {
	reason := errors.New("enough")
	before, cancelBefore := context.WithCancelCause(context.Background())
	cancelBefore(reason)
	h := newHouse(t, -1)
	if err := h.run(before, 2); !errors.Is(err, reason) {
		t.Errorf("with a context that has ended: error is %v, want its cause", err)
	}
	if h.finishes != 0 || h.aborts != 1 || len(h.seen["sink"]) != 0 {
		t.Errorf("Finish called %d times, Abort %d, Write %d; want 0, 1 and 0", h.finishes, h.aborts, len(h.seen["sink"]))
	}

	// While every step is busy or waits for the next one.
	during, cancelDuring := context.WithCancelCause(context.Background())
	h = newHouse(t, -1)
	h.block = make(chan struct{})
	go func() {
		waitFor(func() bool { return h.given.Load() == aliveAtMost(2) })
		cancelDuring(reason)
	}()
	if err := h.run(during, 2); !errors.Is(err, reason) {
		t.Errorf("with a context that ends: error is %v, want its cause", err)
	}
	if h.finishes != 0 || h.aborts != 1 {
		t.Errorf("Finish called %d times, Abort %d; want 0 and 1", h.finishes, h.aborts)
	}
}

// aliveAtMost is the bound that the comment of Run states.
func aliveAtMost(stages int64) int64 { return 2*(stages+1) + 1 }

func TestRunHoldsFewBatches(t *testing.T) {
	for _, stages := range []int{0, 1, 4} {
		h := newHouse(t, 100)
		h.block = make(chan struct{})
		bound := aliveAtMost(int64(stages))
		go func() {
			waitFor(func() bool { return h.alive.Load() >= bound })
			time.Sleep(20 * time.Millisecond) // long enough for one batch too many
			close(h.block)
		}()
		if err := h.run(context.Background(), stages); err != nil {
			t.Fatal(err)
		}
		if got := h.mostAlive.Load(); got != bound {
			t.Errorf("%d stages: %d batches alive at once, want %d behind a slow sink", stages, got, bound)
		}
	}
}

// waitFor polls until ok, or gives up after a while.
func waitFor(ok func() bool) {
	for deadline := time.Now().Add(5 * time.Second); !ok() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// A step that fails stops the source; it does not read it to its end.
func TestRunStopsTheSourceWhenAStepFails(t *testing.T) {
	for _, point := range []string{"stage 0", "stage 1", "sink"} {
		h := newHouse(t, -1)
		h.fail[point] = 5
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.run(ctx, 2); !errors.Is(err, errInjected) {
			t.Errorf("%s fails over a source without end: error is %v after %d batches, want the injected fault", point, err, h.given.Load())
		}
	}
}
