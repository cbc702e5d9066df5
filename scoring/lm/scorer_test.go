package lm

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
)

func randomSequences(random *rand.Rand, n, longest, vocabulary int) [][]int32 {
	sequences := make([][]int32, n)
	for i := range sequences {
		for range 2 + random.IntN(longest-1) {
			sequences[i] = append(sequences[i], random.Int32N(int32(vocabulary)))
		}
	}
	return sequences
}

func windowsOf(sequences [][]int32) []pipeline.Window {
	windows := make([]pipeline.Window, len(sequences))
	for i := range sequences {
		windows[i].Tokens = sequences[i]
	}
	return windows
}

// scoreWindows returns the sums of whole sequences.
func scoreWindows(scorer *Scorer, sequences [][]int32) ([][]float64, error) {
	losses, err := scorer.Score(context.Background(), windowsOf(sequences), nil)
	return losses.Sums, err
}

func newScorer(t *testing.T, be *backend.Backend, models []*Model, options ScorerOptions) *Scorer {
	t.Helper()
	scorer, err := NewScorer(be, models, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := scorer.Close(); err != nil {
			t.Error(err)
		}
	})
	return scorer
}

// The same call gives the same bits; in other company the sums agree to
// float32 rounding; two models keep apart.
func TestScoreDependsOnTheSequenceAlone(t *testing.T) {
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		first := nano(t)
		second, err := Init(first.Config, 8)
		if err != nil {
			t.Fatal(err)
		}
		scorer := newScorer(t, be, []*Model{first, second}, ScorerOptions{SequenceLength: 32, BatchTokens: 128})
		sequences := randomSequences(rand.New(rand.NewPCG(1, 1)), 20, 32, 100)
		all, err := scoreWindows(scorer, sequences)
		if err != nil {
			t.Fatal(err)
		}
		again, err := scoreWindows(scorer, sequences)
		if err != nil {
			t.Fatal(err)
		}
		for m := range all {
			if !slices.Equal(all[m], again[m]) {
				t.Errorf("model %d: the same call gives other bits", m)
			}
		}
		for _, i := range []int{0, 7, 19} {
			alone, err := scoreWindows(scorer, sequences[i:i+1])
			if err != nil {
				t.Fatal(err)
			}
			for m := range all {
				if d := math.Abs(alone[m][0] - all[m][i]); !(d <= 5e-6*float64(len(sequences[i]))) {
					t.Errorf("model %d, sequence %d: %v alone, %v among others", m, i, alone[m][0], all[m][i])
				}
			}
			if alone[0][0] == alone[1][0] {
				t.Errorf("sequence %d has the same loss under both models", i)
			}
		}
	})
}

