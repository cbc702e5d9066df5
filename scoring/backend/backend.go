// Package backend opens the device that models run on, and is the one border
// where panics of gomlx become errors.
//
// Backends: "xla:cpu" and "xla:cuda" run through a PJRT plugin, a shared
// library found at run time; "go" is pure Go, needs nothing, and is about ten
// to twenty times slower. Nothing is downloaded here.
package backend

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// ErrNoPlugin says that no plugin of the wanted kind is installed.
var ErrNoPlugin = errors.New("no XLA plugin is installed")

// Backend is an open device.
type Backend struct {
	compute.Backend
	Name   string // xla:cuda, xla:cpu or go: part of what decides a loss's last bits
	Notice string // one line for people: what was chosen, and why
}

// Close gives the device back.
func (b *Backend) Close() error {
	return Catch("close backend "+b.Name, func() error {
		b.Finalize()
		return nil
	})
}

// Open opens a backend by name. "auto" takes the first that works of xla:cuda,
// xla:cpu and go, and its Notice says which.
func Open(spec string) (*Backend, error) {
	switch {
	case spec == "" || spec == Auto:
		return openAuto()
	case spec == Go:
		return openGo()
	case strings.HasPrefix(spec, "xla:"):
		return openXLA(spec)
	default:
		return nil, fmt.Errorf("open backend %q: want %s, %s, %s, %s or xla:/absolute/path/of/plugin.so", spec, Auto, CUDA, CPU, Go)
	}
}

func openAuto() (*Backend, error) {
	var reasons []string
	for _, name := range []string{CUDA, CPU} {
		be, err := openXLA(name)
		if err == nil {
			be.Notice = "auto: " + be.Notice
			return be, nil
		}
		if !errors.Is(err, ErrNoPlugin) {
			reasons = append(reasons, err.Error())
		}
	}
	be, err := openGo()
	if err != nil {
		return nil, err
	}
	reason := "no XLA plugin (`make plugin` brings one)"
	if len(reasons) > 0 {
		reason = strings.Join(reasons, "; ")
	}
	be.Notice = "auto: pure Go, ten to twenty times slower than XLA: " + reason
	return be, nil
}

func openGo() (*Backend, error) {
	var be compute.Backend
	err := Catch("open backend go", func() (err error) {
		be, err = gobackend.New("")
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Backend{Backend: be, Name: Go, Notice: "pure Go"}, nil
}

// Folders returns where plugins are looked for, in order: $CURATE_PLUGIN_DIR,
// the user's cache, and the folders of go-xla's own installer.
func Folders() []string {
	var folders []string
	if dir := os.Getenv("CURATE_PLUGIN_DIR"); dir != "" {
		folders = append(folders, dir)
	}
	if cache, err := os.UserCacheDir(); err == nil {
		folders = append(folders, filepath.Join(cache, "curate", "pjrt"))
	}
	if home, err := os.UserHomeDir(); err == nil {
		folders = append(folders, filepath.Join(home, ".local", "lib", "go-xla"))
	}
	return append(folders, "/usr/local/lib/go-xla")
}

// FindPlugin returns the path of the plugin for "cpu" or "cuda". An error wraps
// ErrNoPlugin and says where it was looked for and what to do.
func FindPlugin(platform string) (string, error) {
	for _, folder := range Folders() {
		for _, pattern := range []string{"pjrt_c_api_" + platform + "_plugin.so", "pjrt_c_api_" + platform + "_*plugin.so"} {
			found, err := filepath.Glob(filepath.Join(folder, pattern))
			if err == nil && len(found) > 0 {
				return found[len(found)-1], nil // the newest by name
			}
		}
	}
	return "", fmt.Errorf("%w: no pjrt_c_api_%s_plugin.so in %s; `make plugin` brings the one for CPU, CURATE_PLUGIN_DIR names another folder",
		ErrNoPlugin, platform, strings.Join(Folders(), ", "))
}

// Catch runs f and turns a panic, gomlx's way to report errors while a graph is
// built, into an error. What f was doing is named; the stack is left out: it
// tells a user nothing.
func Catch(what string, f func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			if e, ok := cause.(error); ok {
				err = fmt.Errorf("%s: %w", what, e)
			} else {
				err = fmt.Errorf("%s: %v", what, cause)
			}
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
