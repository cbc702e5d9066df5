package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// scheduled is a command of one of the files in configs/schedule.
type scheduled struct {
	file string
	args []string // program and arguments
	env  []string
}

// readSchedules returns what the three schedulers would start.
func readSchedules(t *testing.T) []scheduled {
	t.Helper()
	return []scheduled{readCrontab(t), readService(t), readCronJob(t)}
}

func readScheduleFile(t *testing.T, name string) (string, []byte) {
	t.Helper()
	file := filepath.Join("../../configs/schedule", name)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, raw
}

// readCrontab parses a file of /etc/cron.d: variables, and one line of five
// fields of time, a user and a command for the shell.
func readCrontab(t *testing.T) scheduled {
	t.Helper()
	file, raw := readScheduleFile(t, "crontab")
	found := scheduled{file: file}
	shell := ""
	variable := regexp.MustCompile(`^([A-Z_]+)=(\S*)$`)
	job := regexp.MustCompile(`^([\d*,/-]+\s+){5}([a-z]+)\s+(\S.*)$`)
	for _, line := range strings.Split(string(raw), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if v := variable.FindStringSubmatch(line); v != nil {
			found.env = append(found.env, line)
			if v[1] == "SHELL" {
				shell = v[2]
			}
			continue
		}
		j := job.FindStringSubmatch(line)
		if j == nil || found.args != nil || strings.Contains(j[3], "%") {
			t.Fatalf("%s: cron cannot read %q", file, line)
		}
		found.args = []string{shell, "-c", j[3]}
	}
	if found.args == nil {
		t.Fatalf("%s has no job", file)
	}
	return found
}

// readService parses the unit file, as far as starting it goes.
func readService(t *testing.T) scheduled {
	t.Helper()
	file, raw := readScheduleFile(t, "curate.service")
	found := scheduled{file: file}
	for _, line := range strings.Split(string(raw), "\n") {
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "ExecStart":
			found.args = strings.Fields(value)
		case "Environment":
			found.env = append(found.env, strings.ReplaceAll(value, "%C", "/var/cache"))
		}
	}
	return found
}

// cronJob is the part of the Kubernetes object that the file uses; other keys
// are mistakes.
type cronJob struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Schedule                   string
		ConcurrencyPolicy          string `yaml:"concurrencyPolicy"`
		StartingDeadlineSeconds    int    `yaml:"startingDeadlineSeconds"`
		SuccessfulJobsHistoryLimit int    `yaml:"successfulJobsHistoryLimit"`
		FailedJobsHistoryLimit     int    `yaml:"failedJobsHistoryLimit"`
		JobTemplate                struct {
			Spec struct {
				BackoffLimit            int `yaml:"backoffLimit"`
				TTLSecondsAfterFinished int `yaml:"ttlSecondsAfterFinished"`
				PodFailurePolicy        struct {
					Rules []struct {
						Action          string
						OnPodConditions []struct{ Type string } `yaml:"onPodConditions"`
						OnExitCodes     struct {
							ContainerName string `yaml:"containerName"`
							Operator      string
							Values        []int
						} `yaml:"onExitCodes"`
					}
				} `yaml:"podFailurePolicy"`
				Template struct{ Spec podSpec }
			}
		} `yaml:"jobTemplate"`
	}
}

