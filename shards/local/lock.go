package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockName is the lock file of an output folder. The kernel drops the lock
// when its holder dies, however that happens.
const lockName = ".curate.lock"

// Holder says who holds a lock.
type Holder struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Start time.Time `json:"start"` // when the lock was taken
}

// LockedError says that another process works in the folder.
type LockedError struct {
	Folder string
	Holder Holder // zero when the holder has not written it yet
}

// Error implements error.
func (e *LockedError) Error() string {
	if e.Holder == (Holder{}) {
		return fmt.Sprintf("folder %s is locked by another process", e.Folder)
	}
	return fmt.Sprintf("folder %s is locked by process %d on %s since %s",
		e.Folder, e.Holder.PID, e.Holder.Host, e.Holder.Start.Format(time.RFC3339))
}

// Lock is the right to write in a folder, held by one process at a time.
type Lock struct {
	file *flock.Flock
}

// TakeLock locks a folder, which it makes when it is missing. It does not
// wait: when another holds the lock the error is a *LockedError.
func TakeLock(folder string) (*Lock, error) {
	if err := makeFolder(folder); err != nil {
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	name := filepath.Join(folder, lockName)
	for {
		file := flock.New(name)
		locked, err := file.TryLock()
		if err != nil {
			return nil, fmt.Errorf("lock folder %s: %w", folder, err)
		}
		if !locked {
			return nil, &LockedError{Folder: folder, Holder: readHolder(name)}
		}
		// The last holder may have removed the file between our open and our lock.
		if !stillThere(file, name) {
			if err := file.Unlock(); err != nil {
				return nil, fmt.Errorf("lock folder %s: %w", folder, err)
			}
			continue
		}
		lock := &Lock{file}
		if err := writeHolder(name); err != nil {
			return nil, errors.Join(fmt.Errorf("lock folder %s: %w", folder, err), lock.Release())
		}
		return lock, nil
	}
}

// Release gives the lock back and removes its file.
func (l *Lock) Release() error {
	// Removed while locked: whoever opened it before sees in stillThere that it is gone.
	err := os.Remove(l.file.Path())
	if err := errors.Join(err, l.file.Unlock()); err != nil {
		return fmt.Errorf("release lock: %w", err)
	}
	return nil
}

// stillThere reports whether the locked file is the one at the name.
func stillThere(file *flock.Flock, name string) bool {
	held, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(name)
	return err == nil && os.SameFile(held, named)
}

func writeHolder(name string) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	b, err := json.Marshal(Holder{PID: os.Getpid(), Host: host, Start: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}

// readHolder returns the zero Holder when the file cannot be read: its holder
// may be just writing it.
func readHolder(name string) Holder {
	var h Holder
	b, err := os.ReadFile(name)
	if err != nil || json.Unmarshal(b, &h) != nil {
		return Holder{}
	}
	return h
}
