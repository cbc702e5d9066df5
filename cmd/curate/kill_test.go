package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestKillAtAnyMoment kills `curate run` with SIGKILL at random moments, runs
// it again, and compares every output file with those of a run that nobody
// disturbed.
func TestKillAtAnyMoment(t *testing.T) {
	moments := 20
	if testing.Short() {
		moments = 3
	}
	config, output := tinyConfig(t)
	start := time.Now()
	runCommand(t, config, output)
	whole := time.Since(start)
	want := treeDigests(t, output)
	if len(want) < 10 {
		t.Fatalf("only %d files to compare: %v", len(want), want)
	}
	random := rand.New(rand.NewPCG(20, 26))
	interrupted := 0
	for i := range moments {
		out := filepath.Join(t.TempDir(), fmt.Sprint("killed-", i))
		delay := time.Duration(random.Float64() * float64(whole))
		if killedAfter(t, delay, config, out) {
			interrupted++
		}
		runCommand(t, config, out)
		if got := treeDigests(t, out); !maps.Equal(got, want) {
			t.Errorf("killed after %v: output differs: %v", delay.Round(time.Millisecond), differences(got, want))
		}
	}
	t.Logf("%d of %d runs were killed before they ended; a whole run takes %v", interrupted, moments, whole.Round(time.Millisecond))
	if interrupted < moments/2 {
		t.Errorf("only %d of %d runs were killed before they ended: the moments are not spread over the run", interrupted, moments)
	}
}

func command(t *testing.T, config, output string) *exec.Cmd {
	t.Helper()
	return asCommand(t, "run", config, "--set", "output="+output, "--quiet")
}

// commandLimit is how long a command of these tests may take: none takes a
// minute, and one that hangs shall fail its test, not all of them.
const commandLimit = 5 * time.Minute

// asCommand is a process of the real command. It ends with the test at the latest.
func asCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.WaitDelay = 10 * time.Second // for what its own children hold open
	cmd.Env = append(os.Environ(), "CURATE_TEST_AS_COMMAND=1")
	return cmd
}

func runCommand(t *testing.T, config, output string) {
	t.Helper()
	if message, err := command(t, config, output).CombinedOutput(); err != nil {
		t.Fatalf("curate run: %v\n%s", err, message)
	}
}

// killedAfter reports whether the process was still running when it was killed.
func killedAfter(t *testing.T, delay time.Duration, config, output string) bool {
	t.Helper()
	cmd := command(t, config, output)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("curate run, not yet killed: %v", err)
		}
		return false
	case <-time.After(delay):
		_ = cmd.Process.Kill() // SIGKILL
		<-ended
		return true
	}
}

func differences(got, want map[string]string) []string {
	var names []string
	for name, digest := range want {
		if got[name] == "" {
			names = append(names, "missing "+name)
		} else if got[name] != digest {
			names = append(names, "changed "+name)
		}
	}
	for name := range got {
		if want[name] == "" {
			names = append(names, "extra "+name)
		}
	}
	return names
}
