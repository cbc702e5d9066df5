package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/curate-data/curate/internal/s3server"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/s3"
	"github.com/curate-data/curate/shards/storetest"
)

// noise returns bytes that no two places of have alike.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// faults are ways to spoil a line. Those that pass are got over.
var faults = []struct {
	name  string
	spoil func(testing.TB, *s3server.Proxy)
	pass  bool
}{
	{"latency", func(t testing.TB, p *s3server.Proxy) { p.Latency(t, 30*time.Millisecond) }, true},
	{"cut bodies", func(t testing.TB, p *s3server.Proxy) { p.CutDownstream(t, 300_000) }, true},
	{"slow bodies", func(t testing.TB, p *s3server.Proxy) { p.Slow(t, 20_000_000) }, true},
	{"some resets", func(t testing.TB, p *s3server.Proxy) { p.Reset(t, 5*time.Millisecond, 0.3) }, true},
	{"resets", func(t testing.TB, p *s3server.Proxy) { p.Reset(t, 0, 1) }, false},
	{"cut answers", func(t testing.TB, p *s3server.Proxy) { p.CutDownstream(t, 60) }, false},
	{"down", func(t testing.TB, p *s3server.Proxy) { p.Down(t) }, false},
}

// TestReadFaults reads through a spoiled line: intact bytes or an error.
func TestReadFaults(t *testing.T) {
	server := s3server.Start(t)
	server.Setenv(t)
	want := noise(5 << 20)
	uri := "s3://" + server.Bucket(t)
	storetest.Put(t, store(t, client(t, s3.Options{}), uri), "data", string(want))
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			line := server.Proxy(t)
			s := store(t, client(t, s3.Options{Endpoint: line.URL(), MaxAttempts: attempts(fault.pass)}), uri)
			fault.spoil(t, line)
			got, err := read(s, "data")
			if fault.pass && err != nil || err == nil && !bytes.Equal(got, want) {
				t.Errorf("%d bytes, error %v", len(got), err)
			}
			if !fault.pass {
				expectClear(t, err)
			}
			// An object that was open before.
			line.Clear(t)
			line.Up(t)
			obj, err := s.Open(t.Context(), "data")
			if err != nil {
				t.Fatal(err)
			}
			defer obj.Close()
			fault.spoil(t, line)
			b := make([]byte, len(want))
			n, err := obj.ReadAt(b, 0)
			if fault.pass && err != nil || !bytes.Equal(b[:n], want[:n]) || err == nil && n < len(want) {
				t.Errorf("opened before: %d bytes, error %v", n, err)
			}
			if !fault.pass {
				expectClear(t, err)
			}
		})
	}
}

// attempts are more where a fault passes in the end.
func attempts(pass bool) int {
	if pass {
		return 0
	}
	return 2
}

func read(s shards.Store, name string) ([]byte, error) {
	obj, err := s.Open(context.Background(), name)
	if err != nil {
		return nil, err
	}
	defer obj.Close()
	return io.ReadAll(io.NewSectionReader(obj, 0, obj.Size()))
}

// expectClear wants an error that names the object.
func expectClear(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "s3://b-") || !strings.Contains(err.Error(), "/data") {
		t.Errorf("got error %v", err)
	}
}

// TestWriteFaults writes through a spoiled line, small and in parts: either the
// object is there, intact, or there is an error and what was there before.
func TestWriteFaults(t *testing.T) {
	server := s3server.Start(t)
	server.Setenv(t)
	direct := store(t, client(t, s3.Options{}), "s3://"+server.Bucket(t))
	cuts := append(faults[:len(faults):len(faults)], struct {
		name  string
		spoil func(testing.TB, *s3server.Proxy)
		pass  bool
	}{"cut uploads", func(t testing.TB, p *s3server.Proxy) { p.CutUpstream(t, 2_000_000) }, false})
	for _, fault := range cuts {
		t.Run(fault.name, func(t *testing.T) {
			for _, want := range [][]byte{noise(100), noise(12 << 20)} {
				storetest.Put(t, direct, "data", "before")
				line := server.Proxy(t)
				s := store(t, client(t, s3.Options{Endpoint: line.URL(), PartSize: 5 << 20, MaxAttempts: attempts(fault.pass)}), direct.URI(""))
				fault.spoil(t, line)
				err := write(s, "data", want)
				line.Clear(t)
				line.Up(t)
				got := storetest.Get(t, direct, "data")
				switch {
				case err == nil && got != string(want), err != nil && got != "before" && got != string(want):
					t.Errorf("%d bytes written with error %v, there are %d", len(want), err, len(got))
				case err != nil && fault.pass:
					t.Error(err)
				case err != nil:
					expectClear(t, err)
				}
			}
		})
	}
	// What could not be aborted is swept.
	later := store(t, client(t, s3.Options{}), direct.URI(""))
	if err := later.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if uploads, err := later.StaleUploads(t.Context()); err != nil || len(uploads) > 0 {
		t.Errorf("uploads %v, error %v", uploads, err)
	}
}

