//go:build cgo

package backend

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla"
	"github.com/gomlx/go-xla/pjrt"
	"k8s.io/klog/v2"
)

// openXLA opens "xla:cpu", "xla:cuda" or "xla:/abs/plugin.so". go-xla always
// gets the absolute path of a plugin, and may install nothing.
func openXLA(spec string) (*Backend, error) {
	xla.EnableAutoInstall(false)
	if err := quiet(); err != nil {
		return nil, fmt.Errorf("open backend %s: %w", spec, err)
	}
	plugin := strings.TrimPrefix(spec, "xla:")
	if !filepath.IsAbs(plugin) {
		found, err := FindPlugin(plugin)
		if err != nil {
			return nil, fmt.Errorf("open backend %s: %w", spec, err)
		}
		plugin = found
	}
	if err := checkPlugin(plugin); err != nil {
		return nil, fmt.Errorf("open backend %s: %w", spec, err)
	}
	name := CPU
	if file := filepath.Base(plugin); spec == CUDA || strings.Contains(file, "cuda") || strings.Contains(file, "nvidia") {
		name = CUDA
	}
	// go-xla guesses the platform from the letters of the whole path, so what
	// hangs on it is said here. TF32 would cost about three digits of a loss.
	options := fmt.Sprintf(",tf32=false,shared_buffers=%t", name == CPU)
	var be compute.Backend
	var facts Plugin
	err := Catch("open backend "+spec+", plugin "+plugin, func() (err error) {
		if be, err = xla.New(plugin + options); err != nil {
			return err
		}
		facts, err = pluginFacts(plugin)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Backend{Backend: be, Name: name, Notice: name + ", plugin " + plugin, Plugin: facts}, nil
}

// pluginFacts asks the plugin that go-xla has loaded for its versions.
func pluginFacts(path string) (Plugin, error) {
	loaded, err := pjrt.GetPlugin(path) // the one that is loaded, not another
	if err != nil {
		return Plugin{}, err
	}
	major, minor := loaded.Version()
	facts := Plugin{Path: path, API: fmt.Sprintf("%d.%d", major, minor)}
	if version, ok := loaded.Attributes()["stablehlo_current_version"].([]int64); ok {
		facts.StableHLO = strings.ReplaceAll(strings.Trim(fmt.Sprint(version), "[]"), " ", ".")
	}
	return facts, nil
}

// checkPlugin refuses what go-xla would trip over.
func checkPlugin(path string) error {
	if strings.Contains(path, ",") {
		return errors.New("plugin " + path + ": its path has a comma, which go-xla takes for the start of options: move it")
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("plugin " + path + " is no file")
	}
	return nil
}

// quiet keeps the log lines of go-xla's libraries off stderr: what matters in
// them comes back as an error. The C++ side is silenced by go-xla itself, which
// sets TF_CPP_MIN_LOG_LEVEL.
func quiet() error {
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	klog.SetOutput(io.Discard)
	return errors.Join(flags.Set("logtostderr", "false"), flags.Set("stderrthreshold", "FATAL"))
}