type podSpec struct {
	RestartPolicy                 string         `yaml:"restartPolicy"`
	ServiceAccountName            string         `yaml:"serviceAccountName"`
	TerminationGracePeriodSeconds int            `yaml:"terminationGracePeriodSeconds"`
	SecurityContext               map[string]any `yaml:"securityContext"`
	Containers                    []struct {
		Name, Image     string
		Command, Args   []string
		Env             []podVariable
		Resources       map[string]map[string]string
		SecurityContext struct {
			AllowPrivilegeEscalation bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool `yaml:"readOnlyRootFilesystem"`
			Capabilities             map[string][]string
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct {
		Name      string
		ConfigMap struct{ Name string } `yaml:"configMap"`
		EmptyDir  struct {
			SizeLimit string `yaml:"sizeLimit"`
		} `yaml:"emptyDir"`
	}
}

type podVariable struct {
	Name, Value string
	ValueFrom   struct {
		SecretKeyRef struct {
			Name, Key string
			Optional  bool
		} `yaml:"secretKeyRef"`
	} `yaml:"valueFrom"`
}

func readCronJob(t *testing.T) scheduled {
	t.Helper()
	file, raw := readScheduleFile(t, "cronjob.yaml")
	var job cronJob
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&job); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	pod := job.Spec.JobTemplate.Spec.Template.Spec
	if job.Kind != "CronJob" || job.APIVersion != "batch/v1" || len(pod.Containers) != 1 {
		t.Fatalf("%s: %s %s with %d containers", file, job.APIVersion, job.Kind, len(pod.Containers))
	}
	container := pod.Containers[0]
	if job.Spec.ConcurrencyPolicy != "Forbid" || !container.SecurityContext.ReadOnlyRootFilesystem || pod.RestartPolicy != "Never" {
		t.Errorf("%s: two jobs may run at a time, or one may write to its image", file)
	}
	found := scheduled{file: file, args: slices.Concat(container.Command, container.Args)}
	for _, v := range container.Env {
		if secret := v.ValueFrom.SecretKeyRef.Name != ""; secret != strings.Contains(v.Name, "KEY") {
			t.Errorf("%s: %s: keys, and nothing else, come from a secret", file, v.Name)
		} else if !secret {
			found.env = append(found.env, v.Name+"="+v.Value)
		}
	}
	mounts := map[string]string{}
	for _, m := range container.VolumeMounts {
		mounts[m.Name] = m.MountPath
	}
	for _, v := range pod.Volumes {
		if mounts[v.Name] == "" {
			t.Errorf("%s: volume %s is not mounted", file, v.Name)
		}
	}
	return found
}

// TestUnitFiles lets systemd itself check the service and the timer, where it
// is installed.
func TestUnitFiles(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	for _, name := range []string{"curate.service", "curate.timer"} {
		_, raw := readScheduleFile(t, name)
		// It wants to see the program.
		put(t, filepath.Join(dir, name), strings.ReplaceAll(string(raw), "/usr/local/bin/curate", os.Args[0]))
	}
	message, err := exec.Command(analyze, "verify", filepath.Join(dir, "curate.service"), filepath.Join(dir, "curate.timer")).CombinedOutput()
	if err != nil || len(message) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, message)
	}
}

// TestSchedules runs what the crontab, the service and the CronJob start, as
// they start it, against a real bucket: the first does the work of the night,
// the next finds a new shard, the last has nothing to do.
func TestSchedules(t *testing.T) {
	b := newCorpusBucket(t)
	if stdout, stderr := mustCurate(t, "run", b.config, "--quiet"); stdout+stderr != "" { // the models
		t.Errorf("--quiet prints %s%s", stdout, stderr)
	}
	etc, bin := t.TempDir(), t.TempDir()
	program, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(bin, "curate")); err != nil {
		t.Fatal(err)
	}
	nightly, err := os.ReadFile("../../configs/nightly.yaml")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(etc, "nightly.yaml"), strings.NewReplacer(
		"s3://example-corpus/pool/**/*.parquet", b.uri("pool/**"), "s3://example-curated/nightly", b.uri("nightly"),
		"s3://example-curated/fiction", b.uri("out"), "sequence_length: 512", "sequence_length: 16\nbackend: go", "0.0625", "0.4",
	).Replace(string(nightly)))
	put(t, filepath.Join(etc, "env"), strings.Join(b.server.Env(), "\n")+"\n")
	here := strings.NewReplacer("/etc/curate", etc, "/usr/local/bin", bin, "/var/cache/curate", t.TempDir())
	for i, want := range []string{"done: 2 shards, 10 rows in, 4 kept, ", "done: 3 shards, 15 rows in, 6 kept, ", "done: nothing to do, " + b.uri("nightly")} {
		job := readSchedules(t)[i]
		cmd := exec.Command(here.Replace(job.args[0]))
		for _, arg := range job.args[1:] {
			cmd.Args = append(cmd.Args, here.Replace(arg))
		}
		cmd.Env = append(os.Environ(), "CURATE_TEST_AS_COMMAND=1")
		for _, v := range job.env {
			if !strings.HasPrefix(v, "AWS_REGION=") { // the server's is another
				cmd.Env = append(cmd.Env, here.Replace(v))
			}
		}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v\n%s", job.file, err, stderr.String())
		}
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, want) {
			t.Errorf("%s ends with %q, want %q", job.file, last, want)
		}
		if strings.Contains(job.args[len(job.args)-1], ">/dev/null") && stdout.Len() > 0 {
			t.Errorf("%s: cron would mail the tables: %s", job.file, stdout.String())
		}
		upload(t, b.uri("pool/later.parquet"), filepath.Join(b.local, "pool/en/five.parquet"))
	}
	mustCurate(t, "verify", b.uri("nightly"))
}
