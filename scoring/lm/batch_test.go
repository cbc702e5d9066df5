package lm

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"pgregory.net/rapid"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
)

// packedTolerance is nats per token, on average, between a window in a packed
// row and the same window alone, without padding. (A single token of a backend
// against another may differ by lossTolerance.)
const packedTolerance = 1e-5

func drawWindows(t *rapid.T, length int) []pipeline.Window {
	windows := make([]pipeline.Window, rapid.IntRange(0, 60).Draw(t, "windows"))
	for i := range windows {
		n := rapid.IntRange(0, length).Draw(t, "tokens")
		windows[i] = pipeline.Window{Tokens: make([]int32, n), Seen: rapid.IntRange(0, n).Draw(t, "seen")}
	}
	return windows
}

// Every window with a counted token is in one row, rows are not overfull,
// batches have one of two shapes, and rows are as full as the plain form of best
// fit leaves them, which looks at all rows for each window.
func TestPlanIsBestFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := ScorerOptions{SequenceLength: rapid.IntRange(2, 150).Draw(t, "length"), BatchTokens: rapid.OneOf(rapid.IntRange(1, 600), rapid.IntRange(4000, 8000)).Draw(t, "tokens")}
		windows := drawWindows(t, o.SequenceLength)
		seen := make([]int, len(windows))
		var rooms []int
		all := max(1, o.BatchTokens/o.SequenceLength)
		rows := all
		batches := plan(windows, o)
		for at, b := range batches {
			if rows == all && all >= manyRows && len(rooms) >= len(slowBestFit(windows, o.SequenceLength))/all*all {
				rows /= 8
			}
			if b.length != o.SequenceLength || b.rows != rows || at < len(batches)-1 && len(b.held) != b.rows {
				t.Fatalf("batch %d of %d has %d of %d rows of %d", at, len(batches), len(b.held), b.rows, b.length)
			}
			for _, row := range b.held {
				room := o.SequenceLength
				for _, i := range row {
					seen[i]++
					room -= len(windows[i].Tokens)
				}
				if room < 0 {
					t.Fatalf("row %v has %d tokens too many", row, -room)
				}
				rooms = append(rooms, room)
			}
		}
		for i, w := range windows {
			if seen[i] != min(1, w.Counted()) {
				t.Fatalf("window %d with %d counted tokens is in %d rows", i, w.Counted(), seen[i])
			}
		}
		if slices.Sort(rooms); !slices.Equal(rooms, slowBestFit(windows, o.SequenceLength)) {
			t.Fatalf("rows have room %v, the plain form's %v", rooms, slowBestFit(windows, o.SequenceLength))
		}
	})
}

// slowBestFit returns the room that is left in each row, sorted.
func slowBestFit(windows []pipeline.Window, length int) []int {
	var lengths, rooms []int
	for _, w := range windows {
		if w.Counted() > 0 {
			lengths = append(lengths, len(w.Tokens))
		}
	}
	slices.Sort(lengths)
	slices.Reverse(lengths)
	for _, n := range lengths {
		best := -1
		for row, room := range rooms {
			if room >= n && (best < 0 || room < rooms[best]) {
				best = row
			}
		}
		if best < 0 {
			best, rooms = len(rooms), append(rooms, length)
		}
		rooms[best] -= n
	}
	slices.Sort(rooms)
	return rooms
}

// decoders are golden models, and one whose last layer sees a window of tokens.
func decoders(t *testing.T, be *backend.Backend) map[string]*Model {
	t.Helper()
	all := map[string]*Model{}
	for _, folder := range goldenCases(t, be) {
		all[folder], _ = loadGolden(t, folder)
	}
	sliding := nano(t)
	sliding.Config.Window, sliding.Config.WindowFrom = 5, 1
	all["window"] = sliding
	return all
}

// lossesOf runs a graph on one batch.
func lossesOf(t *testing.T, be *backend.Backend, model *Model, rows, length int, ids ...[]int32) []float32 {
	t.Helper()
	var inputs []any
	for _, list := range ids {
		inputs = append(inputs, tensors.FromFlatDataAndDimensions(list, rows, length))
	}
	for _, p := range model.Params {
		inputs = append(inputs, tensors.FromFlatDataAndDimensions(p.Data, p.Shape...))
	}
	return call(t, be, func(in []*graph.Node) []*graph.Node {
		input := Inputs{Tokens: in[0]}
		if len(ids) > 1 {
			input.Segments, input.Positions = in[1], in[2]
		}
		loss, _ := Losses(model.Config, in[len(ids):], input)
		return []*graph.Node{loss}
	}, inputs...)[0]
}

