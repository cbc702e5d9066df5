package install

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

// Pins are the plugins that can be installed, by name: cpu, cuda13, cuda12.
type Pins map[string]Plugin

// Plugin is a plugin and the libraries that it needs beside it.
type Plugin struct {
	Library  string    `json:"library"`  // path in the first package's wheel of what becomes the plugin
	Packages []Package `json:"packages"` // the plugin's own first

	// SHA256 of the library by GOOS/GOARCH, where it is known: a plugin that was
	// put there another way is recognised by it.
	SHA256 map[string]string `json:"sha256,omitempty"`
}

// Package is one package of the Python index at one version.
type Package struct {
	Name    string           `json:"name"`
	Version string           `json:"version"`
	Wheels  map[string]Wheel `json:"wheels"` // by GOOS/GOARCH
}

// Wheel is a file of a package.
type Wheel struct {
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

//go:embed pins.json
var pinned []byte

// Pinned returns the plugins that this curate trusts; scripts/pin_plugins.py
// makes the list.
func Pinned() (Pins, error) {
	var pins Pins
	if err := json.Unmarshal(pinned, &pins); err != nil {
		return nil, fmt.Errorf("read the list of plugins: %w", err)
	}
	return pins, nil
}

// bytes is what a plugin's wheels for a platform have together.
func (p Plugin) bytes(platform string) int64 {
	var sum int64
	for _, pkg := range p.Packages {
		sum += pkg.Wheels[platform].Bytes
	}
	return sum
}
