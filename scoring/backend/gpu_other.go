//go:build !cgo || !linux

package backend

import "errors"

// Driver has no way to NVIDIA's driver without cgo or Linux.
func Driver(bool) (NVIDIA, error) {
	return NVIDIA{}, errors.New("NVIDIA's driver is not looked for: this curate was built without cgo or not for Linux")
}

func preload(string) {}
