package train

import (
	"fmt"

	"github.com/curate-data/curate/scoring/backend"
)

// Precision says in what type forward and backward pass compute. Weights,
// moments and sums of gradients are float32 in both, and so are norms, softmax,
// log-sum-exp and losses.
type Precision string

// Precisions.
const (
	AutoPrecision Precision = "auto" // BF16 on xla:cuda, else F32
	F32           Precision = "f32"
	BF16          Precision = "bf16" // matrices and activations are rounded to bfloat16
)

// on settles auto for a backend.
func (p Precision) on(backendName string) Precision {
	if p != AutoPrecision {
		return p
	}
	if backendName == backend.CUDA {
		return BF16
	}
	return F32
}

// Checkpointing says whether the activations of layers are kept for the
// backward pass or computed again from each layer's input.
type Checkpointing string

// Ways of gradient checkpointing.
const (
	AutoCheckpointing Checkpointing = "auto" // on where the activations of a micro-batch would not fit
	CheckpointingOn   Checkpointing = "on"
	CheckpointingOff  Checkpointing = "off"
)

// validateModes names values that are none of these.
func (o Options) validateModes() (faults []error) {
	switch o.Precision {
	case AutoPrecision, F32, BF16:
	default:
		faults = append(faults, fmt.Errorf("precision %q: want auto, f32 or bf16", o.Precision))
	}
	switch o.Checkpointing {
	case AutoCheckpointing, CheckpointingOn, CheckpointingOff:
	default:
		faults = append(faults, fmt.Errorf("gradient checkpointing %q: want auto, on or off", o.Checkpointing))
	}
	return faults
}
