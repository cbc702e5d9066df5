package train

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/curate-data/curate/pipeline"
)

func TestPermutationVisitsAllOnce(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 4, 5, 16, 17, 1000, 4097} {
		p := newPermutation(n, 7, 0)
		seen := make([]bool, n)
		for i := range n {
			at := p.at(i)
			if at >= n || seen[at] {
				t.Fatalf("n %d: element %d is %d, out of range or for the second time", n, i, at)
			}
			seen[at] = true
		}
	}
}

func TestPermutationDependsOnSeedAndEpoch(t *testing.T) {
	order := func(seed, epoch uint64) []uint64 {
		p := newPermutation(1000, seed, epoch)
		out := make([]uint64, 1000)
		for i := range out {
			out[i] = p.at(uint64(i))
		}
		return out
	}
	first := order(1, 0)
	if !slices.Equal(first, order(1, 0)) {
		t.Error("the same seed and epoch give another order")
	}
	for name, other := range map[string][]uint64{"seed": order(2, 0), "epoch": order(1, 1)} {
		same := 0
		for i := range first {
			if first[i] == other[i] {
				same++
			}
		}
		if same > 10 { // one of 1000 places is expected to agree, by chance
			t.Errorf("another %s: %d of 1000 places agree", name, same)
		}
	}
	// Neighbours must not stay neighbours: mean distance of a random order is a third.
	var distance float64
	for i := 1; i < len(first); i++ {
		distance += max(float64(first[i])-float64(first[i-1]), float64(first[i-1])-float64(first[i]))
	}
	if mean := distance / 999; mean < 300 || mean > 366 {
		t.Errorf("mean distance of neighbours is %v, want about 333", mean)
	}
}

func TestRowHashSpreads(t *testing.T) {
	const n = 64000
	for _, salt := range []uint64{saltBudget, saltHeldout} {
		var bins [64]int
		for i := range n {
			id := pipeline.RowID{Shard: fmt.Sprintf("shard-%05d.parquet", i%10), Row: int64(i / 10)}
			bins[rowHash(3, salt, id)>>58]++
		}
		var chi float64
		for _, count := range bins {
			d := float64(count) - n/64
			chi += d * d / (n / 64)
		}
		if chi < 30 || chi > 110 { // 63 degrees of freedom: 99.9 % lie between
			t.Errorf("salt %x: chi-squared %v over 64 bins", salt, chi)
		}
	}
	id := pipeline.RowID{Shard: "a", Row: 5}
	if rowHash(1, saltBudget, id) == rowHash(2, saltBudget, id) || rowHash(1, saltBudget, id) == rowHash(1, saltHeldout, id) {
		t.Error("seed or salt does not matter")
	}
}

// TestTallyTakesSmallestHashes compares with sorting all rows by bucket.
func TestTallyTakesSmallestHashes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	type row struct {
		bucket int
		tokens int64
	}
	for range 50 {
		rows := make([]row, 1+random.IntN(3000))
		var all int64
		for i := range rows {
			rows[i] = row{random.IntN(buckets), 1 + int64(random.IntN(100))}
			all += rows[i].tokens
		}
		want := 1 + random.Int64N(2*all)
		sorted := slices.Clone(rows)
		slices.SortFunc(sorted, func(a, b row) int { return a.bucket - b.bucket })
		if k := random.IntN(len(rows)); k%2 == 0 { // a budget that some rows fill exactly
			want = 0
			for _, r := range sorted[:k+1] {
				want += r.tokens
			}
		}
		var sum int64
		last := buckets // the bucket that fills the budget
		for _, r := range sorted {
			if sum += r.tokens; sum >= want {
				last = r.bucket
				break
			}
		}
		for range 3 {
			random.Shuffle(len(rows), func(i, k int) { rows[i], rows[k] = rows[k], rows[i] })
			tally := newTally(want, buckets)
			for _, r := range rows {
				if tally.in(r.bucket) {
					tally.add(r.bucket, r.tokens)
				}
			}
			for _, r := range rows {
				if tally.in(r.bucket) != (r.bucket <= last) {
					t.Fatalf("budget %d of %d: bucket %d in is %v, last bucket wanted is %d", want, all, r.bucket, tally.in(r.bucket), last)
				}
			}
		}
	}
}
