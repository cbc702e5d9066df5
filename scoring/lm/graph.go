package lm

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Losses builds the loss of every next-token position. tokens is [B,T] int32
// with ids below Embeddings(); params are the tensors of ParamSpecs, in order.
// Both results are [B,T-1] float32: logZ[b,t], the logarithm of the softmax's
// denominator at position t (its square is the z-loss), and loss[b,t] =
// logZ[b,t] - logit of tokens[b,t+1], in nats. Both have gradients. Wrong
// shapes panic, as everywhere while a graph is built: call it inside an Exec.
func Losses(c Config, params []*graph.Node, tokens *graph.Node) (loss, logZ *graph.Node) {
	if want := 3 + c.NumLayers*blockParams; len(params) != want {
		panic(fmt.Errorf("build model: %d tensors, want %d", len(params), want))
	}
	shape := tokens.Shape()
	if shape.Rank() != 2 || shape.Dim(1) < 2 {
		panic(fmt.Errorf("build model: tokens are %s, want [B,T] with T of at least 2", shape))
	}
	batch, length := shape.Dim(0), shape.Dim(1)
	rope := newRope(c, tokens.Graph(), length)
	x := graph.Gather(params[0], graph.ExpandAxes(tokens, -1)) // [B,T,d]
	for layer := range c.NumLayers {
		at := 1 + layer*blockParams
		x = block(c, params[at:at+blockParams], x, rope)
	}
	last := len(params) - 2
	x = layerNorm(c, x, params[last])
	// Position t predicts token t+1. The last position predicts nothing; it is
	// computed with target 0 and cut off, which keeps shapes round.
	next := graph.Concatenate([]*graph.Node{
		graph.SliceAxis(tokens, 1, graph.AxisRangeToEnd(1)),
		graph.Zeros(tokens.Graph(), shapes.Make(tokens.DType(), batch, 1)),
	}, 1)
	rows := batch * length
	loss, logZ = headLosses(graph.Reshape(x, rows, c.DModel), params[last+1], graph.Reshape(next, rows))
	cut := func(y *graph.Node) *graph.Node {
		return graph.SliceAxis(graph.Reshape(y, batch, length), 1, graph.AxisRange(0, length-1))
	}
	return cut(loss), cut(logZ)
}

// block is one sequential pre-norm layer; p are its blockParams tensors.
func block(c Config, p []*graph.Node, x *graph.Node, rope rope) *graph.Node {
	x = graph.Add(x, attention(c, p, layerNorm(c, x, p[attnNorm]), rope))
	inner := gelu(linear(layerNorm(c, x, p[ffNorm]), p[ffProj]))
	return graph.Add(x, linear(inner, p[ffOut]))
}

// attention is causal multi-head attention of x [B,T,d]. q and k are normalised
// over their full width, before they are split into heads.
func attention(c Config, p []*graph.Node, x *graph.Node, rope rope) *graph.Node {
	batch, length, width := x.Shape().Dim(0), x.Shape().Dim(1), c.DModel
	qkv := linear(x, p[attProj])
	part := func(i int) *graph.Node { return graph.SliceAxis(qkv, 2, graph.AxisRange(i*width, (i+1)*width)) }
	heads := func(y *graph.Node) *graph.Node { // [B,T,d] -> [B,H,T,h]
		return graph.TransposeAllAxes(graph.Reshape(y, batch, length, c.NumHeads, c.HeadDim()), 0, 2, 1, 3)
	}
	q := rope.apply(heads(layerNorm(c, part(0), p[qNorm])))
	k := rope.apply(heads(layerNorm(c, part(1), p[kNorm])))
	mixed := causal(q, k, heads(part(2)), 1/math.Sqrt(float64(c.HeadDim()))) // [B,H,T,h]
	mixed = graph.Reshape(graph.TransposeAllAxes(mixed, 0, 2, 1, 3), batch, length, width)
	return linear(mixed, p[attnOut])
}

// queryBlock is the number of queries that attend together. Each block sees only
// the keys up to its own end: a quarter less work at T = 512 and scores of
// bounded width, for a little more compilation.
const queryBlock = 256

// causal is softmax(scale q kᵀ) v over the positions up to each query's own.
// q, k and v are [B,H,T,h].
func causal(q, k, v *graph.Node, scale float64) *graph.Node {
	length := q.Shape().Dim(2)
	var blocks []*graph.Node
	for from := 0; from < length; from += queryBlock {
		to := min(length, from+queryBlock)
		upTo := func(x *graph.Node) *graph.Node { return graph.SliceAxis(x, 2, graph.AxisRange(0, to)) }
		blocks = append(blocks, causalBlock(graph.SliceAxis(q, 2, graph.AxisRange(from, to)), upTo(k), upTo(v), scale))
	}
	if len(blocks) == 1 {
		return blocks[0]
	}
	return graph.Concatenate(blocks, 2)
}

