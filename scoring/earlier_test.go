package scoring

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/pipeline"
)

// oddLosses gives each model sums that no short binary fraction equals.
type oddLosses struct{ models []float64 }

func (l oddLosses) Score(_ context.Context, windows []pipeline.Window, _ func(int)) (pipeline.WindowLosses, error) {
	var all pipeline.WindowLosses
	for _, factor := range l.models {
		sums := make([]float64, len(windows))
		for i, w := range windows {
			for _, id := range w.Tokens[len(w.Tokens)-w.Counted():] {
				sums[i] += factor * float64(id) / 3
			}
		}
		all.Sums = append(all.Sums, sums)
	}
	return all, nil
}

// rowsOf yields earlier scores in runs of n rows.
func rowsOf(s *pipeline.Scores, n int) iter.Seq2[*pipeline.Scores, error] {
	return func(yield func(*pipeline.Scores, error) bool) {
		for at := 0; at < s.Len(); at += n {
			to := min(at+n, s.Len())
			part := &pipeline.Scores{Shard: s.Shard, Row: s.Row[at:to], Seq: s.Seq[at:to], TokenCount: s.TokenCount[at:to], Prior: s.Prior[at:to], Reason: s.Reason[at:to]}
			if !yield(part, nil) {
				return
			}
		}
	}
}

func scoreEarlier(t *testing.T, losses Losses, earlier iter.Seq2[*pipeline.Scores, error], opt Options, texts ...[]any) (*pipeline.Scores, Counts, error) {
	t.Helper()
	scorer, err := NewConditionalScorer(losses, earlier, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer scorer.Close()
	stage := NewTokenizeStage(loadTokenizer(t), memory.DefaultAllocator)
	var all []*pipeline.Scores
	row := int64(0)
	for _, some := range texts {
		batch, err := stage.Apply(t.Context(), textBatch(memory.DefaultAllocator, row, some...))
		if err != nil {
			t.Fatal(err)
		}
		row += int64(len(some))
		scores, err := scorer.Score(t.Context(), batch)
		if err != nil {
			return nil, Counts{}, err
		}
		all = append(all, scores)
	}
	scores, err := scorer.Finish(t.Context())
	if err != nil {
		return nil, Counts{}, err
	}
	return joined(append(all, scores)), scorer.Counts(), nil
}

// TestEarlierScoresGiveTheSameRows scores a second conditional with the prior's
// column of the first one, and with both models.
func TestEarlierScoresGiveTheSameRows(t *testing.T) {
	texts := [][]any{
		{"Call me Ishmael.", "", "Some years ago, never mind how long precisely, having little or no money in my purse.", nil},
		{"a", "I thought I would sail about.", "A way I have of driving off the spleen."},
	}
	for _, opt := range []Options{{Unit: Document, SequenceLength: 8}, {Unit: Sequence, SequenceLength: 8}} {
		batches := func() (all []pipeline.Batch) {
			row := int64(0)
			for _, some := range texts {
				all = append(all, textBatch(memory.DefaultAllocator, row, some...))
				row += int64(len(some))
			}
			return all
		}
		_, first := scoreAll(t, oddLosses{[]float64{0.1, 0.7}}, opt, batches()...)
		both, want := scoreAll(t, oddLosses{[]float64{0.1, 0.9}}, opt, batches()...)
		for _, n := range []int{1, 3, 100} {
			got, counts, err := scoreEarlier(t, oddLosses{[]float64{0.9}}, rowsOf(first, n), opt, texts...)
			if err != nil {
				t.Fatal(err)
			}
			equalNaN := gocmp.Comparer(func(a, b float32) bool { return a == b || a != a && b != b })
			if diff := gocmp.Diff(want, got, equalNaN); diff != "" {
				t.Errorf("%s: %s", opt.Unit, diff)
			}
			if diff := gocmp.Diff(both.Counts(), counts); diff != "" {
				t.Errorf("%s: %s", opt.Unit, diff)
			}
		}
	}
}

// TestEarlierScoresOfOtherRowsAreRefused changes them in turn.
func TestEarlierScoresOfOtherRowsAreRefused(t *testing.T) {
	texts := []any{"Call me Ishmael.", "", "I thought I would sail about."}
	opt := Options{Unit: Document, SequenceLength: 8}
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		change func(s *pipeline.Scores)
		want   string
	}{
		"row":    {func(s *pipeline.Scores) { s.Row[1]++ }, "row 2, sequence 0"},
		"seq":    {func(s *pipeline.Scores) { s.Seq[0]++ }, "sequence 1"},
		"tokens": {func(s *pipeline.Scores) { s.TokenCount[2]++ }, "tokens"},
		"reason": {func(s *pipeline.Scores) { s.Reason[2] = pipeline.NaNScore }, "nan_score"},
		"fewer":  {func(s *pipeline.Scores) { s.Row = slices.Clone(s.Row[:2]) }, "end before row 2"},
		"more": {func(s *pipeline.Scores) {
			s.Row, s.Seq, s.TokenCount, s.Prior, s.Reason = append(s.Row, 3), append(s.Seq, 0), append(s.TokenCount, 1), append(s.Prior, 1), append(s.Reason, "")
		}, "more of them"},
	} {
		_, all := scoreAll(t, oddLosses{[]float64{0.1, 0.7}}, opt, textBatch(memory.DefaultAllocator, 0, texts...))
		c.change(all)
		_, _, err := scoreEarlier(t, oddLosses{[]float64{0.9}}, rowsOf(all, 2), opt, texts)
		if !errors.Is(err, ErrEarlier) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err := scoreEarlier(t, oddLosses{[]float64{0.9}}, func(yield func(*pipeline.Scores, error) bool) { yield(nil, broken) }, opt, texts)
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	_, all := scoreAll(t, oddLosses{[]float64{0.1, 0.7}}, opt, textBatch(memory.DefaultAllocator, 0, texts...))
	if _, _, err := scoreEarlier(t, oddLosses{[]float64{0.1, 0.9}}, rowsOf(all, 2), opt, texts); err == nil || !strings.Contains(err.Error(), "2 models gave losses, want 1") {
		t.Errorf("two models: %v", err)
	}
}
