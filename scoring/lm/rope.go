package lm

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// rope holds cosine and sine of the rotary angles, [1 or B,1,T,Dim/2] each.
type rope struct{ cos, sin *graph.Node }

// newRope makes the angles of the positions of in, or of 0 to T-1.
func newRope(r Rope, in Inputs) rope {
	g, length, half := in.Tokens.Graph(), in.Tokens.Shape().Dim(1), r.Dim/2
	frequencies, factor := r.frequencies()
	cos, sin := make([]float32, 0, length*half), make([]float32, 0, length*half)
	for t := range length {
		for _, frequency := range frequencies {
			angle := float64(float32(t) * frequency) // float32 as in the families' own code
			cos = append(cos, float32(math.Cos(angle))*factor)
			sin = append(sin, float32(math.Sin(angle))*factor)
		}
	}
	table := func(values []float32) *graph.Node {
		all := graph.ConstTensor(g, tensors.FromFlatDataAndDimensions(values, length, half))
		if in.Positions == nil {
			return graph.ExpandAxes(all, 0, 1)
		}
		return graph.ExpandAxes(graph.Gather(all, graph.ExpandAxes(in.Positions, -1)), 1) // [B,1,T,Dim/2]
	}
	return rope{table(cos), table(sin)}
}

// frequencies returns the angle per position of each pair, and the factor of
// cosines and sines: the formulas of transformers' modeling_rope_utils.py, with
// its roundings to float32.
func (r Rope) frequencies() ([]float32, float32) {
	var all []float32
	for j := range r.Dim / 2 {
		exponent := float32(2*j) / float32(r.Dim)
		all = append(all, 1/float32(math.Pow(float64(float32(r.Theta)), float64(exponent))))
	}
	switch r.Kind {
	case "linear":
		for j := range all {
			all[j] /= float32(r.Factor)
		}
	case "llama3":
		r.stretchLow(all)
	case "yarn":
		r.ramp(all)
		return all, float32(r.Attention)
	}
	return all, 1
}

// stretchLow divides low frequencies, whose wave is longer than the original
// length by LowFactor, and passes gradually to high ones, which stay.
func (r Rope) stretchLow(all []float32) {
	original, low, high, factor := float64(r.Original), r.LowFactor, r.HighFactor, float32(r.Factor)
	for j, f := range all {
		// A number divided by a tensor is the number times its reciprocal, in torch.
		switch wave := 1 / f * float32(2*math.Pi); {
		case wave > float32(original/low):
			all[j] = f / factor
		case wave >= float32(original/high):
			smooth := (1/wave*float32(original) - float32(low)) / float32(high-low)
			all[j] = (1-smooth)*f/factor + smooth*f
		}
	}
}

// ramp is YaRN (arXiv 2309.00071): pairs that turn more than BetaFast times in
// the original length stay, those that turn less than BetaSlow times are slowed
// by Factor, and between the two the share changes linearly.
func (r Rope) ramp(all []float32) {
	pair := func(turns float64) float64 { // the pair that turns so often
		return float64(r.Dim) * math.Log(float64(r.Original)/(turns*2*math.Pi)) / (2 * math.Log(r.Theta))
	}
	from, to := pair(r.BetaFast), pair(r.BetaSlow)
	if r.Truncate {
		from, to = math.Floor(from), math.Ceil(to)
	}
	from, to = max(from, 0), min(to, float64(r.Dim-1))
	if from == to {
		to += 0.001
	}
	for j, f := range all {
		slowed := min(max((float32(j)-float32(from))/float32(to-from), 0), 1)
		kept := 1 - slowed
		all[j] = 1/(float32(r.Factor)*(1/f))*(1-kept) + f*kept
	}
}

// apply rotates the first Dim numbers of heads x [B,H,T,h], in float32.
func (r rope) apply(x *graph.Node) *graph.Node {
	half := r.cos.Shape().Dim(3)
	rest := x.Shape().Dim(3) - 2*half
	part := func(from, to int) *graph.Node {
		return graph.ConvertDType(graph.SliceAxis(x, 3, graph.AxisRange(from, to)), dtypes.Float32)
	}
	a, b := part(0, half), part(half, 2*half)
	pieces := []*graph.Node{
		graph.ConvertDType(graph.Sub(graph.Mul(a, r.cos), graph.Mul(b, r.sin)), x.DType()),
		graph.ConvertDType(graph.Add(graph.Mul(b, r.cos), graph.Mul(a, r.sin)), x.DType()),
	}
	if rest > 0 {
		pieces = append(pieces, graph.SliceAxis(x, 3, graph.AxisRangeToEnd(2*half)))
	}
	return graph.Concatenate(pieces, 3)
}
