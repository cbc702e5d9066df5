package lm

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/curate-data/curate/scoring/backend"
)

// BenchmarkScore measures tokens per second of whole sequences through the
// Scorer, one model, the first batch (which compiles) left out. bench/scoring.py
// measures PyTorch on the same shapes.
func BenchmarkScore(b *testing.B) {
	for _, c := range []struct {
		backend, preset string
		vocab, length   int
	}{
		{backend.CPU, "olmo-150m", 50280, 512},
		{backend.CPU, "olmo-tiny", 4096, 256},
		{backend.Go, "olmo-tiny", 4096, 256},
	} {
		b.Run(fmt.Sprintf("%s/%s/T%d", c.backend, c.preset, c.length), func(b *testing.B) {
			be, err := backend.Open(c.backend)
			if err != nil {
				b.Skip(err)
			}
			defer be.Close()
			config, err := Preset(c.preset, c.vocab, c.length)
			if err != nil {
				b.Fatal(err)
			}
			model, err := Init(config, 1)
			if err != nil {
				b.Fatal(err)
			}
			benchScore(b, be, model, c.length)
		})
	}
}

func benchScore(b *testing.B, be *backend.Backend, model *Model, length int) {
	scorer, err := NewScorer(be, []*Model{model}, ScorerOptions{SequenceLength: length})
	if err != nil {
		b.Fatal(err)
	}
	defer scorer.Close()
	sequences := make([][]int32, 4096/length)
	for i := range sequences {
		for range length {
			sequences[i] = append(sequences[i], rand.Int32N(int32(model.Config.VocabSize)))
		}
	}
	start := cpuTime(b)
	if _, err := scoreWindows(scorer, sequences); err != nil {
		b.Fatal(err)
	}
	compile := cpuTime(b) - start
	tokens, cpu := 0, cpuTime(b)
	for b.Loop() {
		if _, err := scoreWindows(scorer, sequences); err != nil {
			b.Fatal(err)
		}
		tokens += len(sequences) * length
	}
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tok/s")
	b.ReportMetric(compile.Seconds(), "first-cpu-s")
	b.ReportMetric(float64(tokens)/(cpuTime(b)-cpu).Seconds(), "tok/cpu-s")
}

// cpuTime is what the process has used: it tells speed on a shared machine.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkTwoModels measures one model against two on the same batches, in
// turns and together, in one run: the ratio is what counts.
func BenchmarkTwoModels(b *testing.B) {
	be, err := backend.Open(backend.CPU)
	if err != nil {
		b.Skip(err)
	}
	defer be.Close()
	for _, c := range []struct {
		preset        string
		vocab, length int
	}{{"olmo-tiny", 4096, 256}, {"olmo-20m", 50280, 512}, {"olmo-150m", 50280, 512}} {
		b.Run(c.preset, func(b *testing.B) { benchTwoModels(b, be, c.preset, c.vocab, c.length) })
	}
}

func benchTwoModels(b *testing.B, be *backend.Backend, preset string, vocab, length int) {
	config, err := Preset(preset, vocab, length)
	if err != nil {
		b.Fatal(err)
	}
	model, err := Init(config, 1)
	if err != nil {
		b.Fatal(err)
	}
	sequences := make([][]int32, 4*DefaultBatchTokens/length)
	for i := range sequences {
		for range length {
			sequences[i] = append(sequences[i], rand.Int32N(int32(vocab)))
		}
	}
	kinds := []string{"one", "turns", "together"}
	scorers := make([]*Scorer, len(kinds))
	for k, models := range [][]*Model{{model}, {model, model}, {model, model}} {
		if scorers[k], err = NewScorer(be, models, ScorerOptions{SequenceLength: length, OneByOne: kinds[k] == "turns"}); err != nil {
			b.Fatal(err)
		}
		defer scorers[k].Close()
		if _, err := scoreWindows(scorers[k], sequences[:DefaultBatchTokens/length]); err != nil {
			b.Fatal(err)
		}
	}
	took := make([][]float64, len(kinds))
	for b.Loop() {
		for k, scorer := range scorers {
			start := time.Now()
			if _, err := scoreWindows(scorer, sequences); err != nil {
				b.Fatal(err)
			}
			took[k] = append(took[k], time.Since(start).Seconds())
		}
	}
	median := func(k int) float64 {
		slices.Sort(took[k])
		return took[k][len(took[k])/2]
	}
	b.ReportMetric(float64(len(sequences)*length)/median(0), "one-tok/s")
	b.ReportMetric(median(1)/median(0), "turns/one")
	b.ReportMetric(median(2)/median(0), "together/one")
}
