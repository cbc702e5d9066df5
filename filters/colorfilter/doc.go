// Package colorfilter turns the scores of a pool into a selection: which rows
// to keep and, for every other row, why not. It is pure arithmetic: no model,
// no files, no goroutines.
//
// The score of CoLoR-Filter (Brandfonbrener et al., arXiv 2406.10670, eq. 6-7)
// is prior loss minus conditional loss, and the highest are kept; the paper
// states the same with the opposite sign and keeps the lowest. Selection is
// global and exact, as in the authors' scripts/select_index_np.py, but needs no
// sort and no memory that grows with the pool:
//
//  1. Pass one counts the rows by the upper 16 bits of their 32-bit rank key,
//     an integer in the order of the scores. That finds the bin of the cut.
//  2. Pass two counts the rows of that bin by the lower 16 bits. That finds the
//     score of the cut, and how much of the budget is left for rows of exactly
//     this score.
//  3. Pass three decides row by row. Rows of equal score are kept in the order
//     (shard, row, seq) as far as the budget goes.
//
// Fit makes the first two passes, Decide the third. The counts of pass one and
// two are Histograms, which add up over the parts of a pool.
package colorfilter