func TestScoreRefusesAndStops(t *testing.T) {
	be := openBackend(t, backend.Go)
	model := nano(t)
	scorer := newScorer(t, be, []*Model{model}, ScorerOptions{SequenceLength: 16, BatchTokens: 16})
	for want, sequence := range map[string][]int32{
		"has id 128 at 1": {0, 128}, "has id -1 at 0": {-1, 5}, "has 17 tokens": make([]int32, 17),
	} {
		if _, err := scoreWindows(scorer, [][]int32{{1, 2}, sequence}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	if _, err := scorer.Score(ctx, windowsOf([][]int32{{1, 2}}), nil); !errors.Is(err, cause) {
		t.Errorf("a cancelled call returned %v", err)
	}
	sums, err := scoreWindows(scorer, nil)
	if err != nil || len(sums) != 1 || len(sums[0]) != 0 {
		t.Errorf("no sequences: %v, %v", sums, err)
	}
	if err := scorer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := scoreWindows(scorer, [][]int32{{1, 2}}); err == nil {
		t.Error("a closed scorer scores")
	}
	for want, options := range map[string]ScorerOptions{
		"sequence length 1": {SequenceLength: 1}, "max_sequence_length = 32": {SequenceLength: 33}, "-5 tokens": {SequenceLength: 16, BatchTokens: -5},
	} {
		if _, err := NewScorer(be, []*Model{model}, options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	if _, err := NewScorer(be, []*Model(nil), ScorerOptions{SequenceLength: 16}); err == nil {
		t.Error("a scorer of no models")
	}
	broken := nano(t)
	broken.Params[1].Data = broken.Params[1].Data[1:]
	if _, err := NewScorer(be, []*Model{broken}, ScorerOptions{SequenceLength: 16}); err == nil || !strings.Contains(err.Error(), "attn_norm") {
		t.Errorf("a short tensor: %v", err)
	}
}

// Slices of any shape give the log-sum-exp of the whole, here in float64, and
// its gradients; logits of a hundred would overflow without the running maximum.
func TestSlicedLogSumExp(t *testing.T) {
	const rows, d, vocabulary = 6, 4, 37
	random := rand.New(rand.NewPCG(2, 2))
	hidden, head := make([]float32, rows*d), make([]float32, vocabulary*d)
	for i := range hidden {
		hidden[i] = float32(random.NormFloat64() * 30)
	}
	for i := range head {
		head[i] = float32(random.NormFloat64())
	}
	weights := []float32{1, -2, 0.5, 0, 3, 1} // of the rows in the sum that is derived
	value, byHidden, byHead := logSumExp64(hidden, head, weights, d)
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		for _, size := range [][2]int{{6, 37}, {6, 5}, {4, 36}, {1, 20}} {
			got := call(t, be, func(in []*graph.Node) []*graph.Node {
				z := slicedLogSumExp(in[0], in[1], cut(rows, vocabulary, size[0], size[1]))
				return append([]*graph.Node{z}, graph.Gradient(graph.ReduceAllSum(graph.Mul(z, in[2])), in[0], in[1])...)
			}, tensors.FromFlatDataAndDimensions(hidden, rows, d), tensors.FromFlatDataAndDimensions(head, vocabulary, d),
				tensors.FromFlatDataAndDimensions(weights, rows))
			for k, want := range [][]float64{value, byHidden, byHead} {
				for i, w := range want {
					if d := math.Abs(float64(got[k][i]) - w); !(d <= 1e-5*max(1, math.Abs(w))*10) {
						t.Errorf("slices of %v: result %d at %d is %v, want %v", size, k, i, got[k][i], w)
					}
				}
			}
		}
	})
}

// logSumExp64 is the slow plain form: values, and gradients of their weighted sum.
func logSumExp64(hidden, head, weights []float32, d int) (values, byHidden, byHead []float64) {
	byHidden, byHead = make([]float64, len(hidden)), make([]float64, len(head))
	for n, weight := range weights {
		h := hidden[n*d : (n+1)*d]
		var logits []float64
		for w := range slices.Chunk(head, d) {
			dot := 0.0
			for i := range w {
				dot += float64(h[i]) * float64(w[i])
			}
			logits = append(logits, dot)
		}
		top, sum := slices.Max(logits), 0.0
		for _, l := range logits {
			sum += math.Exp(l - top)
		}
		for v, l := range logits {
			for i := range d {
				p := math.Exp(l-top) / sum * float64(weight)
				byHead[v*d+i] += p * float64(h[i])
				byHidden[n*d+i] += p * float64(head[v*d+i])
			}
		}
		values = append(values, top+math.Log(sum))
	}
	return values, byHidden, byHead
}

// TestSlicesCoverWithinTheirBytes adds up the slices of many sizes.
func TestSlicesCoverWithinTheirBytes(t *testing.T) {
	for _, rows := range []int{1, 100, 4096, 8192, 1 << 17} {
		for _, vocabulary := range []int{1, 300, 4096, 50304, 1 << 20} {
			area := 0
			for _, s := range slicesOf(rows, vocabulary, 1024) {
				if s.row+s.rows > rows || s.column+s.columns > vocabulary || s.columns > 1024 || 4*s.rows*s.columns > logitBytes {
					t.Fatalf("%d x %d logits have the slice %+v", rows, vocabulary, s)
				}
				area += s.rows * s.columns
			}
			if area != rows*vocabulary {
				t.Errorf("slices of %d x %d logits cover %d", rows, vocabulary, area)
			}
		}
	}
}
