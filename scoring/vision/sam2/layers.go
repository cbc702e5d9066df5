package sam2

import (
	"fmt"
	"math"

	"github.com/gomlx/gomlx/core/graph"
)

// weights are the tensors of a graph by name. The specs of this package list
// what its graphs use; gomlx reports one that is not there.
type weights map[string]*graph.Node

// linear is x Wᵀ + b over the last axis.
func (w weights) linear(name string, x *graph.Node) *graph.Node {
	return project(x, w[name+".weight"], w[name+".bias"])
}

// pointwise is linear for a convolution with a kernel of one pixel.
func (w weights) pointwise(name string, x *graph.Node) *graph.Node {
	kernel := w[name+".weight"]
	return project(x, graph.Reshape(kernel, kernel.Shape().Dim(0), kernel.Shape().Dim(1)), w[name+".bias"])
}

func project(x, weight, bias *graph.Node) *graph.Node {
	y := graph.DotGeneral(x, []int{x.Rank() - 1}, nil, weight, []int{1}, nil)
	return graph.Add(y, graph.ExpandLeftToRank(bias, y.Rank()))
}

// upscale is a transposed convolution with kernel and stride 2: x [P,h,w,C] ->
// [P,2h,2w,O].
func (w weights) upscale(name string, x *graph.Node) *graph.Node {
	p, height, width := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	y := graph.DotGeneral(x, []int{3}, nil, w[name+".weight"], []int{0}, nil) // [P,h,w,O,2,2]
	y = graph.TransposeAllAxes(y, 0, 1, 4, 2, 5, 3)                           // [P,h,2,w,2,O]
	y = graph.Reshape(y, p, 2*height, 2*width, y.Shape().Dim(5))
	return graph.Add(y, graph.ExpandLeftToRank(w[name+".bias"], y.Rank()))
}

// norm brings the last axis to mean 0 and variance 1, scales and shifts it.
func (w weights) norm(name string, x *graph.Node, eps float64) *graph.Node {
	centred := graph.Sub(x, graph.ReduceAndKeep(x, graph.ReduceMean, -1))
	variance := graph.ReduceAndKeep(graph.Square(centred), graph.ReduceMean, -1)
	y := graph.Div(centred, graph.Sqrt(graph.AddScalar(variance, eps)))
	y = graph.Mul(y, graph.ExpandLeftToRank(w[name+".weight"], x.Rank()))
	return graph.Add(y, graph.ExpandLeftToRank(w[name+".bias"], x.Rank()))
}

// mlp applies proj_in, inner layers and proj_out, with activation in between.
func (w weights) mlp(name string, x *graph.Node, inner int, activation func(*graph.Node) *graph.Node) *graph.Node {
	x = activation(w.linear(name+".proj_in", x))
	for i := range inner {
		x = activation(w.linear(fmt.Sprintf("%s.layers.%d", name, i), x))
	}
	return w.linear(name+".proj_out", x)
}

// gelu is the exact form: x/2 (1 + erf(x/sqrt 2)).
func gelu(x *graph.Node) *graph.Node {
	return graph.Mul(graph.MulScalar(x, 0.5), graph.AddScalar(graph.Erf(graph.MulScalar(x, 1/math.Sqrt2)), 1))
}

func relu(x *graph.Node) *graph.Node { return graph.MaxScalar(x, 0.0) }

// heads splits the last axis: [B,...,H*d] -> [B,H,T,d], T the product of the
// axes between.
func heads(x *graph.Node, n int) *graph.Node {
	batch, width := x.Shape().Dim(0), x.Shape().Dim(-1)
	x = graph.Reshape(x, batch, -1, n, width/n)
	return graph.TransposeAllAxes(x, 0, 2, 1, 3)
}

// joinHeads is the inverse of heads: [B,H,T,d] -> [B,T,H*d].
func joinHeads(x *graph.Node) *graph.Node {
	batch, n, length, width := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2), x.Shape().Dim(3)
	return graph.Reshape(graph.TransposeAllAxes(x, 0, 2, 1, 3), batch, length, n*width)
}

// maxScores bounds the attention scores that are held at a time: 64 MB in
// float32. The blocks that see a whole image of 1024 pixels have four times
// as many.
const maxScores = 1 << 24

// attend is softmax(q kᵀ / sqrt d) v for q [B,H,Q,d], k and v [B,H,K,d], a few
// queries at a time where there are many.
func attend(q, k, v *graph.Node) *graph.Node {
	shape := q.Shape()
	batch, queries := shape.Dim(0)*shape.Dim(1), shape.Dim(2)
	step := queries
	if fit := maxScores / (batch * k.Shape().Dim(2)); fit < queries && batch == shape.Dim(1) {
		step = max(1, fit)
	}
	q = graph.MulScalar(q, 1/math.Sqrt(float64(shape.Dim(3))))
	var parts []*graph.Node
	for from := 0; from < queries; from += step {
		part := graph.SliceAxis(q, 2, graph.AxisRange(from, min(queries, from+step)))
		scores := graph.DotGeneral(part, []int{3}, []int{0, 1}, k, []int{3}, []int{0, 1}) // [B,H,step,K]
		top := graph.ReduceAndKeep(scores, graph.ReduceMax, 3)
		e := graph.Exp(graph.Sub(scores, top))
		share := graph.Div(e, graph.ReduceAndKeep(e, graph.ReduceSum, 3))
		parts = append(parts, graph.DotGeneral(share, []int{3}, []int{0, 1}, v, []int{2}, []int{0, 1}))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return graph.Concatenate(parts, 2)
}
