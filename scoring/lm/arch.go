package lm

// Arch is what decides a decoder's maths, whatever family it comes from. It is
// comparable: models with the same Arch share an executable.
type Arch struct {
	Family     string // model_type of config.json
	Width      int    // d, of the residual stream
	Layers     int
	Heads      int // H, of queries
	KVHeads    int // of keys and values; it divides Heads
	HeadDim    int // h
	Hidden     int // of the MLP
	Embeddings int // rows of the embedding and of the head: the softmax runs over all
	Positions  int // rows of learned positions; 0: rotary ones
	Tied       bool

	Norm      NormKind
	NormEps   float64
	NormAfter bool // norms are of the outputs of attention and MLP, not of their inputs (OLMo 2)
	Parallel  bool // attention and MLP read the same x (GPT-NeoX)
	QKNorm    QKNorm

	QKVBias, OutBias, MLPBias bool // of queries, keys and values; of attention's output; of the MLP

	Rope       Rope
	ClipQKV    float64 // bound of q, k and v; 0: none
	Window     int     // tokens that a query sees, itself included; 0: all before it
	WindowFrom int     // first layer that Window holds for
	ByLayer    bool    // scores of layer i are divided by i+1 (GPT-2's scale_attn_by_inverse_layer_idx)

	Activation Activation
	Gated      bool // MLP is down(act(gate x) * up x), else down(act(up x))

	QKV       QKVLayout
	Transpose bool // matrices of layers are stored [in,out] (GPT-2)
}

// NormKind is how a norm scales.
type NormKind string

// Norms. Weights and biases are applied where the family has such tensors.
const (
	LayerNorm NormKind = "layer_norm" // (x - mean) / sqrt(variance + eps)
	RMSNorm   NormKind = "rms_norm"   // x / sqrt(mean of squares + eps)
)

// QKNorm says over what queries and keys are normalised before RoPE.
type QKNorm string

// Norms of queries and keys.
const (
	NoQKNorm    QKNorm = ""
	WholeNorm   QKNorm = "whole" // over the full width, all heads together
	PerHeadNorm QKNorm = "head"  // over each head
)

// QKVLayout is how the weights of queries, keys and values are stored.
type QKVLayout string

// Layouts of queries, keys and values.
const (
	SeparateQKV QKVLayout = "separate" // three tensors
	JoinedQKV   QKVLayout = "joined"   // one: all queries, all keys, all values
	PerHeadQKV  QKVLayout = "heads"    // one: query, key and value of head 0, of head 1, ... (GPT-NeoX)
)

// Activation of the MLP.
type Activation string

// Activations.
const (
	GELU     Activation = "gelu"      // x/2 (1 + erf(x/sqrt 2))
	GELUTanh Activation = "gelu_tanh" // its approximation by tanh (GPT-2's gelu_new)
	ReLU     Activation = "relu"
	SiLU     Activation = "silu" // x sigmoid(x)
)

// Rope says how the angles of rotary positions come about. The halves of the
// first Dim numbers of a head are rotated against each other (the NeoX layout).
type Rope struct {
	Dim    int     // rotated numbers of a head, even; 0: no rotary positions
	Theta  float64 // base
	Kind   string  // scaling: "", linear, llama3 or yarn
	Factor float64 // of the scaling

	LowFactor, HighFactor float64 // llama3
	BetaFast, BetaSlow    float64 // yarn
	Truncate              bool    // yarn: its bounds are rounded to whole numbers
	Original              int     // llama3, yarn: positions that the model was trained on first
	Attention             float64 // yarn: factor of cosines and sines
}

// role is what a tensor is for.
type role int

const (
	embedding    role = iota // [V,d]
	positionRows             // [Positions,d]
	attnNorm                 // [d]
	attnNormBias
	qkv // [(H+2 KVHeads) h, d]
	qkvBias
	query // [H h, d]
	queryBias
	key // [KVHeads h, d]
	keyBias
	value // [KVHeads h, d]
	valueBias
	qNorm   // [d of all heads] or [h]
	kNorm   //
	attnOut // [d, H h]
	attnOutBias
	attnAfter // [d], norm of attention's output
	ffNorm    // [d]
	ffNormBias
	gate // [hidden, d]
	gateBias
	up // [hidden, d]
	upBias
	down // [d, hidden]
	downBias
	ffAfter   // [d], norm of the MLP's output
	finalNorm // [d]
	finalNormBias
	head // [V,d]
)

// tensorName says how a family calls the tensor of a role. Names of a layer's
// tensors follow the family's prefix.
type tensorName struct {
	role role
	name string
}

// shape returns the shape of a role's tensor as the family stores it.
func (a Arch) shape(r role) []int {
	q, kv := a.Heads*a.HeadDim, a.KVHeads*a.HeadDim
	matrix := func(out, in int) []int {
		if a.Transpose {
			return []int{in, out}
		}
		return []int{out, in}
	}
	switch r {
	case embedding, head:
		return []int{a.Embeddings, a.Width}
	case positionRows:
		return []int{a.Positions, a.Width}
	case qkv:
		return matrix(q+2*kv, a.Width)
	case qkvBias:
		return []int{q + 2*kv}
	case query:
		return matrix(q, a.Width)
	case queryBias:
		return []int{q}
	case key, value:
		return matrix(kv, a.Width)
	case keyBias, valueBias:
		return []int{kv}
	case qNorm:
		return a.qkNormShape(q)
	case kNorm:
		return a.qkNormShape(kv)
	case attnOut:
		return matrix(a.Width, q)
	case gate, up:
		return matrix(a.Hidden, a.Width)
	case gateBias, upBias:
		return []int{a.Hidden}
	case down:
		return matrix(a.Width, a.Hidden)
	}
	return []int{a.Width}
}

func (a Arch) qkNormShape(all int) []int {
	if a.QKNorm == PerHeadNorm {
		return []int{a.HeadDim}
	}
	return []int{all}
}

// isNorm says whether a role is the weight of a norm, which starts at 1.
func (r role) isNorm() bool {
	switch r {
	case attnNorm, qNorm, kNorm, attnAfter, ffNorm, ffAfter, finalNorm:
		return true
	}
	return false
}

// isBias says whether a role is a bias, which starts at 0.
func (r role) isBias() bool {
	switch r {
	case attnNormBias, qkvBias, queryBias, keyBias, valueBias, attnOutBias, ffNormBias, gateBias, upBias, downBias, finalNormBias:
		return true
	}
	return false
}
