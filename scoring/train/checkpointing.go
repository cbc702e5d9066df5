package train

import "fmt"

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
	if _, err := o.Precision.On(""); err != nil {
		faults = append(faults, err)
	}
	switch o.Checkpointing {
	case AutoCheckpointing, CheckpointingOn, CheckpointingOff:
	default:
		faults = append(faults, fmt.Errorf("gradient checkpointing %q: want auto, on or off", o.Checkpointing))
	}
	return faults
}
