package lm

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/scoring/backend"
)

const (
	// lossTolerance is nats per token, float32 against float32 of OLMo's code.
	lossTolerance = 2e-5
	// gradientTolerance is relative to the tensor's norm.
	gradientTolerance = 1e-4
)

// golden is what scripts/golden/make_lm.py and make_families.py write.
type golden struct {
	Tokens    [][]int32               `json:"tokens"`
	Loss      [][]float64             `json:"loss"`
	LogZ      [][]float64             `json:"log_z"`
	Gradients map[string]float64      `json:"gradients"`
	Probes    map[string][][2]float64 `json:"probes"`
}

// goldenCases returns the folders of testdata with a golden.json: of the class
// OLMo, and of transformers' families. XLA compiles each for seconds, so there
// it is one of each family unless CURATE_FULL is 1.
func goldenCases(t *testing.T, be *backend.Backend) []string {
	t.Helper()
	if be.Name != backend.Go && os.Getenv("CURATE_FULL") != "1" {
		return []string{
			"testdata/olmo/heads16", "testdata/families/olmo", "testdata/families/olmo2", "testdata/families/llama-llama3", "testdata/families/mistral-window",
			"testdata/families/gpt_neox", "testdata/families/gpt2-untied", "testdata/families/qwen2-window", "testdata/families/qwen3-window",
		}
	}
	files, err := filepath.Glob("testdata/*/*/golden.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d goldens, %v", len(files), err)
	}
	for i, file := range files {
		files[i] = filepath.Dir(file)
	}
	return files
}

func loadGolden(t *testing.T, dir string) (*Model, golden) {
	t.Helper()
	model, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	return model, g
}

// eachBackend runs a test on pure Go and on XLA for CPUs, which is skipped only
// where no plugin is installed and CURATE_REQUIRE_XLA is not 1.
func eachBackend(t *testing.T, test func(t *testing.T, be *backend.Backend)) {
	for _, name := range []string{backend.Go, backend.CPU} {
		t.Run(name, func(t *testing.T) { test(t, openBackend(t, name)) })
	}
}

func openBackend(t *testing.T, name string) *backend.Backend {
	t.Helper()
	be, err := backend.Open(name)
	if errors.Is(err, backend.ErrNoPlugin) && os.Getenv("CURATE_REQUIRE_XLA") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := be.Close(); err != nil {
			t.Error(err)
		}
	})
	return be
}

// call builds and runs a graph once.
func call(t *testing.T, be *backend.Backend, build func([]*graph.Node) []*graph.Node, inputs ...any) [][]float32 {
	t.Helper()
	exec, err := graph.NewExec(be.Backend, build)
	if err != nil {
		t.Fatal(err)
	}
	defer exec.Finalize()
	outputs, err := exec.Call(inputs...)
	if err != nil {
		t.Fatal(err)
	}
	var flat [][]float32
	for _, out := range outputs {
		values, err := tensors.CopyFlatData[float32](out)
		if err != nil {
			t.Fatal(err)
		}
		flat = append(flat, values)
	}
	return flat
}

func inputsOf(model *Model, tokens [][]int32) []any {
	inputs := []any{tensors.FromValue(tokens)}
	for _, p := range model.Params {
		inputs = append(inputs, tensors.FromFlatDataAndDimensions(p.Data, p.Shape...))
	}
	return inputs
}

func TestLossesEqualTheFamilysOwnCode(t *testing.T) {
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		worst := map[string]float64{}
		for _, name := range goldenCases(t, be) {
			model, want := loadGolden(t, name)
			got := call(t, be, func(in []*graph.Node) []*graph.Node {
				loss, logZ := Losses(model.Config, in[1:], Inputs{Tokens: in[0]})
				return []*graph.Node{loss, logZ}
			}, inputsOf(model, want.Tokens)...)
			far := max(furthest(t, got[0], want.Loss), furthest(t, got[1], want.LogZ))
			if !(far <= lossTolerance) {
				t.Errorf("%s: differs by up to %.2g nats per token, want at most %.2g", name, far, lossTolerance)
			}
			worst[model.Config.Family] = max(worst[model.Config.Family], far)
		}
		for _, family := range Families() {
			if _, ok := worst[family]; !ok {
				t.Errorf("%s has no golden", family)
			}
			t.Logf("%s: largest difference %.2g nats", family, worst[family])
		}
	})
}