// causalBlock is causal for the last queries of the keys: q is [B,H,Q,h], k and
// v are [B,H,K,h], and query i sees the first K-Q+i+1 keys.
func causalBlock(q, k, v *graph.Node, scale float64) *graph.Node {
	scores := graph.MulScalar(graph.DotGeneral(q, []int{3}, []int{0, 1}, k, []int{3}, []int{0, 1}), scale) // [B,H,Q,K]
	g, shape := scores.Graph(), scores.Shape()
	index := func(axis int) *graph.Node {
		return graph.Iota(g, shapes.Make(dtypes.Int32, 1, 1, shape.Dim(2), shape.Dim(3)), axis)
	}
	last := graph.AddScalar(index(2), shape.Dim(3)-shape.Dim(2))
	visible := graph.BroadcastToDims(graph.GreaterOrEqual(last, index(3)), shape.Dimensions...)
	lowest := graph.BroadcastToDims(graph.Scalar(g, scores.DType(), -math.MaxFloat32), shape.Dimensions...)
	scores = graph.Where(visible, scores, lowest)
	top := graph.StopGradient(graph.ReduceAndKeep(scores, graph.ReduceMax, 3))
	e := graph.Exp(graph.Sub(scores, top))
	weights := graph.Div(e, graph.ReduceAndKeep(e, graph.ReduceSum, 3))
	return graph.DotGeneral(weights, []int{3}, []int{0, 1}, v, []int{2}, []int{0, 1})
}

// linear is x wᵀ for w [out,in], without bias.
func linear(x, w *graph.Node) *graph.Node {
	return graph.DotGeneral(x, []int{x.Rank() - 1}, nil, w, []int{1}, nil)
}

// layerNorm brings the last axis to mean 0 and variance 1 and multiplies by
// weight. 1/Sqrt, because Rsqrt has no gradient in gomlx v0.28.1.
func layerNorm(c Config, x, weight *graph.Node) *graph.Node {
	centred := graph.Sub(x, graph.ReduceAndKeep(x, graph.ReduceMean, -1))
	variance := graph.ReduceAndKeep(graph.Square(centred), graph.ReduceMean, -1)
	scale := graph.Div(graph.ScalarOne(x.Graph(), x.DType()), graph.Sqrt(graph.AddScalar(variance, c.LayerNormEps)))
	return graph.Mul(graph.Mul(centred, scale), graph.ExpandLeftToRank(weight, x.Rank()))
}

// gelu is the exact form: x/2 (1 + erf(x/sqrt 2)).
func gelu(x *graph.Node) *graph.Node {
	return graph.Mul(graph.MulScalar(x, 0.5), graph.AddScalar(graph.Erf(graph.MulScalar(x, 1/math.Sqrt2)), 1))
}

// rope holds cosine and sine of the rotary angles of T positions, [1,1,T,h/2]
// each. Halves of a head are rotated against each other (the NeoX layout).
type rope struct{ cos, sin *graph.Node }

// newRope rounds to float32 where OLMo's RotaryEmbedding does.
func newRope(c Config, g *graph.Graph, length int) rope {
	half := c.HeadDim() / 2
	cos, sin := make([]float32, 0, length*half), make([]float32, 0, length*half)
	for t := range length {
		for j := range half {
			exponent := float32(2*j) / float32(c.HeadDim())
			frequency := 1 / float32(math.Pow(c.RopeTheta, float64(exponent)))
			angle := float64(float32(t) * frequency)
			cos, sin = append(cos, float32(math.Cos(angle))), append(sin, float32(math.Sin(angle)))
		}
	}
	return rope{
		graph.ConstTensor(g, tensors.FromFlatDataAndDimensions(cos, 1, 1, length, half)),
		graph.ConstTensor(g, tensors.FromFlatDataAndDimensions(sin, 1, 1, length, half)),
	}
}

// apply rotates x [B,H,T,h].
func (r rope) apply(x *graph.Node) *graph.Node {
	half := x.Shape().Dim(3) / 2
	a, b := graph.SliceAxis(x, 3, graph.AxisRange(0, half)), graph.SliceAxis(x, 3, graph.AxisRangeToEnd(half))
	return graph.Concatenate([]*graph.Node{
		graph.Sub(graph.Mul(a, r.cos), graph.Mul(b, r.sin)),
		graph.Add(graph.Mul(b, r.cos), graph.Mul(a, r.sin)),
	}, 3)
}
