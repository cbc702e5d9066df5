//go:build cgo && linux

package backend

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// The driver's API, as far as it is used here; its names and types are stable.
// https://docs.nvidia.com/cuda/cuda-driver-api
typedef struct { char name[256]; size_t total, free; } curate_gpu;
typedef struct { int result, version, count; char text[256]; } curate_driver;

static void *curate_symbol(void *lib, curate_driver *d, const char *name) {
	void *f = dlsym(lib, name);
	if (f == NULL && d->text[0] == 0) {
		d->result = -2;
		strncat(d->text, name, sizeof d->text - 1);
	}
	return f;
}

// curate_gpus fills in the driver and at most max devices. With_free asks for
// the free memory, too, which makes a context on a device that has none.
static void curate_gpus(curate_driver *d, curate_gpu *gpus, int max, int with_free) {
	memset(d, 0, sizeof *d);
	void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (lib == NULL) {
		d->result = -1;
		strncat(d->text, dlerror(), sizeof d->text - 1);
		return;
	}
	int (*init)(unsigned) = curate_symbol(lib, d, "cuInit");
	int (*version)(int *) = curate_symbol(lib, d, "cuDriverGetVersion");
	int (*error)(int, const char **) = curate_symbol(lib, d, "cuGetErrorString");
	int (*count)(int *) = curate_symbol(lib, d, "cuDeviceGetCount");
	int (*get)(int *, int) = curate_symbol(lib, d, "cuDeviceGet");
	int (*name)(char *, int, int) = curate_symbol(lib, d, "cuDeviceGetName");
	int (*total)(size_t *, int) = curate_symbol(lib, d, "cuDeviceTotalMem_v2");
	int (*retain)(void **, int) = curate_symbol(lib, d, "cuDevicePrimaryCtxRetain");
	int (*release)(int) = curate_symbol(lib, d, "cuDevicePrimaryCtxRelease_v2");
	int (*push)(void *) = curate_symbol(lib, d, "cuCtxPushCurrent_v2");
	int (*pop)(void **) = curate_symbol(lib, d, "cuCtxPopCurrent_v2");
	int (*memory)(size_t *, size_t *) = curate_symbol(lib, d, "cuMemGetInfo_v2");
	if (d->result != 0) {
		return; // the library stays loaded: a driver must not be unloaded
	}
	version(&d->version);
	d->result = init(0);
	if (d->result == 0) {
		d->result = count(&d->count);
	}
	if (d->result != 0) {
		const char *text = NULL;
		error(d->result, &text);
		strncat(d->text, text == NULL ? "unknown error" : text, sizeof d->text - 1);
		return;
	}
	for (int i = 0; i < d->count && i < max; i++) {
		int device;
		void *context;
		memset(&gpus[i], 0, sizeof gpus[i]);
		if (get(&device, i) != 0) {
			continue;
		}
		name(gpus[i].name, sizeof gpus[i].name - 1, device);
		total(&gpus[i].total, device);
		if (with_free && retain(&context, device) == 0) {
			size_t all;
			if (push(context) == 0) {
				memory(&gpus[i].free, &all);
				pop(&context);
			}
			release(device);
		}
	}
}
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// preload loads a library for good, so that those that ask for it by its name
// find it. A failure shows when they do.
func preload(path string) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	C.dlopen(name, C.RTLD_NOW|C.RTLD_LOCAL)
}

// maxGPUs is more than a machine has.
const maxGPUs = 64

// Driver asks NVIDIA's driver for its GPUs, those that CUDA_VISIBLE_DEVICES
// leaves, in its order. Free memory takes a context on each, about half a GB of
// its memory where no backend is open; without free it stays 0.
func Driver(free bool) (NVIDIA, error) {
	var driver C.curate_driver
	var gpus [maxGPUs]C.curate_gpu
	var withFree C.int
	if free {
		withFree = 1
	}
	C.curate_gpus(&driver, &gpus[0], maxGPUs, withFree)
	n := NVIDIA{CUDA: int(driver.version)}
	text := C.GoString(&driver.text[0])
	switch {
	case driver.result == -1:
		return n, fmt.Errorf("NVIDIA's driver is not there: %s", text)
	case driver.result == -2:
		return n, fmt.Errorf("NVIDIA's driver is too old: libcuda.so.1 has no %s", text)
	case driver.result != 0:
		return n, fmt.Errorf("NVIDIA's driver (CUDA %s) says: %s (error %d)", n.Version(), text, int(driver.result))
	}
	for i := range min(int(driver.count), maxGPUs) {
		n.GPUs = append(n.GPUs, Device{Kind: C.GoString(&gpus[i].name[0]), Memory: int64(gpus[i].total), Free: int64(gpus[i].free)})
	}
	return n, nil
}
