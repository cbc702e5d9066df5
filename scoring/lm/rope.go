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
			cos = append(cos, float32(math.Cos(angle)*factor))
			sin = append(sin, float32(math.Sin(angle)*factor))
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
// cosines and sines.
func (r Rope) frequencies() ([]float32, float64) {
	var all []float32
	for j := range r.Dim / 2 {
		exponent := float32(2*j) / float32(r.Dim)
		all = append(all, 1/float32(math.Pow(r.Theta, float64(exponent))))
	}
	return all, 1
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
