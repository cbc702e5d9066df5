package train

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/curate-data/curate/scoring/lm"
)

// TestEveryFamilyLearns takes some steps from models of all families, tied and
// untied, with biases and grouped heads. That gradients are right is the business of
// scoring/lm; here every tensor has to move, and the loss on what is repeated to fall.
func TestEveryFamilyLearns(t *testing.T) {
	be := openGo(t)
	for _, name := range []string{"gpt2", "gpt_neox", "gpt_neox-tied", "llama-llama3", "mistral", "olmo", "olmo2-tied", "qwen2", "qwen3"} {
		t.Run(name, func(t *testing.T) {
			start, err := lm.Load(filepath.Join("../lm/testdata/families", name))
			if err != nil {
				t.Fatal(err)
			}
			length := min(24, start.Config.MaxSequenceLength)
			opt := Options{SequenceLength: length, LearningRate: 5e-3, WeightDecay: 0.1}.Defaults(length)
			plan := Plan{SequenceLength: length, BatchSize: 2, MicroBatch: 2, Steps: 8, WarmupSteps: 1, Precision: lm.Float32, Recompute: true}
			e, err := newEngine(be, start.Config, opt, plan)
			if err != nil {
				t.Fatal(err)
			}
			e.start(start)
			random := rand.New(rand.NewPCG(1, 1))
			tokens := make([]int32, 2*length)
			for i := range tokens {
				tokens[i] = random.Int32N(int32(start.Config.VocabSize))
			}
			var losses []float32
			for step := 1; step <= plan.Steps; step++ {
				loss, _, _, err := e.step(step, plan.schedule(opt.LearningRate).At(step), tokens)
				if err != nil {
					t.Fatal(err)
				}
				losses = append(losses, loss)
			}
			if last := losses[len(losses)-1]; !(last < losses[0]-0.5) {
				t.Errorf("losses on the same batch: %v", losses)
			}
			weights, err := e.weights()
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range weights {
				if slices.Equal(p.Data, start.Params[i].Data) {
					t.Errorf("%s did not move", p.Name)
				}
			}
			trained := &lm.Model{Config: start.Config, Params: weights}
			dir := t.TempDir()
			if err := trained.Save(dir, nil); err != nil {
				t.Fatal(err)
			}
			if back, err := lm.Load(dir); err != nil || back.Digest() != trained.Digest() {
				t.Errorf("does not load back as it was: %v", err)
			}
		})
	}
}

// TestDecayActsOnLinearLayers: embeddings, tied ones included, learned
// positions, biases and norms are left alone.
func TestDecayActsOnLinearLayers(t *testing.T) {
	spared := map[string][]string{
		"gpt2":          {"transformer.wte.weight", "transformer.wpe.weight", "transformer.h.0.attn.c_attn.bias", "transformer.ln_f.weight"},
		"gpt_neox":      {"gpt_neox.embed_in.weight", "gpt_neox.layers.0.mlp.dense_4h_to_h.bias", "gpt_neox.final_layer_norm.weight"},
		"gpt_neox-tied": {"gpt_neox.embed_in.weight"},
		"qwen3":         {"model.embed_tokens.weight", "model.layers.0.self_attn.q_norm.weight"},
	}
	decayed := map[string][]string{
		"gpt2":     {"transformer.h.0.attn.c_attn.weight"},
		"gpt_neox": {"embed_out.weight", "gpt_neox.layers.0.attention.query_key_value.weight"},
		"qwen3":    {"model.layers.0.mlp.gate_proj.weight"},
	}
	for name := range spared {
		m, err := lm.Load(filepath.Join("../lm/testdata/families", name))
		if err != nil {
			t.Fatal(err)
		}
		linear := lm.LinearWeights(m.Config)
		for want, names := range map[bool][]string{false: spared[name], true: decayed[name]} {
			for _, tensor := range names {
				i := slices.IndexFunc(m.Params, func(p lm.Param) bool { return p.Name == tensor })
				if i < 0 || linear[i] != want {
					t.Errorf("%s: %s (tensor %d): want linear %v", name, tensor, i, want)
				}
			}
		}
	}
}
