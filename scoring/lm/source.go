package lm

import (
	"fmt"

	"github.com/curate-data/curate/scoring/safetensors"
)

// Source is a model whose tensors can be had one at a time: a *Model, or a
// *Folder, whose weights are then never in memory as a whole.
type Source interface {
	configuration() Config
	// each hands over the tensors in the order of ParamSpecs. Their data is
	// valid until use returns.
	each(use func(Param) error) error
}

func (m *Model) configuration() Config { return m.Config }

// each hands over the tensors of a valid model.
func (m *Model) each(use func(Param) error) error {
	if err := m.Validate(); err != nil {
		return err
	}
	for _, p := range m.Params {
		if err := use(p); err != nil {
			return err
		}
	}
	return nil
}

// Folder is a model folder: a configuration that was read, and weights that are
// read when they are wanted.
type Folder struct {
	Config Config
	dir    string
}

// OpenFolder reads config.json of a model folder.
func OpenFolder(dir string) (*Folder, error) {
	f := &Folder{dir: dir}
	if err := loadConfig(dir, &f.Config); err != nil {
		return nil, fmt.Errorf("load model %s: %w", dir, err)
	}
	return f, nil
}

func (f *Folder) configuration() Config { return f.Config }

// each finds the faults that Load finds. Values that are not finite come out
// after the last tensor.
func (f *Folder) each(use func(Param) error) error {
	err := safetensors.InFolder(f.dir, func(weights *safetensors.File) error { return eachParam(f.Config, weights, use) })
	if err != nil {
		return fmt.Errorf("load model %s: %w", f.dir, err)
	}
	return nil
}
