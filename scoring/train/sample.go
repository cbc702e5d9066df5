package train

import (
	"math"

	"github.com/curate-data/curate/pipeline"
)

// Salts keep the random draws of one seed apart.
const (
	saltOrder   = 0x6f72646572     // order of sequences
	saltBudget  = 0x627564676574   // rows that a token budget takes
	saltHeldout = 0x68656c646f7574 // rows held out
)

// increment is 2^64 divided by the golden ratio, splitmix64's step.
const increment = 0x9E3779B97F4A7C15

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection
// whose output bits each depend on all input bits.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// rowHash draws a number for a row. It depends on seed, salt, shard and row
// only, never on time or order.
func rowHash(seed, salt uint64, id pipeline.RowID) uint64 {
	h := uint64(14695981039346656037) // FNV-1a over the shard's name
	for i := range len(id.Shard) {
		h = (h ^ uint64(id.Shard[i])) * 1099511628211
	}
	return mix(mix(mix(seed^salt)+h) + increment*uint64(id.Row+1))
}

// buckets is how finely a tally cuts the hash space. A budget is overshot by
// one bucket at most: 1/65,536 of the corpus, or one row where rows are few.
const buckets = 1 << 16

// bucketOf returns the place of a hash in a tally.
func bucketOf(hash uint64) int { return int(hash >> 48) }

// tally finds the rows with the smallest hashes that together have `want`
// tokens, in one pass and fixed memory: it keeps tokens per bucket and a cut
// that only ever falls. Since buckets below the final cut were never turned
// away, the final cut depends on the rows alone, not on their order.
type tally struct {
	want   int64
	cut    int   // buckets below it are in
	below  int64 // tokens in them
	tokens [buckets]int64
}

// newTally returns a tally over the first `limit` buckets.
func newTally(want int64, limit int) *tally { return &tally{want: want, cut: limit} }

// in reports whether rows of the bucket are (still) taken.
func (t *tally) in(bucket int) bool { return bucket < t.cut }

// add counts a row of a bucket that is in.
func (t *tally) add(bucket int, tokens int64) {
	t.tokens[bucket] += tokens
	t.below += tokens
	for t.below-t.tokens[t.cut-1] >= t.want {
		t.cut--
		t.below -= t.tokens[t.cut]
	}
}

// noBudget makes a tally take every row.
const noBudget = math.MaxInt64
