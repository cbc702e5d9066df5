// Package local keeps shards in a folder of the local file system.
//
// An object is written to a temporary file beside its name, synced, renamed,
// and its folder synced: at its name it is whole, whatever crashes when.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/curate-data/curate/shards"
)

// temporary ends the names of files that are being written, or were when a
// run crashed: ".NAME.RANDOM.curate-tmp".
const temporary = ".curate-tmp"

// Store is the folder Root with everything below it. Symbolic links to files
// are followed, links to folders below Root are not.
type Store struct {
	Root string
}

// New returns the Store of a folder, which Create makes when it is missing.
func New(root string) *Store { return &Store{Root: root} }

// Locate is the shards.Locate of local paths. Other schemes are an error.
func Locate(_ context.Context, name string) (shards.Store, string, error) {
	if scheme, _, ok := strings.Cut(name, "://"); ok {
		return nil, "", fmt.Errorf("%s:// is not supported, only local paths are", scheme)
	}
	if name == "" {
		return nil, "", errors.New("the path is empty")
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return New(name), "", nil
	}
	return New(filepath.Dir(name)), filepath.Base(name), nil
}

// List implements shards.Store. A missing folder has no objects.
func (s *Store) List(ctx context.Context, prefix string) ([]shards.ObjectInfo, error) {
	folder, _ := path.Split(prefix)
	var infos []shards.ObjectInfo
	// The final separator makes the walk follow Root when it is a link.
	start := filepath.Join(s.Root, filepath.FromSlash(folder)) + string(filepath.Separator)
	if info, err := os.Stat(filepath.Clean(start)); err == nil && !info.IsDir() {
		return nil, nil
	}
	err := filepath.WalkDir(start, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) { // the folder, or a file that is gone since
				return nil
			}
			return err
		}
		rest, err := filepath.Rel(start, file)
		if err != nil {
			return err
		}
		name := path.Join(folder, filepath.ToSlash(rest))
		if entry.IsDir() {
			if rest != "." && !strings.HasPrefix(name+"/", prefix) && !strings.HasPrefix(prefix, name+"/") {
				return fs.SkipDir
			}
			return ctx.Err()
		}
		if !strings.HasPrefix(name, prefix) {
			return nil
		}
		return appendInfo(&infos, file, name)
	})
	if err != nil {
		return nil, fmt.Errorf("list folder %s: %w", s.Root, err)
	}
	return sorted(infos), nil
}

// Glob returns the objects whose names match a doublestar pattern, without
// looking at folders that cannot match.
func (s *Store) Glob(ctx context.Context, pattern string) ([]shards.ObjectInfo, error) {
	var infos []shards.ObjectInfo
	err := doublestar.GlobWalk(os.DirFS(s.Root), pattern, func(name string, _ fs.DirEntry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return appendInfo(&infos, s.path(name), name)
	}, doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors(), doublestar.WithNoFollow())
	if err != nil {
		return nil, fmt.Errorf("match %s in folder %s: %w", pattern, s.Root, err)
	}
	return sorted(infos), nil
}

// appendInfo adds a file to the list, unless it is ours to hide, is not a
// file, or is gone since the folder was read.
func appendInfo(infos *[]shards.ObjectInfo, file, name string) error {
	if isTemporary(name) || path.Base(name) == lockName {
		return nil
	}
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		*infos = append(*infos, shards.ObjectInfo{
			Name: name, Size: info.Size(), Modified: info.ModTime(), Version: version(info),
		})
	}
	return nil
}

func sorted(infos []shards.ObjectInfo) []shards.ObjectInfo {
	slices.SortFunc(infos, func(a, b shards.ObjectInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos
}

func isTemporary(name string) bool { return strings.HasSuffix(name, temporary) }

// path returns the file of a name.
func (s *Store) path(name string) string { return filepath.Join(s.Root, filepath.FromSlash(name)) }

// checkName refuses names that leave the store or that List would hide.
func checkName(name string) error {
	if !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("object name %q: want a relative path without . and .. elements", name)
	}
	if isTemporary(name) || path.Base(name) == lockName {
		return fmt.Errorf("object name %q is reserved", name)
	}
	return nil
}

// object is an open file with the size it had when it was opened.
type object struct {
	*os.File
	size int64
}

// Size implements shards.Object.
func (o object) Size() int64 { return o.size }

// Open implements shards.Store.
func (s *Store) Open(_ context.Context, name string) (shards.Object, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	// Stat first: opening a named pipe would wait for a writer.
	info, err := os.Stat(s.path(name))
	if err != nil {
		return nil, fmt.Errorf("open object: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open object %s: not a regular file", s.path(name))
	}
	file, err := os.Open(s.path(name))
	if err != nil {
		return nil, fmt.Errorf("open object: %w", err)
	}
	if info, err = file.Stat(); err != nil {
		return nil, errors.Join(fmt.Errorf("open object: %w", err), file.Close())
	}
	return object{file, info.Size()}, nil
}

// Remove implements shards.Store.
func (s *Store) Remove(_ context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := os.Remove(s.path(name)); err != nil {
		return fmt.Errorf("remove object: %w", err)
	}
	return nil
}
