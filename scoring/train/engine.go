package train

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
)

// engine holds weights and moments on the device, and the compiled graphs that
// change them. It serves one goroutine.
type engine struct {
	be    *backend.Backend
	model lm.Config
	specs []lm.ParamSpec
	opt   Options
	plan  Plan

	// One tensor per spec: weights, first and second moments.
	params, first, second []*tensors.Tensor

	whole      *graph.Exec // loss, gradient and update of a whole batch in one graph
	accumulate *graph.Exec // else: gradients of a micro-batch, added up,
	apply      *graph.Exec // and the update
	eval       *graph.Exec
}

// newEngine compiles nothing yet: the first call of a graph does.
func newEngine(be *backend.Backend, model lm.Config, opt Options, plan Plan) (*engine, error) {
	e := &engine{be: be, model: model, specs: lm.ParamSpecs(model), opt: opt, plan: plan}
	err := backend.Catch("build training graphs", func() (err error) {
		if e.eval, err = graph.NewExec(be.Backend, e.evalGraph); err != nil {
			return err
		}
		if plan.MicroBatch == plan.BatchSize {
			e.whole, err = graph.NewExec(be.Backend, e.wholeGraph)
			return err
		}
		if e.accumulate, err = graph.NewExec(be.Backend, e.accumulateGraph); err != nil {
			return err
		}
		e.apply, err = graph.NewExec(be.Backend, e.applyGraph)
		return err
	})
	return e, err
}

// setState puts weights and moments on the device. moments nil means zeros.
func (e *engine) setState(params [][]float32, first, second [][]float32) {
	e.params, e.first, e.second = nil, nil, nil
	for i, spec := range e.specs {
		e.params = append(e.params, tensors.FromFlatDataAndDimensions(params[i], spec.Shape...))
		if first == nil {
			zeros := make([]float32, len(params[i]))
			e.first = append(e.first, tensors.FromFlatDataAndDimensions(zeros, spec.Shape...))
			e.second = append(e.second, tensors.FromFlatDataAndDimensions(zeros, spec.Shape...))
			continue
		}
		e.first = append(e.first, tensors.FromFlatDataAndDimensions(first[i], spec.Shape...))
		e.second = append(e.second, tensors.FromFlatDataAndDimensions(second[i], spec.Shape...))
	}
}

// lossOf returns the mean loss and the weighted z-loss of tokens [B,T].
func (e *engine) lossOf(params []*graph.Node, tokens *graph.Node) (loss, z *graph.Node) {
	losses, logZ := lm.Losses(e.model, params, tokens)
	return graph.ReduceAllMean(losses), graph.MulScalar(graph.ReduceAllMean(graph.Square(logZ)), e.opt.ZLoss)
}

// gradients returns the gradient of loss plus z-loss for each parameter.
func (e *engine) gradients(params []*graph.Node, tokens *graph.Node) (grads []*graph.Node, loss, z *graph.Node) {
	loss, z = e.lossOf(params, tokens)
	return graph.Gradient(graph.Add(loss, z), params...), loss, z
}

// wholeGraph takes weights, first and second moments, tokens [B,T] int32 and
// rates [3]; it returns new weights and moments and stats [3]: loss, z-loss,
// gradient norm.
func (e *engine) wholeGraph(in []*graph.Node) []*graph.Node {
	n := len(e.specs)
	tokens, rates := in[3*n], in[3*n+1]
	grads, loss, z := e.gradients(in[:n], tokens)
	out, norm := e.update(in[:n], in[n:2*n], in[2*n:3*n], grads, rates)
	return append(out, graph.Stack([]*graph.Node{loss, z, norm}, 0))
}

