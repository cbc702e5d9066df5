package train

import (
	"errors"
	"math"
	"testing"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
)

// openBackends calls f with every backend that this machine has; pure Go always.
func openBackends(t *testing.T, f func(t *testing.T, be *backend.Backend)) {
	for _, name := range []string{backend.Go, backend.CPU, backend.CUDA} {
		t.Run(name, func(t *testing.T) {
			be, err := backend.Open(name)
			if errors.Is(err, backend.ErrNoPlugin) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			defer be.Close()
			f(t, be)
		})
	}
}

// TestStepsAreTorchs repeats runs of PyTorch from the same weights on the same
// batches (scripts/golden/make_train.py), as one graph and in micro-batches.
func TestStepsAreTorchs(t *testing.T) {
	g := loadGolden(t)
	openBackends(t, func(t *testing.T, be *backend.Backend) {
		for name := range g.Runs {
			t.Run(name, func(t *testing.T) { compareRun(t, be, g, name, g.Batch) })
			t.Run(name+" in parts", func(t *testing.T) { compareRun(t, be, g, name, 2) })
		}
	})
}

// options are those of a golden run, in whole batches.
func (g golden) options(name string) (Options, Plan) {
	o := g.Runs[name].Options
	opt := Options{
		Output: "unused", LearningRate: o.LR, Beta1: o.Betas[0], Beta2: o.Betas[1], Eps: o.Eps, WeightDecay: o.WeightDecay,
		ClipNorm: o.Clip, ZLoss: o.ZLoss, SequenceLength: g.Length,
	}
	return opt, Plan{
		SequenceLength: g.Length, BatchSize: g.Batch, MicroBatch: g.Batch, Steps: len(g.Batches), WarmupSteps: o.Warmup, Precision: lm.Float32,
	}
}

func compareRun(t *testing.T, be *backend.Backend, g golden, name string, micro int) {
	const tolerance = 1e-3 // relative beyond 1; losses are near 7 nats, norms near 4
	run := g.Runs[name]
	start, err := lm.Load("testdata/olmo/model")
	if err != nil {
		t.Fatal(err)
	}
	opt, plan := g.options(name)
	plan.MicroBatch = micro
	e, err := newEngine(be, start.Config, opt, plan)
	if err != nil {
		t.Fatal(err)
	}
	e.start(start)
	close := func(what string, got, want float64) {
		t.Helper()
		if d := math.Abs(got - want); !(d <= tolerance*max(1, math.Abs(want))) {
			t.Errorf("%s is %v, PyTorch's %v", what, got, want)
		}
	}
	worst := 0.0
	for i, want := range run.Steps {
		lr := plan.schedule(opt.LearningRate).At(i + 1)
		loss, z, norm, err := e.step(i+1, lr, g.Batches[i])
		if err != nil {
			t.Fatal(err)
		}
		close("loss", float64(loss), want.Loss)
		close("z-loss", float64(z), want.ZLoss)
		close("gradient norm", float64(norm), want.GradNorm)
		close("learning rate in thousandths", 1e3*lr, 1e3*want.LR)
		worst = max(worst, math.Abs(float64(loss)-want.Loss))
	}
	t.Logf("largest difference of a loss: %.2g nats", worst)
	weights, err := e.weights()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range weights {
		var sum float64
		for _, v := range p.Data {
			sum += float64(v) * float64(v)
		}
		close("final norm of "+p.Name, math.Sqrt(sum), run.FinalNorms[p.Name])
	}
}
