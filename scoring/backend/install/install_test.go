package install

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// wheelOf makes a wheel of files, name and content in turn.
func wheelOf(t *testing.T, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func packageOf(name string, wheel []byte) Package {
	sum := sha256.Sum256(wheel)
	return Package{name, "1.0", map[string]Wheel{"test/arch": {name + "-1.0-py3-none-any.whl", int64(len(wheel)), hex.EncodeToString(sum[:])}}}
}

// index serves wheels as an index does. In HTML the links are relative.
type index struct {
	wheels   map[string][]byte // by file
	html     bool
	cut      atomic.Int64 // answers that break off after a third
	noRanges bool
	requests atomic.Int64 // of files
	ranges   atomic.Int64
}

func (x *index) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != "me" || password != "secret-word" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if file, ok := strings.CutPrefix(r.URL.Path, "/files/"); ok {
		x.requests.Add(1)
		wheel := x.wheels[file]
		if r.Header.Get("Range") != "" {
			x.ranges.Add(1)
		}
		if x.noRanges {
			r.Header.Del("Range")
		}
		if x.cut.Add(-1) >= 0 {
			w.Header().Set("Content-Length", fmt.Sprint(len(wheel)))
			w.Write(wheel[:len(wheel)/3])
			return
		}
		http.ServeContent(w, r, file, time.Time{}, bytes.NewReader(wheel))
		return
	}
	var lines []string
	for file := range x.wheels {
		if x.html {
			lines = append(lines, fmt.Sprintf("<a data-requires-python=\"&gt;=3\" href=\"../../files/%s#sha256=ab\">%s</a><br/>", file, file))
		} else {
			lines = append(lines, fmt.Sprintf(`{"filename":%q,"url":"http://%s/files/%s","hashes":{}}`, file, r.Host, file))
		}
	}
	if x.html {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!DOCTYPE html><html><body>%s</body></html>", strings.Join(lines, "\n"))
		return
	}
	w.Header().Set("Content-Type", jsonIndex)
	fmt.Fprintf(w, `{"files":[%s]}`, strings.Join(lines, ","))
}

// serve starts the index with the wheels of packages, and returns options for
// an empty folder.
func serve(t *testing.T, x *index, plugin Plugin, wheels ...[]byte) Options {
	t.Helper()
	x.wheels = map[string][]byte{}
	for i, p := range plugin.Packages {
		x.wheels[p.Wheels["test/arch"].File] = wheels[i]
	}
	server := httptest.NewServer(x)
	t.Cleanup(server.Close)
	address := strings.Replace(server.URL, "http://", "http://me:secret-word@", 1)
	return Options{Pins: Pins{"cpu": plugin, "cuda13": plugin}, Folder: t.TempDir(), Index: address + "/simple/", platform: "test/arch"}
}

const library = "xla_plugins/x/x.so"

func TestInstallBringsThePlugin(t *testing.T) {
	wheel := wheelOf(t, "x.dist-info/METADATA", "m", library, strings.Repeat("library ", 1000))
	plugin := Plugin{Library: library, Packages: []Package{packageOf("x", wheel)}}
	for name, x := range map[string]*index{"JSON": {}, "HTML": {html: true}} {
		t.Run(name, func(t *testing.T) {
			opt := serve(t, x, plugin, wheel)
			var counted, announced int64
			opt.Start = func(_ string, bytes int64) (func(int64), func()) {
				announced += bytes
				return func(n int64) { counted += n }, func() {}
			}
			got, err := Install(t.Context(), "cpu", opt)
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(filepath.Join(opt.Folder, "pjrt_c_api_cpu_plugin.so"))
			if err != nil || string(data) != strings.Repeat("library ", 1000) || got.Already {
				t.Errorf("%+v, %d bytes, %v", got, len(data), err)
			}
			if counted != int64(len(wheel)) || announced != counted {
				t.Errorf("progress counts %d of %d, the wheel has %d", counted, announced, len(wheel))
			}
			if p := Packages(got.Plugin); len(p) != 1 || p[0] != "x 1.0" {
				t.Errorf("receipt: %v", p)
			}
			if left := entries(t, opt.Folder); left != ".install.lock pjrt_c_api_cpu_plugin.so pjrt_c_api_cpu_plugin.so.json" {
				t.Errorf("the folder has %s", left)
			}
			if got, err = Install(t.Context(), "cpu", opt); err != nil || !got.Already || x.requests.Load() != 1 {
				t.Errorf("again: %+v, %v, %d downloads", got, err, x.requests.Load())
			}
			if err := os.WriteFile(got.Plugin, []byte("damaged"), 0o644); err != nil {
				t.Fatal(err)
			}
			if got, err = Install(t.Context(), "cpu", opt); err != nil || got.Already || len(Packages(got.Plugin)) != 1 {
				t.Errorf("over a damaged one: %+v, %v", got, err)
			}
		})
	}
}

