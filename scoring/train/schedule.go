package train

import "math"

// warmupStart and finalShare are the shares of the peak learning rate at which
// the warm-up starts and the cosine ends (alpha_f in OLMo; CoLoR-Filter's
// configuration keeps both at a tenth).
const (
	warmupStart = 0.1
	finalShare  = 0.1
)

// Schedule is a learning rate: linear from a tenth of Peak to Peak over Warmup
// steps, then a cosine down to a tenth of Peak at the last step. It is
// olmo.optim.CosWithWarmup, read with step 1 for the first update.
type Schedule struct {
	Peak   float64
	Warmup int
	Steps  int
}

// At returns the learning rate of a step, the first of which is 1.
func (s Schedule) At(step int) float64 {
	low := s.Peak * finalShare
	switch {
	case step < s.Warmup:
		start := s.Peak * warmupStart
		return start + (s.Peak-start)*float64(step)/float64(s.Warmup)
	case step >= s.Steps:
		return low
	}
	done := float64(step-s.Warmup) / float64(s.Steps-s.Warmup)
	return low + (s.Peak-low)*(1+math.Cos(math.Pi*done))/2
}
