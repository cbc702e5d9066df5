package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/backend/install"
)

const doctorHelp = `Say what this machine has for running models: processor, memory, XLA plugins and their devices, with a
speed test of some seconds, the cache, the settings of S3 and the Hugging Face Hub that are seen
(never a secret's value), and for what is missing one line on what to do. Exit code 0 when the asked
backend works, auto being content with any of them; 1 when it does not.

--install brings a plugin into the folder where curate looks for it ($CURATE_PLUGIN_DIR, or the cache):
cpu is 63 MB, cuda (cuda13 or cuda12, as the driver can) with NVIDIA's libraries 2 to 3 GB. The files
come from the Python package index (PIP_INDEX_URL), are checked against hashes in curate, and a
download that was interrupted goes on with the next call.`

// doctorFlags are the flags of doctor.
type doctorFlags struct {
	backend, install string
	speed            bool
}

func newDoctorCommand(a *app) *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "look at this machine's backends; install plugins",
		Long:  doctorHelp + "\n" + exitHelp,
		Example: `  curate doctor                           # what is there, how fast is it, what is missing
  curate doctor --backend xla:cuda        # exit 1 unless a GPU can be used
  curate doctor --install cpu             # the XLA plugin for CPUs, checked by hash`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("doctor takes no arguments, got %q", args)
			}
			if f.install != "" {
				return a.installPlugin(cmd.Context(), f.install)
			}
			return a.doctor(cmd.Context(), f)
		},
	}
	addBackendFlag(cmd.Flags(), &f.backend)
	cmd.Flags().StringVar(&f.install, "install", "", "bring a plugin: cpu, cuda, cuda13 or cuda12")
	cmd.Flags().BoolVar(&f.speed, "speed", true, "measure speeds")
	return cmd
}

// diagnosis is what doctor finds.
type diagnosis struct {
	OK       bool              `json:"ok"`
	Backend  string            `json:"backend"` // as asked
	Chosen   string            `json:"chosen"`  // what it means here; "" if it does not work
	Version  map[string]string `json:"version"`
	System   systemFacts       `json:"system"`
	Backends []probed          `json:"backends"`
	Folders  []string          `json:"plugin_folders"`
	Cache    cacheFacts        `json:"cache"`
	Settings []setting         `json:"settings"`
	Advice   []string          `json:"advice"`
}

type systemFacts struct {
	OS         string   `json:"os"`
	Arch       string   `json:"arch"`
	Processor  string   `json:"processor,omitempty"`
	Features   []string `json:"features"`
	Cores      int      `json:"cores"`
	GoMaxProcs int      `json:"gomaxprocs"` // what a limit of the control group leaves of them
	Memory     int64    `json:"memory_bytes,omitempty"`
	Limit      int64    `json:"memory_limit_bytes,omitempty"`
	Available  int64    `json:"memory_available_bytes,omitempty"`
	CUDA       string   `json:"cuda_driver,omitempty"` // newest CUDA of NVIDIA's driver
	Driver     string   `json:"cuda_driver_problem,omitempty"`
	GPUs       []string `json:"gpus,omitempty"`
}

type cacheFacts struct {
	Folder string `json:"folder"`
	Free   int64  `json:"free_bytes"`
}

// setting is an environment variable that is set.
type setting struct {
	Name  string `json:"name"`
	Value string `json:"value"` // "(set)" where it is secret
}

// doctor examines, prints, and fails if what was asked for does not work.
func (a *app) doctor(ctx context.Context, f doctorFlags) error {
	names := []string{backend.CUDA, backend.CPU, backend.Go}
	switch f.backend {
	case backend.Auto, backend.CUDA, backend.CPU, backend.Go:
	default:
		if !strings.HasPrefix(f.backend, "xla:/") {
			return usagef("--backend %q: want %s, %s or xla:/absolute/path/of/plugin.so", f.backend, backend.Auto, strings.Join(names, ", "))
		}
		names = append([]string{f.backend}, names...)
	}
	d := diagnosis{Backend: f.backend, Version: versionFacts(), System: examineSystem(), Folders: backend.Folders(), Settings: settings(os.Environ())}
	if folder, err := cacheFolder(); err == nil {
		d.Cache = cacheFacts{folder, install.FreeBytes(folder)}
	}
	for _, name := range names {
		p := probeApart(ctx, name, f.speed)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p.Remedy = remedy(p, d.System)
		d.Backends = append(d.Backends, p)
	}
	for _, p := range d.Backends {
		if p.State == stateOK && (f.backend == backend.Auto || p.Name == f.backend) && !d.OK {
			d.OK, d.Chosen = true, p.Name
		}
	}
	d.Advice = advice(d)
	if a.json {
		if err := a.printJSON(d); err != nil {
			return err
		}
	} else {
		a.printDiagnosis(d)
	}
	if d.OK {
		return nil
	}
	return fmt.Errorf("backend %s does not work here: %s", f.backend, d.problem())
}

// problem says why the asked backend does not work.
func (d diagnosis) problem() string {
	var all []string
	for _, p := range d.Backends {
		if p.Name == d.Backend || d.Backend == backend.Auto {
			all = append(all, p.Problem)
		}
	}
	return strings.Join(all, "; ")
}

func examineSystem() systemFacts {
	model, features := backend.Processor()
	memory := backend.HostMemory()
	s := systemFacts{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Processor: model, Features: features,
		Cores: runtime.NumCPU(), GoMaxProcs: runtime.GOMAXPROCS(0),
		Memory: memory.Total, Limit: memory.Limit, Available: memory.Available,
	}
	driver, err := backend.Driver(false)
	if driver.CUDA > 0 {
		s.CUDA = driver.Version()
	}
	if err != nil {
		s.Driver = err.Error()
	}
	for _, gpu := range driver.GPUs {
		s.GPUs = append(s.GPUs, gpu.Kind)
	}
	return s
}

