package pipeline

// Window is what a model sees at once: consecutive tokens of one document, or
// of several joined by end-of-text.
type Window struct {
	Tokens []int32
	Seen   int // how many of the first are context alone: the window before has their losses
}

// Counted is the number of tokens whose losses are the window's own. The first
// token of a text has no loss.
func (w Window) Counted() int { return max(0, len(w.Tokens)-max(1, w.Seen)) }

// WindowLosses are what models say of windows.
type WindowLosses struct {
	// Sums has, for each model and window, the sum of the losses of its counted
	// tokens in nats; 0 for a window without any.
	Sums [][]float64
	// DeviceTokens is how many tokens the device computed for each model; those
	// beyond the windows' own are padding.
	DeviceTokens int64
}
