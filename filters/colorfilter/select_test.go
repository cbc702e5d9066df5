package colorfilter

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/curate-data/curate/pipeline"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// A row that the conditional model finds easier than the prior must win: a
// selection by the opposite sign keeps the worst rows.
func TestLowerConditionalLossWins(t *testing.T) {
	// prior, conditional: only row 1 fits the target better than the corpus.
	pool := losses([2]float32{3, 3.5}, [2]float32{4, 3}, [2]float32{2, 2.1}, [2]float32{5, 8})
	for method, winner := range map[Method]int{Color: 1, Conditional: 2, Perplexity: 2} {
		all, cut := mustSelect(t, Options{Method: method, KeepRows: 1}, pool)
		for i, d := range all {
			if d.Keep != (i == winner) {
				t.Errorf("%s: row %d has keep %t, the winner is row %d", method, i, d.Keep, winner)
			}
		}
		if cut.Kept != 1 {
			t.Errorf("%s: %d rows kept, want 1", method, cut.Kept)
		}
	}
	// All scores but one are negative, as in practice: the cut is at rank, never at zero.
	all, cut := mustSelect(t, Options{KeepRows: 2}, pool)
	if !all[2].Keep || math.Abs(float64(cut.Threshold)+0.1) > 1e-6 {
		t.Errorf("the second best row has keep %t at threshold %g, want true at -0.1", all[2].Keep, cut.Threshold)
	}
}

func TestSelectionEqualsFullSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := drawPool(t)
		o := Options{
			Method: rapid.SampledFrom([]Method{Color, Conditional, Perplexity, Random}).Draw(t, "method"),
			Seed:   rapid.Uint64().Draw(t, "seed"),
		}
		switch rapid.IntRange(0, 2).Draw(t, "budget") {
		case 0:
			o.KeepFraction = float64(rapid.IntRange(1, 64).Draw(t, "64ths")) / 64
		case 1:
			o.KeepRows = rapid.Int64Range(1, 40).Draw(t, "rows")
		case 2:
			o.KeepTokens = rapid.Int64Range(1, 400).Draw(t, "tokens")
		}
		got, cut, err := selectAll(o, pool)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(reference(o, pool), got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%+v (-full sort +got):\n%s", o, diff)
		}
		checkCounts(t, cut, got, pool)
	})
}

// drawPool draws a pool of few distinct scores in shards of any size.
func drawPool(t *rapid.T) *memoryPool {
	score := rapid.OneOf(
		rapid.SampledFrom([]float32{0, float32(math.Copysign(0, -1)), 1, -1, 1e-45, -1e-45}),
		rapid.Float32(),
		rapid.SampledFrom([]float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}),
	)
	pool := &memoryPool{runLength: rapid.IntRange(0, 7).Draw(t, "run length")}
	for shard := range rapid.IntRange(0, 4).Draw(t, "shards") {
		for row := range rapid.IntRange(0, 20).Draw(t, "rows of shard") {
			r := poolRow{
				id:     pipeline.RowID{Shard: fmt.Sprint("shard-", shard), Row: int64(row / 2), Seq: int32(row)},
				tokens: rapid.Int32Range(0, 20).Draw(t, "tokens"),
				domain: rapid.SampledFrom([]string{"", "books", "web"}).Draw(t, "domain"),
				color:  score.Draw(t, "score"),
			}
			r.prior = r.color
			if rapid.IntRange(0, 5).Draw(t, "rejected") == 0 {
				r.reason = pipeline.EmptyText
			}
			pool.rows = append(pool.rows, r)
		}
	}
	return pool
}

