package lm

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
)

// logitBytes bounds the logits of one slice. The head's logits are rows x
// vocabulary, the largest thing of the model by far if they were held whole:
// they are made slice by slice.
const logitBytes = 64 << 20

// fewestColumns is the narrowest slice of the vocabulary that is still a good
// matrix product.
const fewestColumns = 1024

// mostColumns is the widest slice, by the type of weights. XLA packs both matrices
// of a float32 product on a CPU: with 1,024 columns what it packs stays in cache,
// with 8,192 it runs at 3/4 of the speed. GPUs, which get bfloat16, want few and
// large products.
func mostColumns(dtype dtypes.DType) int {
	if dtype == dtypes.Float32 {
		return fewestColumns
	}
	return 8192
}

// headLosses returns loss and logZ, [N] each, of hidden [N,d] under head [V,d]
// and targets [N] int32.
func headLosses(hidden, head, targets *graph.Node) (loss, logZ *graph.Node) {
	hidden = graph.ConvertDType(hidden, head.DType()) // the target's logit is of the same numbers as the others
	logZ = logSumExp(hidden, head)
	// Widened before the gather: its gradient adds up what all positions of a
	// frequent token send, thousands of numbers, which bfloat16 would lose.
	rows := graph.Gather(graph.ConvertDType(head, dtypes.Float32), graph.ExpandAxes(targets, -1)) // [N,d]
	target := graph.ReduceSum(graph.Mul(graph.ConvertDType(hidden, dtypes.Float32), rows), -1)
	return graph.Sub(logZ, target), logZ
}

// slice is a part of the logits: rows of hidden and of head.
type slice struct{ row, rows, column, columns int }

// slicesOf cuts rows x vocabulary logits into slices of at most logitBytes: the
// vocabulary into equal ones of at most most columns, rounded up to what vector
// registers hold, and the rows as well where fewestColumns would be too many.
func slicesOf(rows, vocabulary, most int) []slice {
	most = min(most, max(fewestColumns, logitBytes/4/rows))
	count := (vocabulary + most - 1) / most
	columns := min(vocabulary, (vocabulary+16*count-1)/(16*count)*16)
	return cut(rows, vocabulary, logitBytes/4/columns, columns)
}

// cut returns slices of height x width, row by row.
func cut(rows, vocabulary, height, width int) []slice {
	var all []slice
	for row := 0; row < rows; row += height {
		for column := 0; column < vocabulary; column += width {
			all = append(all, slice{row, min(height, rows-row), column, min(width, vocabulary-column)})
		}
	}
	return all
}

// logSumExp is ln(sum over v of exp(hidden . head[v])) for each row of hidden.
func logSumExp(hidden, head *graph.Node) *graph.Node {
	return slicedLogSumExp(hidden, head, slicesOf(hidden.Shape().Dim(0), head.Shape().Dim(0), mostColumns(head.DType())))
}

// slicedLogSumExp makes the values slice by slice and gives them a gradient
// that does the same. gomlx knows custom gradients of one node only, so both
// inputs are joined in one whose share of the value is exactly zero. It is of
// float32, so that what arrives and what leaves is not rounded.
func slicedLogSumExp(hidden, head *graph.Node, parts []slice) *graph.Node {
	logZ := runningLogSumExp(graph.StopGradient(hidden), graph.StopGradient(head), parts)
	rows := hidden.Shape().Dim(0)
	both := []*graph.Node{graph.ConvertDType(hidden, dtypes.Float32), graph.ConvertDType(head, dtypes.Float32)}
	joined := graph.IdentityWithCustomGradient(graph.Concatenate(both, 0), func(_, v *graph.Node) *graph.Node {
		arriving := graph.Slice(v, graph.AxisRange(0, rows), graph.AxisRange(0, 1)) // [N,1]
		return logSumExpGradient(hidden, head, logZ, arriving, parts)
	})
	carrier := graph.Reshape(graph.Slice(joined, graph.AxisRange(0, rows), graph.AxisRange(0, 1)), rows)
	return graph.Add(logZ, graph.Sub(carrier, graph.StopGradient(carrier)))
}

