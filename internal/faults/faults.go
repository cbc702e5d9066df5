// Package faults makes stores fail on purpose: the n-th operation of a run
// goes wrong in a chosen way. A drill runs a piece of work once per n, and
// every time the work must succeed, or a second, undisturbed run must complete
// it with the bytes of a run that nobody disturbed.
package faults

import (
	"errors"
	"fmt"
	"sync"
)

// Op is a kind of operation on a store.
type Op string

// The operations that are counted, each one call of a method.
const (
	List      Op = "list"
	Glob      Op = "glob"
	Open      Op = "open"
	ReadAt    Op = "read-at"
	Create    Op = "create"
	CreateNew Op = "create-new"
	Write     Op = "write"
	Finish    Op = "finish"
	Remove    Op = "remove"
	Lock      Op = "lock"
	Sweep     Op = "sweep"
)

// Mode is the way in which an operation goes wrong.
type Mode string

// The modes.
const (
	// Before fails the operation; the store is as if it had not been asked.
	Before Mode = "before"
	// After does the operation and loses the answer.
	After Mode = "after"
	// Crash fails this operation and all later ones, without their effect, as
	// if the process had died: no Abort cleans up.
	Crash Mode = "crash"
	// CrashAfter does the operation, then is Crash.
	CrashAfter Mode = "crash-after"
	// Short moves half the bytes of a ReadAt or Write and fails it with
	// io.ErrUnexpectedEOF or ErrInjected; on other operations it is Before.
	Short Mode = "short"
)

// Modes are all modes.
func Modes() []Mode { return []Mode{Before, After, Crash, CrashAfter, Short} }

// ErrInjected is wrapped by every error that this package makes.
var ErrInjected = errors.New("injected fault")

// Injector counts the operations of all stores that it wraps and makes one of
// them fail. It may be used by several goroutines.
type Injector struct {
	mu      sync.Mutex
	at      int
	mode    Mode
	ops     []Op
	crashed bool
}

// New returns an Injector that fails operation at, counted from 1, in the
// mode. With at = 0 nothing fails: that is how operations are counted.
func New(at int, mode Mode) *Injector { return &Injector{at: at, mode: mode} }

// Ops returns the operations so far, in order.
func (i *Injector) Ops() []Op {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]Op(nil), i.ops...)
}

// Fired reports whether the fault has happened.
func (i *Injector) Fired() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.at > 0 && len(i.ops) >= i.at
}

// Crashed reports whether the process of the run counts as dead.
func (i *Injector) Crashed() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.crashed
}

// verdict is what becomes of one operation.
type verdict struct {
	act   bool  // it is done
	err   error // it is answered with this
	short bool  // half of it is done
}

// next counts an operation and decides about it.
func (i *Injector) next(op Op, what string) verdict {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.crashed {
		return verdict{err: fmt.Errorf("%s %s after the crash: %w", op, what, ErrInjected)}
	}
	i.ops = append(i.ops, op)
	if len(i.ops) != i.at {
		return verdict{act: true}
	}
	i.crashed = i.mode == Crash || i.mode == CrashAfter
	v := verdict{err: fmt.Errorf("%s %s (operation %d, %s): %w", op, what, i.at, i.mode, ErrInjected)}
	v.act = i.mode == After || i.mode == CrashAfter
	v.short = i.mode == Short && (op == ReadAt || op == Write)
	return v
}

// run does an operation that gives nothing back but an error. An error of the
// store itself wins over an injected one.
func (i *Injector) run(op Op, what string, f func() error) error {
	v := i.next(op, what)
	if v.act {
		if err := f(); err != nil {
			return err
		}
	}
	return v.err
}
