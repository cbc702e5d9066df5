package shards

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// remote is an object of any size whose byte i is known by i, and a line to it
// that can break. It notes what it was asked for.
type remote struct {
	size int64
	cut  func(length int64) int64 // bytes of a body that arrive; nil for all

	once sync.Once
	all  []byte
	mu   sync.Mutex
	got  []Range
}

// byteAt repeats after so many bytes that no two requests begin alike.
func byteAt(i int64) byte { return byte(uint64(i%period) * 0x9E3779B97F4A7C15 >> 56) }

const period = 1<<16 + 1

// content returns bytes of all objects from an offset on, a period or more.
func content() []byte {
	b := make([]byte, 2*period)
	for i := range b {
		b[i] = byteAt(int64(i))
	}
	return b
}

// body is a reader of the bytes at, ..., end-1, which breaks at stop.
type body struct {
	r             *remote
	at, stop, end int64
}

func (b *body) Read(p []byte) (int, error) {
	if b.at == b.stop {
		if b.stop < b.end {
			return 0, errors.New("connection reset by peer")
		}
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), b.stop-b.at)], b.r.all[b.at%period:])
	b.at += int64(n)
	return n, nil
}

func (b *body) Close() error { return nil }

func (r *remote) fetch(_ context.Context, offset, length int64) (io.ReadCloser, error) {
	r.once.Do(func() { r.all = content() })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, Range{offset, length})
	b := &body{r, offset, offset + length, offset + length}
	if r.cut != nil {
		b.stop = offset + min(length, r.cut(length))
	}
	return b, nil
}

func (r *remote) open(t *testing.T) *Ranged {
	o := NewRanged(t.Context(), "s3://bucket/object", r.size, nil, r.fetch)
	t.Cleanup(func() { o.Close() })
	return o
}

func (r *remote) requests() []Range {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (r *remote) expectBytes(t *testing.T, o *Ranged, off, length int64) {
	t.Helper()
	p := make([]byte, length)
	n, err := o.ReadAt(p, off)
	want := max(0, min(length, o.Size()-off))
	if int64(n) != want || err != nil && (err != io.EOF || want == length) || err == nil && want < length {
		t.Errorf("ReadAt(%d bytes, %d): %d, %v", length, off, n, err)
	}
	for at, all := 0, r.all; at < n; {
		m := min(n-at, period)
		if !bytes.Equal(p[at:at+m], all[(off+int64(at))%period:][:m]) {
			t.Fatalf("ReadAt(%d bytes, %d): wrong bytes from %d on", length, off, at)
		}
		at += m
	}
}

// TestRangedParallel reads at random, with plans that change and a line that
// breaks again and again: what is read is right.
func TestRangedParallel(t *testing.T) {
	r := &remote{size: 150 << 20, cut: func(length int64) int64 { return rand.Int64N(2*length) + fetchProgress }}
	o := r.open(t)
	var group sync.WaitGroup
	for k := range 6 {
		group.Go(func() {
			draw := rand.New(rand.NewPCG(4, uint64(k)))
			at := draw.Int64N(r.size)
			for i := range 40 {
				switch {
				case k == 0 && i%10 == 0:
					var plan []Range
					for range 20 {
						plan = append(plan, Range{draw.Int64N(r.size), draw.Int64N(5 << 20)})
					}
					o.Prefetch(plan)
				case draw.IntN(4) == 0:
					at = draw.Int64N(r.size)
				}
				length := draw.Int64N(1 << (8 + draw.IntN(13)))
				r.expectBytes(t, o, at, length)
				at += length
			}
		})
	}
	group.Wait()
}

// TestRangedBreaks has a line that brings little each time, and then nothing.
func TestRangedBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &remote{size: 1 << 20, cut: func(int64) int64 { return 70_000 }}
		o := r.open(t)
		r.expectBytes(t, o, 0, 1<<20)
		o = r.open(t)
		before := len(r.requests())
		r.mu.Lock()
		r.cut = func(int64) int64 { return 0 }
		r.mu.Unlock()
		_, err := o.ReadAt(make([]byte, 20_000), 300_000)
		if err == nil || !strings.Contains(err.Error(), "s3://bucket/object") || !strings.Contains(err.Error(), "connection reset by peer") {
			t.Errorf("got error %v", err)
		}
		o.Close()
		if n := len(r.requests()) - before; n > 2*fetchAttempts {
			t.Errorf("%d requests", n)
		}
	})
}

