package lm

import (
	"cmp"
	"slices"
)

// bucket is a shape of device batches. Few shapes, since each is compiled once.
type bucket struct{ rows, length int }

// buckets returns the shapes for sequences of up to SequenceLength tokens,
// short to long: eighth, quarter, half, three quarters, whole, each with as many
// rows as make BatchTokens. Document lengths spread over orders of magnitude:
// the padding of these five stays below a third.
func buckets(o ScorerOptions) []bucket {
	var all []bucket
	for _, eighths := range []int{1, 2, 4, 6, 8} {
		length := max(2, (o.SequenceLength*eighths+7)/8)
		if len(all) > 0 && all[len(all)-1].length >= length {
			continue
		}
		all = append(all, bucket{max(1, o.BatchTokens/length), length})
	}
	return all
}

// batch is a device batch: the sequences of its first rows, by index.
type batch struct {
	bucket
	picked []int
}

// plan orders sequences into batches, longest first: the longest that is left
// decides the bucket, the next longest fill it. Only the last batch has empty
// rows. Sequences without a next-token position are left out.
func plan(sequences [][]int32, buckets []bucket) []batch {
	var order []int
	for i, sequence := range sequences {
		if len(sequence) >= 2 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(len(sequences[b]), len(sequences[a])), cmp.Compare(a, b))
	})
	var batches []batch
	for len(order) > 0 {
		longest := len(sequences[order[0]])
		at, _ := slices.BinarySearchFunc(buckets, longest, func(b bucket, n int) int { return cmp.Compare(b.length, n) })
		n := min(buckets[at].rows, len(order))
		batches = append(batches, batch{buckets[at], order[:n]})
		order = order[n:]
	}
	return batches
}

// tokens returns the batch's ids, row by row. Padding has id 0; the decoder is
// causal, so no loss that counts sees it.
func (b batch) tokens(sequences [][]int32) []int32 {
	ids := make([]int32, b.rows*b.length)
	for row, i := range b.picked {
		copy(ids[row*b.length:], sequences[i])
	}
	return ids
}

// addUp adds the losses [rows,length-1] of each sequence's own positions.
func (b batch) addUp(loss []float32, sequences [][]int32, sums []float64) {
	for row, i := range b.picked {
		at := row * (b.length - 1)
		for _, l := range loss[at : at+len(sequences[i])-1] {
			sums[i] += float64(l)
		}
	}
}