// remedy is one line on what to do about a backend that does not work; "" where
// there is nothing to be done.
func remedy(p probed, s systemFacts) string {
	switch {
	case p.State == stateOK:
		return ""
	case strings.Contains(p.Problem, "XLA_FLAGS"):
		return "change or unset XLA_FLAGS: plugins end the program at a flag that they do not know"
	case strings.Contains(p.Problem, "without cgo"):
		return "build curate with a C compiler (CGO_ENABLED=1)"
	case p.Name == backend.CUDA && len(s.GPUs) == 0:
		return "nothing on a machine without an NVIDIA GPU; with one, install NVIDIA's driver (in containers: start them with --gpus all)"
	case p.Name == backend.CUDA && p.State == stateMissing:
		return "curate doctor --install cuda"
	case p.Name == backend.CPU && p.State == stateMissing:
		return "curate doctor --install cpu"
	case p.Plugin == nil:
		return "install the plugin again (curate doctor --install), or see docs/DEVICES.md"
	}
	return "see docs/DEVICES.md"
}

// lowDisk is where the disk of the cache gets a warning: a remote model of 1 B
// parameters and its copy do not fit any more.
const lowDisk = 8 << 30

// advice collects one line per thing that is missing.
func advice(d diagnosis) []string {
	advice := []string{}
	for _, p := range d.Backends {
		if p.Remedy != "" && (p.Name != backend.CUDA || len(d.System.GPUs) > 0 || d.Backend == p.Name) {
			advice = append(advice, p.Name+": "+p.Remedy)
		}
	}
	if d.Cache.Folder != "" && d.Cache.Free < lowDisk {
		advice = append(advice, fmt.Sprintf("cache: %s has %s free: make room, or set CURATE_CACHE to another folder", d.Cache.Folder, formatBytes(d.Cache.Free)))
	}
	if s := d.System; s.Available > 0 && s.Available < 2<<30 {
		advice = append(advice, fmt.Sprintf("memory: %s are available: a model of 150 M parameters takes 2 GiB to score with", formatBytes(s.Available)))
	}
	return advice
}

// installPlugin fetches a plugin and says where it is.
func (a *app) installPlugin(ctx context.Context, name string) error {
	switch name {
	case "cpu", "cuda12", "cuda13":
	case "cuda":
		name = cudaFor(backend.Driver(false))
	default:
		return usagef("--install %q: want cpu, cuda, cuda13 or cuda12", name)
	}
	if strings.HasPrefix(name, "cuda") {
		if _, err := backend.Driver(false); err != nil {
			a.say("doctor: %v; the plugin is installed all the same", err)
		}
	}
	folder, err := backend.InstallFolder()
	if err != nil {
		return err
	}
	result, err := install.Install(ctx, name, install.Options{
		Folder: folder, Index: os.Getenv("PIP_INDEX_URL"),
		Start: func(label string, bytes int64) (func(int64), func()) {
			task := a.progress.Start(label, "B", bytes)
			return task.Add, task.Done
		},
	})
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(result)
	}
	what := "installed"
	if result.Already {
		what = "is there already"
	}
	a.say("plugin: %s %s, %s", result.Packages[0], what, result.Plugin)
	return nil
}

// cudaFor names the newest plugin that a driver can run; without one, that of
// current GPUs.
func cudaFor(driver backend.NVIDIA, _ error) string {
	if driver.CUDA > 0 && driver.CUDA < 13000 {
		return "cuda12"
	}
	return "cuda13"
}

// secretNames are variables whose value is never shown.
var secretNames = []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "CURATE_S3_SSE_KMS_KEY_ID"}

// shownNames are variables, or beginnings of their names, whose value is shown.
var shownNames = []string{
	"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE", "AWS_CONFIG_FILE",
	"AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "CURATE_CACHE", "CURATE_PLUGIN_DIR", "CURATE_S3_PATH_STYLE",
	"CURATE_S3_CHECKSUMS", "CURATE_S3_REQUESTER_PAYS", "CURATE_S3_SSE", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "XLA_FLAGS",
	"CUDA_VISIBLE_DEVICES", "PJRT_PLUGIN_LIBRARY_PATH", "LD_LIBRARY_PATH", "PIP_INDEX_URL", "HTTPS_PROXY", "HTTP_PROXY", "https_proxy",
	"http_proxy", "GOMAXPROCS", "GOMEMLIMIT", "GOGC", "NO_COLOR", "XDG_CACHE_HOME",
}

// settings picks the variables that decide about curate out of an environment.
func settings(environ []string) []setting {
	found := []setting{}
	values := map[string]string{}
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok && value != "" {
			values[name] = value
		}
	}
	for _, name := range shownNames {
		if value, ok := values[name]; ok {
			found = append(found, setting{name, withoutPassword(value)})
		}
	}
	for _, name := range secretNames {
		if _, ok := values[name]; ok {
			found = append(found, setting{name, "(set)"})
		}
	}
	return found
}

// withoutPassword takes user, password and query out of a URL.
func withoutPassword(value string) string {
	if !strings.Contains(value, "@") && !strings.Contains(value, "?") {
		return value
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		return "(set)" // not understood, so not shown
	}
	u.User, u.RawQuery = nil, ""
	return u.String()
}

// shortPath writes the home folder as ~.
func shortPath(path string) string {
	home, err := os.UserHomeDir()
	if err != nil || home == "" {
		return path
	}
	if rest, ok := strings.CutPrefix(path, home+string(filepath.Separator)); ok {
		return "~" + string(filepath.Separator) + rest
	}
	return path
}
