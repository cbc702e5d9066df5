package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/curate-data/curate/shards"
)

// pending is a temporary file that Finish renames to final.
type pending struct {
	file  *os.File
	final string
	fresh bool // final must not exist
}

// Create implements shards.Store.
func (s *Store) Create(_ context.Context, name string) (shards.Pending, error) {
	return s.create(name, false)
}

// CreateNew is Create whose Finish does not replace an object.
func (s *Store) CreateNew(_ context.Context, name string) (shards.Pending, error) {
	return s.create(name, true)
}

func (s *Store) create(name string, fresh bool) (shards.Pending, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	final := s.path(name)
	if err := makeFolder(filepath.Dir(final)); err != nil {
		return nil, fmt.Errorf("create object %s: %w", final, err)
	}
	name = filepath.Join(filepath.Dir(final), "."+filepath.Base(final)+"."+rand.Text()+temporary)
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) // os.CreateTemp would ignore the umask
	if err != nil {
		return nil, fmt.Errorf("create object %s: %w", final, err)
	}
	return &pending{file, final, fresh}, nil
}

// Write implements io.Writer.
func (p *pending) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	if err != nil {
		return n, fmt.Errorf("write object %s: %w", p.final, err)
	}
	return n, nil
}

// Finish implements shards.Pending.
func (p *pending) Finish(ctx context.Context) error {
	if err := p.publish(ctx); err != nil {
		p.Abort()
		return fmt.Errorf("finish object %s: %w", p.final, err)
	}
	if err := syncFolder(filepath.Dir(p.final)); err != nil {
		return fmt.Errorf("finish object %s: %w", p.final, err)
	}
	return nil
}

// publish makes the file durable, then moves it to its name.
func (p *pending) publish(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := p.file.Sync(); err != nil {
		return err
	}
	if err := p.file.Close(); err != nil {
		return err
	}
	if !p.fresh {
		return os.Rename(p.file.Name(), p.final)
	}
	switch err := os.Link(p.file.Name(), p.final); {
	case err == nil:
		return os.Remove(p.file.Name())
	case errors.Is(err, fs.ErrExist):
		return err
	}
	// A file system without links: the folder's lock has to do.
	if _, err := os.Lstat(p.final); err == nil {
		return fmt.Errorf("%s: %w", p.final, fs.ErrExist)
	}
	return os.Rename(p.file.Name(), p.final)
}

// Abort implements shards.Pending. A file that cannot be removed is swept later.
func (p *pending) Abort() {
	p.file.Close()
	os.Remove(p.file.Name())
}

// Sweep removes the temporary files that crashed runs left below Root. The
// caller must hold the folder's lock, since it removes those of a live run too.
func (s *Store) Sweep(ctx context.Context) error {
	return s.eachTemporary(ctx, func(file string, _ fs.DirEntry) error { return os.Remove(file) })
}

// Temporaries lists what Sweep would remove, sorted by name.
func (s *Store) Temporaries(ctx context.Context) ([]shards.ObjectInfo, error) {
	var infos []shards.ObjectInfo
	err := s.eachTemporary(ctx, func(file string, entry fs.DirEntry) error {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(s.Root, file)
		if err != nil {
			return err
		}
		infos = append(infos, shards.ObjectInfo{Name: filepath.ToSlash(name), Size: info.Size(), Modified: info.ModTime()})
		return nil
	})
	return sorted(infos), err
}

// eachTemporary calls f for the temporary files below Root, except in folders
// with a lock of their own: those are another run's to sweep.
func (s *Store) eachTemporary(ctx context.Context, f func(file string, entry fs.DirEntry) error) error {
	err := filepath.WalkDir(s.Root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if entry.IsDir() && file != s.Root {
			if _, err := os.Lstat(filepath.Join(file, lockName)); err == nil {
				return fs.SkipDir
			}
		}
		if entry.Type().IsRegular() && isTemporary(file) {
			return f(file, entry)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sweep folder %s: %w", s.Root, err)
	}
	return nil
}

// makeFolder is MkdirAll whose new folders survive a power cut.
func makeFolder(folder string) error {
	if info, err := os.Stat(folder); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(folder)
	if parent != folder {
		if err := makeFolder(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) { // another goroutine was faster, or it is a file
			if info, statErr := os.Stat(folder); statErr == nil && info.IsDir() {
				return nil
			}
		}
		return err
	}
	return syncFolder(parent)
}

// syncFolder makes the names in a folder durable.
func syncFolder(folder string) error {
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
