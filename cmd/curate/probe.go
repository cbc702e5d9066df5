package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
)

// States of a backend.
const (
	stateOK      = "ok"
	stateMissing = "missing" // what it needs is not there
	stateFailed  = "failed"  // it is there and does not work
)

// probeCommand is the hidden command that tries a backend: in a process of its
// own, since a plugin that fails in C++ takes its process along.
const probeCommand = "probe-backend"

// probeTimeout ends a plugin that hangs. The first start on a GPU can take a minute.
const probeTimeout = 3 * time.Minute

// probed is what was found out about a backend.
type probed struct {
	Name    string         `json:"name"`
	State   string         `json:"state"`
	Problem string         `json:"problem,omitempty"`
	Remedy  string         `json:"remedy,omitempty"`
	Plugin  *probedPlugin  `json:"plugin,omitempty"`
	Devices []probedDevice `json:"devices,omitempty"`
	Speed   *probedSpeed   `json:"speed,omitempty"`
}

type probedPlugin struct {
	Path      string `json:"path"`
	Package   string `json:"package,omitempty"`
	PJRT      string `json:"pjrt_api"`
	StableHLO string `json:"stablehlo,omitempty"`
}

type probedDevice struct {
	Name   string `json:"name"`
	Kind   string `json:"kind,omitempty"`
	Memory int64  `json:"memory_bytes,omitempty"` // 0: unknown
	Free   int64  `json:"free_bytes,omitempty"`
}

// probedSpeed is the outcome of the speed test. A rate of 0 could not be had.
type probedSpeed struct {
	F32    float64 `json:"f32_gflops"`
	BF16   float64 `json:"bf16_gflops"`
	Tokens float64 `json:"tokens_per_second"` // scoring by a random olmo-tiny, windows of 256
}

func newProbeCommand(a *app) *cobra.Command {
	speed := true
	cmd := &cobra.Command{
		Use: probeCommand, Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.printJSON(probe(cmd.Context(), args[0], speed))
		},
	}
	cmd.Flags().BoolVar(&speed, "speed", true, "measure")
	return cmd
}

// probe opens a backend and looks at it.
func probe(ctx context.Context, spec string, speed bool) probed {
	p := probed{Name: spec, State: stateOK}
	be, err := backend.Open(spec)
	if err != nil {
		p.State, p.Problem = stateFailed, err.Error()
		if errors.Is(err, backend.ErrNoPlugin) || errors.Is(err, backend.ErrNoGPU) {
			p.State = stateMissing
		}
		return p
	}
	defer be.Close()
	if be.Plugin != (backend.Plugin{}) {
		p.Plugin = &probedPlugin{be.Plugin.Path, be.Plugin.Package, be.Plugin.API, be.Plugin.StableHLO}
	}
	for n := range be.Devices() {
		d := be.Device(n)
		p.Devices = append(p.Devices, probedDevice{d.Name, d.Kind, d.Memory, d.Free})
	}
	if speed {
		s, err := measure(ctx, be)
		if err != nil {
			p.State, p.Problem = stateFailed, err.Error()
		}
		p.Speed = &s
	}
	return p
}

// measureTime is how long each of the rates is measured: with two backends all
// takes about five seconds.
const measureTime = 800 * time.Millisecond

// measure takes the rates of a backend. Without bfloat16 it can still score.
func measure(ctx context.Context, be *backend.Backend) (probedSpeed, error) {
	product := backend.Product{Rows: 1024, In: 1024, Out: 1024}
	switch be.Name {
	case backend.CUDA:
		product = backend.Product{Rows: 8192, In: 4096, Out: 4096}
	case backend.Go:
		product = backend.Product{Rows: 256, In: 256, Out: 256}
	}
	var s probedSpeed
	rate := func(half bool) (float64, error) {
		product.Half = half
		runs, took, err := be.Time(product, measureTime)
		return float64(runs) * product.Flops() / took.Seconds() / 1e9, err
	}
	var err error
	if s.F32, err = rate(false); err != nil {
		return s, err
	}
	if s.BF16, err = rate(true); err != nil {
		s.BF16 = 0
	}
	s.Tokens, err = measureTokens(ctx, be)
	return s, err
}

// measureTokens scores batches of random ids with a random model.
func measureTokens(ctx context.Context, be *backend.Backend) (float64, error) {
	const length, rows, vocabulary = 256, 4, 4096
	config, err := lm.Preset("olmo-tiny", vocabulary, length)
	if err != nil {
		return 0, err
	}
	model, err := lm.Init(config, 1)
	if err != nil {
		return 0, err
	}
	scorer, err := lm.NewScorer(be, []*lm.Model{model}, lm.ScorerOptions{SequenceLength: length, BatchTokens: length * rows})
	if err != nil {
		return 0, err
	}
	defer scorer.Close()
	batch := make([]pipeline.Window, rows)
	for i := range batch {
		batch[i].Tokens = make([]int32, length)
		for j := range batch[i].Tokens {
			batch[i].Tokens[j] = int32((i*length + j) * 2654435761 % vocabulary)
		}
	}
	if _, err := scorer.Score(ctx, batch, nil); err != nil { // compiles
		return 0, err
	}
	tokens, start := 0, time.Now()
	for tokens == 0 || time.Since(start) < measureTime {
		if _, err := scorer.Score(ctx, batch, nil); err != nil {
			return 0, err
		}
		tokens += rows * length
	}
	return float64(tokens) / time.Since(start).Seconds(), nil
}

// probeApart probes in a process of its own.
func probeApart(ctx context.Context, spec string, speed bool) probed {
	failed := func(format string, args ...any) probed {
		return probed{Name: spec, State: stateFailed, Problem: fmt.Sprintf(format, args...)}
	}
	self, err := os.Executable()
	if err != nil {
		return failed("find this program: %v", err)
	}
	limited, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var out, errs bytes.Buffer
	child := exec.CommandContext(limited, self, probeCommand, spec, fmt.Sprintf("--speed=%t", speed))
	child.Stdout, child.Stderr = &out, &errs
	err = child.Run()
	var p probed
	switch {
	case limited.Err() != nil && ctx.Err() == nil:
		return failed("no answer within %v", probeTimeout)
	case err != nil:
		return failed("the process that tried it died: %v: %s", err, lastWords(errs.String()))
	}
	if err := json.Unmarshal(out.Bytes(), &p); err != nil {
		return failed("the process that tried it gave no answer: %v", err)
	}
	return p
}

// lastWords finds the line of a dead process's stderr that tells most: XLA's
// fatal line (F0000 ...), or a signal, or else the first.
func lastWords(stderr string) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	for _, line := range lines {
		if len(line) > 5 && line[0] == 'F' && line[1] >= '0' && line[1] <= '9' || strings.HasPrefix(line, "SIG") {
			return line
		}
	}
	return lines[0]
}
