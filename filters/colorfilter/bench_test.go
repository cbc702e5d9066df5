package colorfilter

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/curate-data/curate/pipeline"
)

// benchSource gives out many runs of one length. Its columns are shared by all
// runs except for the scores, which it holds for the whole pool.
type benchSource struct {
	run    pipeline.Scores
	scores []float32
}

func newBenchSource(rows int) *benchSource {
	const length = 1 << 16
	rng := rand.New(rand.NewPCG(1, 2))
	s := &benchSource{scores: make([]float32, rows)}
	for i := range s.scores {
		s.scores[i] = float32(rng.NormFloat64()*0.2 - 0.6)
	}
	domains := []string{"books", "encyclopedia", "news", "web"}
	for i := range length {
		s.run.Row, s.run.Seq = append(s.run.Row, int64(i)), append(s.run.Seq, 0)
		s.run.TokenCount, s.run.Reason = append(s.run.TokenCount, int32(rng.IntN(500))), append(s.run.Reason, "")
		s.run.Domain = append(s.run.Domain, domains[i/7%4])
		s.run.Conditional = append(s.run.Conditional, 0)
	}
	return s
}

// Scores implements pipeline.ScoreSource.
func (s *benchSource) Scores(context.Context) iter.Seq2[*pipeline.Scores, error] {
	return func(yield func(*pipeline.Scores, error) bool) {
		length := len(s.run.Row)
		for start := 0; start < len(s.scores); start += length {
			end := min(start+length, len(s.scores))
			run := s.run
			run.Shard = fmt.Sprintf("part-%09d", start)
			run.Row, run.Seq, run.TokenCount = run.Row[:end-start], run.Seq[:end-start], run.TokenCount[:end-start]
			run.Domain, run.Reason, run.Conditional = run.Domain[:end-start], run.Reason[:end-start], run.Conditional[:end-start]
			run.Color = s.scores[start:end]
			run.Prior = run.Color
			if !yield(&run, nil) {
				return
			}
		}
	}
}

// BenchmarkPass gives ns per score of each pass over 10 million scores, and
// MB, the memory that the selection itself allocates. bench/selection.py times the
// same with numpy. Set -benchtime=1x.
func BenchmarkPass(b *testing.B) {
	const rows = 10_000_000
	src := newBenchSource(rows)
	ctx := context.Background()
	for _, o := range []Options{{KeepFraction: 1.0 / 16}, {KeepTokens: 100_000_000}, {Method: Random, Seed: 1, KeepFraction: 1.0 / 16}} {
		f, err := New(o)
		if err != nil {
			b.Fatal(err)
		}
		var coarse, fine *Histogram
		var cut *Cut
		passes := []struct {
			name string
			run  func() error
		}{
			{"1-coarse", func() (err error) { coarse, err = f.Coarse(ctx, src); return err }},
			{"2-fine", func() (err error) { fine, err = f.Fine(ctx, src, coarse); return err }},
			{"3-decide", func() (err error) {
				if cut, err = f.Cut(coarse, fine); err != nil {
					return err
				}
				for _, e := range f.Decide(ctx, src, cut) {
					err = e
				}
				return err
			}},
		}
		budget := strings.Fields(fmt.Sprintf("%s %s", f.options.Method, map[bool]string{true: "tokens", false: "rows"}[o.KeepTokens > 0]))
		for _, pass := range passes {
			b.Run(strings.Join(append(budget, pass.name), "/"), func(b *testing.B) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range b.N {
					if err := pass.run(); err != nil {
						b.Fatal(err)
					}
				}
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/rows/float64(b.N), "ns/score")
				b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/1e6/float64(b.N), "MB")
			})
		}
	}
}
