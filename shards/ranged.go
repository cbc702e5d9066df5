package shards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
)

// Fetch asks for length bytes of a remote object from offset on. The body may
// end early or break: it is then asked for the rest. An error of Fetch itself
// is final, since a client of HTTP has repeated what can be repeated.
type Fetch func(ctx context.Context, offset, length int64) (io.ReadCloser, error)

// Bounds of a Ranged.
const (
	rangedMemory   = 64 << 20 // bytes held and being fetched, one more request per reader beyond the fourth aside
	rangedParallel = 8        // requests ahead of the readers at a time
	rangedRequest  = 16 << 20 // bytes of one request at most
	rangedGap      = 1 << 20  // bytes between two ranges that are rather fetched than left out
	rangedLeast    = 64 << 10 // bytes of one request at least
	rangedAhead    = 8 << 20  // bytes fetched ahead of a sequential reader at most
	rangedStreams  = 16       // sequential readers that are told apart
	rangedSpare    = 2        // buffers kept for the next requests
)

// Ranged is an Object whose bytes come by requests that each cost a round trip.
// It holds what Prefetch announced, neighbours in one request, and what lies
// ahead of sequential readers; requests whose bodies break are resumed. Its
// memory is at most 64 MiB, plus a request of at most 16 MiB per parallel
// ReadAt beyond the fourth.
type Ranged struct {
	name   string
	size   int64
	fetch  Fetch
	ctx    context.Context
	cancel context.CancelCauseFunc

	fetches sync.WaitGroup
	mu      sync.Mutex
	arrived sync.Cond // bytes of some span, or its error
	spans   []*span   // by offset, no two overlap
	held    int64     // bytes of all spans
	spare   [][]byte  // buffers of spans that were dropped, for new ones
	running int       // spans being fetched
	clock   int64     // counts reads, to tell which span was used last
	plan    []planned // by offset
	streams []stream
}

// span is a run of bytes that is held or being fetched.
type span struct {
	offset int64
	data   []byte
	filled int   // bytes of data that are there
	done   bool  // all are, or err says why not
	err    error // final
	used   int64 // Ranged.clock at the last read, 0 for never
	users  int   // readers that copy from it
}

// staleness orders spans by how soon they may be dropped: those used longest
// ago first, then those that nobody has used yet, the last of the object first.
func (s *span) staleness() int64 {
	if s.used > 0 {
		return math.MaxInt64 - s.used
	}
	return math.MinInt64 + s.offset
}

func (s *span) end() int64 { return s.offset + int64(len(s.data)) }

// errClosed is the cause of reads that a Close ends.
var errClosed = errors.New("object is closed")

// NewRanged opens an object of size bytes. tail is what is already known of its
// end, or nil. The name is for errors. Reads end with ctx.
func NewRanged(ctx context.Context, name string, size int64, tail []byte, fetch Fetch) *Ranged {
	r := &Ranged{name: name, size: size, fetch: fetch}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.arrived.L = &r.mu
	if len(tail) > 0 {
		r.insert(&span{offset: size - int64(len(tail)), data: tail, filled: len(tail), done: true})
	}
	return r
}

// Size implements Object.
func (r *Ranged) Size() int64 { return r.size }

// Close ends all requests and waits for their end.
func (r *Ranged) Close() error {
	r.mu.Lock()
	r.cancel(errClosed) // under the lock: nothing begins after it
	r.mu.Unlock()
	r.fetches.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans, r.plan, r.held, r.spare = nil, nil, 0, nil
	return nil
}