func entries(t *testing.T, folder string) string {
	t.Helper()
	list, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// TestNVIDIALibrariesLieBeside: CUDA's plugin is in the folder nvidia that its
// run path names, together with what the other wheels hold; old files go.
func TestNVIDIALibrariesLieBeside(t *testing.T) {
	first := wheelOf(t, library, "plugin")
	second := wheelOf(t, "nvidia/__init__.py", "", "nvidia/cu13/lib/libcublas.so.13", "blas", "nvidia_cublas.dist-info/METADATA", "m")
	third := wheelOf(t, "nvidia/__init__.py", "", "nvidia/cu13/bin/ptxas", "as")
	plugin := Plugin{Library: library, Packages: []Package{packageOf("j", first), packageOf("blas", second), packageOf("nvcc", third)}}
	opt := serve(t, &index{}, plugin, first, second, third)
	stale := filepath.Join(opt.Folder, "nvidia", "old.so")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(t.Context(), "cuda13", opt); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"pjrt_c_api_cuda_plugin.so": "plugin", "cu13/lib/libcublas.so.13": "blas", "cu13/bin/ptxas": "as",
	} {
		if got, err := os.ReadFile(filepath.Join(opt.Folder, "nvidia", file)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("old libraries stay")
	}
}

// TestDownloadsGoOn: what breaks off is continued, in the same call and in the
// next one, from servers with and without ranges.
func TestDownloadsGoOn(t *testing.T) {
	wheel := wheelOf(t, library, strings.Repeat("0123456789abcdef", 5000))
	plugin := Plugin{Library: library, Packages: []Package{packageOf("x", wheel)}}
	for _, noRanges := range []bool{false, true} {
		x := &index{noRanges: noRanges}
		opt := serve(t, x, plugin, wheel)
		x.cut.Store(1)
		var counted int64
		opt.Start = func(string, int64) (func(int64), func()) { return func(n int64) { counted += n }, func() {} }
		if _, err := Install(t.Context(), "cpu", opt); err != nil {
			t.Fatalf("without ranges %t: %v", noRanges, err)
		}
		if x.requests.Load() != 2 || x.ranges.Load() != 1 || counted != int64(len(wheel)) {
			t.Errorf("without ranges %t: %d requests, %d with a range, %d of %d bytes counted", noRanges, x.requests.Load(), x.ranges.Load(), counted, len(wheel))
		}
	}
	x := &index{}
	opt := serve(t, x, plugin, wheel)
	part := filepath.Join(opt.Folder, ".wheels", "x-1.0-py3-none-any.whl.part")
	if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(part, wheel[:100], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(t.Context(), "cpu", opt); err != nil || x.ranges.Load() != 1 {
		t.Errorf("after an earlier call: %v, %d ranges", err, x.ranges.Load())
	}
}

func TestInstallRefuses(t *testing.T) {
	good := wheelOf(t, library, "plugin")
	pin := packageOf("x", good)
	plugin := Plugin{Library: library, Packages: []Package{pin}}
	for name, c := range map[string]struct {
		served []byte
		plugin Plugin
		want   []string
		change func(*Options)
	}{
		"other bytes":     {served: wheelOf(t, library, "EVIL!!"), plugin: plugin, want: []string{"x 1.0", "SHA-256", "thrown away"}},
		"no such library": {served: good, plugin: Plugin{Library: "other.so", Packages: plugin.Packages}, want: []string{"it has no other.so"}},
		"no wheel": {served: good, plugin: plugin, want: []string{"no wheel for plan9/arch of x", "backend go"},
			change: func(o *Options) { o.platform = "plan9/arch" }},
		"not in the index": {served: good, plugin: Plugin{Library: library, Packages: []Package{{"x", "1.0", map[string]Wheel{"test/arch": {"other.whl", 1, "ab"}}}}},
			want: []string{"has no other.whl"}, change: func(o *Options) { o.Index = strings.TrimSuffix(o.Index, "/") }},
		"no rights": {served: good, plugin: plugin, want: []string{"401"},
			change: func(o *Options) { o.Index = strings.Replace(o.Index, "secret-word", "wrong-word", 1) }},
		"no URL": {served: good, plugin: plugin, want: []string{"PIP_INDEX_URL"}, change: func(o *Options) { o.Index = "pypi" }},
		"nobody there": {served: good, plugin: plugin, want: []string{"127.0.0.1:1"},
			change: func(o *Options) { o.Index = "http://me:secret-word@127.0.0.1:1/simple" }},
	} {
		t.Run(name, func(t *testing.T) {
			opt := serve(t, &index{}, Plugin{Packages: []Package{pin}}, c.served)
			opt.Pins = Pins{"cpu": c.plugin}
			if c.change != nil {
				c.change(&opt)
			}
			_, err := Install(t.Context(), "cpu", opt)
			if err == nil {
				t.Fatal("installed")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "-word") {
				t.Errorf("the error tells a password: %v", err)
			}
			if _, err := os.Stat(filepath.Join(opt.Folder, "pjrt_c_api_cpu_plugin.so")); err == nil {
				t.Error("there is a plugin now")
			}
		})
	}
	if _, err := Install(t.Context(), "tpu", Options{}); err == nil || !strings.Contains(err.Error(), "cpu, cuda12, cuda13") {
		t.Errorf("unknown plugin: %v", err)
	}
}

// TestUnpackStaysInside: no file of an archive gets out of the folder.
func TestUnpackStaysInside(t *testing.T) {
	for _, name := range []string{"nvidia/../../out", "nvidia/..", "nvidia//abs", "nvidia/a/../../../out"} {
		folder := t.TempDir()
		wheel := filepath.Join(folder, "w.whl")
		if err := os.WriteFile(wheel, wheelOf(t, name, "x"), 0o644); err != nil {
			t.Fatal(err)
		}
		inside := filepath.Join(folder, "in")
		err := unpack(t.Context(), wheel, inside, map[string]string{"nvidia/": "nvidia/"})
		if err == nil {
			t.Errorf("%s was unpacked", name)
		}
		if _, err := os.Stat(filepath.Join(folder, "out")); err == nil {
			t.Errorf("%s is outside", name)
		}
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	header := &zip.FileHeader{Name: "nvidia/link"}
	header.SetMode(os.ModeSymlink | 0o777)
	if f, err := w.CreateHeader(header); err != nil {
		t.Fatal(err)
	} else if _, err := f.Write([]byte("/etc")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	wheel := filepath.Join(t.TempDir(), "w.whl")
	if err := os.WriteFile(wheel, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unpack(t.Context(), wheel, t.TempDir(), map[string]string{"nvidia/": "nvidia/"}); err == nil {
		t.Error("a link was unpacked")
	}
}

// TestKnownByContent: a plugin that came another way gets a receipt.
func TestKnownByContent(t *testing.T) {
	folder := t.TempDir()
	sum := sha256.Sum256([]byte("plugin"))
	plugin := Plugin{Library: library, Packages: []Package{packageOf("x", nil)}, SHA256: map[string]string{"test/arch": hex.EncodeToString(sum[:])}}
	if err := os.WriteFile(filepath.Join(folder, "pjrt_c_api_cpu_plugin.so"), []byte("plugin"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Install(t.Context(), "cpu", Options{Pins: Pins{"cpu": plugin}, Folder: folder, Index: "http://127.0.0.1:1", platform: "test/arch"})
	if err != nil || !got.Already || len(Packages(got.Plugin)) != 1 {
		t.Errorf("%+v, %v, %v", got, err, Packages(got.Plugin))
	}
}

func TestPins(t *testing.T) {
	pins, err := Pinned()
	if err != nil {
		t.Fatal(err)
	}
	for name, plugin := range pins {
		for _, p := range plugin.Packages {
			for _, platform := range []string{"linux/amd64", "linux/arm64"} {
				w := p.Wheels[platform]
				if digest, err := hex.DecodeString(w.SHA256); err != nil || len(digest) != sha256.Size || w.Bytes <= 0 || filepath.Base(w.File) != w.File {
					t.Errorf("%s: %s on %s: %+v", name, p.Name, platform, w)
				}
			}
		}
	}
}
