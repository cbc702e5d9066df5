package train

import (
	"math"

	"github.com/gomlx/gomlx/core/graph"
)

// update is one step of AdamW as torch.optim.AdamW takes it, on gradients
// clipped to a global norm as torch.nn.utils.clip_grad_norm_ does. rates are
// those of ratesAt. It returns weights, first and second moments, and the norm
// before clipping. Weight decay acts on the matrices of linear layers, not on
// embeddings, biases and norms.
func (e *engine) update(params, first, second, grads []*graph.Node, rates *graph.Node) (out []*graph.Node, norm *graph.Node) {
	var sum *graph.Node
	for _, g := range grads {
		square := graph.ReduceAllSum(graph.Square(g))
		if sum == nil {
			sum = square
		} else {
			sum = graph.Add(sum, square)
		}
	}
	norm = graph.Sqrt(sum)
	clip := graph.MinScalar(graph.Div(graph.Scalar(sum.Graph(), sum.DType(), e.opt.ClipNorm), graph.AddScalar(norm, 1e-6)), 1)
	rate := func(i int) *graph.Node { return graph.Reshape(graph.Slice(rates, graph.AxisElem(i))) }
	stepSize, rootScale, decay := rate(0), rate(1), rate(2)
	n := len(params)
	out = make([]*graph.Node, 3*n)
	for i, g := range grads {
		g = graph.Mul(g, clip)
		m := graph.Add(graph.MulScalar(first[i], e.opt.Beta1), graph.MulScalar(g, 1-e.opt.Beta1))
		v := graph.Add(graph.MulScalar(second[i], e.opt.Beta2), graph.MulScalar(graph.Square(g), 1-e.opt.Beta2))
		root := graph.AddScalar(graph.Mul(graph.Sqrt(v), rootScale), e.opt.Eps)
		p := params[i]
		if e.opt.WeightDecay > 0 && e.linear[i] {
			p = graph.Mul(p, graph.OneMinus(decay))
		}
		out[i] = graph.Sub(p, graph.Mul(graph.Div(m, root), stepSize))
		out[n+i], out[2*n+i] = m, v
	}
	return out, norm
}

// ratesAt returns what changes from step to step: the step size with the first
// moment's bias correction, one over the root of the second's, and the share
// of a weight that decays.
func (e *engine) ratesAt(step int, lr float64) []float32 {
	bias1 := 1 - math.Pow(e.opt.Beta1, float64(step))
	bias2 := 1 - math.Pow(e.opt.Beta2, float64(step))
	return []float32{float32(lr / bias1), float32(1 / math.Sqrt(bias2)), float32(lr * e.opt.WeightDecay)}
}
