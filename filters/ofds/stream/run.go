package stream

import (
	"context"
	"fmt"
)

// Select runs all passes over a source on this machine.
func Select(ctx context.Context, source Source, opt Options) (*Outcome, error) {
	census, err := NewCensus(opt)
	if err != nil {
		return nil, err
	}
	if err := census.Count(ctx, source); err != nil {
		return nil, fmt.Errorf("first pass: %w", err)
	}
	book, err := Train(ctx, census, opt)
	if err != nil {
		return nil, err
	}
	census = nil // its samples are most of the memory
	tally, err := NewTally(book, opt)
	if err != nil {
		return nil, err
	}
	if err := tally.Count(ctx, source); err != nil {
		return nil, fmt.Errorf("second pass: %w", err)
	}
	return tally.Choose(ctx)
}
