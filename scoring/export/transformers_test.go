package export

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
)

// TestTransformersScoresEqually exports models of every family that has a
// golden, lets transformers load the folders, and compares losses per token.
// `make test-export` sets CURATE_EXPORT_PYTHON to a python with it.
func TestTransformersScoresEqually(t *testing.T) {
	const tolerance = 2e-5 // nats per token, float32 against float32
	python := os.Getenv("CURATE_EXPORT_PYTHON")
	if python == "" {
		t.Skip("needs torch and transformers: make test-export")
	}
	configs, err := filepath.Glob("../lm/testdata/*/*/config.json")
	if err != nil || len(configs) == 0 {
		t.Fatalf("no models: %v", err)
	}
	be, err := backend.Open(backend.Go)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	type request struct {
		Folder string    `json:"folder"`
		Tokens [][]int32 `json:"tokens"`
	}
	var requests []request
	for _, config := range configs {
		m, err := lm.Load(filepath.Dir(config))
		if err != nil {
			t.Fatal(err)
		}
		for _, dtype := range []string{"f32", "bf16"} {
			dir := filepath.Join(t.TempDir(), "model")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			exported(t, m, dtype, dir)
			requests = append(requests, request{dir, randomTokens(m.Config)})
		}
	}
	input, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "requests.json")
	if err := os.WriteFile(path, input, 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(python, "../../scripts/check_export.py", "losses", path)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var losses [][][]float64
	if err := json.Unmarshal(out, &losses); err != nil || len(losses) != len(requests) {
		t.Fatalf("%v: %s", err, out)
	}
	for i, r := range requests {
		m, err := lm.Load(r.Folder)
		if err != nil {
			t.Fatal(err)
		}
		worst := furthest(ownLosses(t, be, m, r.Tokens), losses[i])
		name := filepath.Base(filepath.Dir(configs[i/2])) + " " + []string{"f32", "bf16"}[i%2]
		if !(worst <= tolerance) {
			t.Errorf("%s: transformers differs by up to %.2g nats per token, want at most %.0g", name, worst, tolerance)
		}
		t.Logf("%s (%s): largest difference %.2g nats per token", name, m.Config.Family, worst)
	}
}

func randomTokens(c lm.Config) [][]int32 {
	random := rand.New(rand.NewPCG(1, 2))
	tokens := make([][]int32, 2)
	for i := range tokens {
		for range min(48, c.MaxSequenceLength) {
			tokens[i] = append(tokens[i], random.Int32N(int32(c.VocabSize)))
		}
	}
	return tokens
}

// ownLosses returns the losses of curate's graph, row by row.
func ownLosses(t *testing.T, be *backend.Backend, m *lm.Model, tokens [][]int32) []float32 {
	t.Helper()
	exec, err := graph.NewExec(be.Backend, func(in []*graph.Node) *graph.Node {
		loss, _ := lm.Losses(m.Config, in[1:], lm.Inputs{Tokens: in[0]})
		return loss
	})
	if err != nil {
		t.Fatal(err)
	}
	defer exec.Finalize()
	inputs := []any{tensors.FromValue(tokens)}
	for _, p := range m.Params {
		inputs = append(inputs, tensors.FromFlatDataAndDimensions(p.Data, p.Shape...))
	}
	loss, err := exec.Call1(inputs...)
	if err != nil {
		t.Fatal(err)
	}
	flat, err := tensors.CopyFlatData[float32](loss)
	if err != nil {
		t.Fatal(err)
	}
	return flat
}

// furthest returns the largest difference, infinite if the shapes differ.
func furthest(got []float32, want [][]float64) float64 {
	worst, at := 0.0, 0
	for _, row := range want {
		for _, w := range row {
			if at == len(got) {
				return math.Inf(1)
			}
			if d := math.Abs(float64(got[at]) - w); !(d <= worst) {
				worst = d
			}
			at++
		}
	}
	if at != len(got) {
		return math.Inf(1)
	}
	return worst
}
