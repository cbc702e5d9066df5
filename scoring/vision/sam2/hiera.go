package sam2

import (
	"fmt"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors/images"
)

// features are the image encoder's outputs; g is the side of the embedding.
type features struct {
	image     *graph.Node // [C]: mean of the embedding
	embedding *graph.Node // [g*g,C]
	fine      *graph.Node // [4g,4g,C/8]: level 0 as the mask decoder takes it
	middle    *graph.Node // [2g,2g,C/4]: level 1
}

// encode builds the image encoder for an image [3,S,S] of normalised values.
// position is what Config.position makes of the positional embeddings, [s,s,c]
// for patches of s to a side.
func encode(c Config, w weights, image, position *graph.Node) features {
	levels := neck(c.Vision, w, backbone(c, w, image, position))
	cells, width := c.cells(), c.Vision.Width
	embedding := graph.Add(levels[2], graph.Reshape(w[noMemoryName], 1, 1, width))
	embedding = graph.Reshape(embedding, cells*cells, width)
	return features{
		image:     graph.ReduceMean(embedding, 0),
		embedding: embedding,
		fine:      w.pointwise("mask_decoder.conv_s0", levels[0]),
		middle:    w.pointwise("mask_decoder.conv_s1", levels[1]),
	}
}

// backbone returns the last states of each stage, [s,s,c].
func backbone(c Config, w weights, image, position *graph.Node) []*graph.Node {
	b := c.Vision.Backbone
	const patches = "vision_encoder.backbone.patch_embed.projection"
	pad, kernel := int(b.PatchPadding), graph.TransposeAllAxes(w[patches+".weight"], 2, 3, 1, 0) // [k,k,3,c]
	x := graph.ExpandAxes(graph.TransposeAllAxes(image, 1, 2, 0), 0)
	x = graph.Convolve(x, kernel).ChannelsAxis(images.ChannelsLast).
		Strides(int(b.PatchStride)).PaddingPerDim([][2]int{{pad, pad}, {pad, pad}}).Done()
	x = graph.Add(graph.Squeeze(x, 0), graph.ExpandLeftToRank(w[patches+".bias"], 3))
	x = graph.Add(x, position)
	var stages []*graph.Node
	for _, block := range b.plan() {
		x = block.forward(w, x)
		if block.last {
			stages = append(stages, x)
		}
	}
	return stages
}

// forward applies a block to x [s,s,in]: attention in windows, which may halve
// the sides, and an MLP, both around residuals.
func (b block) forward(w weights, x *graph.Node) *graph.Node {
	normed := w.norm(b.name+".layer_norm1", x, b.eps)
	residual := x
	if b.in != b.out {
		residual = w.linear(b.name+".proj", normed)
	}
	if b.pool {
		residual = halve(graph.ExpandAxes(residual, 0))
		residual = graph.Squeeze(residual, 0)
	}
	side, window, after := x.Shape().Dim(0), b.window, residual.Shape().Dim(0)
	if window == 0 {
		window = side
	}
	y := b.attention(w, partition(normed, window))
	if b.pool {
		window /= 2
	}
	x = graph.Add(residual, unpartition(y, window, after))
	mlp := w.mlp(b.name+".mlp", w.norm(b.name+".layer_norm2", x, b.eps), 0, gelu)
	return graph.Add(x, mlp)
}

// attention of each window to itself: x [n,s,s,in] -> [n,s',s',out]. Queries are
// pooled where the block halves the sides.
func (b block) attention(w weights, x *graph.Node) *graph.Node {
	qkv := w.linear(b.name+".attn.qkv", x)
	part := func(i int) *graph.Node { return graph.SliceAxis(qkv, 3, graph.AxisRange(i*b.out, (i+1)*b.out)) }
	q := part(0)
	if b.pool {
		q = halve(q)
	}
	n, side := q.Shape().Dim(0), q.Shape().Dim(1)
	y := joinHeads(attend(heads(q, b.heads), heads(part(1), b.heads), heads(part(2), b.heads)))
	return w.linear(b.name+".attn.proj", graph.Reshape(y, n, side, side, b.out))
}

// halve takes the maximum over squares of 2 x 2: x [n,s,s,c] -> [n,s/2,s/2,c].
func halve(x *graph.Node) *graph.Node {
	n, half, width := x.Shape().Dim(0), x.Shape().Dim(1)/2, x.Shape().Dim(3)
	return graph.ReduceMax(graph.Reshape(x, n, half, 2, half, 2, width), 2, 4)
}

// partition cuts x [s,s,c] into windows [n,window,window,c], row by row. Windows
// that reach over the edge are filled with zeros.
func partition(x *graph.Node, window int) *graph.Node {
	side, width := x.Shape().Dim(0), x.Shape().Dim(2)
	n := (side + window - 1) / window
	if pad := n*window - side; pad > 0 {
		zero := graph.ScalarZero(x.Graph(), x.DType())
		x = graph.Pad(x, zero, compute.PadAxis{End: pad}, compute.PadAxis{End: pad}, compute.PadAxis{})
	}
	x = graph.TransposeAllAxes(graph.Reshape(x, n, window, n, window, width), 0, 2, 1, 3, 4)
	return graph.Reshape(x, n*n, window, window, width)
}

// unpartition joins windows to [side,side,c] and drops what reaches over.
func unpartition(x *graph.Node, window, side int) *graph.Node {
	n, width := (side+window-1)/window, x.Shape().Dim(3)
	x = graph.TransposeAllAxes(graph.Reshape(x, n, n, window, window, width), 0, 2, 1, 3, 4)
	x = graph.Reshape(x, n*window, n*window, width)
	if n*window > side {
		x = graph.Slice(x, graph.AxisRange(0, side), graph.AxisRange(0, side), graph.AxisRange())
	}
	return x
}

// neck brings the stages to one width and adds coarser ones to finer ones. It
// returns the three finest levels, [s,s,C].
func neck(v Vision, w weights, stages []*graph.Node) []*graph.Node {
	levels := make([]*graph.Node, len(stages))
	for i := len(stages) - 1; i >= 0; i-- {
		levels[i] = w.pointwise(fmt.Sprintf("vision_encoder.neck.convs.%d", len(stages)-1-i), stages[i])
		if i+1 < len(stages) && slices.Contains(v.TopDownLevels, i) {
			levels[i] = graph.Add(levels[i], double(levels[i+1]))
		}
	}
	return levels[:numLevels]
}

// double repeats every cell in both directions: [s,s,c] -> [2s,2s,c].
func double(x *graph.Node) *graph.Node {
	side, width := x.Shape().Dim(0), x.Shape().Dim(2)
	x = graph.BroadcastToDims(graph.Reshape(x, side, 1, side, 1, width), side, 2, side, 2, width)
	return graph.Reshape(x, 2*side, 2*side, width)
}