// Losses in a packed row are those of the windows alone, each in a call of the
// pure-Go backend, with no packing, padding or masks.
func TestPackedLossesEqualThoseOfWindowsAlone(t *testing.T) {
	plain := openBackend(t, backend.Go)
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		for name, model := range decoders(t, be) {
			random := rand.New(rand.NewPCG(4, 4))
			vocabulary, length := min(100, model.Config.VocabSize), min(32, model.Config.MaxSequenceLength)
			windows := windowsOf(randomSequences(random, 5, 20, vocabulary))
			windows = append(windows, windowsOf(randomSequences(random, 1, length, vocabulary))...)
			b := plan(windows, ScorerOptions{SequenceLength: length, BatchTokens: 8 * length})[0]
			tokens, segments, positions := b.inputs(windows)
			if !b.packed() || slices.Max(positions) == 0 {
				t.Fatalf("rows %v are not packed", b.held)
			}
			packed := lossesOf(t, be, model, b.rows, b.length, tokens, segments, positions)
			worst, worstMean := 0.0, 0.0
			for row, held := range b.held {
				at := row * (length - 1)
				for _, i := range held {
					n := len(windows[i].Tokens)
					sum := 0.0
					for j, want := range lossesOf(t, plain, model, 1, n, windows[i].Tokens) {
						worst = max(worst, math.Abs(float64(packed[at+j]-want)))
						sum += float64(packed[at+j] - want)
					}
					worstMean = max(worstMean, math.Abs(sum)/float64(n-1))
					at += n
				}
			}
			if !(worst <= lossTolerance && worstMean <= packedTolerance) {
				t.Errorf("%s: packed losses differ by up to %.2g nats, %.2g per token of a window, want at most %.2g and %.2g", name, worst, worstMean, lossTolerance, packedTolerance)
			}
			t.Logf("%s: largest difference %.2g nats, %.2g per token of a window", name, worst, worstMean)
		}
	})
}

// A window's sum is the same, bit for bit, whatever the tokens of the others in
// its row are.
func TestSegmentsNeverSeeEachOther(t *testing.T) {
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		scorer := newScorer(t, be, []*Model{nano(t)}, ScorerOptions{SequenceLength: 32, BatchTokens: 64})
		rapid.Check(t, func(t *rapid.T) {
			lengths := rapid.SliceOfN(rapid.IntRange(2, 12), 4, 8).Draw(t, "lengths")
			random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
			windows := make([]pipeline.Window, len(lengths))
			for i, n := range lengths {
				windows[i] = pipeline.Window{Tokens: randomIDs(random, n), Seen: random.IntN(n)}
			}
			before, err := scorer.Score(context.Background(), windows, nil)
			if err != nil {
				t.Fatal(err)
			}
			changed := rapid.IntRange(0, len(windows)-1).Draw(t, "changed")
			windows[changed].Tokens = randomIDs(random, lengths[changed])
			after, err := scorer.Score(context.Background(), windows, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range windows {
				if same := before.Sums[0][i] == after.Sums[0][i]; !same && i != changed {
					t.Fatalf("window %d of %v had %v, and with other tokens in window %d %v", i, lengths, before.Sums[0][i], changed, after.Sums[0][i])
				}
			}
		})
	})
}

func randomIDs(random *rand.Rand, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = random.Int32N(100)
	}
	return ids
}

// Counted tokens are those after the first and after what was seen; done hears
// of all tokens, and padding is the rest of the device's.
func TestScoreCountsWhatIsCounted(t *testing.T) {
	model := nano(t)
	be := openBackend(t, backend.Go)
	scorer := newScorer(t, be, []*Model{model, model}, ScorerOptions{SequenceLength: 16, BatchTokens: 32})
	ids := randomIDs(rand.New(rand.NewPCG(5, 5)), 16)
	alone := lossesOf(t, be, model, 1, 16, ids)
	windows, heard := []pipeline.Window{}, 0
	for seen := range 17 {
		windows = append(windows, pipeline.Window{Tokens: ids, Seen: seen}, pipeline.Window{Tokens: ids[:seen], Seen: 3})
	}
	got, err := scorer.Score(context.Background(), windows, func(tokens int) { heard += tokens })
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for i, w := range windows {
		want := 0.0
		for j := max(1, w.Seen); j < len(w.Tokens); j++ {
			want += float64(alone[j-1])
		}
		for m := range got.Sums {
			if d := math.Abs(got.Sums[m][i] - want); !(d <= packedTolerance*16) {
				t.Errorf("window %d (%d tokens, %d seen): %v, want %v", i, len(w.Tokens), w.Seen, got.Sums[m][i], want)
			}
		}
		if w.Counted() > 0 {
			total += len(w.Tokens)
		}
	}
	if heard != total || got.DeviceTokens%32 != 0 || got.DeviceTokens < int64(total) || got.DeviceTokens > int64(total)+100 {
		t.Errorf("heard of %d tokens, the device had %d; the windows have %d", heard, got.DeviceTokens, total)
	}
}

// The bits of a model's sums do not depend on the models beside it.
func TestModelsDoNotChangeEachOther(t *testing.T) {
	be := openBackend(t, backend.Go)
	first := nano(t)
	second, err := Init(first.Config, 8)
	if err != nil {
		t.Fatal(err)
	}
	windows := windowsOf(randomSequences(rand.New(rand.NewPCG(6, 6)), 20, 16, 100))
	options := ScorerOptions{SequenceLength: 16, BatchTokens: 64}
	both, err := newScorer(t, be, []*Model{first, second}, options).Score(context.Background(), windows, nil)
	if err != nil {
		t.Fatal(err)
	}
	for m, model := range []*Model{first, second} {
		alone, err := newScorer(t, be, []*Model{model}, options).Score(context.Background(), windows, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(alone.Sums[0], both.Sums[m]) {
			t.Errorf("model %d has other sums beside another", m)
		}
	}
	if slices.Equal(both.Sums[0], both.Sums[1]) {
		t.Error("two models have the same sums")
	}
}
