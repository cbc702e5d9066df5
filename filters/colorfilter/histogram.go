package colorfilter

import (
	"errors"
	"fmt"
)

const bins = 1 << 16

// Bin counts the eligible rows of a range of keys.
type Bin struct {
	Rows   int64 `json:"rows"`
	Tokens int64 `json:"tokens"`
}

// Histogram counts the eligible rows of a pool, or of a part of one, by 16 bits
// of their rank keys. Parts counted apart, on other machines even, Merge into
// the histogram of the whole.
type Histogram struct {
	Method Method `json:"method"`
	Seed   uint64 `json:"seed"`
	Totals Totals `json:"totals"`

	// Fine is false for a histogram by the upper 16 bits of the key. A fine one
	// is by the lower 16 bits, of the keys whose upper bits are Upper.
	Fine  bool   `json:"fine"`
	Upper uint16 `json:"upper"`
	Bins  []Bin  `json:"bins"` // 65536 of them
}

func newHistogram(o Options, fine bool, upper uint16) *Histogram {
	return &Histogram{Method: o.Method, Seed: o.Seed, Fine: fine, Upper: upper, Bins: make([]Bin, bins)}
}

// Merge adds the counts of another part of the same pool.
func (h *Histogram) Merge(part *Histogram) error {
	switch {
	case h.Method != part.Method || h.Seed != part.Seed:
		return fmt.Errorf("merge histograms: method %s, seed %d does not fit method %s, seed %d", part.Method, part.Seed, h.Method, h.Seed)
	case h.Fine != part.Fine || h.Upper != part.Upper:
		return errors.New("merge histograms: they count different bits")
	case len(h.Bins) != len(part.Bins):
		return fmt.Errorf("merge histograms: %d bins do not fit %d", len(part.Bins), len(h.Bins))
	}
	h.Totals.add(part.Totals)
	for i, b := range part.Bins {
		h.Bins[i].Rows += b.Rows
		h.Bins[i].Tokens += b.Tokens
	}
	return nil
}

// count adds the rows of a run.
func (h *Histogram) count(run rankedRun) {
	for i, key := range run.key {
		if run.why[i] != "" {
			continue
		}
		slot := key >> 16
		if h.Fine {
			if uint16(slot) != h.Upper {
				continue
			}
			slot = key & 0xffff
		}
		h.Bins[slot].Rows++
		h.Bins[slot].Tokens += int64(run.TokenCount[i])
	}
}

// sum returns the counts of all bins together.
func (h *Histogram) sum() Bin {
	var all Bin
	for _, b := range h.Bins {
		all.Rows += b.Rows
		all.Tokens += b.Tokens
	}
	return all
}

// cut walks the bins from the highest down and returns the one in which a
// budget of rows or tokens ends, with the counts of those above it. When the
// budget is for all rows, it is the lowest bin that has a row; without any row,
// ok is false.
//
// A budget of k rows ends at row k, the last that is kept; a budget of tokens
// ends at the first row that does not fit.
func (h *Histogram) cut(budget int64, tokens bool) (bin int, above Bin, ok bool) {
	var sum Bin
	for i := len(h.Bins) - 1; i >= 0; i-- {
		b := h.Bins[i]
		if b.Rows == 0 {
			continue
		}
		bin, above, ok = i, sum, true
		sum.Rows += b.Rows
		sum.Tokens += b.Tokens
		if tokens && sum.Tokens > budget || !tokens && sum.Rows >= budget {
			break
		}
	}
	return bin, above, ok
}

// quantile returns the lowest score of the bin that holds rank p (0 to 1,
// counted from the lowest score) of a coarse histogram, or the highest.
func (h *Histogram) quantile(p float64, highest bool) float32 {
	rank := int64(p * float64(h.Totals.Eligible))
	bin := 0
	for i, b := range h.Bins {
		if b.Rows == 0 {
			continue
		}
		bin, rank = i, rank-b.Rows
		if rank < 0 {
			break
		}
	}
	key := uint32(bin) << 16
	if highest {
		key |= 0xffff
	}
	return h.score(key)
}

// score maps a key back to the score that it came from.
func (h *Histogram) score(key uint32) float32 {
	if h.Method == Random {
		return randomScore(key)
	}
	return keyScore(key)
}
