package vision

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// params are a model's tensors by role.
type params map[string]*graph.Node

// block returns a tensor of a block.
func (p params) block(role, suffix string, block int) *graph.Node {
	return p[fmt.Sprintf(role, block)+suffix]
}

// outputs are what a model makes of a batch.
type outputs struct {
	tokens *graph.Node // [B,T,d]: transformers' last_hidden_state
	pooled *graph.Node // [B,d]: transformers' pooler_output, or the class token where the model has no pooler
}

// forward builds the graph of a model on pictures [B,3,H,W]. positions are
// [1+N,d], of the class token and the patches of this size of picture. layers is
// how many blocks run.
func (s shape) forward(p params, positions, pictures *graph.Node, layers int) outputs {
	x := s.embed(p, positions, pictures)
	if s.PreNorm {
		x = s.norm(x, p[rolePre+".weight"], p[rolePre+".bias"])
	}
	for i := range layers {
		x = s.block(p, x, i)
	}
	batch := x.Shape().Dim(0)
	class := func(x *graph.Node) *graph.Node {
		return graph.Reshape(graph.SliceAxis(x, 1, graph.AxisRange(0, 1)), batch, s.Width)
	}
	if s.NormCLS {
		return outputs{x, s.final(p, class(x))}
	}
	x = s.final(p, x)
	pooled := class(x)
	if s.Pooled {
		pooled = graph.Tanh(linear(pooled, p[rolePooler+".weight"], p[rolePooler+".bias"]))
	}
	return outputs{x, pooled}
}

func (s shape) final(p params, x *graph.Node) *graph.Node {
	return s.norm(x, p[roleFinal+".weight"], p[roleFinal+".bias"])
}

// embed makes tokens [B,T,d]: the class token, registers, and a product for
// each patch, from the upper left corner; what is left over at the right and at
// the bottom has none.
func (s shape) embed(p params, positions, pictures *graph.Node) *graph.Node {
	batch, rows, columns, d := pictures.Shape().Dim(0), pictures.Shape().Dim(2)/s.Patch, pictures.Shape().Dim(3)/s.Patch, s.Width
	x := graph.Slice(pictures, graph.AxisRange(), graph.AxisRange(), graph.AxisRange(0, rows*s.Patch), graph.AxisRange(0, columns*s.Patch))
	x = graph.Reshape(x, batch, 3, rows, s.Patch, columns, s.Patch)
	x = graph.Reshape(graph.TransposeAllAxes(x, 0, 2, 4, 1, 3, 5), batch, rows*columns, 3*s.Patch*s.Patch)
	x = linear(x, graph.Reshape(p[rolePatch+".weight"], d, 3*s.Patch*s.Patch), p[rolePatch+".bias"])
	all := func(tokens *graph.Node) *graph.Node { // the same for every picture
		n := tokens.Shape().Size() / d
		return graph.BroadcastToDims(graph.Reshape(tokens, 1, n, d), batch, n, d)
	}
	patches := graph.Add(x, all(graph.SliceAxis(positions, 0, graph.AxisRangeToEnd(1))))
	class := graph.Add(graph.Reshape(p[roleCLS], 1, d), graph.SliceAxis(positions, 0, graph.AxisRange(0, 1)))
	tokens := []*graph.Node{all(class)}
	if s.Registers > 0 {
		tokens = append(tokens, all(p[roleRegisters]))
	}
	return graph.Concatenate(append(tokens, patches), 1)
}

// block is a pre-norm transformer layer.
func (s shape) block(p params, x *graph.Node, i int) *graph.Node {
	scale := func(x *graph.Node, role string) *graph.Node {
		if !s.Scaled {
			return x
		}
		return graph.Mul(x, graph.ExpandLeftToRank(p.block(role, "", i), x.Rank()))
	}
	layer := func(x *graph.Node, role string) *graph.Node {
		return linear(x, p.block(role, ".weight", i), p.block(role, ".bias", i))
	}
	normed := s.norm(x, p.block(roleNorm1, ".weight", i), p.block(roleNorm1, ".bias", i))
	mixed := s.attention(layer(normed, roleQuery), layer(normed, roleKey), layer(normed, roleValue))
	x = graph.Add(x, scale(layer(mixed, roleOut), roleScale1))
	inner := layer(s.norm(x, p.block(roleNorm2, ".weight", i), p.block(roleNorm2, ".bias", i)), roleFC1)
	return graph.Add(x, scale(layer(s.activate(inner), roleFC2), roleScale2))
}

