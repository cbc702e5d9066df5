package lm

import (
	"strings"
	"testing"

	"github.com/curate-data/curate/scoring/backend"
)

// What is given up first changes no bits; what is asked for is never exceeded.
func TestFit(t *testing.T) {
	config, err := Preset("olmo-150m", 50280, 512)
	if err != nil {
		t.Fatal(err)
	}
	two := []Config{config, config}
	o := ScorerOptions{SequenceLength: 512, BatchTokens: 4096, Precision: Float32}
	full := o.MemoryNeed(backend.CPU, two)
	if weights := 8 * config.NumParams(); full < weights+hostBytes || full > 2*weights+hostBytes {
		t.Errorf("two 150m models take %d MiB, their weights %d MiB", full>>20, weights>>20)
	}
	turns := o
	turns.OneByOne = true
	fewer := turns
	fewer.BatchTokens = 2048
	for _, c := range []struct {
		budget int64
		want   ScorerOptions
	}{
		{full, o}, {full - 1, turns}, {turns.MemoryNeed(backend.CPU, two), turns}, {turns.MemoryNeed(backend.CPU, two) - 1, fewer}, {1 << 62, o},
	} {
		got, err := o.Fit(c.budget, backend.CPU, two)
		if err != nil || got.BatchTokens != c.want.BatchTokens || got.OneByOne != c.want.OneByOne {
			t.Errorf("%d MiB: batches of %d, one by one %t, %v; want %d, %t", c.budget>>20, got.BatchTokens, got.OneByOne, err, c.want.BatchTokens, c.want.OneByOne)
		}
	}
	got, err := o.Fit(1<<30, backend.CPU, two)
	if err == nil || !strings.Contains(err.Error(), "memory of 1024 MiB") || got.BatchTokens != 512 {
		t.Errorf("1 GiB: %+v, %v", got, err)
	}
	half := o
	half.Precision = BFloat16
	if saved := full - half.MemoryNeed(backend.CPU, two); saved != 4*config.NumParams() {
		t.Errorf("bf16 saves %d bytes, want half the weights", saved)
	}
}
