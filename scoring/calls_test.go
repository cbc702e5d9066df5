package scoring

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
)

// TestWindowsCountTokensOnce compares with the closed form: token j of a
// document is counted by the window that begins at k(T-N), where k is the first
// whose end lies after j; without overlap tokens at multiples of T by none.
func TestWindowsCountTokensOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.IntRange(2, 20).Draw(t, "length")
		overlap := rapid.IntRange(0, length-1).Draw(t, "overlap")
		ids := make([]int32, rapid.IntRange(2, 100).Draw(t, "tokens"))
		for i := range ids {
			ids[i] = int32(i)
		}
		var got, want [][2]int // token and where its window begins
		for w := range windowsOf(ids, length, overlap) {
			if len(w.Tokens) > length || w.Counted() < 1 {
				t.Fatalf("window of %d tokens, %d counted, T = %d", len(w.Tokens), w.Counted(), length)
			}
			for _, j := range w.Tokens[len(w.Tokens)-w.Counted():] {
				got = append(got, [2]int{int(j), int(w.Tokens[0])})
			}
		}
		for j := 1; j < len(ids); j++ {
			step := length - overlap
			k := 0
			if j >= length {
				k = (j - length + step) / step
			}
			if overlap > 0 || j%length > 0 {
				want = append(want, [2]int{j, k * step})
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("T = %d, overlap %d, %d tokens: counted %v, want %v", length, overlap, len(ids), got, want)
		}
	})
}

// words returns a text of n words, different for different seeds.
func words(n int, seed uint64) string {
	random := rand.New(rand.NewPCG(seed, 1))
	text := ""
	for range n {
		text += []string{"whale ", "of the ", "universally ", "I ", "1851, ", "\n"}[random.IntN(6)]
	}
	return text
}

func unitTexts() []any {
	texts := []any{words(300, 0), nil, "", "a"} // one longer than a call, and those without loss
	for i := range 30 {
		texts = append(texts, words(2+i*i%23, uint64(i)))
	}
	return append(texts, words(90, 99), "z")
}

// scoreSplit scores the texts as one unit, read in batches of so many rows,
// with calls of few tokens.
func scoreSplit(t *testing.T, losses Losses, opt Options, texts []any, split int) (Counts, *pipeline.Scores) {
	t.Helper()
	scorer, err := NewScorer(losses, opt)
	if err != nil {
		t.Fatal(err)
	}
	scorer.limit = limits{tokens: 96, documents: 9} // 6 sequences: a document goes on where a call ends
	stage := NewTokenizeStage(loadTokenizer(t), memory.DefaultAllocator)
	var all []*pipeline.Scores
	for at := 0; at < len(texts); at += split {
		tokens, err := stage.Apply(context.Background(), textBatch(memory.DefaultAllocator, int64(at), texts[at:min(at+split, len(texts))]...))
		if err != nil {
			t.Fatal(err)
		}
		scores, err := scorer.Score(context.Background(), tokens)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, scores)
	}
	scores, err := scorer.Finish(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return scorer.Counts(), joined(append(all, scores))
}

func eachUnit(length int) []Options {
	return []Options{
		{Unit: Document, SequenceLength: length}, {Unit: Document, SequenceLength: length, Overlap: length / 3}, {Unit: Sequence, SequenceLength: length},
	}
}