// ReadAt implements io.ReaderAt.
func (r *Ranged) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read object %s: negative offset %d", r.name, off)
	}
	n := 0
	for n < len(p) && off+int64(n) < r.size {
		m, err := r.readSome(p[n:min(int64(len(p)), r.size-off)], off+int64(n))
		n += m
		if err != nil {
			return n, fmt.Errorf("read object %s: bytes from %d: %w", r.name, off, err)
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readSome reads at least one byte, as far as one span reaches.
func (r *Ranged) readSome(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	at := r.follow(off, int64(len(p)))
	s := r.spanAt(off)
	if s == nil {
		s = r.demand(off, int64(len(p)), at)
	}
	r.clock++
	s.used = r.clock
	r.ahead(at)
	r.schedule()
	sequential := at.window > 0
	s.users++
	for !s.done && s.offset+int64(s.filled) <= off {
		r.arrived.Wait()
	}
	from, to := off-s.offset, int64(s.filled)
	if from >= to {
		s.users--
		return 0, s.err
	}
	r.mu.Unlock()
	n := copy(p, s.data[from:to]) // what is filled does not change any more
	r.mu.Lock()
	s.users--
	// What a sequential reader has left behind is not wanted again, unless it
	// was announced or is the object's end: footers are read more than once.
	if sequential && s.done && s.users == 0 && s.end() < r.size && from+int64(n) == int64(len(s.data)) && r.spanAt(off) == s && !r.announced(off) {
		r.drop(s)
	}
	return n, nil
}

// index returns the number of the first span that ends after off.
func (r *Ranged) index(off int64) int {
	low, high := 0, len(r.spans)
	for low < high {
		if mid := (low + high) / 2; r.spans[mid].end() <= off {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// spanAt returns the span that holds or will hold the byte at off, or nil.
func (r *Ranged) spanAt(off int64) *span {
	if i := r.index(off); i < len(r.spans) && r.spans[i].offset <= off {
		return r.spans[i]
	}
	return nil
}

// free returns the first run of bytes in [from, to) that no span covers.
func (r *Ranged) free(from, to int64) (int64, int64) {
	i := r.index(from)
	for ; i < len(r.spans) && r.spans[i].offset <= from; i++ {
		from = r.spans[i].end()
	}
	if i < len(r.spans) {
		to = min(to, r.spans[i].offset)
	}
	return from, max(from, to)
}

func (r *Ranged) insert(s *span) {
	i := r.index(s.offset)
	r.spans = append(r.spans, nil)
	copy(r.spans[i+1:], r.spans[i:])
	r.spans[i] = s
	r.held += int64(len(s.data))
}

func (r *Ranged) remove(s *span) {
	i := r.index(s.offset)
	if i < len(r.spans) && r.spans[i] == s {
		r.spans = append(r.spans[:i], r.spans[i+1:]...)
		r.held -= int64(len(s.data))
	}
}

// room drops spans until n more bytes can be held, and reports whether they
// can. A reader that waits may have any span dropped; a request ahead of the
// readers only ones that were used, and half the memory stays theirs.
func (r *Ranged) room(n int64, waiting bool) bool {
	for r.held+n > rangedMemory {
		var oldest *span
		used := int64(0)
		for _, s := range r.spans {
			if s.used > 0 {
				used += int64(len(s.data))
			}
			if s.done && s.users == 0 && (waiting || s.used > 0) && (oldest == nil || s.staleness() > oldest.staleness()) {
				oldest = s
			}
		}
		if oldest == nil || !waiting && used-int64(len(oldest.data)) < rangedMemory/2 {
			return false
		}
		r.drop(oldest)
	}
	return true
}

// drop removes a span that nobody reads and keeps its buffer.
func (r *Ranged) drop(s *span) {
	r.remove(s)
	r.spare = append(r.spare, s.data)
	s.data = nil
	if len(r.spare) > rangedSpare {
		r.spare = r.spare[1:]
	}
}

// buffer returns n bytes, of a dropped span if one fits. It keeps the collector
// from having to find them, and memory at twice what is held meanwhile.
func (r *Ranged) buffer(n int64) []byte {
	for i, b := range r.spare {
		if int64(cap(b)) >= n && int64(cap(b)) <= 2*n {
			r.spare = slices.Delete(r.spare, i, i+1)
			return b[:n]
		}
	}
	return make([]byte, n)
}
