package lm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPublishedConfigs reads config.json files as they are published: their
// Arch is written out here, and the numbers of parameters are those that the
// files of weights have.
func TestPublishedConfigs(t *testing.T) {
	rotary := func(dim int, theta float64) Rope { return Rope{Dim: dim, Theta: theta} }
	cases := map[string]struct {
		arch           Arch
		parameters     int64
		positions, eos int
	}{
		"pythia-160m": {Arch{
			Family: "gpt_neox", Width: 768, Layers: 12, Heads: 12, KVHeads: 12, HeadDim: 64, Hidden: 3072, Embeddings: 50304, Norm: LayerNorm, NormEps: 1e-5,
			Parallel: true, QKVBias: true, OutBias: true, MLPBias: true, Rope: rotary(16, 10000), Activation: GELU, QKV: PerHeadQKV,
		}, 162_322_944, 2048, 0},
		"gpt2": {Arch{
			Family: "gpt2", Width: 768, Layers: 12, Heads: 12, KVHeads: 12, HeadDim: 64, Hidden: 3072, Embeddings: 50257, Positions: 1024, Tied: true,
			Norm: LayerNorm, NormEps: 1e-5, QKVBias: true, OutBias: true, MLPBias: true, Activation: GELUTanh, QKV: JoinedQKV, Transpose: true,
		}, 124_439_808, 1024, 50256},
		"smollm2-135m": {llamaArch("llama", Arch{
			Width: 576, Layers: 30, Heads: 9, KVHeads: 3, HeadDim: 64, Hidden: 1536, Embeddings: 49152, Tied: true, NormEps: 1e-5, Rope: rotary(64, 100000),
		}), 134_515_008, 8192, 0},
		"tinyllama-1.1b": {llamaArch("llama", Arch{
			Width: 2048, Layers: 22, Heads: 32, KVHeads: 4, HeadDim: 64, Hidden: 5632, Embeddings: 32000, NormEps: 1e-5, Rope: rotary(64, 10000),
		}), 1_100_048_384, 2048, 2},
		"llama-3.2-1b": {llamaArch("llama", Arch{
			Width: 2048, Layers: 16, Heads: 32, KVHeads: 8, HeadDim: 64, Hidden: 8192, Embeddings: 128256, Tied: true, NormEps: 1e-5,
			Rope: Rope{Dim: 64, Theta: 500000, Kind: "llama3", Factor: 32, LowFactor: 1, HighFactor: 4, Original: 8192},
		}), 1_235_814_400, 131072, 128001},
		"mistral-7b-v0.3": {llamaArch("mistral", Arch{
			Width: 4096, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128, Hidden: 14336, Embeddings: 32768, NormEps: 1e-5, Rope: rotary(128, 1e6),
		}), 7_248_023_552, 32768, 2},
		"mistral-7b-v0.1": {llamaArch("mistral", Arch{
			Width: 4096, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128, Hidden: 14336, Embeddings: 32000, NormEps: 1e-5, Rope: rotary(128, 10000), Window: 4096,
		}), 7_241_732_096, 32768, 2},
		"qwen2.5-0.5b": {llamaArch("qwen2", Arch{
			Width: 896, Layers: 24, Heads: 14, KVHeads: 2, HeadDim: 64, Hidden: 4864, Embeddings: 151936, Tied: true, NormEps: 1e-6, Rope: rotary(64, 1e6), QKVBias: true,
		}), 494_032_768, 32768, 151643},
		"qwen3-0.6b": {llamaArch("qwen3", Arch{
			Width: 1024, Layers: 28, Heads: 16, KVHeads: 8, HeadDim: 128, Hidden: 3072, Embeddings: 151936, Tied: true, NormEps: 1e-6, Rope: rotary(128, 1e6), QKNorm: PerHeadNorm,
		}), 596_049_920, 40960, 151645},
		"olmo-1b": {Arch{
			Family: "olmo", Width: 2048, Layers: 16, Heads: 16, KVHeads: 16, HeadDim: 128, Hidden: 8192, Embeddings: 50304, Tied: true, Norm: LayerNorm, NormEps: 1e-5,
			Rope: rotary(128, 10000), Activation: SiLU, Gated: true, QKV: SeparateQKV,
		}, 1_176_764_416, 2048, 50279},
		"olmo-2-0425-1b": {llamaArch("olmo2", Arch{
			Width: 2048, Layers: 16, Heads: 16, KVHeads: 16, HeadDim: 128, Hidden: 8192, Embeddings: 100352, NormEps: 1e-6, NormAfter: true, QKNorm: WholeNorm,
			Rope: rotary(128, 500000),
		}), 1_484_916_736, 4096, 100257},
	}
	for name, want := range cases {
		var c Config
		readJSON(t, "testdata/published/"+name+".json", &c)
		if diff := cmp.Diff(want.arch, c.Arch); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if n := c.NumParams(); n != want.parameters {
			t.Errorf("%s has %d parameters, want %d", name, n, want.parameters)
		}
		if c.MaxSequenceLength != want.positions || c.EOSTokenID != want.eos {
			t.Errorf("%s: %d positions, end of text %d", name, c.MaxSequenceLength, c.EOSTokenID)
		}
	}
}

// llamaArch adds what the kin of LLaMA have in common.
func llamaArch(family string, a Arch) Arch {
	a.Family, a.Norm, a.Activation, a.Gated, a.QKV = family, RMSNorm, SiLU, true, SeparateQKV
	return a
}
