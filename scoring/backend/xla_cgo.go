//go:build cgo

package backend

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla"
)

// openXLA opens "xla:cpu", "xla:cuda" or "xla:/abs/plugin.so". go-xla never
// gets to install anything: it is given the absolute path of a plugin.
func openXLA(spec string) (*Backend, error) {
	platform := strings.TrimPrefix(spec, "xla:")
	plugin := platform
	if !filepath.IsAbs(plugin) {
		var err error
		if plugin, err = FindPlugin(platform); err != nil {
			return nil, err
		}
	}
	// The C++ side prints its start-up to stderr unless told not to.
	if os.Getenv("TF_CPP_MIN_LOG_LEVEL") == "" {
		os.Setenv("TF_CPP_MIN_LOG_LEVEL", "3")
	}
	var be compute.Backend
	err := Catch("open backend "+spec, func() (err error) {
		be, err = xla.New(plugin)
		return err
	})
	if err != nil {
		return nil, err
	}
	name := spec
	if filepath.IsAbs(platform) {
		name = CPU
		if !strings.Contains(filepath.Base(plugin), "cpu") {
			name = CUDA
		}
	}
	return &Backend{Backend: be, Name: name, Notice: name + ", plugin " + plugin}, nil
}
