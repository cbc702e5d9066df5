package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/curate-data/curate/shards"
)

// sandboxFlags say whether and how shards are decoded in child processes.
type sandboxFlags struct {
	on      bool
	memory  string
	silence time.Duration
}

func (f *sandboxFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.on, "sandbox", false, "decode shards in child processes, for input that is not trusted: a file that crashes, hangs or takes all memory costs its shard, not the run")
	flags.StringVar(&f.memory, "sandbox-memory", "2GiB", "memory of one such process")
	flags.DurationVar(&f.silence, "sandbox-timeout", 5*time.Minute, "how long one such process may work without bringing anything forth")
}

// childCommand is the hidden command that a sandbox's processes run. Its
// arguments are the step and the bytes of memory.
const childCommand = "decode-shard"

// Steps of a child's life.
const (
	stepConfine = "confine" // take rights away, then execute this program anew
	stepServe   = "serve"
)

// sandbox returns where shards are decoded, nil for this process.
func (a *app) sandbox() (*shards.Sandbox, error) {
	if !a.sandboxed.on {
		return nil, nil
	}
	memory, err := parseBytes(a.sandboxed.memory)
	if err != nil {
		return nil, usagef("--sandbox-memory: %w", err)
	}
	if a.sandboxed.silence <= 0 {
		return nil, usagef("--sandbox-timeout: want a duration such as 5m")
	}
	if err := canConfine(); err != nil {
		return nil, usagef("--sandbox: %w", err)
	}
	start := func() (shards.SandboxProcess, error) { return startDecoder(memory) }
	return &shards.Sandbox{Start: start, Silence: a.sandboxed.silence}, nil
}

// decoder is a running child.
type decoder struct {
	io.Reader
	io.Writer
	cmd  *exec.Cmd
	says *tail
}

// startDecoder starts a child. It gets no variable of this environment, where
// credentials are, and no file but its three streams.
func startDecoder(memory int64) (shards.SandboxProcess, error) {
	d := &decoder{cmd: exec.Command(thisProgram, childCommand, stepConfine, strconv.FormatInt(memory, 10)), says: new(tail)}
	// The collector works harder before the limit is reached.
	d.cmd.Env = []string{fmt.Sprintf("GOMEMLIMIT=%d", memory*3/4), "GOGC=50", "GOTRACEBACK=single"}
	d.cmd.Stderr = d.says
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	in, err := d.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	apart(d.cmd)
	d.Reader, d.Writer = out, in
	return d, d.cmd.Start()
}

// Kill implements shards.SandboxProcess. One that has ended is not killed.
func (d *decoder) Kill() { _ = d.cmd.Process.Kill() }

// Wait implements shards.SandboxProcess.
func (d *decoder) Wait() error {
	err := d.cmd.Wait()
	if err == nil {
		return nil
	}
	words := d.says.first()
	if strings.Contains(words, "out of memory") || strings.Contains(words, "cannot allocate memory") {
		return errors.New("out of memory; --sandbox-memory sets the limit")
	}
	if words != "" {
		return fmt.Errorf("%w: %s", err, words)
	}
	return err
}

// tail keeps the beginning of what a dying child writes.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailBytes = 4 << 10

// Write implements io.Writer. What is too much is dropped.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b[:max(0, min(len(b), tailBytes-t.buf.Len()))])
	return len(b), nil
}

// first is the line that says why: that of the panic or fatal error.
func (t *tail) first() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := strings.ToValidUTF8(t.buf.String(), "\uFFFD")
	for line := range strings.Lines(all) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.TrimSpace(line)
		}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(all), "\n")
	return line
}

// newChildCommand is what a sandbox's processes run.
func newChildCommand() *cobra.Command {
	return &cobra.Command{
		Use: childCommand + " STEP MEMORY", Hidden: true, Args: cobra.ExactArgs(2),
		Short:             "decode one shard for another process",
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE: func(_ *cobra.Command, args []string) error {
			memory, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return err
			}
			if args[0] == stepConfine {
				return confine([]string{childCommand, stepServe, args[1]}, memory)
			}
			if err := closeDoors(); err != nil {
				return err
			}
			return shards.ServeShard(os.Stdin, os.Stdout)
		},
	}
}
