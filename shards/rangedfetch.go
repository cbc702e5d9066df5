package shards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Repeating of bodies.
const (
	fetchAttempts = 6                     // that bring nothing, one after the other
	fetchProgress = 64 << 10              // bytes that count as something
	fetchPause    = 50 * time.Millisecond // before the second attempt, then twice as long each time
	fetchStall    = time.Minute           // without a byte: the connection is taken for dead
	fetchPiece    = 256 << 10             // bytes after which readers are told
)

// start begins to fetch [from, to), which no span may overlap.
func (r *Ranged) start(from, to int64) *span {
	s := &span{offset: from, data: r.buffer(to - from)}
	r.insert(s)
	r.running++
	r.fetches.Go(func() {
		err := r.fill(s)
		r.mu.Lock()
		defer r.mu.Unlock()
		s.done, s.err = true, err
		r.running--
		if err != nil {
			r.remove(s) // who comes later tries again
		}
		r.arrived.Broadcast()
		if err == nil {
			r.schedule()
		}
	})
	return s
}

// fill fetches the bytes of a span, resuming when the body breaks.
func (r *Ranged) fill(s *span) error {
	attempt, pause := 0, fetchPause
	for {
		before := s.filled
		err := r.fillOnce(s)
		switch {
		case err == nil:
			return nil
		case r.ctx.Err() != nil:
			return context.Cause(r.ctx)
		case !errors.As(err, new(*bodyError)):
			return err
		}
		if s.filled-before >= fetchProgress {
			attempt, pause = 0, fetchPause
		}
		if attempt++; attempt == fetchAttempts {
			return fmt.Errorf("the connection broke %d times, the last time at byte %d of the object: %w", attempt, s.offset+int64(s.filled), err)
		}
		select {
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause *= 2
	}
}

// bodyError is a failure after the answer had begun.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// fillOnce makes one request for what is missing of a span. Only this goroutine
// writes s.filled; readers take it under the lock.
func (r *Ranged) fillOnce(s *span) (err error) {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	body, err := r.fetch(ctx, s.offset+int64(s.filled), int64(len(s.data)-s.filled))
	if err != nil {
		return err
	}
	defer body.Close()
	dead := time.AfterFunc(fetchStall, cancel)
	defer dead.Stop()
	for s.filled < len(s.data) {
		n, err := body.Read(s.data[s.filled:min(len(s.data), s.filled+fetchPiece)])
		if n > 0 && s.filled+n == len(s.data) {
			// The last bytes count when the answer ends well: its end is where
			// clients check checksums.
			if err := expectEnd(body, err); err != nil {
				return err
			}
		}
		if n > 0 {
			dead.Reset(fetchStall)
			r.mu.Lock()
			s.filled += n
			r.arrived.Broadcast()
			r.mu.Unlock()
		}
		if err != nil && s.filled < len(s.data) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return &bodyError{err}
		}
	}
	return nil
}

// expectEnd wants a body to end, where err came with its last bytes.
func expectEnd(body io.Reader, err error) error {
	var extra [1]byte
	for err == nil {
		var n int
		if n, err = body.Read(extra[:]); n > 0 {
			return errors.New("the answer has more bytes than were asked for")
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
