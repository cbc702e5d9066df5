// Package backend opens the device that models run on, and is the one border
// where panics of gomlx become errors.
//
// "xla:cuda" and "xla:cpu" run through a PJRT plugin, a shared library found at
// run time; "go" is pure Go, needs nothing, and is ten to twenty times slower.
// Nothing is downloaded here: package install brings plugins.
package backend

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
)

// Names of the backends that Open takes, beside "xla:/absolute/plugin.so".
const (
	Auto = "auto"
	CUDA = "xla:cuda"
	CPU  = "xla:cpu"
	Go   = "go"
)

// ErrNoPlugin says that no plugin of the wanted kind is installed, ErrNoGPU that
// there is a plugin for CUDA but nothing that it could run on.
var (
	ErrNoPlugin = errors.New("no XLA plugin is installed")
	ErrNoGPU    = errors.New("no GPU")
)

// Backend is an open device.
type Backend struct {
	compute.Backend
	Name   string // xla:cuda, xla:cpu or go: part of what decides a loss's last bits
	Notice string // one line for people: what was chosen, and why
	Plugin Plugin // what runs behind xla:cuda and xla:cpu
}

// Close gives the device back. Tensors on it are void.
func (b *Backend) Close() error {
	return Catch("close backend "+b.Name, func() error {
		b.Finalize()
		return nil
	})
}

// Open opens a backend by name. "auto", or "", takes the first that works of
// xla:cuda, xla:cpu and go, and its Notice says which and why. An error wraps
// ErrNoPlugin when all that is missing is the plugin.
func Open(spec string) (*Backend, error) {
	switch kind := strings.TrimPrefix(spec, "xla:"); {
	case spec == "" || spec == Auto:
		return openAuto()
	case spec == Go:
		return openGo()
	case spec == CUDA || spec == CPU || kind != spec && strings.HasPrefix(kind, "/"):
		return openXLA(spec)
	}
	return nil, fmt.Errorf("open backend %q: want %s, %s, %s, %s or xla:/absolute/path/of/plugin.so", spec, Auto, CUDA, CPU, Go)
}

func openAuto() (*Backend, error) {
	var why []string
	for _, name := range []string{CUDA, CPU} {
		be, err := openXLA(name)
		if err == nil {
			be.Notice = "auto: " + strings.Join(append([]string{be.Notice}, why...), "; ")
			return be, nil
		}
		if errors.Is(err, ErrNoPlugin) {
			why = append(why, "no plugin for "+name)
		} else {
			why = append(why, oneLine(err))
		}
	}
	be, err := openGo()
	if err != nil {
		return nil, err
	}
	be.Notice = "auto: pure Go, ten to twenty times slower than XLA (`curate doctor --install cpu` brings XLA): " + strings.Join(why, "; ")
	return be, nil
}

func openGo() (*Backend, error) {
	var be compute.Backend
	err := Catch("open backend go", func() (err error) {
		// Operations of a graph that run at the same time hold all workers and wait for
		// more of them for their products, for ever (compute v0.1.2, workerspool.Saturate).
		be, err = gobackend.New("ops_sequential")
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Backend{Backend: be, Name: Go, Notice: "pure Go"}, nil
}

// oneLine is the first line of an error; those of plugins can be long.
func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// Catch runs f and turns a panic, gomlx's way to report errors while a graph is
// built, into an error. What f was doing is named; the stack is left out: it
// tells a user nothing.
func Catch(what string, f func() error) (err error) {
	defer func() {
		switch cause := recover().(type) {
		case nil:
		case error:
			err = fmt.Errorf("%s: %w", what, cause)
		default:
			err = fmt.Errorf("%s: %v", what, cause)
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
