package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMistakesGetClearErrors: what a user gets wrong ends with exit 2 (or 1
// where the fault is in a file) and a message that names the thing.
func TestMistakesGetClearErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	unknownKey := file("unknown.yaml", "inputs: [x]\noutput: y\nselekt: {keep_rows: 1}\n")
	faults := file("faults.yaml", "inputs: []\nselect: {keep_fraction: 2}\n")
	trainingKeys := file("training.yaml", "inputs: [x]\noutput: y\ntokenizer: t\nprior: {preset: olmo-nano, precision: int8}\nconditional: {target: [z], batch_size: 6, micro_batch: 4}\nselect: {keep_rows: 1}\n")
	badYAML := file("bad.yaml", "inputs: [")
	cases := []struct {
		name string
		args []string
		code int
		want []string // all in stderr
	}{
		{"unknown command", []string{"frobnicate"}, exitUsage, []string{"frobnicate", "--help"}},
		{"unknown flag", []string{"score", "--tau", "3"}, exitUsage, []string{"--tau"}},
		{"missing flags", []string{"score", "x.parquet"}, exitUsage, []string{"--conditional", "--output", "--prior"}},
		{"no inputs", []string{"score", "--prior", "a", "--conditional", "b", "--output", "c"}, exitUsage, []string{"input"}},
		{"input that is not there", []string{"inspect", filepath.Join(dir, "none.parquet")}, exitUsage, []string{"none.parquet"}},
		{"glob without a match", []string{"inspect", filepath.Join(dir, "*.parquet")}, exitUsage, []string{"*.parquet"}},
		{"unit", []string{"score", "--prior", "a", "--conditional", "b", "--output", "c", "--unit", "page", unknownKey}, exitUsage, []string{"page", "document"}},
		{"precision and devices", []string{"score", "--prior", "a", "--conditional", "b", "--output", "c", "--precision", "f16", "--devices", "0", unknownKey}, exitUsage, []string{"f16", "bf16", `devices "0"`}},
		{"two budgets", []string{"select", "--scores", "a", "--output", "b", "--keep-rows", "1", "--keep-tokens", "2"}, exitUsage, []string{"exactly one"}},
		{"no budget", []string{"select", "--scores", "a", "--output", "b"}, exitUsage, []string{"exactly one"}},
		{"method", []string{"select", "--scores", "a", "--output", "b", "--keep-rows", "1", "--method", "best"}, exitUsage, []string{"best", "color"}},
		{"scores that are not there", []string{"select", "--scores", filepath.Join(dir, "no"), "--output", filepath.Join(dir, "o"), "--keep-rows", "1"}, exitFailed, []string{"unfinished"}},
		{"no config", []string{"run", filepath.Join(dir, "no.yaml")}, exitUsage, []string{"no.yaml"}},
		{"training options", []string{"train", "conditional", "--from", "a", "--output", "b", "--precision", "f8", "--gradient-checkpointing=maybe", "--batch-size", "6", "--micro-batch", "4", file("two.jsonl", `{"text":"x"}`)}, exitUsage, []string{"f8", "maybe", "micro batch 4"}},
		{"training keys", []string{"run", trainingKeys}, exitUsage, []string{"prior", "int8", "conditional", "micro batch 4"}},
		{"type of weights", []string{"export", "a", "--output", "b", "--dtype", "int8"}, exitUsage, []string{"int8", "f32, bf16 or f16"}},
		{"nothing to export", []string{"export", filepath.Join(dir, "no"), "--output", filepath.Join(dir, "o")}, exitFailed, []string{"no"}},
		{"unknown key", []string{"run", unknownKey}, exitUsage, []string{"selekt"}},
		{"all faults at once", []string{"run", faults}, exitUsage, []string{"inputs", "output", "prior", "conditional", "fraction"}},
		{"bad YAML", []string{"run", badYAML}, exitUsage, []string{"bad.yaml"}},
		{"bad --set", []string{"run", unknownKey, "--set", "seed"}, exitUsage, []string{"key=value"}},
		{"bad --memory", []string{"--memory", "lots", "version"}, exitUsage, []string{"lots"}},
		{"nothing to verify", []string{"verify", dir}, exitFailed, []string{manifestName}},
		{"model without weights", []string{"score", "--prior", dir, "--conditional", dir, "--output", filepath.Join(dir, "s"), file("one.jsonl", `{"text":"x"}`)}, exitFailed, []string{"config.json"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			code, _, stderr := curate(t, c.args...)
			if code != c.code {
				t.Errorf("exit %d, want %d: %s", code, c.code, stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr lacks %q: %s", want, stderr)
				}
			}
			if strings.Contains(stderr, "goroutine ") {
				t.Errorf("a stack trace for a user's mistake: %s", stderr)
			}
		})
	}
}

// TestHelpHasExamples: every command explains itself.
func TestHelpHasExamples(t *testing.T) {
	for _, name := range []string{"run", "train prior", "train conditional", "export", "score", "embed", "select", "write", "inspect", "verify", "gc", "doctor"} {
		stdout, _ := mustCurate(t, append(strings.Fields(name), "--help")...)
		if !strings.Contains(stdout, "Examples:") || !strings.Contains(stdout, "curate "+name) {
			t.Errorf("%s --help has no example:\n%s", name, stdout)
		}
	}
}

// TestCompletion: every shell gets a script that knows our commands.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if stdout, _ := mustCurate(t, "completion", shell); !strings.Contains(stdout, "curate") {
			t.Errorf("completion %s says:\n%s", shell, stdout)
		}
	}
	stdout, _ := mustCurate(t, "__complete", "ver")
	if !strings.Contains(stdout, "verify") || !strings.Contains(stdout, "version") {
		t.Errorf("ver is completed to:\n%s", stdout)
	}
}

// TestEveryConfigLoads lints all YAML files that we ship.
func TestEveryConfigLoads(t *testing.T) {
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("configs: %v, %v", files, err)
	}
	for _, file := range files {
		if _, err := loadConfig(file, nil); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
