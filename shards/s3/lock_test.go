package s3_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/curate-data/curate/internal/s3server"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/s3"
)

// folders returns two stores of one folder with a short lifetime of locks, as
// two processes have them. The first goes through the proxy.
func folders(t *testing.T) (near, far *s3.Store, line *s3server.Proxy) {
	t.Helper()
	server := s3server.Start(t)
	server.Setenv(t)
	line = server.Proxy(t)
	uri := "s3://" + server.Bucket(t) + "/out"
	near = store(t, client(t, s3.Options{Endpoint: line.URL(), MaxAttempts: 2}), uri)
	far = store(t, client(t, s3.Options{}), uri)
	near.LockLifetime, far.LockLifetime = 2*time.Second, 2*time.Second
	return near, far, line
}

// TestLockExpires cuts a holder off: it is told that the lock is lost, and
// another takes it over, not before. Then the first one's release does nothing.
func TestLockExpires(t *testing.T) {
	near, far, line := folders(t)
	near.LockLifetime, far.LockLifetime = time.Second, time.Second
	held, release, err := near.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	line.Down(t)
	_, _, err = far.Lock(t.Context())
	var locked *shards.LockedError
	if !errors.As(err, &locked) || locked.Expires.IsZero() || !strings.Contains(err.Error(), "the lock ends at") {
		t.Fatalf("a lock that lives: got error %v", err)
	}
	for {
		again, free, err := far.Lock(t.Context())
		if err == nil {
			if held.Err() == nil {
				t.Error("the lock is taken over and its holder does not know")
			}
			line.Up(t)
			if err := release(); err != nil {
				t.Errorf("release of a lost lock: %v", err)
			}
			if again.Err() != nil {
				t.Errorf("the second lock: %v", context.Cause(again))
			}
			if err := free(); err != nil {
				t.Error(err)
			}
			break
		}
		if !errors.As(err, &locked) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	<-held.Done()
	if cause := context.Cause(held); !strings.Contains(cause.Error(), "lost the lock of folder s3://") {
		t.Errorf("cause: %v", cause)
	}
}

// TestLockStopped tells a process to stop while its request for a lock is under
// way: it leaves no lock behind.
func TestLockStopped(t *testing.T) {
	near, far, line := folders(t)
	line.Latency(t, 300*time.Millisecond) // of answers: the request is carried out before
	for _, after := range []time.Duration{0, 50, 150, 400, 700} {
		ctx, stop := context.WithTimeout(t.Context(), after*time.Millisecond)
		_, release, err := near.Lock(ctx)
		stop()
		if err == nil {
			if err := release(); err != nil {
				t.Error(err)
			}
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stopped after %d ms: error %v", after, err)
		}
		_, free, err := far.Lock(t.Context())
		if err != nil {
			t.Fatalf("stopped after %d ms: the next run: %v", after, err)
		}
		if err := free(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLockRenews holds a lock longer than its lifetime.
func TestLockRenews(t *testing.T) {
	near, far, line := folders(t)
	line.Latency(t, 20*time.Millisecond)
	held, release, err := near.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 12 {
		var locked *shards.LockedError
		if _, _, err := far.Lock(t.Context()); !errors.As(err, &locked) {
			t.Fatalf("second lock: %v", err)
		}
		time.Sleep(250 * time.Millisecond)
	}
	if held.Err() != nil {
		t.Errorf("held: %v", context.Cause(held))
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if _, release, err = far.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// TestLockOverwritten puts another's lock in the place of ours: we lose it, and
// are told who has it.
func TestLockOverwritten(t *testing.T) {
	near, _, _ := folders(t)
	held, release, err := near.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	api := raw(t)
	body := `{"pid":4711,"host":"elsewhere","start":"2000-01-01T00:00:00Z","owner":"another","lifetime_ns":1000000000}`
	put(t, api, near.URI(".curate.lock"), body)
	<-held.Done()
	if cause := context.Cause(held).Error(); !strings.Contains(cause, "process 4711 on elsewhere") {
		t.Errorf("cause: %v", cause)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if got := get(t, api, near.URI(".curate.lock")); got != body {
		t.Errorf("release removed another's lock, there is %q", got)
	}
}

// TestStaleUploads leaves an upload behind as a killed run does. Another
// process sweeps it, and only below its own prefix.
func TestStaleUploads(t *testing.T) {
	server := s3server.Start(t)
	server.Setenv(t)
	bucket := server.Bucket(t)
	crashed := client(t, s3.Options{})
	half := strings.Repeat("x", 9<<20)
	for _, folder := range []string{"a/b", "a/bc", "a/b/c"} {
		p, err := store(t, crashed, "s3://"+bucket+"/"+folder).Create(t.Context(), "ünï +%/big")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write([]byte(half)); err != nil {
			t.Fatal(err)
		}
	}
	s := store(t, client(t, s3.Options{}), "s3://"+bucket+"/a/b")
	uploads, err := s.StaleUploads(t.Context())
	if err != nil || len(uploads) != 2 || uploads[0].Begun.IsZero() {
		t.Fatalf("uploads %+v, error %v", uploads, err)
	}
	own, err := store(t, crashed, "s3://"+bucket+"/a/b").StaleUploads(t.Context())
	if err != nil || len(own) != 0 {
		t.Errorf("of its own process: %+v, error %v", own, err)
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if uploads, err = s.StaleUploads(t.Context()); err != nil || len(uploads) != 0 {
		t.Errorf("after the sweep: %+v, error %v", uploads, err)
	}
	beside := store(t, client(t, s3.Options{}), "s3://"+bucket+"/a/bc")
	if uploads, err = beside.StaleUploads(t.Context()); err != nil || len(uploads) != 1 {
		t.Fatalf("beside it: %+v, error %v", uploads, err)
	}
	for range 2 { // that it is gone is no error
		if err := beside.AbortUpload(t.Context(), uploads[0]); err != nil {
			t.Error(err)
		}
	}
}
