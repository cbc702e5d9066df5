package train

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
)

// openXLA opens XLA for CPUs, which CURATE_REQUIRE_XLA=1 says is there.
func openXLA(t *testing.T) *backend.Backend {
	t.Helper()
	be, err := backend.Open(backend.CPU)
	if errors.Is(err, backend.ErrNoPlugin) && os.Getenv("CURATE_REQUIRE_XLA") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { be.Close() })
	return be
}

// runGolden takes the steps of a golden run with another plan, and returns
// losses, gradient norms and the final weights.
func runGolden(t *testing.T, be *backend.Backend, g golden, name string, change func(*Plan)) (losses, norms []float64, weights []lm.Param) {
	t.Helper()
	start, err := lm.Load("testdata/olmo/model")
	if err != nil {
		t.Fatal(err)
	}
	opt, plan := g.options(name)
	change(&plan)
	e, err := newEngine(be, start.Config, opt, plan)
	if err != nil {
		t.Fatal(err)
	}
	e.start(start)
	for i := range g.Batches {
		loss, _, norm, err := e.step(i+1, plan.schedule(opt.LearningRate).At(i+1), g.Batches[i])
		if err != nil {
			t.Fatal(err)
		}
		losses, norms = append(losses, float64(loss)), append(norms, float64(norm))
	}
	if weights, err = e.weights(); err != nil {
		t.Fatal(err)
	}
	return losses, norms, weights
}

func largest(a, b []float64) (worst float64) {
	for i := range a {
		worst = max(worst, math.Abs(a[i]-b[i]))
	}
	return worst
}

// TestCheckpointingChangesNothing: layers that are computed again give the
// losses and gradients of those that are kept.
func TestCheckpointingChangesNothing(t *testing.T) {
	const tolerance = 1e-6 // nats; relative for norms
	g := loadGolden(t)
	openBackends(t, func(t *testing.T, be *backend.Backend) {
		kept, keptNorms, _ := runGolden(t, be, g, "decay", func(p *Plan) {})
		again, againNorms, _ := runGolden(t, be, g, "decay", func(p *Plan) { p.Recompute = true })
		loss, norm := largest(kept[:2], again[:2]), largest(keptNorms[:2], againNorms[:2])/keptNorms[0]
		if !(loss <= tolerance && norm <= tolerance) {
			t.Errorf("losses differ by up to %.2g, gradient norms by %.2g of theirs; want at most %.0g", loss, norm, tolerance)
		}
		all := largest(kept, again) // rounding grows from step to step
		if !(all <= 1e-4) {
			t.Errorf("over %d steps losses differ by up to %.2g", len(kept), all)
		}
		t.Logf("losses differ by %.2g, norms by %.2g; over all steps %.2g", loss, norm, all)
	})
}

// TestPartsEqualTheWhole: gradients that are summed over micro-batches are those of the batch.
func TestPartsEqualTheWhole(t *testing.T) {
	g, be := loadGolden(t), openGo(t)
	whole, norms, _ := runGolden(t, be, g, "paper", func(p *Plan) {})
	for _, micro := range []int{2, 1} {
		parts, partNorms, _ := runGolden(t, be, g, "paper", func(p *Plan) { p.MicroBatch = micro })
		first, all := max(largest(whole[:2], parts[:2]), largest(norms[:2], partNorms[:2])/norms[0]), largest(whole, parts)
		if !(first <= 2e-6 && all <= 1e-4) {
			t.Errorf("parts of %d: the first steps differ by %.2g, all by up to %.2g; want at most 2e-6 and 1e-4", micro, first, all)
		}
		t.Logf("parts of %d: the first steps differ by %.2g, all by up to %.2g", micro, first, all)
	}
}