// runningLogSumExp runs over the vocabulary with a running maximum and a
// running sum of exp(logit - maximum), [n,1] each.
func runningLogSumExp(hidden, head *graph.Node, parts []slice) *graph.Node {
	var done []*graph.Node
	var top, sum *graph.Node
	for i, part := range parts {
		h, w := part.inputs(hidden, head, sum)
		logits := logitsOf(h, w)
		sliceTop := graph.ReduceAndKeep(logits, graph.ReduceMax, -1)
		if part.column == 0 {
			top, sum = sliceTop, sumExp(logits, sliceTop)
		} else {
			newTop := graph.Max(top, sliceTop)
			sum = graph.Add(graph.Mul(sum, graph.Exp(graph.Sub(top, newTop))), sumExp(logits, newTop))
			top = newTop
		}
		if i+1 == len(parts) || parts[i+1].column == 0 {
			done = append(done, graph.Reshape(graph.Add(top, graph.Log(sum)), part.rows))
		}
	}
	return join(done)
}

// logitsOf is hidden wᵀ in float32, whatever the type of weights.
func logitsOf(hidden, w *graph.Node) *graph.Node {
	return graph.Dot(hidden, w).WithOutputDType(dtypes.Float32).General([]int{1}, nil, []int{1}, nil)
}

func sumExp(logits, top *graph.Node) *graph.Node {
	return graph.ReduceAndKeep(graph.Exp(graph.Sub(logits, top)), graph.ReduceSum, -1)
}

// logSumExpGradient returns the gradients of hidden and head, joined [N+V,d]
// float32. The derivative of logZ by a logit is its probability, computed
// again; it is multiplied in the type of hidden and head, and added up in float32.
func logSumExpGradient(hidden, head, logZ, arriving *graph.Node, parts []slice) *graph.Node {
	logZ = graph.ExpandAxes(logZ, -1)
	heads := map[int]*graph.Node{} // by first column
	var order []int
	var done []*graph.Node
	var byHidden *graph.Node
	for i, part := range parts {
		h, w := part.inputs(hidden, head, byHidden)
		rows := graph.AxisRange(part.row, part.row+part.rows)
		p := graph.Exp(graph.Sub(logitsOf(h, w), graph.SliceAxis(logZ, 0, rows)))
		p = graph.ConvertDType(graph.Mul(p, graph.SliceAxis(arriving, 0, rows)), h.DType()) // [n,c]
		share := graph.Dot(p, w).WithOutputDType(dtypes.Float32).General([]int{1}, nil, []int{0}, nil)
		if part.column == 0 {
			byHidden = share
		} else {
			byHidden = graph.Add(byHidden, share)
		}
		byHead := graph.Dot(p, h).WithOutputDType(dtypes.Float32).General([]int{0}, nil, []int{0}, nil)
		if earlier := heads[part.column]; earlier != nil {
			byHead = graph.Add(earlier, byHead)
		} else {
			order = append(order, part.column)
		}
		heads[part.column] = byHead
		if i+1 == len(parts) || parts[i+1].column == 0 {
			done = append(done, byHidden)
		}
	}
	for _, column := range order {
		done = append(done, heads[column])
	}
	return join(done)
}

// inputs returns the slice's rows of hidden and head. They wait for the result of
// the slice before: XLA would make all slices at once. What it waits for is a
// comparison, never true, because the barrier adds it times zero, and NaN times
// zero would spread from one row to all.
func (s slice) inputs(hidden, head, before *graph.Node) (h, w *graph.Node) {
	h = graph.SliceAxis(hidden, 0, graph.AxisRange(s.row, s.row+s.rows))
	if before != nil {
		h = graph.SchedulingBarrier(h, graph.LessThan(graph.ReduceAllMax(before), graph.Infinity(h.Graph(), before.DType(), -1)))
	}
	return h, graph.SliceAxis(head, 0, graph.AxisRange(s.column, s.column+s.columns))
}

func join(parts []*graph.Node) *graph.Node {
	if len(parts) == 1 {
		return parts[0]
	}
	return graph.Concatenate(parts, 0)
}