func write(s *s3.Store, name string, content []byte) error {
	p, err := s.Create(context.Background(), name)
	if err != nil {
		return err
	}
	for len(content) > 0 {
		n := min(len(content), 1<<20)
		if _, err := p.Write(content[:n]); err != nil {
			p.Abort()
			return err
		}
		content = content[n:]
	}
	return p.Finish(context.Background())
}

// TestLostAnswers cuts the answer to the last request of an object off, so that
// it is repeated: the second one finds the first one's object and is content.
func TestLostAnswers(t *testing.T) {
	server := s3server.Start(t)
	server.Setenv(t)
	direct := store(t, client(t, s3.Options{}), "s3://"+server.Bucket(t))
	for name, want := range map[string][]byte{"small": noise(100), "parts": noise(12 << 20), "gone": noise(11 << 20)} {
		t.Run(name, func(t *testing.T) {
			endpoint, lose := losing(t, server.URL(), name == "gone")
			s := store(t, client(t, s3.Options{Endpoint: endpoint, PartSize: 5 << 20}), direct.URI(""))
			p, err := s.CreateNew(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Write(want); err != nil {
				t.Fatal(err)
			}
			lose.Store(true)
			if err := p.Finish(t.Context()); err != nil {
				t.Error(err)
			}
			if lose.Load() {
				t.Error("no answer was lost")
			}
			if got := storetest.Get(t, direct, name); got != string(want) {
				t.Errorf("%d bytes", len(got))
			}
			if uploads, err := store(t, client(t, s3.Options{}), direct.URI("")).StaleUploads(t.Context()); err != nil || len(uploads) > 0 {
				t.Errorf("uploads %v, error %v", uploads, err)
			}
		})
	}
}

// TestLostLockAnswer repeats the taking of a lock whose first answer was lost.
func TestLostLockAnswer(t *testing.T) {
	server := s3server.Start(t)
	server.Setenv(t)
	endpoint, lose := losing(t, server.URL(), false)
	s := store(t, client(t, s3.Options{Endpoint: endpoint}), "s3://"+server.Bucket(t))
	s.LockLifetime = 2 * time.Second
	lose.Store(true)
	held, release, err := s.Lock(t.Context())
	if err != nil || lose.Load() {
		t.Fatalf("error %v, an answer was lost: %t", err, !lose.Load())
	}
	time.Sleep(s.LockLifetime / 2) // one renewal
	lose.Store(true)
	time.Sleep(s.LockLifetime / 2) // and one whose answer is lost
	if held.Err() != nil || lose.Load() {
		t.Errorf("held: %v, an answer was lost: %t", context.Cause(held), !lose.Load())
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// TestReplacedWhileRead overwrites an object that is open.
func TestReplacedWhileRead(t *testing.T) {
	s := serve(t)
	storetest.Put(t, s, "data", string(noise(3<<20)))
	obj, err := s.Open(t.Context(), "data")
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Close()
	b := make([]byte, 100)
	if _, err := obj.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, "data", strings.Repeat("other ", 1<<19))
	_, err = obj.ReadAt(b, 1<<20)
	if err == nil || !strings.Contains(err.Error(), s.URI("data")) || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("got error %v", err)
	}
	if err := s.Remove(t.Context(), "data"); err != nil {
		t.Fatal(err)
	}
	if _, err = obj.ReadAt(b, 1<<20); err == nil {
		t.Error("a removed object: no error")
	}
}

// TestServerKilled kills the server while an object is written and starts it
// again: the client gets over it.
func TestServerKilled(t *testing.T) {
	server := s3server.Start(t)
	server.Setenv(t)
	s := store(t, client(t, s3.Options{PartSize: 5 << 20}), "s3://"+server.Bucket(t))
	want := noise(12 << 20)
	p, err := s.Create(t.Context(), "data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(want[:11<<20]); err != nil {
		t.Fatal(err)
	}
	server.Kill9()
	back := make(chan struct{})
	go func() {
		defer close(back)
		server.Restart(t)
	}()
	_, err = p.Write(want[11<<20:])
	err = errors.Join(err, p.Finish(t.Context()))
	<-back
	if err != nil {
		t.Fatal(err)
	}
	if got := storetest.Get(t, s, "data"); got != string(want) {
		t.Errorf("%d bytes", len(got))
	}
}
