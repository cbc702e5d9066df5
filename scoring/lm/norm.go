package lm

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
)

// norm normalises the last axis, in float32, and applies weight and bias where
// they are not nil. 1/Sqrt, because Rsqrt has no gradient in gomlx v0.28.1.
func (m *decoder) norm(x, weight, bias *graph.Node) *graph.Node {
	return inFloat32(x, func(x *graph.Node) *graph.Node {
		if m.Norm == LayerNorm {
			x = graph.Sub(x, graph.ReduceAndKeep(x, graph.ReduceMean, -1))
		}
		variance := graph.ReduceAndKeep(graph.Square(x), graph.ReduceMean, -1)
		x = graph.Mul(x, graph.Div(graph.ScalarOne(x.Graph(), x.DType()), graph.Sqrt(graph.AddScalar(variance, m.NormEps))))
		if weight != nil {
			x = graph.Mul(x, graph.ExpandLeftToRank(graph.ConvertDType(weight, dtypes.Float32), x.Rank()))
		}
		if bias != nil {
			x = graph.Add(x, graph.ExpandLeftToRank(graph.ConvertDType(bias, dtypes.Float32), x.Rank()))
		}
		return x
	})
}

// act is the MLP's activation.
func (m *decoder) act(x *graph.Node) *graph.Node {
	switch m.Activation {
	case GELU:
		return graph.Mul(graph.MulScalar(x, 0.5), graph.AddScalar(graph.Erf(graph.MulScalar(x, 1/math.Sqrt2)), 1))
	case GELUTanh:
		cube := graph.Mul(x, graph.Square(x))
		inner := graph.MulScalar(graph.Add(x, graph.MulScalar(cube, 0.044715)), math.Sqrt(2/math.Pi))
		return graph.Mul(graph.MulScalar(x, 0.5), graph.AddScalar(graph.Tanh(inner), 1))
	case ReLU:
		return graph.Max(x, graph.ZerosLike(x))
	}
	return graph.Mul(x, graph.Sigmoid(x))
}

// activation reads the MLP's activation under transformers' names.
func (k *keys) activation(key, absent string) Activation {
	switch name := k.text(key, absent); name {
	case "gelu", "gelu_python":
		return GELU
	case "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh": // one formula, computed in different ways
		return GELUTanh
	case "relu":
		return ReLU
	case "silu", "swish":
		return SiLU
	default:
		k.fault("%s = %q is not implemented, only gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu and silu", key, name)
		return SiLU
	}
}
