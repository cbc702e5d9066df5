package backend

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Folders returns where plugins are looked for, in order: $CURATE_PLUGIN_DIR,
// the user's cache, $PJRT_PLUGIN_LIBRARY_PATH, and where go-xla's own installer
// puts them.
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
		local := filepath.Join(home, ".local", "lib", "go-xla")
		folders = append(folders, local, filepath.Join(local, "nvidia"))
	}
	return append(folders, "/usr/local/lib/go-xla", "/usr/local/lib/go-xla/nvidia")
}

// FindPlugin returns the absolute path of the plugin for "cpu" or "cuda", named
// pjrt_c_api_<platform>_plugin.so or, after go-xla's installer, with a version
// behind the platform. An error wraps ErrNoPlugin and says where it was looked
// for and what to do.
func FindPlugin(platform string) (string, error) {
	for _, folder := range Folders() {
		for _, name := range []string{"pjrt_c_api_" + platform + "_plugin.so", "pjrt_c_api_" + platform + "_v*_plugin.so"} {
			found, err := filepath.Glob(filepath.Join(folder, name))
			if err == nil && len(found) > 0 {
				return filepath.Abs(found[len(found)-1])
			}
		}
	}
	remedy := "`make plugin` installs it"
	if platform != "cpu" {
		remedy = "put it into one of them"
	}
	return "", fmt.Errorf("%w: no pjrt_c_api_%s_plugin.so in %s; %s, or set CURATE_PLUGIN_DIR to its folder",
		ErrNoPlugin, platform, strings.Join(Folders(), ", "), remedy)
}