// attention is softmax(q kᵀ / sqrt(h)) v for each head of width h; all are [B,T,d].
func (s shape) attention(q, k, v *graph.Node) *graph.Node {
	batch, length, width := q.Shape().Dim(0), q.Shape().Dim(1), s.Width/s.Heads
	heads := func(x *graph.Node) *graph.Node { // [B,T,d] -> [B,H,T,h]
		return graph.TransposeAllAxes(graph.Reshape(x, batch, length, s.Heads, width), 0, 2, 1, 3)
	}
	q = graph.MulScalar(heads(q), 1/math.Sqrt(float64(width)))
	scores := graph.DotGeneral(q, []int{3}, []int{0, 1}, heads(k), []int{3}, []int{0, 1}) // [B,H,T,T]
	e := graph.Exp(graph.Sub(scores, graph.ReduceAndKeep(scores, graph.ReduceMax, 3)))
	mixed := graph.DotGeneral(e, []int{3}, []int{0, 1}, heads(v), []int{2}, []int{0, 1})
	mixed = graph.Div(mixed, graph.ReduceAndKeep(e, graph.ReduceSum, 3))
	return graph.Reshape(graph.TransposeAllAxes(mixed, 0, 2, 1, 3), batch, length, s.Width)
}

// activations are the values of hidden_act that activate knows.
func activations() []string {
	return []string{"gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu"}
}

// activate is the MLP's nonlinearity.
func (s shape) activate(x *graph.Node) *graph.Node {
	if s.SwiGLU {
		half := x.Shape().Dim(-1) / 2
		gate, value := graph.SliceAxis(x, -1, graph.AxisRange(0, half)), graph.SliceAxis(x, -1, graph.AxisRangeToEnd(half))
		return graph.Mul(graph.Mul(gate, graph.Sigmoid(gate)), value)
	}
	switch s.Activation {
	case "gelu_new", "gelu_pytorch_tanh":
		cubed := graph.Mul(x, graph.Square(x))
		inner := graph.MulScalar(graph.Add(x, graph.MulScalar(cubed, 0.044715)), math.Sqrt(2/math.Pi))
		return graph.Mul(graph.MulScalar(x, 0.5), graph.AddScalar(graph.Tanh(inner), 1))
	case "quick_gelu":
		return graph.Mul(x, graph.Sigmoid(graph.MulScalar(x, 1.702)))
	case "relu":
		return graph.Max(x, graph.Zeros(x.Graph(), shapes.Make(x.DType(), x.Shape().Dimensions...)))
	}
	return graph.Mul(graph.MulScalar(x, 0.5), graph.AddScalar(graph.Erf(graph.MulScalar(x, 1/math.Sqrt2)), 1))
}

// linear is x wᵀ + b for w [out,in]; b may be nil.
func linear(x, w, b *graph.Node) *graph.Node {
	y := graph.DotGeneral(x, []int{x.Rank() - 1}, nil, w, []int{1}, nil)
	if b == nil {
		return y
	}
	return graph.Add(y, graph.ExpandLeftToRank(b, y.Rank()))
}

// norm is LayerNorm over the last axis.
func (s shape) norm(x, weight, bias *graph.Node) *graph.Node {
	centred := graph.Sub(x, graph.ReduceAndKeep(x, graph.ReduceMean, -1))
	variance := graph.ReduceAndKeep(graph.Square(centred), graph.ReduceMean, -1)
	scaled := graph.Div(centred, graph.Sqrt(graph.AddScalar(variance, s.Eps)))
	return graph.Add(graph.Mul(scaled, graph.ExpandLeftToRank(weight, x.Rank())), graph.ExpandLeftToRank(bias, x.Rank()))
}