// TestCallsDependOnTheUnitAlone: the same windows reach the models in the same
// calls, however the unit is read; no call exceeds its limits; each row has its
// score, and the scores are those of a plain sum.
func TestCallsDependOnTheUnitAlone(t *testing.T) {
	texts := unitTexts()
	for _, opt := range eachUnit(16) {
		var calls [][][]int32
		var counts Counts
		var scores *pipeline.Scores
		for _, split := range []int{len(texts), 1, 2, 7, 20} {
			models, heard := &countingLosses{}, 0
			opt.Progress = func(documents int) {
				if heard += documents; documents < 1 {
					t.Errorf("progress of %d documents", documents)
				}
			}
			gotCounts, got := scoreSplit(t, models, opt, texts, split)
			if heard != len(texts) {
				t.Errorf("%s: progress of %d documents, want %d", opt.Unit, heard, len(texts))
			}
			if calls == nil {
				calls, counts, scores = models.calls, gotCounts, got
				continue
			}
			name := fmt.Sprintf("%s, overlap %d, %d rows a batch", opt.Unit, opt.Overlap, split)
			if !slices.EqualFunc(calls, models.calls, func(a, b [][]int32) bool { return slices.EqualFunc(a, b, slices.Equal[[]int32]) }) {
				t.Errorf("%s: other calls", name)
			}
			if diff := cmp.Diff(scores, got, cmpopts.EquateNaNs()) + cmp.Diff(counts, gotCounts); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		padding := 0
		for _, call := range calls {
			tokens := len(slices.Concat(call...))
			if padding += len(call); tokens > 96 {
				t.Errorf("%s: a call of %d tokens", opt.Unit, tokens)
			}
		}
		if len(calls) < 5 || counts.Padding != int64(padding) {
			t.Errorf("%s: %d calls, %d tokens of padding, want %d", opt.Unit, len(calls), counts.Padding, padding)
		}
		if opt.Unit == Document {
			checkPlainSums(t, opt, texts, scores)
		}
	}
}

// checkPlainSums compares with each document's own sum under countingLosses.
func checkPlainSums(t *testing.T, opt Options, texts []any, scores *pipeline.Scores) {
	t.Helper()
	encoder := loadTokenizer(t).NewEncoder()
	if scores.Len() != len(texts) {
		t.Fatalf("%d rows, want %d", scores.Len(), len(texts))
	}
	for row, text := range texts {
		s, _ := text.(string)
		ids := encoder.Append(nil, []byte(s))
		sum, n := 0.0, 0
		for j := 1; j < len(ids); j++ {
			if opt.Overlap > 0 || j%opt.SequenceLength > 0 {
				sum, n = sum+float64(ids[j]), n+1
			}
		}
		if want := float32(sum / float64(n)); n > 0 && scores.Prior[row] != want || n == 0 && scores.Reason[row] == "" || int(scores.TokenCount[row]) != n || scores.Row[row] != int64(row) {
			t.Errorf("overlap %d: row %d is %d, loss %v of %d tokens (%s); want %v of %d", opt.Overlap, row, scores.Row[row], scores.Prior[row], scores.TokenCount[row], scores.Reason[row], want, n)
		}
	}
}

// TestLossesDependOnTheUnitAlone does it with real models on real backends: the
// same bits, however the unit is read.
func TestLossesDependOnTheUnitAlone(t *testing.T) {
	texts := append([]any{words(120, 0)}, unitTexts()[1:14]...)
	for _, name := range []string{backend.Go, backend.CPU} {
		t.Run(name, func(t *testing.T) {
			scorer := randomModels(t, name)
			for _, opt := range eachUnit(16)[1:] {
				_, want := scoreSplit(t, scorer, opt, texts, len(texts))
				_, got := scoreSplit(t, scorer, opt, texts, 3)
				if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
					t.Errorf("%s, overlap %d: %s", opt.Unit, opt.Overlap, diff)
				}
				if finite := slices.ContainsFunc(want.Color, func(c float32) bool { return c != 0 && !math.IsNaN(float64(c)) }); !finite {
					t.Errorf("%s: no scores: %v", opt.Unit, want.Color)
				}
			}
		})
	}
}

// randomModels are two of 16 tokens, on a backend.
func randomModels(t *testing.T, backendName string) *lm.Scorer {
	t.Helper()
	be, err := backend.Open(backendName)
	if errors.Is(err, backend.ErrNoPlugin) && os.Getenv("CURATE_REQUIRE_XLA") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { be.Close() })
	config, err := lm.Preset("olmo-nano", loadTokenizer(t).VocabSize(), 16)
	if err != nil {
		t.Fatal(err)
	}
	var models []*lm.Model
	for seed := range uint64(2) {
		model, err := lm.Init(config, seed)
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, model)
	}
	scorer, err := lm.NewScorer(be, models, lm.ScorerOptions{SequenceLength: 16, BatchTokens: 64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { scorer.Close() })
	return scorer
}
