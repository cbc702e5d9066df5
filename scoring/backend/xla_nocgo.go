//go:build !cgo

package backend

import "fmt"

// openXLA says why this binary has no XLA.
func openXLA(spec string) (*Backend, error) {
	return nil, fmt.Errorf("open backend %s: %w: this curate was built without cgo, which loading a plugin needs: build it with CGO_ENABLED=1, or use backend go", spec, ErrNoPlugin)
}
