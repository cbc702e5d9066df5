package shards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// Store is a folder or a bucket prefix. Names are relative, slash-separated
// and without "." or ".." elements. All methods may be called in parallel.
// What is missing gives an error that wraps fs.ErrNotExist.
type Store interface {
	// List returns the objects whose names begin with prefix, sorted by name.
	// Objects that are being written, or were when a run crashed, are not in it.
	List(ctx context.Context, prefix string) ([]ObjectInfo, error)
	// Open opens an object for reading.
	Open(ctx context.Context, name string) (Object, error)
	// Create begins a new object, which replaces an existing one at Finish.
	Create(ctx context.Context, name string) (Pending, error)
	// Remove deletes an object.
	Remove(ctx context.Context, name string) error
}

// Object is the content of a stored object. ReadAt may be called in parallel.
type Object interface {
	io.ReaderAt
	io.Closer
	Size() int64 // bytes, when it was opened
}

// ObjectInfo describes a stored object.
type ObjectInfo struct {
	Name     string
	Size     int64     // bytes
	Version  string    // changes with the content: mtime and size of a local file, ETag of an S3 object
	Modified time.Time // when the content was last written
	Digest   string    // identity of the content where the store knows it without reading it ("etag:..."), else empty
}

// Pending is an object being written. Exactly one of Finish and Abort is
// called, once. Until Finish returns nil the object is not at its name; an
// error of Finish leaves nothing behind, as Abort does.
type Pending interface {
	io.Writer
	Finish(ctx context.Context) error
	Abort()
}

// creator is what a Store may have beside its methods: CreateNew is Create,
// but its Finish never replaces. When an object with other content is at the
// name, Finish fails with an error that wraps fs.ErrExist. (A store whose requests are repeated
// may take an object with the same content for its own.)
type creator interface {
	CreateNew(ctx context.Context, name string) (Pending, error)
}

// Folder is a Store that one run at a time writes to.
type Folder interface {
	Store
	Locker
}

// Locker is the right to write in a folder, and the broom that goes with it.
type Locker interface {
	// Lock takes the right to write, or fails at once with a *LockedError when
	// another holds it. held is done, with a cause that says so, when the lock
	// is lost while it is held; work under the lock uses held. release gives it
	// back, once.
	Lock(ctx context.Context) (held context.Context, release func() error, err error)
	// Sweep removes what crashed runs left half-written. Only the holder of the
	// lock may call it: it removes what live runs are writing too.
	Sweep(ctx context.Context) error
}

// Holder says who holds a lock.
type Holder struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Start time.Time `json:"start"` // when the lock was taken
}

// LockedError says that another process works in the folder.
type LockedError struct {
	Folder  string
	Holder  Holder    // zero when the holder has not written it yet
	Expires time.Time // when the lock ends unless its holder renews it; zero for one that ends with its holder
}

// Error implements error.
func (e *LockedError) Error() string {
	text := fmt.Sprintf("folder %s is locked by another process", e.Folder)
	if e.Holder != (Holder{}) {
		text = fmt.Sprintf("folder %s is locked by process %d on %s since %s",
			e.Folder, e.Holder.PID, e.Holder.Host, e.Holder.Start.Format(time.RFC3339))
	}
	if !e.Expires.IsZero() {
		text += fmt.Sprintf("; if it was killed, the lock ends at %s", e.Expires.UTC().Format(time.RFC3339))
	}
	return text
}

// Range is a run of bytes of an object.
type Range struct{ Offset, Length int64 }

// prefetcher is what an Object may have beside its methods when a read costs a
// round trip: it is told which bytes will be read next, so that it can fetch
// them ahead, neighbours in one request, several requests at a time. The
// ranges of a call replace those of the call before.
type prefetcher interface {
	Prefetch(ranges []Range)
}

// globber is what a Store may have beside its methods when listing everything
// below a folder is dear: the objects whose names match a doublestar pattern.
type globber interface {
	Glob(ctx context.Context, pattern string) ([]ObjectInfo, error)
}

// GlobPrefix returns what every name that matches a doublestar pattern begins
// with, and whether matches may lie below the folder which that names.
func GlobPrefix(pattern string) (fixed string, recursive bool, err error) {
	if !doublestar.ValidatePattern(pattern) {
		return "", false, errors.New("not a valid glob")
	}
	at := strings.IndexAny(pattern, globMeta)
	if at < 0 {
		return pattern, false, nil
	}
	rest := pattern[at:]
	return pattern[:at], strings.Contains(rest, "/") || strings.Contains(rest, "**"), nil
}

// globMeta are the characters that make a name a pattern.
const globMeta = `*?[{\`

// Locate finds the Store that holds a path or URI, and the name in it. For a
// folder the Store is rooted at that folder and the name is empty; for
// anything else, missing objects too, the Store is rooted at its parent.
// local.Locate is one; the command picks by scheme.
type Locate func(ctx context.Context, path string) (Store, string, error)