// checkCounts adds the decisions up and compares with what the cut says.
func checkCounts(t *rapid.T, cut *Cut, all []decision, pool *memoryPool) {
	var want Outcome
	var eligible, above, ties int64
	want.Dropped = make(map[pipeline.Reason]int64)
	for i, d := range all {
		if d.Keep {
			want.Kept++
			want.KeptTokens += int64(pool.rows[i].tokens)
		} else {
			want.Dropped[d.Reason]++
		}
		if math.IsNaN(float64(d.Score)) {
			continue
		}
		eligible++
		switch {
		case d.Score > cut.Threshold:
			above++
		case d.Score == cut.Threshold:
			ties++
		}
	}
	got := cut.Outcome
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Outcome{}, "Domains", "Plot", "TiesKept", "TiesDropped")); diff != "" {
		t.Fatalf("outcome (-want +got):\n%s", diff)
	}
	if cut.Rows != int64(len(all)) || cut.Eligible != eligible {
		t.Fatalf("%d rows, %d eligible; want %d, %d", cut.Rows, cut.Eligible, len(all), eligible)
	}
	if cut.Method != Random && eligible > 0 && (cut.Above.Rows != above || cut.Ties.Rows != ties) {
		t.Fatalf("%d rows above %g, %d at it; want %d, %d", cut.Above.Rows, cut.Threshold, cut.Ties.Rows, above, ties)
	}
	if got.TiesKept+got.TiesDropped != cut.Ties.Rows || cut.Above.Rows+got.TiesKept != got.Kept {
		t.Fatalf("%d above and %d of %d ties kept do not make %d kept", cut.Above.Rows, got.TiesKept, cut.Ties.Rows, got.Kept)
	}
	var domains DomainCount
	for _, d := range got.Domains {
		domains.Rows += d.Rows
		domains.Tokens += d.Tokens
		domains.KeptRows += d.KeptRows
		domains.KeptTokens += d.KeptTokens
	}
	if domains != (DomainCount{"", cut.Rows, cut.Tokens, got.Kept, got.KeptTokens}) {
		t.Fatalf("domains add up to %+v, the pool to %d rows, %d tokens, kept %d, %d", domains, cut.Rows, cut.Tokens, got.Kept, got.KeptTokens)
	}
	plot := cut.Plot
	if kept := sum(plot.Kept) + plot.UnderKept + plot.OverKept; kept != got.Kept {
		t.Fatalf("the plot counts %d kept rows, want %d", kept, got.Kept)
	}
	if dropped := sum(plot.Dropped) + plot.UnderDropped + plot.OverDropped; dropped != eligible-got.Kept {
		t.Fatalf("the plot counts %d dropped rows, want %d", dropped, eligible-got.Kept)
	}
}

