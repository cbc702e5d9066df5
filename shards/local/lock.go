package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/curate-data/curate/shards"
)

// lockName is the lock file of an output folder. The kernel drops the lock
// when its holder dies, however that happens.
const lockName = ".curate.lock"

// Lock is the right to write in a folder, held by one process at a time.
type Lock struct {
	file *flock.Flock
}

// TakeLock locks a folder, which it makes when it is missing. It does not
// wait: when another holds the lock the error is a *shards.LockedError.
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
			return nil, &shards.LockedError{Folder: folder, Holder: readHolder(name)}
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

// Lock implements shards.Locker. A lock of the local file system is not lost.
func (s *Store) Lock(ctx context.Context) (context.Context, func() error, error) {
	lock, err := TakeLock(s.Root)
	if err != nil {
		return nil, nil, err
	}
	return ctx, lock.Release, nil
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
	b, err := json.Marshal(shards.Holder{PID: os.Getpid(), Host: host, Start: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}

// readHolder returns the zero Holder when the file cannot be read: its holder
// may be just writing it.
func readHolder(name string) shards.Holder {
	var h shards.Holder
	b, err := os.ReadFile(name)
	if err != nil || json.Unmarshal(b, &h) != nil {
		return shards.Holder{}
	}
	return h
}
