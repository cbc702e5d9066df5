package colorfilter

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/curate-data/curate/pipeline"
	"github.com/google/go-cmp/cmp"
)

// Parts of a pool counted apart and merged give the cut of the whole.
func TestHistogramsOfPartsMerge(t *testing.T) {
	for _, o := range []Options{{KeepFraction: 0.2}, {KeepTokens: 3000}, {Method: Random, Seed: 7, KeepRows: 55}} {
		whole := manyTies(3000)
		_, want := mustSelect(t, o, whole)
		parts := []*memoryPool{{rows: whole.rows[:900]}, {rows: whole.rows[900:900]}, {rows: whole.rows[900:]}}
		f, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		count := func(pass func(*memoryPool) (*Histogram, error)) *Histogram {
			var all *Histogram
			for _, part := range parts {
				h, err := pass(part)
				if err != nil {
					t.Fatal(err)
				}
				if all == nil {
					all = h
				} else if err := all.Merge(h); err != nil {
					t.Fatal(err)
				}
			}
			return all
		}
		coarse := count(func(p *memoryPool) (*Histogram, error) { return f.Coarse(context.Background(), p) })
		fine := count(func(p *memoryPool) (*Histogram, error) { return f.Fine(context.Background(), p, coarse) })
		cut, err := f.Cut(coarse, fine)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range f.Decide(context.Background(), whole, cut) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, cut); diff != "" {
			t.Errorf("%+v: cut (-whole +merged):\n%s", o, diff)
		}
		if err := coarse.Merge(fine); err == nil {
			t.Error("a fine histogram merged into a coarse one")
		}
	}
}

func TestPlotCountsEveryEligibleRow(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pool := &memoryPool{}
	for i := range 20000 {
		score := float32(rng.NormFloat64()*0.2 - 0.6)
		if i%4000 == 0 {
			score = float32(10-i/1000) * 1e30 // far outside, on both sides
		}
		pool.rows = append(pool.rows, poolRow{id: pipeline.RowID{Row: int64(i)}, prior: score, color: score})
	}
	all, cut := mustSelect(t, Options{KeepFraction: 0.3}, pool)
	p := cut.Plot
	// 0.1 and 99.9 percentile of the normal distribution: -0.6 -+ 3.09 * 0.2.
	if math.Abs(p.Low+1.218) > 0.05 || math.Abs(p.High-0.018) > 0.05 || len(p.Kept) != 64 {
		t.Errorf("the plot covers %g to %g in %d bins, want about -1.218 to 0.018 in 64", p.Low, p.High, len(p.Kept))
	}
	want := Plot{Low: p.Low, High: p.High, Kept: make([]int64, 64), Dropped: make([]int64, 64)}
	for _, d := range all {
		under, bins, over := &want.UnderDropped, want.Dropped, &want.OverDropped
		if d.Keep {
			under, bins, over = &want.UnderKept, want.Kept, &want.OverKept
		}
		switch at := math.Floor((float64(d.Score) - p.Low) * (64 / (p.High - p.Low))); {
		case at < 0:
			*under++
		case at >= 64:
			*over++
		default:
			bins[int(at)]++
		}
	}
	if diff := cmp.Diff(want, p); diff != "" || want.UnderDropped < 3 || want.OverKept < 3 {
		t.Errorf("plot (-want +got):\n%s", diff)
	}
}

// Arrow hands out strings that share its buffers, which it then reuses.
func TestDomainNamesOutliveTheirRun(t *testing.T) {
	pool := losses([2]float32{1, 0}, [2]float32{2, 0}, [2]float32{3, 0}, [2]float32{4, 0})
	pool.runLength = 2
	buffer := []byte("books")
	pool.edit = func(_ int, s *pipeline.Scores) {
		copy(buffer, map[bool]string{true: "books", false: "radio"}[s.Row[0] == 0])
		s.Domain[0], s.Domain[1] = unsafe.String(&buffer[0], 5), unsafe.String(&buffer[0], 5)
	}
	_, cut := mustSelect(t, Options{KeepRows: 1}, pool)
	if len(cut.Domains) != 2 || cut.Domains[0].Domain != "books" || cut.Domains[1].Domain != "radio" {
		t.Errorf("domains %+v, want books and radio", cut.Domains)
	}
}

func TestManyDomainsAreBounded(t *testing.T) {
	pool := manyTies(1000)
	for i := range pool.rows {
		pool.rows[i].domain = fmt.Sprint("host-", i%500)
	}
	_, cut := mustSelect(t, Options{KeepFraction: 0.5}, pool)
	if len(cut.Domains) != MaxDomains+1 || cut.Domains[0].Domain != OtherDomains || cut.Domains[0].Rows != 1000-2*MaxDomains {
		t.Errorf("%d domains, first %+v; want %d and the others together", len(cut.Domains), cut.Domains[0], MaxDomains+1)
	}
}
