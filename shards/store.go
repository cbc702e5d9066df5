package shards

import (
	"context"
	"io"
	"time"
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
}

// Pending is an object being written. Exactly one of Finish and Abort is
// called, once. Until Finish returns nil the object is not at its name; an
// error of Finish leaves nothing behind, as Abort does.
type Pending interface {
	io.Writer
	Finish(ctx context.Context) error
	Abort()
}

// globber is what a Store may have beside its methods when listing everything
// below a folder is dear: the objects whose names match a doublestar pattern.
type globber interface {
	Glob(ctx context.Context, pattern string) ([]ObjectInfo, error)
}

// Locate finds the Store that holds a path or URI, and the name in it. For a
// folder the Store is rooted at that folder and the name is empty; for
// anything else, missing objects too, the Store is rooted at its parent.
// local.Locate is one; the command picks by scheme.
type Locate func(ctx context.Context, path string) (Store, string, error)