// TestRangedPlan fetches planned ranges, neighbours in one request.
func TestRangedPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &remote{size: 100 << 20}
		o := r.open(t)
		o.Prefetch([]Range{{40 << 20, 1 << 20}, {10 << 20, 100}, {10<<20 + 200, 1 << 20}, {12 << 20, 100}, {99 << 20, 5 << 20}, {-5, 10}, {50 << 20, 0}, {60 << 20, 20 << 20}})
		synctest.Wait()
		want := []Range{{0, 5}, {10 << 20, 2<<20 + 100}, {40 << 20, 1 << 20}, {60 << 20, 16 << 20}, {76 << 20, 4 << 20}, {99 << 20, 1 << 20}}
		got := r.requests()
		slices.SortFunc(got, func(a, b Range) int { return int(a.Offset - b.Offset) })
		if !slices.Equal(got, want) {
			t.Errorf("requests %v, want %v", got, want)
		}
		for _, p := range want {
			r.expectBytes(t, o, p.Offset, p.Length)
		}
		if n := len(r.requests()); n != len(want) {
			t.Errorf("%d requests after all was there", n)
		}
		o.Close()
	})
}

// TestRangedMemory plans more than may be held: the plan goes on as it is read,
// and memory stays bounded.
func TestRangedMemory(t *testing.T) {
	r := &remote{size: 400 << 20}
	o := r.open(t)
	var plan []Range
	for at := int64(0); at < r.size; at += 10 << 20 {
		plan = append(plan, Range{at, 8 << 20})
	}
	o.Prefetch(plan)
	most := int64(0)
	p := make([]byte, 1<<20)
	for _, part := range plan {
		for off := part.Offset; off < part.Offset+part.Length; off += int64(len(p)) {
			if _, err := o.ReadAt(p, off); err != nil {
				t.Fatal(err)
			}
			if p[0] != byteAt(off) || p[len(p)-1] != byteAt(off+int64(len(p))-1) {
				t.Fatal("wrong bytes")
			}
			o.mu.Lock()
			most = max(most, o.held)
			o.mu.Unlock()
		}
		// What was announced is not dropped for what was not.
		r.expectBytes(t, o, part.Offset+(9<<20), 100)
	}
	if most > rangedMemory {
		t.Errorf("%d bytes were held", most)
	}
	if n := len(r.requests()); n != 2*len(plan) {
		t.Errorf("%d requests for %d ranges and as many places between them", n, len(plan))
	}
}

// TestRangedSequential reads on and on in small pieces.
func TestRangedSequential(t *testing.T) {
	r := &remote{size: 50 << 20}
	o := r.open(t)
	for off := int64(0); off < r.size; off += 4096 {
		r.expectBytes(t, o, off, 4096)
	}
	if n := len(r.requests()); n > 16 {
		t.Errorf("%d requests: %v", n, r.requests())
	}
	// Far jumps bring little more than what is asked for.
	r.got = nil
	o = r.open(t)
	for i := range int64(10) {
		r.expectBytes(t, o, i*5<<20, 100)
	}
	total := int64(0)
	for _, p := range r.requests() {
		total += p.Length
	}
	if total > 10*rangedLeast {
		t.Errorf("%d bytes were fetched", total)
	}
}

// TestRangedFailures has a fetch that fails for good, and an answer that is wrong.
func TestRangedFailures(t *testing.T) {
	denied := errors.New("denied")
	for name, fetch := range map[string]Fetch{
		"error": func(context.Context, int64, int64) (io.ReadCloser, error) { return nil, denied },
		"too long": func(_ context.Context, _, n int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(make([]byte, n+1))), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := NewRanged(t.Context(), "x", 1<<20, nil, fetch)
			defer o.Close()
			o.Prefetch([]Range{{0, 100}})
			for range 2 {
				if n, err := o.ReadAt(make([]byte, 10), 50); n > 0 || err == nil || name == "error" && !errors.Is(err, denied) {
					t.Errorf("ReadAt: %d, %v", n, err)
				}
			}
			if _, err := o.ReadAt(make([]byte, 1), -1); err == nil {
				t.Error("a negative offset: no error")
			}
		})
	}
}

// hanging is a body that says nothing until its request ends.
type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

func (hanging) Close() error { return nil }

// TestRangedEnds ends reads that wait: by Close, by the context of Open, and a
// dead connection by the time that passes.
func TestRangedEnds(t *testing.T) {
	fetch := func(ctx context.Context, _, _ int64) (io.ReadCloser, error) { return hanging{ctx}, nil }
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped by the user")
		for _, name := range []string{"close", "context", "time"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			o := NewRanged(ctx, "x", 100, nil, fetch)
			began := time.Now()
			var err error
			var group sync.WaitGroup
			group.Go(func() { _, err = o.ReadAt(make([]byte, 10), 0) })
			synctest.Wait()
			switch name {
			case "close":
				o.Close()
			case "context":
				cancel(stopped)
			}
			group.Wait()
			took := time.Since(began)
			if err == nil || name == "context" && !errors.Is(err, stopped) || name != "time" && took > time.Second || took > 2*fetchAttempts*fetchStall {
				t.Errorf("%s: error %v after %v", name, err, took)
			}
			o.Close()
			cancel(nil)
		}
	})
}
