package colorfilter

// plotBins is fine enough to show the shape of a distribution on a page.
const plotBins = 64

// Plot is the histogram of the eligible scores for people to look at: bins of
// equal width that cover about the 0.1 to the 99.9 percentile, and what lies
// outside. It is empty for a pool without eligible rows.
type Plot struct {
	Low  float64 `json:"low"` // bin i begins at Low + i*(High-Low)/len(Kept)
	High float64 `json:"high"`

	// Rows by bin; rows that were rejected before selection are in none.
	Kept    []int64 `json:"kept"`
	Dropped []int64 `json:"dropped"`

	UnderKept    int64 `json:"under_kept"` // rows with a score below Low
	UnderDropped int64 `json:"under_dropped"`
	OverKept     int64 `json:"over_kept"` // rows with a score of High or above
	OverDropped  int64 `json:"over_dropped"`
}

func newPlot(low, high float32) Plot {
	p := Plot{Low: float64(low), High: float64(high)}
	if p.Low == p.High {
		p.High++ // a single value: any width will do
	}
	return p.empty()
}

// empty returns a plot of the same range without counts.
func (p Plot) empty() Plot {
	if p.Low == p.High {
		return Plot{}
	}
	return Plot{Low: p.Low, High: p.High, Kept: make([]int64, plotBins), Dropped: make([]int64, plotBins)}
}

func (p *Plot) add(score float32, kept bool) {
	x := float64(score)
	var count *int64
	switch {
	case x < p.Low:
		count = pick(kept, &p.UnderKept, &p.UnderDropped)
	case x >= p.High:
		count = pick(kept, &p.OverKept, &p.OverDropped)
	default:
		at := min(int((x-p.Low)/(p.High-p.Low)*plotBins), plotBins-1)
		count = pick(kept, &p.Kept[at], &p.Dropped[at])
	}
	*count++
}

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}