func sum(counts []int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

func TestRejectedRowsCountAndAreNeverKept(t *testing.T) {
	pool := &memoryPool{}
	for i := range 30 {
		r := poolRow{id: pipeline.RowID{Shard: "a", Row: int64(i)}, tokens: 5}
		if i >= 2 { // 28 of 30 rows cannot be selected
			r.reason = pipeline.NullText
		}
		pool.rows = append(pool.rows, r)
	}
	_, cut := mustSelect(t, Options{KeepFraction: 0.1}, pool)
	if cut.Budget != 3 || cut.Kept != 2 || cut.Dropped[pipeline.NullText] != 28 {
		t.Errorf("budget %d, kept %d, null %d; want a budget of a tenth of all 30 rows, and the 2 that can be kept", cut.Budget, cut.Kept, cut.Dropped[pipeline.NullText])
	}
}

func TestNonFiniteLossesRejectWhateverTheMethod(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	pool := losses([2]float32{nan, 1}, [2]float32{1, nan}, [2]float32{inf, 1}, [2]float32{1, inf}, [2]float32{inf, inf}, [2]float32{1, 1})
	for _, method := range []Method{Color, Conditional, Perplexity, Random} {
		all, cut := mustSelect(t, Options{Method: method, KeepFraction: 1}, pool)
		want := map[pipeline.Reason]int64{pipeline.NaNScore: 3, pipeline.InfScore: 2} // inf - inf is NaN
		if diff := cmp.Diff(want, cut.Dropped); diff != "" || !all[5].Keep {
			t.Errorf("%s: keep of the good row %t, dropped (-want +got):\n%s", method, all[5].Keep, diff)
		}
	}
}

func TestTokenBudgetEndsAtFirstRowThatDoesNotFit(t *testing.T) {
	pool := losses([2]float32{9, 0}, [2]float32{8, 0}, [2]float32{8, 0}, [2]float32{8, 0}, [2]float32{7, 0})
	for i, tokens := range []int32{10, 10, 50, 1, 1} {
		pool.rows[i].tokens = tokens
	}
	all, cut := mustSelect(t, Options{KeepTokens: 30}, pool)
	for i, want := range []pipeline.Reason{"", "", pipeline.TieAtCut, pipeline.TieAtCut, pipeline.BelowCut} {
		if all[i].Reason != want || all[i].Keep != (want == "") {
			t.Errorf("row %d: keep %t, reason %q, want reason %q", i, all[i].Keep, all[i].Reason, want)
		}
	}
	if cut.KeptTokens != 20 || cut.TiesKept != 1 || cut.TiesDropped != 2 {
		t.Errorf("kept %d tokens, %d ties, dropped %d; want 20, 1, 2", cut.KeptTokens, cut.TiesKept, cut.TiesDropped)
	}
}

// A row without tokens fits into a budget that is met exactly.
func TestTokenBudgetMetExactly(t *testing.T) {
	pool := losses([2]float32{9, 0}, [2]float32{8, 0}, [2]float32{7, 0}, [2]float32{6, 0})
	for i, tokens := range []int32{10, 20, 0, 1} {
		pool.rows[i].tokens = tokens
	}
	all, cut := mustSelect(t, Options{KeepTokens: 30}, pool)
	if !all[0].Keep || !all[1].Keep || !all[2].Keep || all[3].Keep || cut.KeptTokens != 30 {
		t.Errorf("decisions %v, %d tokens; want the first three rows", all, cut.KeptTokens)
	}
	if cut.Threshold != 6 || cut.TiesKept != 0 || all[3].Reason != pipeline.BelowCut {
		t.Errorf("threshold %g, %d ties kept, reason %q; the budget ends at the row of score 6, which has no tie", cut.Threshold, cut.TiesKept, all[3].Reason)
	}
}

// Rows come one at a time or all at once: the selection is the same.
func TestRunLengthDoesNotMatter(t *testing.T) {
	pool := manyTies(2000)
	want, wantCut := mustSelect(t, Options{KeepFraction: 0.37}, pool)
	for _, length := range []int{1, 7, 1999} {
		pool.runLength = length
		got, cut := mustSelect(t, Options{KeepFraction: 0.37}, pool)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("runs of %d (-whole +got):\n%s", length, diff)
		}
		if diff := cmp.Diff(wantCut, cut); diff != "" {
			t.Errorf("cut with runs of %d (-whole +got):\n%s", length, diff)
		}
	}
}

func manyTies(n int) *memoryPool {
	rng := rand.New(rand.NewPCG(1, 2))
	pool := &memoryPool{}
	for i := range n {
		score := float32(rng.IntN(20)) / 8
		pool.rows = append(pool.rows, poolRow{id: pipeline.RowID{Shard: fmt.Sprint(i * 10 / n), Row: int64(i)}, tokens: int32(rng.IntN(9)), prior: score, color: score})
	}
	return pool
}

// Without bias: each row of a pool is kept as often as any other, over seeds.
func TestRandomIsUniformAndDependsOnSeed(t *testing.T) {
	pool := manyTies(200)
	kept := make([]int, len(pool.rows))
	const seeds = 200
	for seed := range uint64(seeds) {
		all, cut := mustSelect(t, Options{Method: Random, Seed: seed, KeepFraction: 0.25}, pool)
		if cut.Kept != 50 {
			t.Fatalf("seed %d: %d of 200 rows kept, want 50", seed, cut.Kept)
		}
		for i, d := range all {
			if d.Keep {
				kept[i]++
			}
		}
	}
	// Binomial(200, 1/4): mean 50, standard deviation 6.1; the most extreme of
	// 200 rows stays within 5 of them.
	if low, high := slices.Min(kept), slices.Max(kept); low < 19 || high > 81 {
		t.Errorf("rows are kept %d to %d times of %d, want about 50", low, high, seeds)
	}
	first := kept[0] + kept[1] + kept[2] + kept[3] + kept[4] // rows that ties favour
	if first < 181 || first > 319 {
		t.Errorf("the first 5 rows are kept %d times, want about 250", first)
	}
}
