package lm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"go.uber.org/goleak"

	"github.com/curate-data/curate/scoring/backend"
)

// twoNanos are two models of one shape.
func twoNanos(t *testing.T) []*Model {
	t.Helper()
	first := nano(t)
	second, err := Init(first.Config, 8)
	if err != nil {
		t.Fatal(err)
	}
	return []*Model{first, second}
}

// The virtual devices of the CPU plugin stand for several GPUs: each has the
// weights, and which one had a batch shows nowhere.
func TestDevicesGiveTheBytesOfOne(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	be := openBackend(t, backend.CPU)
	if be.Devices() < 2 {
		t.Skipf("the plugin shows %d devices", be.Devices())
	}
	models := twoNanos(t)
	sequences := randomSequences(rand.New(rand.NewPCG(5, 5)), 120, 32, 100)
	var want [][]float64
	for _, devices := range []int{1, be.Devices()} {
		scorer := newScorer(t, be, models, ScorerOptions{SequenceLength: 32, BatchTokens: 64, Devices: devices})
		used := map[compute.DeviceNum]int{}
		var mu sync.Mutex
		inner := scorer.call
		scorer.call = func(exec *graph.Exec, device compute.DeviceNum, inputs []any) (*tensors.Tensor, error) {
			mu.Lock()
			used[device]++
			mu.Unlock()
			return inner(exec, device, inputs)
		}
		got, err := scoreWindows(scorer, sequences)
		if err != nil {
			t.Fatal(err)
		}
		if len(used) != devices {
			t.Errorf("%d devices: batches ran on %v", devices, used)
		}
		if want == nil {
			want = got
		}
		for m := range want {
			if !slices.Equal(got[m], want[m]) {
				t.Errorf("%d devices: model %d has other bits than on one device", devices, m)
			}
		}
	}
	if _, err := NewScorer(be, models, ScorerOptions{SequenceLength: 32, Devices: be.Devices() + 1}); err == nil || !strings.Contains(err.Error(), "has "+fmt.Sprint(be.Devices())) {
		t.Errorf("more devices than there are: %v", err)
	}
}

// Several callers may share a scorer.
func TestScorersCallersAreIndependent(t *testing.T) {
	be := openBackend(t, backend.CPU)
	scorer := newScorer(t, be, twoNanos(t), ScorerOptions{SequenceLength: 32, BatchTokens: 64, Devices: min(2, be.Devices())})
	sequences := randomSequences(rand.New(rand.NewPCG(6, 6)), 40, 32, 100)
	want, err := scoreWindows(scorer, sequences)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			got, err := scoreWindows(scorer, sequences)
			if err != nil || !slices.Equal(got[1], want[1]) {
				t.Errorf("other sums beside other callers, %v", err)
			}
		})
	}
	wait.Wait()
}

// The first failure ends the others, and every goroutine.
func TestFailuresOfDevices(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	be := openBackend(t, backend.CPU)
	scorer := newScorer(t, be, twoNanos(t), ScorerOptions{SequenceLength: 32, BatchTokens: 32, Devices: min(3, be.Devices())})
	sequences := randomSequences(rand.New(rand.NewPCG(5, 5)), 60, 32, 100)
	inner := scorer.call
	var calls atomic.Int32
	scorer.call = func(exec *graph.Exec, device compute.DeviceNum, inputs []any) (*tensors.Tensor, error) {
		if calls.Add(1) > 7 {
			return nil, errors.New("the device fell off the bus\nat 0x00: stack\nat 0x01: more")
		}
		return inner(exec, device, inputs)
	}
	_, err := scoreWindows(scorer, sequences)
	if err == nil || !strings.Contains(err.Error(), "fell off the bus") || strings.Contains(err.Error(), "\n") {
		t.Errorf("want one line that says what happened, got %v", err)
	}
	if n := calls.Load(); n > 7+2*3*2 {
		t.Errorf("%d calls after the failure", n-7)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	calls.Store(-1 << 20)
	scorer.call = func(exec *graph.Exec, device compute.DeviceNum, inputs []any) (*tensors.Tensor, error) {
		cancel(cause)
		return inner(exec, device, inputs)
	}
	if _, err := scorer.Score(ctx, windowsOf(sequences), nil); !errors.Is(err, cause) {
		t.Errorf("cancelled between batches: %v", err)
	}
}

// Memory that runs out costs speed, not losses: first models take turns, which
// changes no bit, then batches get smaller, down to one row.
func TestMemoryRunsOut(t *testing.T) {
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		models := twoNanos(t)
		sequences := randomSequences(rand.New(rand.NewPCG(7, 7)), 50, 32, 100)
		var notices []string
		scorer := newScorer(t, be, models, ScorerOptions{SequenceLength: 32, BatchTokens: 256, Notice: func(text string) { notices = append(notices, text) }})
		want, err := scoreWindows(scorer, sequences)
		if err != nil {
			t.Fatal(err)
		}
		unlimited := scorer.call
		limit := func(rows, together int) {
			r := scorer.replicas[0]
			r.most, r.oneByOne, scorer.call, notices = 256, false, limitMemory(scorer, unlimited, rows, together), nil
		}
		for _, c := range []struct {
			rows, together int // that fit
			same           bool
			notices        int
		}{{8, 2, true, 0}, {8, 1, true, 1}, {3, 1, false, 3}, {1, 1, false, 4}} {
			limit(c.rows, c.together)
			got, err := scoreWindows(scorer, sequences)
			if err != nil {
				t.Fatal(err)
			}
			same := true
			for m := range want {
				same = same && slices.Equal(got[m], want[m])
				for i := range want[m] {
					if d := got[m][i] - want[m][i]; !(d*d <= 1e-12*float64(len(sequences[i])*len(sequences[i]))) {
						t.Fatalf("%d rows fit: model %d, sequence %d: %v, want %v", c.rows, m, i, got[m][i], want[m][i])
					}
				}
			}
			if c.same && !same {
				t.Errorf("%d rows of %d models fit: other bits", c.rows, c.together)
			}
			if len(notices) != c.notices {
				t.Errorf("%d rows of %d models fit: notices %q", c.rows, c.together, notices)
			}
		}
		limit(0, 1)
		_, err = scoreWindows(scorer, sequences)
		if err == nil || !strings.Contains(err.Error(), "--precision bf16") || !strings.Contains(err.Error(), "1 x 32 tokens") || strings.Contains(err.Error(), "\n") {
			t.Errorf("not one row fits: %v", err)
		}
	})
}

