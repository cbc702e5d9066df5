package backend

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// InstallFolder is where plugins are installed, the first of Folders:
// $CURATE_PLUGIN_DIR, or a folder in the user's cache.
func InstallFolder() (string, error) {
	if dir := os.Getenv("CURATE_PLUGIN_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for plugins: %w; set CURATE_PLUGIN_DIR to one", err)
	}
	return filepath.Join(cache, "curate", "pjrt"), nil
}

// Folders returns where plugins are looked for, in order: $CURATE_PLUGIN_DIR,
// the user's cache, $PJRT_PLUGIN_LIBRARY_PATH, and where go-xla's own installer
// puts them. A folder nvidia below each of them counts, too: plugins for CUDA
// lie there.
func Folders() []string {
	var folders []string
	if dir := os.Getenv("CURATE_PLUGIN_DIR"); dir != "" {
		folders = append(folders, dir)
	}
	if cache, err := os.UserCacheDir(); err == nil {
		folders = append(folders, filepath.Join(cache, "curate", "pjrt"))
	}
	for _, dir := range filepath.SplitList(os.Getenv("PJRT_PLUGIN_LIBRARY_PATH")) {
		if dir != "" {
			folders = append(folders, dir)
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		folders = append(folders, filepath.Join(home, ".local", "lib", "go-xla"))
	}
	return append(folders, "/usr/local/lib/go-xla")
}

// FindPlugin returns the absolute path of the plugin for "cpu" or "cuda", named
// pjrt_c_api_<platform>_plugin.so or, after go-xla's installer, with a version
// behind the platform. An error wraps ErrNoPlugin and says where it was looked
// for and what to do.
func FindPlugin(platform string) (string, error) {
	for _, folder := range Folders() {
		plugin, versioned := "pjrt_c_api_"+platform+"_plugin.so", "pjrt_c_api_"+platform+"_v*_plugin.so"
		for _, name := range []string{plugin, versioned, "nvidia/" + plugin} {
			found, err := filepath.Glob(filepath.Join(folder, name))
			if err == nil && len(found) > 0 {
				return filepath.Abs(found[len(found)-1])
			}
		}
	}
	return "", fmt.Errorf("%w: no pjrt_c_api_%s_plugin.so in %s; `curate doctor --install %s` installs it, or set CURATE_PLUGIN_DIR to its folder",
		ErrNoPlugin, platform, strings.Join(Folders(), ", "), platform)
}
