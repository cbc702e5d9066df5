package shards

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"strings"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
)

// Errors of reading a shard, each wrapped with the shard, the row group or
// line, and the cause.
var (
	ErrCorrupt     = errors.New("corrupt file")      // the bytes contradict themselves
	ErrUnsupported = errors.New("unsupported file")  // well-formed as far as seen, but of a kind we do not read
	ErrColumn      = errors.New("unsuitable column") // missing, or of the wrong type
	ErrEmptyFile   = errors.New("file has no bytes") // 0 bytes is no Parquet, and more likely a lost upload than an empty JSONL
	ErrRange       = errors.New("row group range")   // from, to are not row groups of the shard
)

// Bounds of a batch: whichever is reached first ends it, after at least one row.
const (
	batchRows  = 1024
	batchBytes = 8 << 20 // text bytes; one longer document is a batch of its own
)

// Shard is an opened Input. It may be read by several goroutines at a time.
type Shard struct {
	// Memory allocates the batches. Open sets memory.DefaultAllocator.
	Memory memory.Allocator

	in     Input
	obj    Object
	reader formatReader
}

// formatReader reads one format. Row groups are numbered from 0.
type formatReader interface {
	numRows() int64     // -1 when only reading tells
	rowGroups() []int64 // rows of each; {-1} for formats that cannot seek
	batches(ctx context.Context, mem memory.Allocator, cols Columns, from, to int) iter.Seq2[pipeline.Batch, error]
}

// Open opens a shard and checks what can be checked without decoding rows.
func Open(ctx context.Context, in Input) (*Shard, error) {
	obj, err := in.Store.Open(ctx, in.Path)
	if err != nil {
		return nil, fmt.Errorf("open shard %s: %w", in.Shard, err)
	}
	s := &Shard{Memory: memory.DefaultAllocator, in: in, obj: obj}
	switch {
	case obj.Size() == 0:
		err = ErrEmptyFile
	case in.Sandbox != nil:
		s.reader, err = in.Sandbox.open(ctx, in, obj)
	default:
		s.reader, err = openFormat(in, obj)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open shard %s: %w", in.Shard, err), obj.Close())
	}
	return s, nil
}

// openFormat opens the reader that the input's format calls for.
func openFormat(in Input, obj Object) (formatReader, error) {
	switch in.Format {
	case Parquet:
		return openParquet(obj)
	case JSONL:
		return openJSONL(in, obj)
	case Arrow:
		return openArrow(obj)
	case Tar:
		return openTar(obj)
	default:
		return nil, fmt.Errorf("%w: format %q", ErrUnsupported, in.Format)
	}
}

// Input returns what the shard was opened from.
func (s *Shard) Input() Input { return s.in }

// NumRows returns the number of rows, -1 when only reading tells: JSONL and
// Arrow streams.
func (s *Shard) NumRows() int64 { return s.reader.numRows() }

// NumRowGroups returns the number of row groups, 1 for formats that cannot seek.
func (s *Shard) NumRowGroups() int { return len(s.reader.rowGroups()) }

// RowGroupRows returns the rows of row group i, -1 when only reading tells.
func (s *Shard) RowGroupRows(i int) int64 { return s.reader.rowGroups()[i] }

// Close closes the shard. Batches stay valid.
func (s *Shard) Close() error {
	if r, ok := s.reader.(*sandboxReader); ok {
		r.close()
	}
	if err := s.obj.Close(); err != nil {
		return fmt.Errorf("close shard %s: %w", s.in.Shard, err)
	}
	return nil
}

// Batches yields the rows of the row groups from, ..., to-1 as records of
// pipeline.TextSchema, in row order. A batch has at most 1024 rows and, beyond
// its first row, at most 8 MiB of text; it never crosses row groups. Integer
// ids and domains become decimal strings. The receiver owns each batch; after
// an error nothing more is yielded.
func (s *Shard) Batches(ctx context.Context, cols Columns, from, to int) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		if from < 0 || from > to || to > s.NumRowGroups() {
			err := fmt.Errorf("%w: %d to %d, have %d", ErrRange, from, to, s.NumRowGroups())
			yield(pipeline.Batch{}, fmt.Errorf("read shard %s: %w", s.in.Shard, err))
			return
		}
		for b, err := range s.reader.batches(ctx, s.Memory, cols, from, to) {
			if err != nil {
				yield(pipeline.Batch{}, fmt.Errorf("read shard %s: %w", s.in.Shard, err))
				return
			}
			b.Shard = s.in.Shard
			if !yield(b, nil) {
				return
			}
		}
	}
}

// guard runs f and turns a panic in it into an error: decoding libraries panic
// on some malformed files. Only their calls belong in f, so that no panic of
// our own callers is hidden.
func guard(f func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: decoder panicked: %v%s", ErrCorrupt, cause, panicPlace())
		}
	}()
	return f()
}

// panicPlace names the innermost function that panicked, for bug reports.
func panicPlace() string {
	lines := strings.Split(string(debug.Stack()), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "panic(") && i+2 < len(lines) {
			name, _, _ := strings.Cut(lines[i+2], "(0x")
			return " in " + name
		}
	}
	return ""
}

// columnError says that a column is missing or unsuitable and what there is.
func columnError(name, problem string, have []string) error {
	return fmt.Errorf("%w %q: %s; the columns are %s", ErrColumn, name, problem, strings.Join(have, ", "))
}