// limitMemory returns inner, but failing as a GPU does when more than rows, or
// more than `together` models, are at work.
func limitMemory(s *Scorer, inner caller, rows, together int) caller {
	return func(exec *graph.Exec, device compute.DeviceNum, inputs []any) (*tensors.Tensor, error) {
		atOnce := len(s.compiled)
		if s.replicas[device].oneByOne {
			atOnce = 1
		}
		if atOnce > together || inputs[0].(*tensors.Tensor).Shape().Dim(0) > rows {
			return nil, errors.New("PJRT error (code=8): RESOURCE_EXHAUSTED: Out of memory while trying to allocate 123 bytes.\nBufferAssignment OOM Debugging.\n...")
		}
		return inner(exec, device, inputs)
	}
}

// A folder's weights give the losses of the model in memory, in both precisions.
func TestFolderIsScoredAsItsModel(t *testing.T) {
	be := openBackend(t, backend.CPU)
	models := twoNanos(t)
	var folders []*Folder
	for i, m := range models {
		dir := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := m.Save(dir, nil); err != nil {
			t.Fatal(err)
		}
		folder, err := OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		folders = append(folders, folder)
	}
	sequences := randomSequences(rand.New(rand.NewPCG(8, 8)), 20, 32, 100)
	for _, precision := range []Precision{Float32, BFloat16} {
		options := ScorerOptions{SequenceLength: 32, BatchTokens: 128, Precision: precision}
		want, err := scoreWindows(newScorer(t, be, models, options), sequences)
		if err != nil {
			t.Fatal(err)
		}
		scorer, err := NewScorer(be, folders, options)
		if err != nil {
			t.Fatal(err)
		}
		defer scorer.Close()
		got, err := scoreWindows(scorer, sequences)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[0], want[0]) || !slices.Equal(got[1], want[1]) {
			t.Errorf("%s: the folders' losses differ from the models'", precision)
		}
		for _, w := range scorer.replicas[0].weights[0] {
			if w.DType() != precision.dtype() {
				t.Errorf("%s: a weight is %s", precision, w.DType())
			}
		}
	}
	broken := nano(t)
	broken.Params[0].Data[3] = 3.4e38
	if _, err := NewScorer(be, []*Model{broken}, ScorerOptions{SequenceLength: 32, Precision: BFloat16}); err == nil || !strings.Contains(err.Error(), "--precision f32") {
		t.Errorf("a weight beyond bf16: %v", err)
	}
}

func TestPrecisionOnBackends(t *testing.T) {
	for _, c := range []struct {
		p       Precision
		backend string
		want    Precision
	}{
		{AutoPrecision, backend.CUDA, BFloat16}, {AutoPrecision, backend.CPU, Float32}, {"", backend.Go, Float32},
		{Float32, backend.CUDA, Float32}, {BFloat16, backend.CPU, BFloat16},
	} {
		if got, err := c.p.On(c.backend); got != c.want || err != nil {
			t.Errorf("%q on %s is %q, %v", c.p, c.backend, got, err)
		}
	}
	if _, err := Precision("f16").On(backend.CPU); err == nil || !strings.Contains(err.Error(), "f16") {
		t.Errorf("f16: %v", err)
	}
	if Float32.dtype() != dtypes.Float32 || BFloat16.dtype() != dtypes.BFloat16 {
		t.Error("types of precisions")
	}
}
