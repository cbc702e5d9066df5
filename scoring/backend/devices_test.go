package backend

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

func openOrSkip(t *testing.T, spec string) *Backend {
	t.Helper()
	be, err := Open(spec)
	if errors.Is(err, ErrNoPlugin) && os.Getenv("CURATE_REQUIRE_XLA") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { be.Close() })
	return be
}

func TestDevicesAreDescribed(t *testing.T) {
	for _, spec := range []string{Go, CPU} {
		t.Run(spec, func(t *testing.T) {
			be := openOrSkip(t, spec)
			if be.Devices() < 1 || be.Replicas() != 1 {
				t.Errorf("%d devices, %d replicas", be.Devices(), be.Replicas())
			}
			for n := range be.Devices() {
				d := be.Device(n)
				if int(d.Number) != n || d.Name == "" || d.Memory <= 0 || d.Free <= 0 || d.Free > d.Memory {
					t.Errorf("%+v", d)
				}
			}
			if p := be.Plugin; spec == CPU && (!filepath.IsAbs(p.Path) || !strings.HasPrefix(p.API, "0.") || p.StableHLO == "") {
				t.Errorf("plugin: %+v", p)
			}
		})
	}
}

// TestEveryDeviceExecutes runs one compiled graph on all devices: this is what
// replicas stand on.
func TestEveryDeviceExecutes(t *testing.T) {
	be := openOrSkip(t, CPU)
	if be.Devices() < 2 {
		t.Fatalf("%s has %d device", be.Name, be.Devices())
	}
	double, err := graph.NewExec(be.Backend, func(x *graph.Node) *graph.Node { return graph.Add(x, x) })
	if err != nil {
		t.Fatal(err)
	}
	for n := range be.Devices() {
		device := compute.DeviceNum(n)
		x := tensors.FromFlatDataAndDimensions([]float32{float32(n), 1}, 2)
		if err := x.ToDevice(be.Backend, device); err != nil {
			t.Fatal(err)
		}
		out, _, err := double.CallWithGraphOnDevice(device, x)
		if err != nil {
			t.Fatalf("device %d: %v", n, err)
		}
		if at, err := out[0].Device(); at != device || err != nil {
			t.Errorf("device %d: the result is on %d, %v", n, at, err)
		}
		if got := tensors.MustCopyFlatData[float32](out[0]); got[0] != float32(2*n) || got[1] != 2 {
			t.Errorf("device %d: %v", n, got)
		}
	}
}

// TestDriver puts a library in the place of NVIDIA's: two GPUs, or a driver
// without any, or one that lacks a function.
func TestDriver(t *testing.T) {
	if os.Getenv("CURATE_TEST_DRIVER") == "1" {
		driver, err := Driver(true)
		fmt.Printf("%+v %s %v\n", driver, driver.Version(), err)
		return
	}
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	const source = `
#include <stddef.h>
#include <string.h>
int cuInit(unsigned f) { return INIT; }
int cuDriverGetVersion(int *v) { *v = 12080; return 0; }
int cuGetErrorString(int e, const char **s) { *s = "no CUDA-capable device is detected"; return 0; }
int cuDeviceGetCount(int *n) { *n = 2; return 0; }
int cuDeviceGet(int *d, int n) { *d = n; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strcpy(s, d ? "NVIDIA B" : "NVIDIA A"); return 0; }
int cuDeviceTotalMem_v2(size_t *b, int d) { *b = (d + 1) * 1000; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = NULL; return 0; }
int cuDevicePrimaryCtxRelease_v2(int d) { return 0; }
int cuCtxPushCurrent_v2(void *c) { return 0; }
int cuCtxPopCurrent_v2(void **c) { return 0; }
int MEMORY(size_t *f, size_t *t) { *f = 500; return 0; }
`
	for name, c := range map[string]struct {
		defines []string
		want    string
	}{
		"two GPUs":   {[]string{"-DINIT=0", "-DMEMORY=cuMemGetInfo_v2"}, "{CUDA:12080 GPUs:[{Number:0 Name: Kind:NVIDIA A Memory:1000 Free:500} {Number:0 Name: Kind:NVIDIA B Memory:2000 Free:500}]} 12.8 <nil>"},
		"no GPU":     {[]string{"-DINIT=100", "-DMEMORY=cuMemGetInfo_v2"}, "{CUDA:12080 GPUs:[]} 12.8 NVIDIA's driver (CUDA 12.8) says: no CUDA-capable device is detected (error 100)"},
		"old driver": {[]string{"-DINIT=0", "-DMEMORY=cuMemGetInfo"}, "NVIDIA's driver is too old: libcuda.so.1 has no cuMemGetInfo_v2"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "driver.c"), []byte(source), 0o644); err != nil {
				t.Fatal(err)
			}
			args := append(c.defines, "-shared", "-fPIC", "-o", filepath.Join(dir, "libcuda.so.1"), filepath.Join(dir, "driver.c"))
			if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			child := exec.Command(os.Args[0], "-test.run=^TestDriver$")
			child.Env = append(os.Environ(), "CURATE_TEST_DRIVER=1", "LD_LIBRARY_PATH="+dir)
			out, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if !strings.Contains(string(out), c.want) && !strings.Contains(string(out), "without cgo") {
				t.Errorf("got %s, want %s", out, c.want)
			}
		})
	}
}
