// Command curate selects pretraining data: it scores the rows of corpus shards
// with auxiliary models, selects globally and writes the kept rows, unchanged.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/curate-data/curate/shards"
)

// version is set by the linker (see Makefile).
var version = "dev"

// Exit codes: part of the contract with scripts; nothing incomplete exits 0.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPartial     = 3 // finished, but with failed or quarantined shards
	exitInterrupted = 130
	exitTerminated  = 143
)

// errPartial marks a run that finished without some of its shards.
var errPartial = errors.New("finished with failed shards")

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usagef makes a usageError.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// signalError is the cause of a context that a signal ended.
type signalError struct{ os.Signal }

func (e signalError) Error() string { return "interrupted by " + e.Signal.String() }

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := withSignals(context.Background())
	defer stop()
	places := newStores()
	defer places.close()
	root := newRoot(stdout, stderr, places)
	root.SetArgs(args)
	err := checkArguments(args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	code := exitCode(ctx, err)
	switch {
	case err == nil:
	case code == exitInterrupted || code == exitTerminated:
		fmt.Fprintf(stderr, "curate: %v; run the same command again to go on\n", context.Cause(ctx))
	case code == exitUsage:
		fmt.Fprintf(stderr, "curate: %v\nRun 'curate --help' or 'curate COMMAND --help' for usage.\n", err)
	default:
		fmt.Fprintf(stderr, "curate: %v\n", err)
	}
	return code
}

// checkArguments refuses credentials in a URI before any message can repeat them.
func checkArguments(args []string) error {
	for i, arg := range args {
		if err := shards.CheckPlace(arg); err != nil {
			return usagef("argument %d: %w", i+1, err)
		}
	}
	return nil
}

// withSignals returns a context that the first SIGINT or SIGTERM cancels, with
// a signalError as its cause. After that a second signal kills the process.
func withSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(signalError{s})
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// exitCode maps the outcome to the table above.
func exitCode(ctx context.Context, err error) int {
	var interrupted signalError
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(context.Cause(ctx), &interrupted):
		if interrupted.Signal == syscall.SIGTERM {
			return exitTerminated
		}
		return exitInterrupted
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errPartial):
		return exitPartial
	default:
		return exitFailed
	}
}
