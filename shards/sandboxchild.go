package shards

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/curate-data/curate/pipeline"
)

func unexpectedFrame(kind byte) error {
	return fmt.Errorf("%w: a frame %q that was not asked for", ErrSandbox, kind)
}

// sandboxChild is a running child and the shard that it decodes. One goroutine
// uses it at a time.
type sandboxChild struct {
	SandboxProcess
	obj     Object
	silence time.Duration
	quiet   time.Duration // that it has worked since it brought something forth
	r       *bufio.Reader
	w       *bufio.Writer
	buffer  bytes.Buffer
	read    error // of the shard's bytes, which is not the child's fault
	broken  bool  // not fit for another request
	once    sync.Once
	death   error
}

// end kills the child and waits for it.
func (c *sandboxChild) end() {
	if c != nil {
		c.Kill()
		c.wait()
	}
}

// wait waits for the child's end, once.
func (c *sandboxChild) wait() error {
	c.once.Do(func() { c.death = c.Wait() })
	return c.death
}

// ask sends a request and hands what the child says to answer, until that is
// done or fails. What the child asks for meanwhile, it gets.
func (c *sandboxChild) ask(ctx context.Context, kind byte, request any, answer func(kind byte, payload []byte) (done bool, err error)) error {
	payload, err := json.Marshal(request)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, c.Kill)()
	c.read, c.broken, c.quiet = nil, true, 0
	if err := c.tell(ctx, kind, payload); err != nil {
		return err
	}
	for {
		kind, payload, err := c.next(ctx)
		if err != nil {
			return err
		}
		switch kind {
		case frameRead:
			err = c.give(ctx, payload)
		case frameAhead:
			err = c.ahead(payload)
		case frameError:
			return c.fault(ctx, payload)
		default:
			c.quiet = 0
			done, err := answer(kind, payload)
			if done && err == nil {
				c.broken = false
			}
			if done || err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
	}
}

// fault returns the error that the child tells of. When reading the shard's
// bytes failed here, that is the cause.
func (c *sandboxChild) fault(ctx context.Context, payload []byte) error {
	fault := new(sandboxFault)
	if err := decodeFrame(payload, fault); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.read != nil {
		return c.read
	}
	c.broken = false
	fault.Text = oneLine(fault.Text)
	return fault
}

// next reads a frame.
func (c *sandboxChild) next(ctx context.Context) (kind byte, payload []byte, err error) {
	hung := c.watch(func() { kind, payload, err = readFrame(c.r, &c.buffer) })
	if err != nil {
		return 0, nil, c.died(ctx, err, hung)
	}
	return kind, payload, nil
}

// tell writes a frame.
func (c *sandboxChild) tell(ctx context.Context, kind byte, payload []byte) (err error) {
	hung := c.watch(func() { err = writeFrame(c.w, kind, payload) })
	if err != nil {
		return c.died(ctx, err, hung)
	}
	return nil
}

// watch runs f, which waits for the child, and kills the child when its time is
// up.
func (c *sandboxChild) watch(f func()) (hung bool) {
	var up atomic.Bool
	if c.silence > 0 {
		timer := time.AfterFunc(c.silence-c.quiet, func() {
			up.Store(true)
			c.Kill()
		})
		defer timer.Stop()
	}
	start := time.Now()
	f()
	c.quiet += time.Since(start)
	return up.Load()
}

// died says why the child cannot be talked to.
func (c *sandboxChild) died(ctx context.Context, err error, hung bool) error {
	c.Kill()
	death := c.wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case hung:
		return fmt.Errorf("%w: it brought nothing forth in %v and was killed", ErrSandbox, c.silence)
	case errors.Is(err, ErrSandbox):
		return err
	case death == nil:
		death = err
	}
	return fmt.Errorf("%w: %w", ErrSandbox, death)
}

// give answers a request for bytes of the shard.
func (c *sandboxChild) give(ctx context.Context, payload []byte) error {
	ranges, err := parseRanges(payload, c.obj.Size())
	if err != nil {
		return err
	}
	if len(ranges) != 1 || ranges[0].Length > maxFrameRead {
		return fmt.Errorf("%w: it wants too much at a time", ErrSandbox)
	}
	b := make([]byte, 1+ranges[0].Length)
	n, err := c.obj.ReadAt(b[1:], ranges[0].Offset)
	switch {
	case int64(n) == ranges[0].Length:
		b[0] = readOK
	case err == io.EOF:
		b[0] = readEnd
	default:
		b[0], n, c.read = readFailed, 0, err
	}
	return c.tell(ctx, frameBytes, b[:1+n])
}

// ahead passes on what the child will read.
func (c *sandboxChild) ahead(payload []byte) error {
	ranges, err := parseRanges(payload, c.obj.Size())
	if p, ok := c.obj.(prefetcher); ok && err == nil {
		p.Prefetch(ranges)
	}
	return err
}

// decide answers a request for decisions with those of the next rows.
func (c *sandboxChild) decide(ctx context.Context, rows *rowDecisions) error {
	ok, err := rows.fill()
	if err != nil {
		return err
	}
	if !ok {
		return c.tell(ctx, frameDecided, nil)
	}
	first, n := rows.at, min(len(rows.batch.Row)-rows.at, maxDecisions)
	part := &pipeline.Decisions{Row: rows.batch.Row[first : first+n], Keep: rows.batch.Keep[first : first+n], Score: rows.batch.Score[first : first+n]}
	if _, _, err := rows.take(n); err != nil {
		return err
	}
	return c.tell(ctx, frameDecide, appendDecisions(nil, part))
}

// maxDecisions is how many rows are decided about in one frame.
const maxDecisions = 1 << 16
