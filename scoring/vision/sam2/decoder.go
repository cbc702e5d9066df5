package sam2

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
)

// decoderEps is the epsilon of the norms of the decoder's transformer and
// upscaleEps that of its upscaling; transformers has no key for them.
const (
	decoderEps = 1e-5
	upscaleEps = 1e-6
)

// prompts are the inputs of the decoder for P boxes in one image.
type prompts struct {
	corners  *graph.Node // [P,2,C]: of the boxes, without the embedding that tells them apart
	boxCells *graph.Node // [P,g*g]: how the box spreads over the cells, sum 1
	position *graph.Node // [g*g,C]: of the cells
}

// objects are the decoder's outputs for P boxes.
type objects struct {
	iou     *graph.Node // [P,M]: predicted quality of each of the M masks
	score   *graph.Node // [P,1]: logit of there being an object
	best    *graph.Node // [P,M]: 1 for the mask of the highest quality, the first of equals
	token   *graph.Node // [P,C]: the output token of the best mask
	cells   *graph.Node // [P,g,g,C]: the image as the transformer left it
	masks   *graph.Node // [P,M,C]: the output tokens of all masks
	decoder Decoder
}

// decode runs the mask decoder's transformer for P boxes.
func decode(c Config, w weights, f features, in prompts) objects {
	d, count := c.Decoder, in.corners.Shape().Dim(0)
	row := func(name string) *graph.Node { return w[name+".weight"] } // [n,C]
	tokens := graph.Concatenate([]*graph.Node{row("mask_decoder.obj_score_token"), row("mask_decoder.iou_token"), row("mask_decoder.mask_tokens")}, 0)
	points := graph.SliceAxis(row("prompt_encoder.point_embed"), 0, graph.AxisRange(2, 4)) // of upper left and lower right
	point := graph.Concatenate([]*graph.Node{
		repeat(graph.ExpandAxes(tokens, 0), count),
		graph.Add(in.corners, graph.ExpandAxes(points, 0)),
		repeat(graph.ExpandAxes(row("prompt_encoder.not_a_point_embed"), 0), count),
	}, 1) // [P,M+6,C]
	image := graph.Add(f.embedding, row("prompt_encoder.no_mask_embed"))
	queries, keys := transformer(d, w, point, graph.ExpandAxes(image, 0), graph.ExpandAxes(in.position, 0))

	at := func(i int) *graph.Node { return graph.Squeeze(graph.SliceAxis(queries, 1, graph.AxisElem(i)), 1) }
	iou := graph.Sigmoid(w.mlp("mask_decoder.iou_prediction_head", at(1), d.IoUHeadDepth-2, relu))
	iou = graph.SliceAxis(iou, 1, graph.AxisRangeToEnd(1)) // without the single mask
	masks := graph.SliceAxis(queries, 1, graph.AxisRange(3, 3+d.NumMasks))
	best := graph.OneHot(graph.ArgMax(iou, 1), d.NumMasks, dtypes.Float32)
	g, width := c.cells(), d.Width
	return objects{
		iou:   iou,
		score: w.mlp("mask_decoder.pred_obj_score_head", at(0), 1, relu),
		best:  best,
		masks: masks, token: pick(best, masks),
		cells:   graph.Reshape(keys, count, g, g, width),
		decoder: d,
	}
}

// pick returns the row that best marks: best [P,M], rows [P,M,n] -> [P,n].
func pick(best, rows *graph.Node) *graph.Node {
	return graph.ReduceSum(graph.Mul(graph.ExpandAxes(best, -1), rows), 1)
}

// repeat returns x [1,...] P times.
func repeat(x *graph.Node, count int) *graph.Node {
	dims := append([]int{count}, x.Shape().Dimensions[1:]...)
	return graph.BroadcastToDims(x, dims...)
}

