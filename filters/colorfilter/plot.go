package colorfilter

import "github.com/curate-data/curate/pipeline"

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

// plotCounter counts the rows of a Plot while they pass by.
type plotCounter struct {
	low, high float64
	scale     float64                // bins per unit of score
	counts    [plotBins + 2][2]int64 // under, the bins, over; dropped and kept
}

func newPlotCounter(low, high float32) plotCounter {
	c := plotCounter{low: float64(low), high: float64(high)}
	if c.low == c.high {
		c.high++ // a single value: any width will do
	}
	c.scale = plotBins / (c.high - c.low)
	return c
}

func (c *plotCounter) add(d *pipeline.Decisions) {
	for i, score := range d.Score {
		at := (float64(score)-c.low)*c.scale + 1
		switch { // before the conversion, which overflows for scores far outside
		case at != at: // rejected
			continue
		case at < 0:
			at = 0
		case at > plotBins+1:
			at = plotBins + 1
		}
		column := 0
		if d.Keep[i] {
			column = 1
		}
		c.counts[int(at)][column]++
	}
}

func (c *plotCounter) plot() Plot {
	p := Plot{Low: c.low, High: c.high, Kept: make([]int64, plotBins), Dropped: make([]int64, plotBins)}
	p.UnderDropped, p.UnderKept = c.counts[0][0], c.counts[0][1]
	p.OverDropped, p.OverKept = c.counts[plotBins+1][0], c.counts[plotBins+1][1]
	for i := range plotBins {
		p.Dropped[i], p.Kept[i] = c.counts[i+1][0], c.counts[i+1][1]
	}
	return p
}
