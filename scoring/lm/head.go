package lm

import (
	"github.com/gomlx/gomlx/core/graph"
)

// The head's logits are rows x vocabulary: the largest thing of the model by
// far if it were held whole. They are made slice by slice instead.
const (
	// logitBytes bounds the logits of one slice.
	logitBytes = 64 << 20
	// mostColumns is the widest slice of the vocabulary, and fewestColumns the
	// narrowest that is still a good matrix product; with more rows than
	// logitBytes allows at that width, the rows are sliced as well.
	mostColumns, fewestColumns = 8192, 1024
)

// headLosses returns loss and logZ, [N] each, of hidden [N,d] under head [V,d]
// and targets [N] int32.
func headLosses(hidden, head, targets *graph.Node) (loss, logZ *graph.Node) {
	logZ = logSumExp(hidden, head)
	rows := graph.Gather(head, graph.ExpandAxes(targets, -1)) // [N,d]
	target := graph.ReduceSum(graph.Mul(hidden, rows), -1)
	return graph.Sub(logZ, target), logZ
}

// sliceSizes returns how many rows and columns a slice of the logits has.
func sliceSizes(rows, vocabulary int) (sliceRows, sliceColumns int) {
	const most = logitBytes / 4
	sliceColumns = min(vocabulary, mostColumns, max(fewestColumns, most/rows))
	return min(rows, max(1, most/sliceColumns)), sliceColumns
}

// logSumExp is ln(sum over v of exp(hidden . head[v])) for each row of hidden.
func logSumExp(hidden, head *graph.Node) *graph.Node {
	rows, vocabulary := hidden.Shape().Dim(0), head.Shape().Dim(0)
	sliceRows, sliceColumns := sliceSizes(rows, vocabulary)
	var parts []*graph.Node
	for from := 0; from < rows; from += sliceRows {
		part := hidden
		if sliceRows < rows {
			part = graph.SliceAxis(hidden, 0, graph.AxisRange(from, min(rows, from+sliceRows)))
		}
		parts = append(parts, logSumExpRows(part, head, sliceColumns))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return graph.Concatenate(parts, 0)
}

// logSumExpRows runs over the vocabulary with a running maximum and a running
// sum of exp(logit - maximum). The maximum cancels, so it needs no gradient.
// The checkpoint makes the gradient compute the slices again instead of
// keeping them all.
func logSumExpRows(hidden, head *graph.Node, columns int) *graph.Node {
	vocabulary := head.Shape().Dim(0)
	hidden = hidden.Checkpoint()
	var top, sum *graph.Node // [N,1]
	for from := 0; from < vocabulary; from += columns {
		slice := head
		if columns < vocabulary {
			slice = graph.SliceAxis(head, 0, graph.AxisRange(from, min(vocabulary, from+columns)))
		}
		logits := linear(hidden, slice)
		sliceTop := graph.StopGradient(graph.ReduceAndKeep(logits, graph.ReduceMax, -1))
		if top == nil {
			top, sum = sliceTop, sumExp(logits, sliceTop)
			continue
		}
		newTop := graph.Max(top, sliceTop)
		sum = graph.Add(graph.Mul(sum, graph.Exp(graph.Sub(top, newTop))), sumExp(logits, newTop))
		top = newTop
	}
	logZ := graph.Add(top, graph.Log(sum)).StopCheckpoint()
	return graph.Reshape(logZ, hidden.Shape().Dim(0))
}

func sumExp(logits, top *graph.Node) *graph.Node {
	return graph.ReduceAndKeep(graph.Exp(graph.Sub(logits, top)), graph.ReduceSum, -1)
}
