package shards

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
)

// ErrSandbox says that a child process that decoded a shard died, fell silent,
// or said what makes no sense. It is wrapped with how that happened.
var ErrSandbox = errors.New("decoder process failed")

// Sandbox decodes shards in child processes, so that a file that makes a
// decoder crash, hang or take all memory costs a child and not the run. A child
// gets the bytes of its shard, and nothing else, from this process.
type Sandbox struct {
	// Start starts a child that runs ServeShard on its standard streams.
	Start func() (SandboxProcess, error)
	// Silence is how long a child may work, reading not counted, and bring
	// nothing forth before it counts as hung. 0 means for ever.
	Silence time.Duration
}

// SandboxProcess is a running child: reading is what it says, writing is what
// it is told.
type SandboxProcess interface {
	io.ReadWriter
	// Kill ends the child, whatever it does.
	Kill()
	// Wait waits for its end and says how it died, nil if it ended well. It is
	// called once.
	Wait() error
}

// sandboxReader reads a shard through children. One is kept between calls.
type sandboxReader struct {
	box  *Sandbox
	in   Input
	obj  Object
	info sandboxInfo

	mu   sync.Mutex
	idle *sandboxChild
}

// open starts a child, which opens the shard.
func (b *Sandbox) open(ctx context.Context, in Input, obj Object) (*sandboxReader, error) {
	r := &sandboxReader{box: b, in: in, obj: obj}
	child, err := r.start(ctx)
	if err != nil {
		return nil, err
	}
	r.put(child)
	return r, nil
}

func (r *sandboxReader) numRows() int64         { return r.info.Rows }
func (r *sandboxReader) rowGroups() []int64     { return r.info.Groups }
func (r *sandboxReader) columnTypes() []Column  { return r.info.Columns }
func (r *sandboxReader) put(idle *sandboxChild) { r.swap(idle).end() }

// swap puts a child aside and returns the one that was there.
func (r *sandboxReader) swap(child *sandboxChild) *sandboxChild {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.idle
	r.idle = child
	return was
}

// close ends the child that is kept.
func (r *sandboxReader) close() { r.put(nil) }

// start starts a child and lets it open the shard. The first one's findings are
// kept, later ones must agree.
func (r *sandboxReader) start(ctx context.Context) (*sandboxChild, error) {
	process, err := r.box.Start()
	if err != nil {
		return nil, fmt.Errorf("start decoder process: %w", err)
	}
	c := &sandboxChild{SandboxProcess: process, obj: r.obj, silence: r.box.Silence, r: bufio.NewReader(process), w: bufio.NewWriter(process)}
	var info sandboxInfo
	err = c.ask(ctx, frameOpen, sandboxOpen{r.in.Path, r.in.Shard, r.obj.Size(), r.in.Format}, func(kind byte, payload []byte) (bool, error) {
		if kind != frameInfo {
			return false, unexpectedFrame(kind)
		}
		return true, decodeFrame(payload, &info)
	})
	if err == nil {
		err = info.check()
	}
	if err != nil {
		c.end()
		return nil, err
	}
	r.info = info
	return c, nil
}

// check makes sure that the rows add up, as openers do in this process.
func (i *sandboxInfo) check() error {
	total := int64(0)
	for _, rows := range i.Groups {
		if rows < 0 {
			total = -1
			break
		}
		total += rows
	}
	if total != i.Rows || total < 0 && len(i.Groups) != 1 {
		return fmt.Errorf("%w: %d rows in groups of %d", ErrSandbox, i.Rows, total)
	}
	return nil
}

// use runs a request on a child: the idle one, or a new one.
func (r *sandboxReader) use(ctx context.Context, kind byte, request any, answer func(*sandboxChild, byte, []byte) (bool, error)) (err error) {
	c := r.swap(nil)
	if c == nil {
		if c, err = r.start(ctx); err != nil {
			return err
		}
	}
	err = c.ask(ctx, kind, request, func(kind byte, payload []byte) (bool, error) { return answer(c, kind, payload) })
	var fault *sandboxFault
	if err == nil || errors.As(err, &fault) && !c.broken {
		r.put(c)
	} else {
		c.end()
	}
	return err
}

func (r *sandboxReader) batches(ctx context.Context, mem memory.Allocator, cols Columns, from, to int) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		build := newBatchBuilder(mem)
		defer build.release()
		check := r.expect(from, to)
		stopped := false
		err := r.use(ctx, frameBatches, sandboxBatches{cols, from, to}, func(_ *sandboxChild, kind byte, payload []byte) (bool, error) {
			switch kind {
			case frameDone:
				return true, check.end()
			case frameBatch:
			default:
				return false, unexpectedFrame(kind)
			}
			b, err := parseBatch(payload, build)
			if err != nil {
				return false, err
			}
			if err := check.next(b); err != nil {
				b.Release()
				return false, err
			}
			if !yield(b, nil) {
				stopped = true
				return false, errStopped
			}
			return false, nil
		})
		if err != nil && !stopped {
			yield(pipeline.Batch{}, err)
		}
	}
}

// errStopped ends a request whose answers nobody wants any more.
var errStopped = errors.New("stopped")

// expectation checks that batches cover rows from a first one on, and end where
// the row groups do.
type expectation struct {
	row, rows int64
	from, to  int // row groups
}

func (r *sandboxReader) expect(from, to int) *expectation {
	e := &expectation{rows: -1, from: from, to: to}
	if r.info.Rows < 0 {
		return e
	}
	for i, rows := range r.info.Groups[:to] {
		if i < from {
			e.row += rows
		}
		e.rows = max(e.rows, 0) + rows
	}
	return e
}

func (e *expectation) next(b pipeline.Batch) error {
	if b.FirstRow != e.row || b.RowGroup < e.from || b.RowGroup >= e.to {
		return fmt.Errorf("%w: rows from %d on in row group %d, want those from %d on", ErrSandbox, b.FirstRow, b.RowGroup, e.row)
	}
	e.row += int64(b.NumRows())
	if e.rows >= 0 && e.row > e.rows {
		return fmt.Errorf("%w: more than %d rows", ErrSandbox, e.rows)
	}
	return nil
}

func (e *expectation) end() error {
	if e.rows >= 0 && e.row != e.rows {
		return fmt.Errorf("%w: rows end at %d, want %d", ErrSandbox, e.row, e.rows)
	}
	return nil
}

// copy is CopyKept by a child. The rows are counted here, too.
func (r *sandboxReader) copy(ctx context.Context, target copyTarget) error {
	return r.use(ctx, frameCopy, target.opt, func(c *sandboxChild, kind byte, payload []byte) (bool, error) {
		switch kind {
		case frameOutput:
			if _, err := target.w.Write(payload); err != nil {
				return false, err
			}
			return false, nil
		case frameMore:
			return false, c.decide(ctx, target.rows)
		case frameCounts:
			var counts sandboxCounts
			if err := decodeFrame(payload, &counts); err != nil {
				return true, err
			}
			if have := target.rows.count; counts.RowsIn != have.RowsIn || counts.Kept != have.Kept {
				return true, fmt.Errorf("%w: it copied %d of %d rows, the decisions are %d of %d", ErrSandbox, counts.Kept, counts.RowsIn, have.Kept, have.RowsIn)
			}
			return true, target.rows.end()
		}
		return false, unexpectedFrame(kind)
	})
}