// accumulateGraph takes weights, gradient sums, stats [2] and tokens
// [micro,T]; it returns the sums and stats with this part's share of the mean
// added.
func (e *engine) accumulateGraph(in []*graph.Node) []*graph.Node {
	n := len(e.specs)
	share := float64(e.plan.MicroBatch) / float64(e.plan.BatchSize)
	grads, loss, z := e.gradients(in[:n], in[2*n+1])
	var out []*graph.Node
	for i, g := range grads {
		out = append(out, graph.Add(in[n+i], graph.MulScalar(g, share)))
	}
	stats := graph.Stack([]*graph.Node{loss, z}, 0)
	return append(out, graph.Add(in[2*n], graph.MulScalar(stats, share)))
}

// applyGraph takes weights, first and second moments, gradients and rates [3];
// it returns new weights and moments and the gradient norm.
func (e *engine) applyGraph(in []*graph.Node) []*graph.Node {
	n := len(e.specs)
	out, norm := e.update(in[:n], in[n:2*n], in[2*n:3*n], in[3*n:4*n], in[4*n])
	return append(out, norm)
}

// update is one step of AdamW as torch.optim.AdamW takes it, on gradients
// clipped to a global norm as torch.nn.utils.clip_grad_norm_ does. rates are
// those of ratesAt. It returns weights, first and second moments, and the norm
// before clipping.
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
		if e.opt.WeightDecay > 0 && decays(e.specs[i]) {
			p = graph.Mul(p, graph.OneMinus(decay))
		}
		out[i] = graph.Sub(p, graph.Mul(graph.Div(m, root), stepSize))
		out[n+i], out[2*n+i] = m, v
	}
	return out, norm
}

// decays says whether weight decay acts on a parameter: on linear layers, not
// on embeddings and norms (olmo.optim.get_param_groups).
func decays(spec lm.ParamSpec) bool {
	return len(spec.Shape) == 2 && !strings.HasSuffix(spec.Name, "wte.weight")
}

// ratesAt returns what changes from step to step: the step size with the first
// moment's bias correction, one over the root of the second's, and the share
// of a weight that decays.
func (e *engine) ratesAt(step int, lr float64) []float32 {
	bias1 := 1 - math.Pow(e.opt.Beta1, float64(step))
	bias2 := 1 - math.Pow(e.opt.Beta2, float64(step))
	return []float32{float32(lr / bias1), float32(1 / math.Sqrt(bias2)), float32(lr * e.opt.WeightDecay)}
}

// evalGraph takes weights and tokens [B,T] and returns mean losses [B].
func (e *engine) evalGraph(in []*graph.Node) []*graph.Node {
	n := len(e.specs)
	losses, _ := lm.Losses(e.model, in[:n], in[n])
	return []*graph.Node{graph.ReduceMean(losses, -1)}
}

// step updates the weights on BatchSize sequences, given one after the other.
func (e *engine) step(step int, lr float64, tokens []int32) (loss, z, norm float32, err error) {
	what := fmt.Sprintf("train step %d", step)
	err = backend.Catch(what, func() error {
		var stats []float32
		var err error
		if e.whole != nil {
			stats, err = e.stepWhole(e.ratesAt(step, lr), tokens)
		} else {
			stats, err = e.stepParts(e.ratesAt(step, lr), tokens)
		}
		if err != nil {
			return err
		}
		loss, z, norm = stats[0], stats[1], stats[2]
		return nil
	})
	return loss, z, norm, err
}

func (e *engine) stepWhole(rates []float32, tokens []int32) ([]float32, error) {
	args, err := e.donate(nil, e.params, e.first, e.second)
	if err != nil {
		return nil, err
	}
	args = append(args, e.tokens(tokens), tensors.FromFlatDataAndDimensions(rates, len(rates)))
	out, err := e.whole.Call(args...)
	if err != nil {
		return nil, err
	}
	e.take(out)
	return tensors.CopyFlatData[float32](out[len(out)-1])
}

