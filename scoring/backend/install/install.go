// Package install fetches XLA plugins: wheels of the Python package index, named
// and pinned by SHA-256 in this package, checked, unpacked and put where package
// backend looks for them. It needs neither Python nor pip.
package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/gofrs/flock"
)

// Options say what to install and where.
type Options struct {
	Pins   Pins         // nil: Pinned()
	Folder string       // of the plugins
	Index  string       // URL of a simple index; "": PyPI
	Client *http.Client // nil: http.DefaultClient

	// Start opens a progress bar for so many bytes; nil: nobody looks.
	Start func(label string, bytes int64) (add func(int64), done func())

	platform string // tests set it
}

// Result is what was done.
type Result struct {
	Plugin   string   `json:"plugin"`   // path of the plugin
	Packages []string `json:"packages"` // name and version of each
	Already  bool     `json:"already"`  // it was there; nothing was done
}

// receipt is the file beside a plugin that says where it comes from.
type receipt struct {
	Packages []string `json:"packages"`
	Bytes    int64    `json:"bytes"` // of the plugin
}

// unpackedFactor bounds how much larger wheels become: xla-cpu-pjrt, the worst,
// grows from 63 to 259 MB.
const unpackedFactor = 4.2

// Install brings a plugin into the folder. What it fetches is kept until all is
// unpacked, so that an interrupted call goes on where it stopped; the plugin
// appears at its name when everything is whole. All packages that the platform
// has no wheel of are named in one error.
func Install(ctx context.Context, name string, opt Options) (Result, error) {
	if opt.Pins == nil {
		pins, err := Pinned()
		if err != nil {
			return Result{}, err
		}
		opt.Pins = pins
	}
	if opt.platform == "" {
		opt.platform = runtime.GOOS + "/" + runtime.GOARCH
	}
	plugin, ok := opt.Pins[name]
	if !ok {
		return Result{}, fmt.Errorf("install plugin %q: there are %s", name, strings.Join(names(opt.Pins), ", "))
	}
	result := Result{Plugin: Target(opt.Folder, name)}
	var missing []string
	for _, p := range plugin.Packages {
		result.Packages = append(result.Packages, p.Name+" "+p.Version)
		if p.Wheels[opt.platform].File == "" {
			missing = append(missing, p.Name)
		}
	}
	if len(missing) > 0 {
		return Result{}, fmt.Errorf("install plugin %s: no wheel for %s of %s; backend go needs no plugin", name, opt.platform, strings.Join(missing, ", "))
	}
	if err := os.MkdirAll(opt.Folder, 0o755); err != nil {
		return Result{}, fmt.Errorf("install plugin %s: %w", name, err)
	}
	err := locked(ctx, opt.Folder, func() error {
		if result.Already = installed(result, plugin, opt.platform); result.Already {
			return nil
		}
		return install(ctx, plugin, result, opt)
	})
	if err != nil {
		return Result{}, fmt.Errorf("install plugin %s: %w", name, err)
	}
	return result, nil
}

// Target is where a plugin of a name is put. That of CUDA lies in a folder
// nvidia, with NVIDIA's libraries beside it: it looks for them in ../nvidia.
func Target(folder, name string) string {
	if strings.HasPrefix(name, "cuda") {
		return filepath.Join(folder, "nvidia", "pjrt_c_api_cuda_plugin.so")
	}
	return filepath.Join(folder, "pjrt_c_api_"+name+"_plugin.so")
}

// Packages returns the packages that the plugin at a path was installed from,
// its own first; none if Install did not put it there, or it was changed since.
func Packages(plugin string) []string {
	var r receipt
	data, err := os.ReadFile(receiptOf(plugin))
	if err != nil || json.Unmarshal(data, &r) != nil {
		return nil
	}
	if info, err := os.Stat(plugin); err != nil || info.Size() != r.Bytes {
		return nil
	}
	return r.Packages
}

func receiptOf(plugin string) string { return plugin + ".json" }

// installed reports whether the plugin is there, from the pinned packages. One
// that came another way, without a receipt, is known by its content.
func installed(result Result, plugin Plugin, platform string) bool {
	if slices.Equal(Packages(result.Plugin), result.Packages) {
		return true
	}
	want := plugin.SHA256[platform]
	return want != "" && check(result.Plugin, Wheel{File: plugin.Library, SHA256: want}) == nil && writeReceipt(result) == nil
}

// writeReceipt writes a plugin's receipt, in one step.
func writeReceipt(result Result) error {
	info, err := os.Stat(result.Plugin)
	if err != nil {
		return err
	}
	data, err := json.Marshal(receipt{result.Packages, info.Size()})
	if err != nil {
		return err
	}
	part := receiptOf(result.Plugin) + ".part"
	if err := os.WriteFile(part, data, 0o644); err != nil {
		return err
	}
	return os.Rename(part, receiptOf(result.Plugin))
}

// locked runs f while no other process installs into the folder.
func locked(ctx context.Context, folder string, f func() error) error {
	lock := flock.New(filepath.Join(folder, ".install.lock"))
	if _, err := lock.TryLockContext(ctx, retryPause); err != nil {
		return fmt.Errorf("wait for another installation: %w", err)
	}
	defer lock.Unlock()
	return f()
}

// install fetches all wheels, unpacks them into a fresh folder and moves them
// into place.
func install(ctx context.Context, plugin Plugin, result Result, opt Options) (err error) {
	wheels := filepath.Join(opt.Folder, ".wheels")
	if err := os.MkdirAll(wheels, 0o755); err != nil {
		return err
	}
	if need := int64(float64(plugin.bytes(opt.platform)) * (1 + unpackedFactor)); FreeBytes(opt.Folder) < need {
		return fmt.Errorf("%s has %d MB free, and downloading and unpacking take up to %d MB: make room, or set CURATE_PLUGIN_DIR to another folder",
			opt.Folder, FreeBytes(opt.Folder)/1e6, need/1e6)
	}
	staging, err := os.MkdirTemp(opt.Folder, ".unpack-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	fetch := fetcher{ctx, opt, wheels}
	var files []string
	for i, p := range plugin.Packages {
		file, err := fetch.wheel(p)
		if err != nil {
			return err
		}
		files = append(files, file)
		take := map[string]string{"nvidia/": "nvidia/"} // NVIDIA's wheels share this folder
		if i == 0 {
			relative, err := filepath.Rel(opt.Folder, result.Plugin)
			if err != nil {
				return err
			}
			take = map[string]string{plugin.Library: filepath.ToSlash(relative)}
		}
		if err := unpack(ctx, file, staging, take); err != nil {
			return err
		}
	}
	if err := publish(staging, opt.Folder, result); err != nil {
		return err
	}
	for _, file := range files {
		err = errors.Join(err, os.Remove(file))
	}
	_ = os.Remove(wheels) // stays if another plugin's wheels are in it
	return err
}

// publish moves what was unpacked into place, the receipt last: a plugin
// without one is installed again.
func publish(staging, folder string, result Result) error {
	relative, err := filepath.Rel(folder, result.Plugin)
	if err != nil {
		return err
	}
	if err := os.Remove(receiptOf(result.Plugin)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	top, _, _ := strings.Cut(filepath.ToSlash(relative), "/") // the plugin, or folder nvidia
	if err := os.RemoveAll(filepath.Join(folder, top)); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(staging, top), filepath.Join(folder, top)); err != nil {
		return err
	}
	return writeReceipt(result)
}

func names(pins Pins) []string {
	var all []string
	for name := range pins {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