// furthest returns the largest difference of two tables, NaN if there is one.
func furthest(t *testing.T, got []float32, want [][]float64) float64 {
	t.Helper()
	if len(got) != len(want)*len(want[0]) {
		t.Fatalf("%d values, want %d x %d", len(got), len(want), len(want[0]))
	}
	worst := 0.0
	for i, row := range want {
		for j, w := range row {
			worst = max(worst, math.Abs(float64(got[i*len(row)+j])-w))
		}
	}
	return worst
}

func TestGradientsEqualTheFamilysOwnCode(t *testing.T) {
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		cases := goldenCases(t, be)
		if be.Name != backend.Go && len(cases) == len(Families()) {
			cases = cases[:1] // gradients take twice as long
		}
		for _, name := range cases {
			model, want := loadGolden(t, name)
			got := call(t, be, func(in []*graph.Node) []*graph.Node {
				loss, logZ := Losses(model.Config, in[1:], Inputs{Tokens: in[0]})
				total := graph.Add(graph.ReduceAllMean(loss), graph.MulScalar(graph.ReduceAllMean(graph.Square(logZ)), 1e-4))
				return graph.Gradient(total, in[1:]...)
			}, inputsOf(model, want.Tokens)...)
			for i, p := range model.Params {
				norm, tolerance := want.Gradients[p.Name], gradientTolerance*want.Gradients[p.Name]
				if d := math.Abs(l2(got[i]) - norm); norm == 0 || !(d <= tolerance) {
					t.Errorf("%s: gradient of %s has norm %v, want %v", name, p.Name, l2(got[i]), norm)
				}
				for _, probe := range want.Probes[p.Name] {
					if g := float64(got[i][int(probe[0])]); !(math.Abs(g-probe[1]) <= tolerance) {
						t.Errorf("%s: gradient of %s at %v is %v, want %v", name, p.Name, probe[0], g, probe[1])
					}
				}
			}
		}
	})
}

func l2(values []float32) float64 {
	sum := 0.0
	for _, v := range values {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

// TestScoreEqualsOLMo scores whole and cut sequences of the goldens together:
// causal, so a cut one has the first losses of the whole.
func TestScoreEqualsOLMo(t *testing.T) {
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		model, golden := loadGolden(t, "testdata/olmo/heads16")
		var sequences [][]int32
		var want []float64
		for i, ids := range golden.Tokens {
			for _, length := range []int{48, 1, 2, 7, 25, 33, 0, 47, 12} {
				sum := 0.0
				for _, loss := range golden.Loss[i][:max(length, 1)-1] {
					sum += loss
				}
				sequences, want = append(sequences, ids[:length]), append(want, sum)
			}
		}
		scorer, err := NewScorer(be, []*Model{model, model}, ScorerOptions{SequenceLength: 48, BatchTokens: 144})
		if err != nil {
			t.Fatal(err)
		}
		defer scorer.Close()
		got, err := scoreWindows(scorer, sequences)
		if err != nil {
			t.Fatal(err)
		}
		for m := range 2 {
			for i, w := range want {
				if d := math.Abs(got[m][i] - w); !(d <= lossTolerance*float64(len(sequences[i]))) {
					t.Errorf("model %d, sequence %d of %d tokens: %v, OLMo's %v", m, i, len(sequences[i]), got[m][i], w)
				}
			}
		}
	})
}

// TestGoBackendComesToAnEnd runs a graph whose products wait for each other for ever
// in compute v0.1.2 when operations run side by side.
func TestGoBackendComesToAnEnd(t *testing.T) {
	be := openBackend(t, backend.Go)
	model, want := loadGolden(t, "testdata/families/qwen3")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 40 {
			call(t, be, func(in []*graph.Node) []*graph.Node {
				loss, _ := Losses(model.Config, in[1:], Inputs{Tokens: in[0]})
				return graph.Gradient(graph.ReduceAllMean(loss), in[1:]...)
			}, inputsOf(model, want.Tokens)...)
		}
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Minute):
		t.Fatal("it hangs")
	}
}