func (e *engine) stepParts(rates []float32, tokens []int32) ([]float32, error) {
	n := len(e.specs)
	sums := make([]*tensors.Tensor, n, n+1)
	for i, spec := range e.specs {
		sums[i] = tensors.FromFlatDataAndDimensions(make([]float32, e.params[i].Size()), spec.Shape...)
	}
	sums = append(sums, tensors.FromFlatDataAndDimensions(make([]float32, 2), 2))
	part := e.plan.MicroBatch * e.plan.SequenceLength
	for at := 0; at < len(tokens); at += part {
		args, err := e.donate(anys(e.params), sums)
		if err != nil {
			return nil, err
		}
		if sums, err = e.accumulate.Call(append(args, e.tokens(tokens[at:at+part]))...); err != nil {
			return nil, err
		}
	}
	stats, err := tensors.CopyFlatData[float32](sums[n])
	if err != nil {
		return nil, err
	}
	args, err := e.donate(nil, e.params, e.first, e.second, sums[:n])
	if err != nil {
		return nil, err
	}
	out, err := e.apply.Call(append(args, tensors.FromFlatDataAndDimensions(rates, len(rates)))...)
	if err != nil {
		return nil, err
	}
	e.take(out)
	return append(stats, tensors.ToScalar[float32](out[len(out)-1])), nil
}

// take makes the first outputs of a step the state.
func (e *engine) take(out []*tensors.Tensor) {
	n := len(e.specs)
	e.params, e.first, e.second = out[:n:n], out[n:2*n:2*n], out[2*n:3*n:3*n]
}

// donate appends the tensors of lists to args so that the device may reuse
// their memory; they are gone afterwards.
func (e *engine) donate(args []any, lists ...[]*tensors.Tensor) ([]any, error) {
	for _, list := range lists {
		for _, t := range list {
			buffer, err := graph.DonateTensorBuffer(t, e.be.Backend, 0)
			if err != nil {
				return nil, err
			}
			args = append(args, buffer)
		}
	}
	return args, nil
}

// tokens makes a [B,T] tensor of whole sequences.
func (e *engine) tokens(ids []int32) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(ids, len(ids)/e.plan.SequenceLength, e.plan.SequenceLength)
}

// losses returns the mean loss of each of MicroBatch sequences.
func (e *engine) losses(ids []int32) (losses []float32, err error) {
	err = backend.Catch("held-out loss", func() error {
		out, err := e.eval.Call(append(anys(e.params), e.tokens(ids))...)
		if err != nil {
			return err
		}
		losses, err = tensors.CopyFlatData[float32](out[0])
		return err
	})
	return losses, err
}

func anys(list []*tensors.Tensor) []any {
	out := make([]any, len(list))
	for i, t := range list {
		out[i] = t
	}
	return out
}

// writeState implements stateWriter.
func (e *engine) writeState(to io.Writer) error {
	for _, list := range [][]*tensors.Tensor{e.params, e.first, e.second} {
		for i, t := range list {
			if err := readTensor(t, func(values []float32) error { return writeFloats(to, values) }); err != nil {
				return fmt.Errorf("write %s: %w", e.specs[i].Name, err)
			}
		}
	}
	return nil
}

// weights returns a copy of the weights.
func (e *engine) weights() ([]lm.Param, error) {
	var params []lm.Param
	for i, t := range e.params {
		p := lm.Param{Name: e.specs[i].Name, Shape: e.specs[i].Shape}
		err := readTensor(t, func(values []float32) error { p.Data = slices.Clone(values); return nil })
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p.Name, err)
		}
		params = append(params, p)
	}
	return params, nil
}

// readTensor shows a tensor's values to f and lets go of the host's copy.
func readTensor(t *tensors.Tensor, f func([]float32) error) error {
	return backend.Catch("copy from device", func() error {
		var inner error
		if err := tensors.ConstFlatData(t, func(values []float32) { inner = f(values) }); err != nil {
			return err
		}
		if t.IsOnAnyDevice() && t.HasLocal() {
			t.FinalizeLocal()
		}
		return inner
	})
}

// values returns the number of float32 values that writeState writes.
func (e *engine) values() int64 {
	var n int64
	for _, spec := range e.specs {
		n += 3 * int64(spec.Size())
	}
	return n
}
