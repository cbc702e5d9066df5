package backend

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// noPlugins makes a machine without plugins and returns its plugin folder.
func noPlugins(t *testing.T) string {
	t.Helper()
	for _, folder := range []string{"/usr/local/lib/go-xla", "/usr/local/lib/go-xla/nvidia"} {
		if found, _ := filepath.Glob(filepath.Join(folder, "pjrt_c_api_*")); len(found) > 0 {
			t.Skipf("this machine has %v, which nothing can hide", found)
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PJRT_PLUGIN_LIBRARY_PATH", "")
	dir := t.TempDir()
	t.Setenv("CURATE_PLUGIN_DIR", dir)
	return dir
}

func TestOpenRefusesUnknownNames(t *testing.T) {
	for _, spec := range []string{"cuda", "xla", "xla:", "xla:tpu", "xla:plugin.so", "xla:../cpu", "go:", "GO", "/abs/plugin.so"} {
		if _, err := Open(spec); err == nil || !strings.Contains(err.Error(), "want auto, xla:cuda") {
			t.Errorf("Open(%q): %v", spec, err)
		}
	}
}

func TestMissingPluginSaysWhatToDo(t *testing.T) {
	dir := noPlugins(t)
	_, err := Open(CPU)
	if !errors.Is(err, ErrNoPlugin) {
		t.Fatalf("error is not ErrNoPlugin: %v", err)
	}
	for _, want := range []string{"curate doctor --install cpu", "CURATE_PLUGIN_DIR", dir} {
		if err := err.Error(); !strings.Contains(err, want) && !strings.Contains(err, "without cgo") {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	be, err := Open(Auto)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	if be.Name != Go || !strings.Contains(be.Notice, "curate doctor --install cpu") || strings.Contains(be.Notice, "\n") {
		t.Errorf("auto gave %s: %q", be.Name, be.Notice)
	}
}

func TestBrokenPluginIsAnError(t *testing.T) {
	dir := noPlugins(t)
	plugin := filepath.Join(dir, "pjrt_c_api_cpu_plugin.so")
	if err := os.WriteFile(plugin, []byte("no shared library"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, spec := range []string{CPU, "xla:" + plugin, "xla:" + plugin + "x", "xla:" + dir, "xla:/a,b/pjrt_c_api_cpu_plugin.so"} {
		if _, err := Open(spec); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(spec, "xla:/")) {
			t.Errorf("Open(%q): %v", spec, err)
		}
	}
	be, err := Open(Auto)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	if be.Name != Go || strings.Contains(be.Notice, "\n") {
		t.Errorf("auto gave %s: %q", be.Name, be.Notice)
	}
}

func TestFindPluginLooksInOrder(t *testing.T) {
	dir := noPlugins(t)
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		filepath.Join(os.Getenv("HOME"), ".local/lib/go-xla/pjrt_c_api_cpu_v0.83.1_plugin.so"),
		filepath.Join(cache, "curate", "pjrt", "pjrt_c_api_cpu_plugin.so"),
		filepath.Join(dir, "pjrt_c_api_cpu_plugin.so"),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if found, err := FindPlugin("cpu"); err != nil || found != path {
			t.Errorf("found %s, %v, want %s", found, err, path)
		}
	}
	if _, err := FindPlugin("cuda"); !errors.Is(err, ErrNoPlugin) {
		t.Errorf("found a plugin for cuda: %v", err)
	}
	cuda := filepath.Join(cache, "curate", "pjrt", "nvidia", "pjrt_c_api_cuda_plugin.so")
	if err := os.MkdirAll(filepath.Dir(cuda), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cuda, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if found, err := FindPlugin("cuda"); err != nil || found != cuda {
		t.Errorf("found %s, %v, want %s", found, err, cuda)
	}
}

func TestCatch(t *testing.T) {
	if err := Catch("add", func() error { return nil }); err != nil {
		t.Error(err)
	}
	if err := Catch("add", func() error { return io.EOF }); !errors.Is(err, io.EOF) || err.Error() != "add: EOF" {
		t.Error(err)
	}
	if err := Catch("add", func() error { panic(io.EOF) }); !errors.Is(err, io.EOF) || err.Error() != "add: EOF" {
		t.Error(err)
	}
	if err := Catch("add", func() error { panic("text") }); err == nil || err.Error() != "add: text" {
		t.Error(err)
	}
	// A real one: gomlx panics on shapes that do not fit, with a stack inside.
	be, err := Open(Go)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	err = Catch("build graph", func() error {
		g := graph.NewGraph(be.Backend, "bad")
		graph.Add(graph.Zeros(g, shapes.Make(dtypes.Float32, 2)), graph.Zeros(g, shapes.Make(dtypes.Float32, 3)))
		return nil
	})
	if err == nil || !strings.HasPrefix(err.Error(), "build graph: ") || strings.Contains(err.Error(), ".go:") {
		t.Errorf("a graph of shapes that do not fit: %v", err)
	}
}

// TestOpenIsQuiet opens every backend in a process of its own: nothing may
// reach its stderr, from C++ neither.
func TestOpenIsQuiet(t *testing.T) {
	if os.Getenv("CURATE_TEST_OPEN") == "1" {
		for _, spec := range []string{Go, Auto, CUDA} {
			if be, err := Open(spec); err == nil {
				be.Close()
			}
		}
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestOpenIsQuiet$")
	child.Env = append(os.Environ(), "CURATE_TEST_OPEN=1")
	var stderr strings.Builder
	child.Stderr = &stderr
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr: %s", stderr.String())
	}
}

func TestXLAOpens(t *testing.T) {
	be, err := Open(CPU)
	if errors.Is(err, ErrNoPlugin) && os.Getenv("CURATE_REQUIRE_XLA") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if be.Name != CPU || !strings.Contains(be.Notice, "plugin") {
		t.Errorf("%s: %q", be.Name, be.Notice)
	}
	if err := be.Close(); err != nil {
		t.Fatal(err)
	}
	if !be.IsFinalized() {
		t.Error("close leaves it open")
	}
}

// TestAutoPassesCUDAWithoutGPU: a plugin for CUDA on a machine without a GPU is
// no error for auto, and is not even loaded.
func TestAutoPassesCUDAWithoutGPU(t *testing.T) {
	if _, err := Driver(false); err == nil {
		t.Skip("this machine has a GPU")
	}
	dir := noPlugins(t)
	plugin := filepath.Join(dir, "nvidia", "pjrt_c_api_cuda_plugin.so")
	if err := os.MkdirAll(filepath.Dir(plugin), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plugin, []byte("no shared library"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Open(CUDA)
	if err == nil || errors.Is(err, ErrNoPlugin) {
		t.Fatalf("CUDA without a GPU: %v", err)
	}
	be, err := Open(Auto)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	if be.Name != Go || !strings.Contains(be.Notice, "NVIDIA's driver") && !strings.Contains(be.Notice, "without cgo") {
		t.Errorf("auto gave %s: %q", be.Name, be.Notice)
	}
}
