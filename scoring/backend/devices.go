package backend

import (
	"fmt"

	"github.com/gomlx/compute"
)

// Device is one device of a backend, as far as plugin, driver and system tell.
type Device struct {
	Number compute.DeviceNum // as graph.Exec.CallWithGraphOnDevice and tensors take it
	Name   string            // the plugin's name for it, such as TFRT_CPU_0
	Kind   string            // the hardware's name; "" if unknown
	Memory int64             // bytes in all; 0 if unknown
	Free   int64             // bytes that were free when asked; 0 if unknown
}

// Plugin is what is known of the loaded plugin; the zero Plugin is that of
// backend go.
type Plugin struct {
	Path      string // of the shared library
	API       string // version of the PJRT API that it speaks, "0.81"
	StableHLO string // newest version of programs that it takes, "1.13.3"; "" if it does not say
	Package   string // name and version of the package that it was installed from; "" if curate did not install it
}

// Devices returns how many devices can be executed on: those of
// xla:cuda are GPUs; those of xla:cpu are virtual and share the same cores.
func (b *Backend) Devices() int {
	return b.NumDevices()
}

// Replicas returns how many devices are worth a copy of the model each: every
// GPU, but one for a CPU, whose virtual devices share its cores.
func (b *Backend) Replicas() int {
	if b.Name == CUDA {
		return b.Devices()
	}
	return 1
}

// Device describes device n, which counts from 0 to Devices()-1.
func (b *Backend) Device(n int) Device {
	device := Device{Number: compute.DeviceNum(n), Name: b.DeviceDescription(compute.DeviceNum(n))}
	switch b.Name {
	case CUDA:
		if driver, err := Driver(true); err == nil && len(driver.GPUs) == b.Devices() && n < b.Devices() {
			gpu := driver.GPUs[n]
			device.Kind, device.Memory, device.Free = gpu.Kind, gpu.Memory, gpu.Free
		}
	default:
		memory := HostMemory()
		device.Kind, device.Memory, device.Free = cpuModel(), memory.Limit, memory.Available
	}
	return device
}

// NVIDIA is what NVIDIA's driver says of itself and its GPUs.
type NVIDIA struct {
	CUDA int      // newest CUDA that it runs, as cuDriverGetVersion gives it: 13020 is 13.2; 0 if unknown
	GPUs []Device // their kind and memory
}

// Version is the driver's CUDA version, "13.2".
func (n NVIDIA) Version() string {
	return fmt.Sprintf("%d.%d", n.CUDA/1000, n.CUDA%1000/10)
}
