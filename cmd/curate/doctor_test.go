package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/curate-data/curate/scoring/backend"
)

// bareMachine hides all plugins and settings, and lets doctor's child processes
// be this test binary. It returns the plugin folder.
func bareMachine(t *testing.T) string {
	t.Helper()
	if found, _ := filepath.Glob("/usr/local/lib/go-xla/*"); len(found) > 0 {
		t.Skipf("this machine has %v, which nothing can hide", found)
	}
	for _, name := range append(append([]string{}, shownNames...), secretNames...) {
		if value, ok := os.LookupEnv(name); ok {
			t.Setenv(name, value) // restores it
			os.Unsetenv(name)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "CURATE_CACHE"} {
		t.Setenv(name, t.TempDir())
	}
	t.Setenv("CURATE_PLUGIN_DIR", dir)
	t.Setenv("CURATE_TEST_AS_COMMAND", "1")
	return dir
}

func TestDoctorOnABareMachine(t *testing.T) {
	dir := bareMachine(t)
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
	t.Setenv("HF_TOKEN", "hf_secret")
	t.Setenv("AWS_ENDPOINT_URL_S3", "https://me:very-secret@store.example.com:9000/?token=very-secret")
	stdout, stderr := mustCurate(t, "doctor")
	for _, want := range []string{
		"curate dev", "processor", "cores", "memory", "cache", " free\n", dir,
		"  missing  xla:cpu   no plugin in\n", "  ok       go        pure Go", "f32 GFLOP/s",
		"AWS_REGION             eu-central-1", "AWS_ENDPOINT_URL_S3    https://store.example.com:9000/", "HF_TOKEN               (set)",
		"  xla:cpu: curate doctor --install cpu\n", "--backend auto is go here",
	} {
		if !strings.Contains(stdout, want) && !strings.Contains(stdout, "without cgo") {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout+stderr, "secret") || strings.Contains(stdout, "\x1b") {
		t.Errorf("a secret, or colour in a pipe:\n%s%s", stdout, stderr)
	}
}

func TestDoctorJudgesTheAskedBackend(t *testing.T) {
	dir := bareMachine(t)
	code, stdout, stderr := curate(t, "doctor", "--speed=false", "--json", "--backend", backend.CPU)
	var d diagnosis
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	if code != exitFailed || d.OK || d.Chosen != "" || len(d.Backends) != 3 || len(d.Advice) == 0 {
		t.Errorf("exit %d, %+v", code, d)
	}
	for _, p := range d.Backends {
		if want := map[string]string{backend.Go: stateOK}[p.Name]; p.Name == backend.Go && p.State != want || p.Name != backend.Go && p.State != stateMissing {
			t.Errorf("%+v", p)
		}
	}
	if !strings.Contains(stderr, "backend xla:cpu does not work here") || !strings.Contains(stderr, "--install cpu") && !strings.Contains(stderr, "cgo") {
		t.Errorf("stderr: %s", stderr)
	}
	plugin := filepath.Join(dir, "pjrt_c_api_cpu_plugin.so")
	if err := os.WriteFile(plugin, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, spec := range []string{backend.CPU, "xla:" + plugin} {
		if code, stdout, stderr := curate(t, "doctor", "--speed=false", "--backend", spec); code != exitFailed || strings.Contains(stderr, "goroutine") ||
			!strings.Contains(stdout, "failed") && !strings.Contains(stdout, "without cgo") {
			t.Errorf("a broken plugin: exit %d\n%s%s", code, stdout, stderr)
		}
	}
	if code, _, _ := curate(t, "doctor", "--speed=false"); code != exitDone {
		t.Errorf("auto with a broken plugin: exit %d", code)
	}
	for _, args := range [][]string{{"--backend", "tpu"}, {"--backend", "xla:relative.so"}, {"--install", "tpu"}, {"extra"}} {
		if code, _, stderr := curate(t, append([]string{"doctor"}, args...)...); code != exitUsage || !strings.Contains(stderr, args[len(args)-1]) {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
	}
}

// TestDoctorSurvivesThePlugin: what a plugin does to its process, as XLA does at
// a flag that it does not know, is a finding.
func TestDoctorSurvivesThePlugin(t *testing.T) {
	plugin, err := backend.FindPlugin("cpu")
	if errors.Is(err, backend.ErrNoPlugin) && os.Getenv("CURATE_REQUIRE_XLA") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := bareMachine(t)
	if err := os.Symlink(plugin, filepath.Join(dir, "pjrt_c_api_cpu_plugin.so")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XLA_FLAGS", "--xla_cpu_no_such_flag=1")
	code, stdout, stderr := curate(t, "doctor", "--speed=false", "--backend", backend.CPU)
	if code != exitFailed || !strings.Contains(stdout, "failed   xla:cpu") || !strings.Contains(stderr, "Unknown flag in XLA_FLAGS: --xla_cpu_no_such_flag=1") ||
		!strings.Contains(stdout, "xla:cpu: change or unset XLA_FLAGS") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	t.Setenv("XLA_FLAGS", "")
	stdout, _ = mustCurate(t, "doctor", "--json", "--backend", backend.CPU)
	var d diagnosis
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Backends {
		if p.Name == backend.CPU && (p.Speed == nil || p.Speed.F32 <= 0 || p.Speed.BF16 <= 0 || p.Speed.Tokens <= 0 || p.Plugin.PJRT == "" || len(p.Devices) == 0 || p.Devices[0].Memory <= 0) {
			t.Errorf("%s", stdout)
		}
	}
	// The pinned plugin is known by its content, and gets its package's name.
	index := httptest.NewServer(http.NotFoundHandler())
	defer index.Close()
	t.Setenv("PIP_INDEX_URL", index.URL)
	if _, stderr := mustCurate(t, "doctor", "--install", "cpu"); !strings.Contains(stderr, "xla-cpu-pjrt 0.0.1 is there already") {
		t.Errorf("install over the pinned plugin: %s", stderr)
	}
	if stdout, _ := mustCurate(t, "doctor", "--speed=false"); !strings.Contains(stdout, "ok       xla:cpu   xla-cpu-pjrt 0.0.1, PJRT API 0.") {
		t.Errorf("the package is not named:\n%s", stdout)
	}
}

func TestDoctorInstallFails(t *testing.T) {
	dir := bareMachine(t)
	index := httptest.NewServer(http.NotFoundHandler())
	defer index.Close()
	t.Setenv("PIP_INDEX_URL", strings.Replace(index.URL, "http://", "http://me:very-secret@", 1))
	for _, name := range []string{"cpu", "cuda", "cuda12"} {
		code, _, stderr := curate(t, "doctor", "--install", name)
		if code != exitFailed || !strings.Contains(stderr, "404") || strings.Contains(stderr, "very-secret") {
			t.Errorf("%s: exit %d, %s", name, code, stderr)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*.so")); len(found) > 0 {
		t.Errorf("there is %v", found)
	}
}

func TestDoctorShowsGPUs(t *testing.T) {
	gpu := probedDevice{"CudaDevice(id=0)", "NVIDIA H200", 140 << 30, 139 << 30}
	d := diagnosis{
		OK: true, Backend: "auto", Chosen: "xla:cuda", Version: map[string]string{"version": "v1", "go": "go1"},
		System: systemFacts{Cores: 16, GoMaxProcs: 8, Memory: 8 << 30, Limit: 4 << 30, Available: 1 << 30, CUDA: "13.0", GPUs: []string{"NVIDIA H200", "NVIDIA H200"}},
		Backends: []probed{{
			Name: "xla:cuda", State: stateOK, Plugin: &probedPlugin{"/p/nvidia/plugin.so", "jax-cuda13-pjrt 0.11.0", "0.114", ""},
			Devices: []probedDevice{gpu, {Name: "CudaDevice(id=1)"}}, Speed: &probedSpeed{F32: 51234.6, BF16: 0, Tokens: 8.25},
		}},
	}
	var out strings.Builder
	(&app{stdout: &out}).printDiagnosis(d)
	for _, want := range []string{
		"16 cores, 8 usable", "low  memory     8.0 GiB, 1.0 GiB available, limited to 4.0 GiB", "driver for CUDA 13.0, 2 GPU(s)",
		"ok  xla:cuda  jax-cuda13-pjrt 0.11.0, PJRT API 0.114", "device 0: NVIDIA H200, 140.0 GiB, 139.0 GiB free", "device 1: CudaDevice(id=1), memory unknown",
		"51,235", " - ", "8.2",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if got := coloured("  ok       go\n  failed   x\n  other\nok y\n"); got != "  \x1b[32mok\x1b[0m       go\n  \x1b[31mfailed\x1b[0m   x\n  other\nok y\n" {
		t.Errorf("%q", got)
	}
}

func TestDoctorHelpers(t *testing.T) {
	for cuda, want := range map[int]string{0: "cuda13", 12080: "cuda12", 13000: "cuda13", 13020: "cuda13"} {
		if got := cudaFor(backend.NVIDIA{CUDA: cuda}, nil); got != want {
			t.Errorf("CUDA %d: %s, want %s", cuda, got, want)
		}
	}
	for value, want := range map[string]string{
		"eu-1": "eu-1", "http://h:1/p": "http://h:1/p", "http://u:p@h:1/p?q=1": "http://h:1/p", "u:p@h": "(set)", "--a=b --c": "--a=b --c",
	} {
		if got := withoutPassword(value); got != want {
			t.Errorf("%q is shown as %q, want %q", value, got, want)
		}
	}
	if got := lastWords("WARNING: x\nF0000 00: bad flag\n*** trace\n"); got != "F0000 00: bad flag" {
		t.Errorf("%q", got)
	}
}
