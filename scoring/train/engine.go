package train

import (
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
)

// engine holds weights and moments on the device, and the compiled graphs that
// change them. It serves one goroutine.
type engine struct {
	be     *backend.Backend
	model  lm.Config
	specs  []lm.ParamSpec
	linear []bool // which specs are matrices of linear layers
	opt    Options
	plan   Plan

	// One float32 tensor per spec: weights, first and second moments.
	params, first, second []*tensors.Tensor

	whole      *graph.Exec // loss, gradient and update of a whole batch in one graph
	accumulate *graph.Exec // else: gradients of a micro-batch, added up,
	apply      *graph.Exec // and the update
	eval       *graph.Exec
}

// newEngine compiles nothing yet: the first call of a graph does.
func newEngine(be *backend.Backend, model lm.Config, opt Options, plan Plan) (*engine, error) {
	e := &engine{be: be, model: model, specs: lm.ParamSpecs(model), linear: lm.LinearWeights(model), opt: opt, plan: plan}
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

// start puts the weights of a model on the device, with moments of zero.
func (e *engine) start(m *lm.Model) {
	e.params, e.first, e.second = nil, nil, nil
	for i, spec := range e.specs {
		e.params = append(e.params, tensors.FromFlatDataAndDimensions(m.Params[i].Data, spec.Shape...))
		e.first = append(e.first, zeros(spec))
		e.second = append(e.second, zeros(spec))
	}
}

func zeros(spec lm.ParamSpec) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(make([]float32, spec.Size()), spec.Shape...)
}

// computed returns the weights as the decoder takes them: with the matrices of
// linear layers rounded to bfloat16, if the plan says so. Gradients arrive at the weights in float32.
func (e *engine) computed(params []*graph.Node) []*graph.Node {
	if e.plan.Precision != lm.BFloat16 {
		return params
	}
	rounded := slices.Clone(params)
	for i, linear := range e.linear {
		if linear {
			rounded[i] = graph.ConvertDType(params[i], dtypes.BFloat16)
		}
	}
	return rounded
}

// lossOf returns the mean loss and the weighted z-loss of tokens [B,T].
func (e *engine) lossOf(params []*graph.Node, tokens *graph.Node) (loss, z *graph.Node) {
	losses, logZ := lm.Losses(e.model, e.computed(params), lm.Inputs{Tokens: tokens, Recompute: e.plan.Recompute})
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

// evalGraph takes weights and tokens [B,T] and returns mean losses [B].
func (e *engine) evalGraph(in []*graph.Node) []*graph.Node {
	n := len(e.specs)
	losses, _ := lm.Losses(e.model, e.computed(in[:n]), lm.Inputs{Tokens: in[n]})
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
		sums[i] = zeros(spec)
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
