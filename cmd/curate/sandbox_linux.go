package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// thisProgram is the running program, also when its file has been replaced.
const thisProgram = "/proc/self/exe"

// canConfine reports whether children can be confined here.
func canConfine() error { return nil }

// apart keeps the signals of the terminal from a child: the parent ends it.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// confine takes rights away from this process and executes the program anew:
// what a thread gives up, all threads of the new program lack. RLIMIT_DATA
// counts what is writable; RLIMIT_AS would also count what Go only reserves.
func confine(args []string, memory int64) error {
	runtime.LockOSThread()
	limits := []struct {
		name     string
		resource int
		value    uint64
	}{
		{"data", unix.RLIMIT_DATA, uint64(memory)},
		{"core", unix.RLIMIT_CORE, 0},
		{"file size", unix.RLIMIT_FSIZE, 0},
	}
	for _, l := range limits {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("limit %s to %d: %w", l.name, l.value, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	return unix.Exec(thisProgram, append([]string{"curate"}, args...), os.Environ())
}

// closeDoors makes sure that this process opens no file and no socket any more,
// and does not outlive its parent.
func closeDoors() error {
	// Descriptors below the limit stay usable; there are but the three streams
	// and what the runtime has opened.
	none := unix.Rlimit{Cur: 3, Max: 3}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		return fmt.Errorf("limit open files: %w", err)
	}
	parent := os.Getppid()
	go func() {
		for os.Getppid() == parent {
			time.Sleep(time.Second)
		}
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	}()
	return nil
}
