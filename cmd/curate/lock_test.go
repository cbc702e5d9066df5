package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSecondRunStopsAtOnce: two processes on one output; the second one says
// who holds it, and leaves the first alone.
func TestSecondRunStopsAtOnce(t *testing.T) {
	config, output := tinyConfig(t)
	out := filepath.Join(filepath.Dir(output), "locked")
	first := command(t, config, out)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, filepath.Join(out, "models/prior/.train"))
	if err := first.Process.Signal(syscall.SIGSTOP); err != nil { // it shall not finish before the second starts
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"run", config, "--set", "output=" + out, "--quiet"},
	} {
		checkLocked(t, args, first.Process.Pid)
	}
	if err := first.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("the first run: %v", err)
	}
	mustCurate(t, "verify", out)
}

// checkLocked runs a command that must fail because a process holds its output.
func checkLocked(t *testing.T, args []string, holder int) {
	t.Helper()
	cmd := asCommand(t, args...)
	message, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Errorf("curate %s: %v, want exit %d\n%s", args[0], err, exitFailed, message)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{fmt.Sprintf("process %d ", holder), host, "since"} {
		if !strings.Contains(string(message), want) {
			t.Errorf("curate %s does not say %q: %s", args[0], want, message)
		}
	}
}
