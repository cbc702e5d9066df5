package lm

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// Inputs are what a decoder reads.
type Inputs struct {
	Tokens *graph.Node // [B,T] int32 ids
	// Segments and Positions, [B,T] int32 each, are of rows that hold several
	// documents: a token sees those of its own segment only, and its position
	// counts from the segment's beginning. Both nil: a row is one document.
	Segments, Positions *graph.Node
	// Recompute keeps only the input of each layer for the backward pass, which
	// computes the layer again (gradient checkpointing; Chen et al. 2016, arXiv 1604.06174).
	Recompute bool
}

// Losses builds the decoder's graph on params, which are in the order of
// ParamSpecs. The matrices of layers (LinearWeights) are of one type, float32 or bfloat16, in which
// the decoder computes; the others are of that type or float32. It returns, [B,T-1] float32 each and
// for the position that predicts token t+1: the loss, -ln p(token t+1 | tokens
// before it) in nats, and logZ, the log of the softmax's denominator, which
// training regularises. The softmax runs over all Embeddings rows of the head.
// Where token t+1 is of another segment both mean nothing. Both have gradients.
// Wrong shapes panic, as everywhere while a graph is built: call it inside an Exec.
func Losses(c Config, params []*graph.Node, in Inputs) (loss, logZ *graph.Node) {
	shape := in.Tokens.Shape()
	if shape.Rank() != 2 || shape.Dim(1) < 2 {
		panic(fmt.Errorf("build model: tokens are %s, want [B,T] with T of at least 2", shape))
	}
	batch, length := shape.Dim(0), shape.Dim(1)
	m := newDecoder(c.Arch, params, in)
	hidden := graph.Reshape(m.hidden(), batch*length, c.Width)
	// Position t predicts token t+1. The last position predicts nothing; it is
	// computed with target 0 and cut off, which keeps shapes round.
	next := graph.Concatenate([]*graph.Node{
		graph.SliceAxis(in.Tokens, 1, graph.AxisRangeToEnd(1)),
		graph.Zeros(in.Tokens.Graph(), shapes.Make(in.Tokens.DType(), batch, 1)),
	}, 1)
	loss, logZ = headLosses(hidden, m.head(), graph.Reshape(next, batch*length))
	cut := func(y *graph.Node) *graph.Node {
		return graph.SliceAxis(graph.Reshape(y, batch, length), 1, graph.AxisRange(0, length-1))
	}
	return cut(loss), cut(logZ)
}

// decoder is a model in a graph.
type decoder struct {
	Arch
	in     Inputs
	global map[role]*graph.Node
	layers []map[role]*graph.Node
	rope   rope
}

func newDecoder(a Arch, params []*graph.Node, in Inputs) *decoder {
	list := a.params()
	if len(list) != len(params) {
		panic(fmt.Errorf("build model: %d tensors, want %d", len(params), len(list)))
	}
	m := &decoder{Arch: a, in: in, global: map[role]*graph.Node{}}
	for range a.Layers {
		m.layers = append(m.layers, map[role]*graph.Node{})
	}
	for i, p := range list {
		if p.layer < 0 {
			m.global[p.role] = params[i]
		} else {
			m.layers[p.layer][p.role] = params[i]
		}
	}
	if a.Rope.Dim > 0 {
		m.rope = newRope(a.Rope, in)
	}
	return m
}

// hidden returns what the head reads, [B,T,d].
func (m *decoder) hidden() *graph.Node {
	// The residual stream is float32 whatever the weights are: it adds up what
	// all layers write, and bfloat16 has 8 bits for it.
	x := graph.ConvertDType(graph.Gather(m.global[embedding], graph.ExpandAxes(m.in.Tokens, -1)), dtypes.Float32) // [B,T,d]
	if rows := m.global[positionRows]; rows != nil {
		x = graph.Add(x, graph.ConvertDType(m.learnedPositions(rows, x), dtypes.Float32))
	}
	for i, w := range m.layers {
		if m.in.Recompute {
			x = x.Checkpoint()
		}
		x = m.block(x, w, i)
	}
	if m.in.Recompute {
		x = x.StopCheckpoint()
	}
	return m.norm(x, m.global[finalNorm], m.global[finalNormBias])
}

