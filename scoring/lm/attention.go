package lm

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// attention is causal multi-head attention of x [B,T,d] with weights w of
// layer i, keys and values shared by groups of heads where KVHeads < Heads.
func (m *decoder) attention(x *graph.Node, w map[role]*graph.Node, i int) *graph.Node {
	batch, length := x.Shape().Dim(0), x.Shape().Dim(1)
	q, k, v := m.qkv(x, w) // [B,T,H,h], [B,T,KVHeads,h] twice
	heads := func(y *graph.Node) *graph.Node { return graph.TransposeAllAxes(y, 0, 2, 1, 3) }
	q, k, v = heads(q), heads(k), heads(v) // [B,H,T,h]
	if m.Rope.Dim > 0 {
		q, k = m.rope.apply(q), m.rope.apply(k)
	}
	if m.ByLayer {
		q = graph.MulScalar(q, 1/float64(i+1))
	}
	if group := m.Heads / m.KVHeads; group > 1 {
		// Query heads of a group attend together: [B,KVHeads,group,T,h] as rows.
		q = graph.Reshape(q, batch, m.KVHeads, group, length, m.HeadDim)
	} else {
		q = graph.ExpandAxes(q, 2)
	}
	window := 0
	if i >= m.WindowFrom {
		window = m.Window
	}
	mixed := m.causal(q, k, v, window) // [B,KVHeads,group,T,h]
	mixed = graph.Reshape(mixed, batch, m.Heads, length, m.HeadDim)
	mixed = graph.Reshape(graph.TransposeAllAxes(mixed, 0, 2, 1, 3), batch, length, m.Heads*m.HeadDim)
	return m.residual(mixed, w[attnOut], w[attnOutBias])
}

// qkv returns queries [B,T,H,h], keys and values [B,T,KVHeads,h], clipped and
// normalised as the family does it.
func (m *decoder) qkv(x *graph.Node, w map[role]*graph.Node) (q, k, v *graph.Node) {
	batch, length := x.Shape().Dim(0), x.Shape().Dim(1)
	split := func(y *graph.Node, heads int) *graph.Node { return graph.Reshape(y, batch, length, heads, m.HeadDim) }
	part := func(y *graph.Node, axis, from, n int) *graph.Node {
		return graph.SliceAxis(y, axis, graph.AxisRange(from, from+n))
	}
	wide, narrow := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	switch m.QKV {
	case SeparateQKV:
		q, k, v = m.linear(x, w[query], w[queryBias]), m.linear(x, w[key], w[keyBias]), m.linear(x, w[value], w[valueBias])
	case JoinedQKV:
		all := m.linear(x, w[qkv], w[qkvBias])
		q, k, v = part(all, 2, 0, wide), part(all, 2, wide, narrow), part(all, 2, wide+narrow, narrow)
	case PerHeadQKV:
		all := graph.Reshape(m.linear(x, w[qkv], w[qkvBias]), batch, length, m.Heads, 3*m.HeadDim)
		third := func(i int) *graph.Node {
			return graph.Reshape(part(all, 3, i*m.HeadDim, m.HeadDim), batch, length, wide)
		}
		q, k, v = third(0), third(1), third(2)
	}
	if m.QKNorm == WholeNorm {
		q, k = m.norm(q, w[qNorm], nil), m.norm(k, w[kNorm], nil)
	}
	if m.ClipQKV > 0 {
		clip := func(y *graph.Node) *graph.Node { return graph.ClipScalar(y, -m.ClipQKV, m.ClipQKV) }
		q, k, v = clip(q), clip(k), clip(v)
	}
	q, k, v = split(q, m.Heads), split(k, m.KVHeads), split(v, m.KVHeads)
	if m.QKNorm == PerHeadNorm {
		q, k = m.norm(q, w[qNorm], nil), m.norm(k, w[kNorm], nil)
	}
	return q, k, v
}

// queryBlock is the number of queries that attend together. Each block sees only
// the keys up to its own end: three eighths less work at T = 512 and scores of
// bounded width, for a little more compilation. Blocks of 64 save work, but their
// products are too small to run well.
const queryBlock = 128

// causal is softmax(q kᵀ / sqrt h) v over what each query sees. q is
// [B,KVHeads,group,T,h], k and v are [B,KVHeads,T,h]; window is 0 or the
// tokens that a query sees.
func (m *decoder) causal(q, k, v *graph.Node, window int) *graph.Node {
	length := q.Shape().Dim(3)
	var blocks []*graph.Node
	for from := 0; from < length; from += queryBlock {
		to := min(length, from+queryBlock)
		upTo := func(x *graph.Node) *graph.Node { return graph.SliceAxis(x, 2, graph.AxisRange(0, to)) }
		queries := graph.SliceAxis(q, 3, graph.AxisRange(from, to))
		visible := m.visible(q.Graph(), from, to, window)
		blocks = append(blocks, attend(queries, upTo(k), upTo(v), visible))
	}
	if len(blocks) == 1 {
		return blocks[0]
	}
	return graph.Concatenate(blocks, 3)
}

// visible says which of the first `to` keys queries from to to-1 see:
// [B or 1,1,1,to-from,to] bool.
func (m *decoder) visible(g *graph.Graph, from, to, window int) *graph.Node {
	index := func(axis int) *graph.Node { return graph.Iota(g, shapes.Make(dtypes.Int32, to-from, to), axis) }
	query, key := graph.AddScalar(index(0), from), index(1)
	sees := graph.GreaterOrEqual(query, key)
	if window > 0 && window < to {
		sees = graph.LogicalAnd(sees, graph.LessThan(graph.Sub(query, key), graph.Scalar(g, dtypes.Int32, window)))
	}
	sees = graph.ExpandAxes(sees, 0, 1, 2)
	if s := m.in.Segments; s != nil {
		of := func(from, to int) *graph.Node { return graph.SliceAxis(s, 1, graph.AxisRange(from, to)) }
		rows, columns := graph.ExpandAxes(of(from, to), 2), graph.ExpandAxes(of(0, to), 1)
		same := graph.ExpandAxes(graph.Equal(rows, columns), 1, 2) // [B,1,1,Q,K]
		dims := same.Shape().Dimensions
		sees = graph.LogicalAnd(graph.BroadcastToDims(sees, dims...), same)
	}
	return sees
}

// attend is softmax(q kᵀ / sqrt h) v over visible keys: q [B,K,group,Q,h], k
// and v [B,K,S,h]. The softmax is in float32.
func attend(q, k, v, visible *graph.Node) *graph.Node {
	scale := 1 / math.Sqrt(float64(q.Shape().Dim(4)))
	scores := graph.Dot(q, k).WithOutputDType(dtypes.Float32).General([]int{4}, []int{0, 1}, []int{3}, []int{0, 1}) // [B,K,group,Q,S]
	scores = graph.MulScalar(scores, scale)
	shape := scores.Shape()
	lowest := graph.BroadcastToDims(graph.Scalar(scores.Graph(), scores.DType(), -math.MaxFloat32), shape.Dimensions...)
	scores = graph.Where(graph.BroadcastToDims(visible, shape.Dimensions...), scores, lowest)
	top := graph.StopGradient(graph.ReduceAndKeep(scores, graph.ReduceMax, -1))
	e := graph.Exp(graph.Sub(scores, top))
	weights := graph.ConvertDType(graph.Div(e, graph.ReduceAndKeep(e, graph.ReduceSum, -1)), v.DType())
	return graph.DotGeneral(weights, []int{4}, []int{0, 1}, v, []int{2}, []int{0, 1})
}
