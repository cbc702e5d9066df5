package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestSignalsLeaveResumableState interrupts a run twice, by Ctrl-C and by
// SIGTERM, and lets a third one finish: the exit codes say what happened, and
// the output is that of an undisturbed run.
func TestSignalsLeaveResumableState(t *testing.T) {
	config, output := tinyConfig(t)
	runCommand(t, config, output)
	want := treeDigests(t, output)
	out := filepath.Join(t.TempDir(), "interrupted")
	interruptRuns(t, config, out, out)
	runCommand(t, config, out)
	if got := treeDigests(t, out); len(differences(got, want)) > 0 {
		t.Errorf("output differs from an undisturbed run: %v", differences(got, want))
	}
}

// interruptRuns starts a run twice and stops it by Ctrl-C and by SIGTERM. folder
// is where the output's files can be seen.
func interruptRuns(t *testing.T, config, output, folder string) {
	t.Helper()
	for _, stop := range []struct {
		signal syscall.Signal
		after  string // the file that shows how far the run has come
		code   int
	}{
		{syscall.SIGINT, "models/prior/config.json", exitInterrupted},
		{syscall.SIGTERM, "models/conditional/config.json", exitTerminated},
	} {
		cmd := command(t, config, output)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, filepath.Join(folder, stop.after))
		if err := cmd.Process.Signal(stop.signal); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != stop.code {
			t.Fatalf("after %v: %v, want exit %d", stop.signal, err, stop.code)
		}
	}
}

func waitFor(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s did not appear", path)
}
