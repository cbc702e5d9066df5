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

	"github.com/curate-data/curate/scoring/backend/install"
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
	if name == CUDA {
		if err := prepareCUDA(plugin); err != nil {
			return nil, fmt.Errorf("open backend %s: %w", spec, err)
		}
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

// prepareCUDA does what CUDA's plugin needs before it is loaded: a driver with
// a GPU, without which it would only print to stderr and fail; NVIDIA's
// libraries of its own folder, loaded as JAX does it, since some look for each
// other in vain; and the folder that has ptxas and libdevice, as a flag.
func prepareCUDA(plugin string) error {
	driver, err := Driver(false)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoGPU, err)
	}
	if len(driver.GPUs) == 0 {
		return fmt.Errorf("%w: NVIDIA's driver (CUDA %s) shows none", ErrNoGPU, driver.Version())
	}
	nvidia := filepath.Join(filepath.Dir(filepath.Dir(plugin)), "nvidia") // the plugin's own run path
	for _, library := range cudaLibraries {
		found, err := filepath.Glob(filepath.Join(nvidia, "*", "lib", library+".so.*"))
		if err != nil || len(found) == 0 {
			continue
		}
		preload(found[0])
	}
	const flag = "--xla_gpu_cuda_data_dir="
	flags := os.Getenv("XLA_FLAGS")
	for _, folder := range []string{"cu13", "cuda_nvcc"} {
		data := filepath.Join(nvidia, folder)
		if info, err := os.Stat(data); err == nil && info.IsDir() && !strings.Contains(flags, flag) {
			return os.Setenv("XLA_FLAGS", strings.TrimSpace(flags+" "+flag+data))
		}
	}
	return nil
}

// cudaLibraries are those that jax_plugins/xla_cuda13 loads before the plugin,
// in its order.
var cudaLibraries = []string{
	"libcudart", "libnvrtc", "libcublasLt", "libcublas", "libnccl", "libcupti", "libnvJitLink",
	"libcusparse", "libcusolver", "libcufft", "libnvshmem_host", "libcudnn",
}

// pluginFacts asks the plugin that go-xla has loaded for its versions.
func pluginFacts(path string) (Plugin, error) {
	loaded, err := pjrt.GetPlugin(path) // the one that is loaded, not another
	if err != nil {
		return Plugin{}, err
	}
	major, minor := loaded.Version()
	facts := Plugin{Path: path, API: fmt.Sprintf("%d.%d", major, minor)}
	if packages := install.Packages(path); len(packages) > 0 {
		facts.Package = packages[0]
	}
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
