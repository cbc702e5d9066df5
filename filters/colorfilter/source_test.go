package colorfilter

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/curate-data/curate/pipeline"
)

func TestSourceThatChangesIsAnError(t *testing.T) {
	edits := map[string]func(s *pipeline.Scores){
		"a row less":       func(s *pipeline.Scores) { *s = *cutShort(s) },
		"a score rejected": func(s *pipeline.Scores) { s.Reason[3] = pipeline.NullText },
		"another score":    func(s *pipeline.Scores) { s.Color[3], s.Prior[3] = 99, 99 },
		"scores swapped":   func(s *pipeline.Scores) { s.Color[0], s.Color[1] = s.Color[1], s.Color[0] },
		"other tokens":     func(s *pipeline.Scores) { s.TokenCount[0]++ },
		"tokens swapped":   func(s *pipeline.Scores) { s.TokenCount[0], s.TokenCount[1] = 10, 30 },
		"another row":      func(s *pipeline.Scores) { s.Row[len(s.Row)-1]++ },
		"another shard":    func(s *pipeline.Scores) { s.Shard = "b" },
		"another reason":   func(s *pipeline.Scores) { s.Reason[4] = pipeline.TooShort },
	}
	for name, edit := range edits {
		for _, pass := range []int{2, 3} {
			for _, o := range []Options{{KeepRows: 2}, {KeepTokens: 35}} {
				pool := losses([2]float32{3, 0}, [2]float32{1, 0}, [2]float32{2, 0}, [2]float32{0.5, 0}, [2]float32{4, 0})
				pool.rows[4].reason = pipeline.EmptyText
				pool.rows[0].tokens = 30
				pool.edit = func(p int, s *pipeline.Scores) {
					if p == pass {
						edit(s)
					}
				}
				_, _, err := selectAll(o, pool)
				if err == nil || !strings.Contains(err.Error(), "changed between passes") {
					t.Errorf("%s in pass %d, %+v: error is %v, want one that says the source changed", name, pass, o, err)
				}
			}
		}
	}
}

func cutShort(s *pipeline.Scores) *pipeline.Scores {
	n := s.Len() - 2
	return &pipeline.Scores{Shard: s.Shard, Row: s.Row[:n], Seq: s.Seq[:n], TokenCount: s.TokenCount[:n], Reason: s.Reason[:n],
		Prior: s.Prior[:n], Conditional: s.Conditional[:n], Color: s.Color[:n]}
}

func TestBadSourcesAreErrors(t *testing.T) {
	cases := map[string]struct {
		edit func(s *pipeline.Scores)
		want string
	}{
		"order":             {func(s *pipeline.Scores) { s.Row[2] = 1 }, `shard "a" row 1 seq 0 comes after shard "a" row 1 seq 0`},
		"missing column":    {func(s *pipeline.Scores) { s.Color = nil }, "column color_score has 0 values for 3 rows"},
		"short column":      {func(s *pipeline.Scores) { s.Domain = s.Domain[:1] }, "column domain has 1 values for 3 rows"},
		"no token counts":   {func(s *pipeline.Scores) { s.TokenCount = nil }, "column token_count has 0 values for 3 rows"},
		"negative tokens":   {func(s *pipeline.Scores) { s.TokenCount[1] = -4 }, `shard "a" row 1: -4 is negative`},
		"wrong sign":        {func(s *pipeline.Scores) { s.Color[1] = -s.Color[1] }, `shard "a" row 1: color score -1 is not prior loss 2 minus conditional loss 1`},
		"other differences": {func(s *pipeline.Scores) { s.Color[1] += 1e-4 }, "is not prior loss"},
	}
	for name, c := range cases {
		pool := losses([2]float32{3, 1}, [2]float32{2, 1}, [2]float32{5, 1})
		pool.edit = func(_ int, s *pipeline.Scores) { c.edit(s) }
		if _, _, err := selectAll(Options{KeepRows: 1}, pool); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want one with %q", name, err, c.want)
		}
	}
	twice := &memoryPool{rows: append(losses([2]float32{1, 0}).rows, losses([2]float32{2, 0}).rows...), runLength: 1}
	if _, _, err := selectAll(Options{KeepRows: 1}, twice); err == nil || !strings.Contains(err.Error(), "must ascend") {
		t.Errorf("a row that comes twice: error is %v", err)
	}
}

// Methods that need no losses work without them.
func TestColumnsThatAreNotNeededMayBeAbsent(t *testing.T) {
	pool := losses([2]float32{3, 1}, [2]float32{2, 1}, [2]float32{5, 1})
	pool.edit = func(_ int, s *pipeline.Scores) { s.Prior, s.Conditional, s.Color, s.Domain = nil, nil, nil, nil }
	_, cut := mustSelect(t, Options{Method: Random, KeepRows: 2}, pool)
	if cut.Kept != 2 {
		t.Errorf("%d rows kept, want 2", cut.Kept)
	}
}

type failingSource struct {
	*memoryPool
	failures []error // by pass
}

func (s *failingSource) Scores(ctx context.Context) iter.Seq2[*pipeline.Scores, error] {
	return func(yield func(*pipeline.Scores, error) bool) {
		for run, err := range s.memoryPool.Scores(ctx) {
			if !yield(run, err) {
				return
			}
		}
		if s.passes <= len(s.failures) && s.failures[s.passes-1] != nil {
			yield(nil, s.failures[s.passes-1])
		}
	}
}

func TestSourceErrorsAndCancelEndEveryPass(t *testing.T) {
	broken := errors.New("broken disk")
	f, err := New(Options{KeepRows: 1})
	if err != nil {
		t.Fatal(err)
	}
	for pass := range 3 {
		src := &failingSource{memoryPool: losses([2]float32{1, 0}, [2]float32{2, 0}), failures: make([]error, 3)}
		src.failures[pass] = broken
		cut, err := f.Fit(context.Background(), src)
		if err == nil {
			for _, e := range f.Decide(context.Background(), src, cut) {
				err = e
			}
		}
		if !errors.Is(err, broken) {
			t.Errorf("a source that fails in pass %d: error is %v", pass+1, err)
		}
		if cut != nil && cut.Kept != 0 {
			t.Errorf("a failed Decide says that %d rows are kept", cut.Kept)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Fit(ctx, losses([2]float32{1, 0})); !errors.Is(err, context.Canceled) {
		t.Errorf("fit with a cancelled context: error is %v", err)
	}
}

func TestDecideRefusesTheCutOfAnotherFilter(t *testing.T) {
	pool := manyTies(100)
	_, cut := mustSelect(t, Options{Method: Random, Seed: 1, KeepRows: 5}, pool)
	other, err := New(Options{Method: Random, Seed: 2, KeepRows: 5})
	if err != nil {
		t.Fatal(err)
	}
	for d, err := range other.Decide(context.Background(), pool, cut) {
		if d != nil || err == nil {
			t.Errorf("decided by the cut of another seed: %v, %v", d, err)
		}
	}
}

// A cut that was stored and edited, or belongs to another pool, is refused.
func TestDecideRefusesACutThatDoesNotFit(t *testing.T) {
	pool := manyTies(100)
	_, cut := mustSelect(t, Options{KeepRows: 30}, pool)
	f, err := New(Options{KeepRows: 30})
	if err != nil {
		t.Fatal(err)
	}
	cut.Key++
	for _, e := range f.Decide(context.Background(), pool, cut) {
		err = e
	}
	if err == nil || !strings.Contains(err.Error(), "does not fit the pool") {
		t.Errorf("error is %v, want one that says that the cut does not fit", err)
	}
}