// transformer lets tokens [P,t,C] and the image's cells [1,n,C] attend to each
// other. It returns tokens and cells [P,n,C].
func transformer(d Decoder, w weights, point, cells, position *graph.Node) (queries, keys *graph.Node) {
	queries, keys = point, cells
	for i := range d.NumLayers {
		layer := fmt.Sprintf("mask_decoder.transformer.layers.%d", i)
		if i == 0 {
			queries = cross(d, w, layer+".self_attn", queries, queries, queries)
		} else {
			q := graph.Add(queries, point)
			queries = graph.Add(queries, cross(d, w, layer+".self_attn", q, q, queries))
		}
		queries = w.norm(layer+".layer_norm1", queries, decoderEps)
		seen := cross(d, w, layer+".cross_attn_token_to_image", graph.Add(queries, point), graph.Add(keys, position), keys)
		queries = w.norm(layer+".layer_norm2", graph.Add(queries, seen), decoderEps)
		queries = graph.Add(queries, w.mlp(layer+".mlp", queries, max(0, d.NumLayers-2), relu))
		queries = w.norm(layer+".layer_norm3", queries, decoderEps)
		told := cross(d, w, layer+".cross_attn_image_to_token", graph.Add(keys, position), graph.Add(queries, point), queries)
		keys = w.norm(layer+".layer_norm4", graph.Add(keys, told), decoderEps)
	}
	const last = "mask_decoder.transformer.final_attn_token_to_image"
	seen := cross(d, w, last, graph.Add(queries, point), graph.Add(keys, position), keys)
	return w.norm("mask_decoder.transformer.layer_norm_final_attn", graph.Add(queries, seen), decoderEps), keys
}

// cross is attention of q to k and v. One side may be [1,n,C] where the other is
// [P,n,C]: before the first layer all objects have the same image, whose
// projections are computed once.
func cross(d Decoder, w weights, name string, q, k, v *graph.Node) *graph.Node {
	count := max(q.Shape().Dim(0), k.Shape().Dim(0))
	part := func(which string, x *graph.Node) *graph.Node {
		return repeat(heads(w.linear(name+"."+which, x), d.NumHeads), count)
	}
	return w.linear(name+".o_proj", joinHeads(attend(part("q_proj", q), part("k_proj", k), part("v_proj", v))))
}

// pointer projects the best mask's token, or gives the vector that stands for no
// object where the score says that there is none: [P,C].
func (o objects) pointer(w weights) *graph.Node {
	projected := w.mlp("object_pointer_proj", o.token, 1, relu)
	absent := repeat(w[noObjectName], projected.Shape().Dim(0))
	present := graph.GreaterThan(o.score, graph.ScalarZero(o.score.Graph(), o.score.DType()))
	return graph.Where(graph.BroadcastToDims(present, projected.Shape().Dimensions...), projected, absent)
}

// mask returns the logits of the best mask, [P,4g,4g].
func (o objects) mask(w weights, f features) *graph.Node {
	x := graph.Add(w.upscale("mask_decoder.upscale_conv1", o.cells), graph.ExpandAxes(f.middle, 0))
	x = gelu(w.norm("mask_decoder.upscale_layer_norm", x, upscaleEps))
	x = gelu(graph.Add(w.upscale("mask_decoder.upscale_conv2", x), graph.ExpandAxes(f.fine, 0))) // [P,4g,4g,C/8]
	var filters []*graph.Node
	for i := range o.decoder.NumMasks {
		token := graph.Squeeze(graph.SliceAxis(o.masks, 1, graph.AxisElem(i)), 1)
		filter := w.mlp(fmt.Sprintf("mask_decoder.output_hypernetworks_mlps.%d", i+1), token, 1, relu)
		filters = append(filters, graph.ExpandAxes(filter, 1))
	}
	filter := pick(o.best, graph.Concatenate(filters, 1)) // [P,C/8]
	return graph.DotGeneral(x, []int{3}, []int{0}, filter, []int{1}, []int{0})
}

// pool averages the image embedding over a mask [P,4g,4g]: a cell counts by the
// part of it that the mask covers. Where the mask is empty the box counts.
func pool(f features, mask, boxCells *graph.Node) *graph.Node {
	count, side := mask.Shape().Dim(0), mask.Shape().Dim(1)/4
	inside := graph.ConvertDType(graph.GreaterThan(mask, graph.ScalarZero(mask.Graph(), mask.DType())), dtypes.Float32)
	covered := graph.ReduceSum(graph.Reshape(inside, count, side, 4, side, 4), 2, 4)
	covered = graph.Reshape(covered, count, side*side)
	total := graph.ReduceAndKeep(covered, graph.ReduceSum, 1) // [P,1]
	empty := graph.BroadcastToDims(graph.Equal(total, graph.ZerosLike(total)), covered.Shape().Dimensions...)
	share := graph.Where(empty, boxCells, graph.Div(covered, graph.MaxScalar(total, 1.0)))
	return graph.DotGeneral(share, []int{1}, nil, f.embedding, []int{0}, nil)
}
