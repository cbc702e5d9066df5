package colorfilter

import (
	"errors"
	"fmt"
	"math"
)

// Method says what rows are ranked by. The highest scores are kept.
type Method string

// The methods. Color is the paper's; the others are its baselines.
const (
	Color       Method = "color"       // prior loss minus conditional loss
	Conditional Method = "conditional" // minus the conditional loss: "Conditional only" of the paper's section 4.1
	Perplexity  Method = "perplexity"  // minus the prior loss: keeps the lowest perplexity
	Random      Method = "random"      // a hash of the seed and the row's address
)

// Options say how to rank and how much to keep. Exactly one of the three
// budgets is above zero.
type Options struct {
	Method Method // empty means Color

	// KeepFraction keeps floor(KeepFraction x all rows of the pool). Rejected
	// rows count as rows of the pool, so that a pool with bad rows is not
	// filtered less strictly. The paper's tau is 1/KeepFraction.
	KeepFraction float64
	// KeepRows keeps this many rows.
	KeepRows int64
	// KeepTokens keeps the longest run of best rows whose token counts add up
	// to at most this many. It ends at the first row that does not fit; no
	// shorter row of lower score fills the gap.
	KeepTokens int64
	// KeepNothing is a budget of zero, which the other three cannot say.
	KeepNothing bool

	Seed uint64 // of Random; other methods ignore it
}

// Validate lists every fault of the options.
func (o Options) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	switch o.Method {
	case "", Color, Conditional, Perplexity, Random:
	default:
		fault("unknown method %q: use %s, %s, %s or %s", o.Method, Color, Conditional, Perplexity, Random)
	}
	budgets := 0
	for _, set := range []bool{o.KeepFraction != 0, o.KeepRows != 0, o.KeepTokens != 0, o.KeepNothing} {
		if set {
			budgets++
		}
	}
	if budgets != 1 {
		fault("%d budgets are set: set exactly one of keep fraction, keep rows and keep tokens", budgets)
	}
	if math.IsNaN(o.KeepFraction) || o.KeepFraction < 0 || o.KeepFraction > 1 {
		fault("keep fraction %v is not in (0, 1]", o.KeepFraction)
	}
	if o.KeepRows < 0 {
		fault("keep rows %d is negative", o.KeepRows)
	}
	if o.KeepTokens < 0 {
		fault("keep tokens %d is negative", o.KeepTokens)
	}
	return errors.Join(faults...)
}

// Filter ranks and selects by one set of Options. It holds no state of a pool,
// so one Filter may serve any number of pools, also at the same time.
type Filter struct{ options Options }

// New returns a Filter, or all faults of the options.
func New(o Options) (*Filter, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("check selection options: %w", err)
	}
	if o.Method == "" {
		o.Method = Color
	}
	return &Filter{options: o}, nil
}

// budget returns how much may be kept of a pool of so many rows, and whether
// that is counted in tokens.
func (o Options) budget(rows int64) (amount int64, tokens bool) {
	switch {
	case o.KeepTokens > 0:
		return o.KeepTokens, true
	case o.KeepRows > 0:
		return o.KeepRows, false
	}
	return floorFraction(o.KeepFraction, rows), false
}

// floorFraction returns floor(f*n) for the fraction that f was rounded from:
// the largest k whose k/n, as a float64, is at most f. So 0.29 of 100 is 29,
// although the product in floating point is below 29, and 1/3 of 3 is 1.
func floorFraction(f float64, n int64) int64 {
	if n <= 0 {
		return 0
	}
	k := min(n, int64(f*float64(n)))
	for k < n && float64(k+1)/float64(n) <= f {
		k++
	}
	for k > 0 && float64(k)/float64(n) > f {
		k--
	}
	return k
}

// Of returns the options with a fraction turned into the rows that it is of a
// pool of so many: for a pool whose other rows an earlier filter has dropped.
func (o Options) Of(rows int64) Options {
	if o.KeepFraction == 0 {
		return o
	}
	o.KeepRows = floorFraction(o.KeepFraction, rows)
	o.KeepFraction, o.KeepNothing = 0, o.KeepRows == 0
	return o
}