// TestBFloat16Follows: with matrices and activations in bfloat16 the losses
// stay near those of float32, and the weights are still float32's.
func TestBFloat16Follows(t *testing.T) {
	const tolerance = 0.02 // nats of about 5.5; bfloat16 has 8 bits: 0.4 % a value
	g := loadGolden(t)
	be := openXLA(t)
	for _, recompute := range []bool{true} {
		half, norms, weights := runGolden(t, be, g, "paper", func(p *Plan) { p.Precision, p.Recompute, p.MicroBatch = lm.BFloat16, recompute, 2 })
		var loss, norm float64
		for i, want := range g.Runs["paper"].Steps { // PyTorch's, in float32
			loss, norm = max(loss, math.Abs(half[i]-want.Loss)), max(norm, math.Abs(norms[i]/want.GradNorm-1))
		}
		if !(loss <= tolerance && norm <= tolerance) || loss == 0 {
			t.Errorf("losses differ by up to %.2g nats, norms by %.2g of theirs; want at most %v, and not 0", loss, norm, tolerance)
		}
		t.Logf("checkpointing %v: losses differ by up to %.2g nats, norms by %.2g of theirs", recompute, loss, norm)
		fine := func(v float32) bool { return math.Float32bits(v)&0xffff != 0 } // bits that bfloat16 has not
		if slices.ContainsFunc(weights, func(p lm.Param) bool { return !slices.ContainsFunc(p.Data, fine) }) {
			t.Error("weights were rounded to bfloat16")
		}
	}
}

// TestCheckpointingSavesMemory takes a step of a deep model in processes of
// their own, with and without.
func TestCheckpointingSavesMemory(t *testing.T) {
	const key = "CURATE_TEST_ACTIVATIONS"
	if how := os.Getenv(key); how != "" {
		measureStep(t, how)
		return
	}
	peakBytes(t) // skips where it cannot be measured
	openXLA(t)
	grew := map[string]float64{}
	for _, how := range []string{"f32", "f32 checkpointing", "bf16", "bf16 checkpointing"} {
		child := exec.Command(os.Args[0], "-test.run=^TestCheckpointingSavesMemory$")
		child.Env = append(os.Environ(), key+"="+how)
		out, err := child.CombinedOutput()
		var bytes, cpu float64
		if _, scan := fmt.Sscanf(string(out), "grew %f in %f", &bytes, &cpu); err != nil || scan != nil {
			t.Fatalf("%v: %s", err, out)
		}
		grew[how] = bytes
		t.Logf("%s: a step takes %.0f MiB and %.1f CPU seconds", how, bytes/(1<<20), cpu)
	}
	if grew["f32 checkpointing"] > 0.5*grew["f32"] {
		t.Errorf("checkpointing takes %.0f MiB of %.0f: want at most half", grew["f32 checkpointing"]/(1<<20), grew["f32"]/(1<<20))
	}
}

func measureStep(t *testing.T, how string) {
	be := openXLA(t)
	config, err := lm.Preset("olmo-tiny", 4096, 256)
	if err != nil {
		t.Fatal(err)
	}
	config.Layers = 12
	start, err := lm.Init(config, 1)
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{SequenceLength: 256, BatchSize: 8}.Defaults(256)
	plan := Plan{SequenceLength: 256, BatchSize: 8, MicroBatch: 8, Steps: 10, WarmupSteps: 1, Precision: lm.Float32}
	if strings.HasPrefix(how, "bf16") {
		plan.Precision = lm.BFloat16
	}
	plan.Recompute = strings.HasSuffix(how, "checkpointing")
	e, err := newEngine(be, config, opt, plan)
	if err != nil {
		t.Fatal(err)
	}
	e.start(start)
	tokens := make([]int32, 8*256)
	for i := range tokens {
		tokens[i] = rand.Int32N(4096)
	}
	state := slices.Concat(anys(e.params), anys(e.first), anys(e.second))
	if err := e.whole.PreCompile(append(state, e.tokens(tokens), tensors.FromValue([]float32{0, 0, 0}))...); err != nil {
		t.Fatal(err)
	}
	before := peakBytes(t)
	step := func() {
		if _, _, _, err := e.step(1, 1e-3, tokens); err != nil {
			t.Fatal(err)
		}
	}
	step()
	grew, begun := peakBytes(t)-before, cpuSeconds(t)
	step()
	fmt.Printf("grew %d in %.2f\n", grew, cpuSeconds(t)-begun)
}

// peakBytes is the largest resident set of this process so far.
func peakBytes(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscanf(line, "%d kB", &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// cpuSeconds is what this process has used.
func cpuSeconds(t *testing.T) float64 {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}