// head returns the head's weights, [V,d], in the type of the layers' matrices.
func (m *decoder) head() *graph.Node {
	w := m.global[head]
	if m.Tied {
		w = m.global[embedding]
	}
	return graph.ConvertDType(w, m.layers[0][attnOut].DType())
}

func (m *decoder) learnedPositions(rows, x *graph.Node) *graph.Node {
	if m.in.Positions != nil {
		return graph.Gather(rows, graph.ExpandAxes(m.in.Positions, -1))
	}
	first := graph.SliceAxis(rows, 0, graph.AxisRange(0, x.Shape().Dim(1)))
	return graph.BroadcastToDims(graph.ExpandAxes(first, 0), x.Shape().Dimensions...)
}

// block is layer i with weights w: pre-norm, or with norms after attention and
// MLP, one after the other, or both on the same x.
func (m *decoder) block(x *graph.Node, w map[role]*graph.Node, i int) *graph.Node {
	inner := x
	if !m.NormAfter {
		inner = m.norm(x, w[attnNorm], w[attnNormBias])
	}
	mixed := m.attention(inner, w, i)
	if m.NormAfter {
		mixed = m.norm(mixed, w[attnAfter], nil)
	}
	between := graph.Add(x, mixed)
	read := between
	if m.Parallel {
		read = x
	}
	if !m.NormAfter {
		read = m.norm(read, w[ffNorm], w[ffNormBias])
	}
	out := m.mlp(read, w)
	if m.NormAfter {
		out = m.norm(out, w[ffAfter], nil)
	}
	return graph.Add(between, out)
}

func (m *decoder) mlp(x *graph.Node, w map[role]*graph.Node) *graph.Node {
	inner := m.linear(x, w[up], w[upBias])
	if m.Gated {
		opened := graph.ConvertDType(m.linear(x, w[gate], w[gateBias]), dtypes.Float32)
		inner = inFloat32(inner, func(inner *graph.Node) *graph.Node { return graph.Mul(m.act(opened), inner) })
	} else {
		inner = inFloat32(inner, m.act)
	}
	return m.residual(inner, w[down], w[downBias])
}

// linear is x wᵀ + bias for w [out,in], or x w + bias for w [in,out], in the
// type of w.
func (m *decoder) linear(x, w, bias *graph.Node) *graph.Node { return m.product(x, w, bias, w.DType()) }

// residual is linear for what is added to the residual stream: float32.
func (m *decoder) residual(x, w, bias *graph.Node) *graph.Node {
	return m.product(x, w, bias, dtypes.Float32)
}

// product multiplies in the type of w, adds up in float32, and returns dtype.
func (m *decoder) product(x, w, bias *graph.Node, dtype dtypes.DType) *graph.Node {
	axis := 1
	if m.Transpose {
		axis = 0
	}
	x = graph.ConvertDType(x, w.DType())
	y := graph.Dot(x, w).WithOutputDType(dtype).General([]int{x.Rank() - 1}, nil, []int{axis}, nil)
	if bias == nil {
		return y
	}
	return inFloat32(y, func(y *graph.Node) *graph.Node {
		return graph.Add(y, graph.ExpandLeftToRank(graph.ConvertDType(bias, dtypes.Float32), y.Rank()))
	})
}

// inFloat32 runs f on x in float32, whatever x's type.
func inFloat32(x *graph.Node, f func(*graph.Node) *graph.Node) *graph.Node {
	if x.DType() == dtypes.Float32 {
		return f(x)
	}
	return graph.ConvertDType(f(graph.ConvertDType(x, dtypes.Float32)), x.DType())
}
