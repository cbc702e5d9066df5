package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/shards"
)

// Options of a score stage that decide bits of losses and that a user need not
// name: without a wish they are what the backend and its memory suggest.
const (
	optionPrecision   = "precision"
	optionBatchTokens = "batch_tokens"
)

// validate finds what is wrong whatever the backend is.
func (o scoreOptions) validate() error {
	_, err := o.Precision.On(backend.CPU)
	if n, parse := strconv.Atoi(o.Devices); o.Devices != "" && o.Devices != "all" && (parse != nil || n < 1) {
		err = errors.Join(err, fmt.Errorf("devices %q: want a number from 1, or all", o.Devices))
	}
	return err
}

// setComputing records how losses are computed.
func setComputing(s *stage, o lm.ScorerOptions) {
	s.options[optionPrecision], s.options[optionBatchTokens] = o.Precision, o.BatchTokens
}

// asBefore takes over from finished output what was not asked for otherwise: a
// second run on another machine, or with other memory, has nothing to do.
func (o scoreOptions) asBefore(ctx context.Context, s *stage) error {
	m, err := shards.ReadManifest(ctx, s.store, manifestName)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, shards.ErrManifest) {
		return nil
	}
	if err != nil {
		return err
	}
	precision, err := o.Precision.On(m.Backend)
	if err != nil {
		return err
	}
	computing := lm.ScorerOptions{Precision: precision, BatchTokens: int(numberOf(m, optionBatchTokens))}
	if before := optionOf(m, optionPrecision); before != "" && (o.Precision == "" || o.Precision == lm.AutoPrecision) {
		computing.Precision = lm.Precision(before)
	}
	if s.app.memory != "" {
		configs, err := o.readConfigs(ctx, s.app)
		if err != nil {
			return err
		}
		wanted := lm.ScorerOptions{SequenceLength: o.Scoring.SequenceLength, BatchTokens: lm.MostBatchTokens(m.Backend), Precision: computing.Precision}
		if wanted, err = o.fit(s.app, wanted, m.Backend, 0, configs); err != nil {
			return err
		}
		computing.BatchTokens = wanted.BatchTokens
	}
	setComputing(s, computing)
	return nil
}

func (o scoreOptions) readConfigs(ctx context.Context, a *app) ([]lm.Config, error) {
	var configs []lm.Config
	for _, folder := range []string{o.Prior, o.Conditional} {
		config, err := a.readModelConfig(ctx, folder)
		if err != nil {
			return nil, err
		}
		configs = append(configs, config)
	}
	return configs, nil
}

// computing chooses precision, devices and batches for models on a backend.
func (o scoreOptions) computing(a *app, be *backend.Backend, configs []lm.Config) (lm.ScorerOptions, error) {
	precision, err := o.Precision.On(be.Name)
	if err != nil {
		return lm.ScorerOptions{}, err
	}
	options := lm.ScorerOptions{
		SequenceLength: o.Scoring.SequenceLength, BatchTokens: lm.MostBatchTokens(be.Name), Precision: precision, Devices: be.Replicas(),
		Notice: func(text string) { a.log.Warn(text) },
	}
	switch {
	case o.Devices == "all":
		options.Devices = be.Devices()
	case o.Devices != "":
		if options.Devices, err = strconv.Atoi(o.Devices); err != nil {
			return options, err
		}
	}
	if options.Devices > be.Devices() {
		return options, usagef("--devices %s: %s has %d", o.Devices, be.Name, be.Devices())
	}
	return o.fit(a, options, be.Name, freeMemory(be, options.Devices), configs)
}

// fit makes batches small enough for --memory, or for half of the memory that
// is free on a CPU and nine tenths of it on a GPU; free is 0 where it is not known.
// Only what was asked for is an error when it does not suffice.
func (o scoreOptions) fit(a *app, options lm.ScorerOptions, backendName string, free int64, configs []lm.Config) (lm.ScorerOptions, error) {
	if a.memory != "" {
		budget, err := parseBytes(a.memory)
		if err != nil {
			return options, usagef("--memory: %w", err)
		}
		fitted, err := options.Fit(budget, backendName, configs)
		if err != nil {
			return fitted, usagef("--memory %s: %w", a.memory, err)
		}
		return fitted, nil
	}
	if free == 0 {
		return options, nil
	}
	budget := free / 2
	if backendName == backend.CUDA {
		budget = free / 10 * 9
	}
	fitted, err := options.Fit(budget, backendName, configs)
	if err != nil {
		a.log.Warn("memory may not suffice; trying", "cause", err)
	}
	return fitted, nil
}

// freeMemory is the least that is free on the first devices; 0 if unknown.
func freeMemory(be *backend.Backend, devices int) int64 {
	least := be.Device(0).Free
	for d := 1; d < devices; d++ {
		least = min(least, be.Device(d).Free)
	}
	return least
}
