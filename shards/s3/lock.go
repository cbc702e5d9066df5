package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/curate-data/curate/shards"
)

const (
	lockBytes    = 64 << 10         // of a lock object at most
	lockTries    = 5                // takings that another's request got in the way of
	releaseLimit = 30 * time.Second // for giving a lock back
	takeGrace    = 5 * time.Second  // for taking a lock after its run was told to stop
	clockGrain   = time.Second      // of the times that a store tells
)

// lockRecord is the content of a lock object.
type lockRecord struct {
	shards.Holder
	Owner    string        `json:"owner"`       // a random token
	Lifetime time.Duration `json:"lifetime_ns"` // after the object's last modification, by the store's clock
	Expires  time.Time     `json:"expires"`     // the same by the holder's clock, for people
	Renewals int           `json:"renewals"`
}

// lockState is a lock object as the store has it.
type lockState struct {
	lockRecord
	etag    string
	expires time.Time // by the store's clock
	expired bool
}

// lock is one that this process holds.
type lock struct {
	store  *Store
	record lockRecord
	etag   string    // of the object as we wrote it
	since  time.Time // before the request that wrote it
}

func (s *Store) lockKey() string { return s.prefix + lockName }

// Lock implements shards.Locker with an object that is written only if it is
// not there, and written again every third of its lifetime. A lock whose
// lifetime is over, by the store's clock, is taken over.
func (s *Store) Lock(ctx context.Context) (context.Context, func() error, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	l := &lock{store: s, record: lockRecord{
		Holder: shards.Holder{PID: os.Getpid(), Host: host, Start: time.Now().UTC().Truncate(time.Second)},
		Owner:  rand.Text(), Lifetime: s.LockLifetime,
	}}
	if err := l.takeWhole(ctx); err != nil {
		return nil, nil, fmt.Errorf("lock folder %s: %w", s.URI(""), err)
	}
	held, lose := context.WithCancelCause(ctx)
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.beat(beating, lose)
	}()
	return held, func() error {
		stop()
		<-ended
		lose(errors.New("the lock was given back"))
		return l.release(ctx)
	}, nil
}

// takeWhole takes the lock or leaves none behind. A request that is broken off
// may still be carried out, and its lock would keep the next run out: so requests
// that are under way when ctx ends may come to their end.
func (l *lock) takeWhole(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	taking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(takeGrace, cancel) })()
	err := l.take(taking)
	if ctx.Err() == nil {
		return err
	}
	return errors.Join(context.Cause(ctx), l.release(ctx))
}

// take writes the lock object, if none is there that counts.
func (l *lock) take(ctx context.Context) error {
	c := l.store.client
	for try := range lockTries {
		// Some versioned stores take a deleted lock for one that is there.
		if c.conditions.absent() || try == missingTries {
			return l.takeUnconditionally(ctx)
		}
		began := time.Now()
		err := l.write(ctx, aws.String("*"), nil)
		if err == nil {
			return l.probe(ctx)
		}
		if lacksConditions(err) {
			c.conditions.lack(c, "If-None-Match")
			continue
		}
		if code, _ := status(err); code != http.StatusPreconditionFailed && code != http.StatusConflict {
			return err
		}
		there, err := l.store.readLock(ctx)
		switch {
		case errors.Is(err, fs.ErrNotExist): // given back since
			continue
		case err != nil:
			return err
		case there.Owner == l.record.Owner: // a repeated request whose first answer was lost
			l.etag, l.since = there.etag, began
			return nil
		case !there.expired:
			return l.store.lockedBy(there)
		}
		err = l.write(ctx, nil, &there.etag)
		if lacksConditions(err) {
			c.conditions.lack(c, "If-Match")
			continue
		}
		if code, _ := status(err); code != http.StatusPreconditionFailed && code != http.StatusConflict && code != http.StatusNotFound {
			return err
		}
	}
	return &shards.LockedError{Folder: l.store.URI("")}
}

// probe writes the lock once more as if it were not there. A store that lets
// this pass takes the condition and does not heed it.
func (l *lock) probe(ctx context.Context) error {
	c := l.store.client
	if c.conditions.proven() {
		return nil
	}
	etag := l.etag
	err := l.write(ctx, aws.String("*"), nil)
	switch code, _ := status(err); {
	case err == nil:
		c.conditions.lack(c, "If-None-Match")
		return l.takeUnconditionally(ctx)
	case code == http.StatusPreconditionFailed || code == http.StatusConflict:
		c.conditions.prove()
		l.etag = etag
		return nil
	default:
		return errors.Join(err, l.release(ctx))
	}
}

// takeUnconditionally is for stores without conditions: it writes the lock if
// none is there, waits for others that did so in the same moment, and holds the
// lock if its own is still there then.
func (l *lock) takeUnconditionally(ctx context.Context) error {
	there, err := l.store.readLock(ctx)
	if err == nil && !there.expired && there.Owner != l.record.Owner {
		return l.store.lockedBy(there)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.write(ctx, nil, nil); err != nil {
		return err
	}
	if err := sleep(ctx, min(2*time.Second, l.record.Lifetime/4)); err != nil {
		return err
	}
	if there, err = l.store.readLock(ctx); err != nil {
		return err
	}
	if there.Owner != l.record.Owner {
		return l.store.lockedBy(there)
	}
	return nil
}

// write writes the lock object under the given conditions.
func (l *lock) write(ctx context.Context, noneMatch, match *string) error {
	s, began := l.store, time.Now()
	record := l.record
	record.Expires = began.Add(record.Lifetime).UTC().Truncate(time.Second)
	b, err := json.Marshal(record)
	if err != nil {
		return err
	}
	key := s.lockKey()
	in := &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(append(b, '\n')), ContentType: aws.String("application/json"),
		IfNoneMatch: noneMatch, IfMatch: match,
	}
	in.ServerSideEncryption, in.SSEKMSKeyId = s.client.sealed()
	out, err := s.client.api.PutObject(ctx, in)
	if err != nil {
		return s.client.wrap(ctx, "write lock", s.bucket, key, err)
	}
	l.etag, l.since = aws.ToString(out.ETag), began
	return nil
}

// readLock reads the lock object.
func (s *Store) readLock(ctx context.Context) (lockState, error) {
	key := s.lockKey()
	var state lockState
	out, err := s.client.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return state, s.client.wrap(ctx, "read lock", s.bucket, key, err)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(io.LimitReader(out.Body, lockBytes))
	if err != nil {
		return state, s.client.wrap(ctx, "read lock", s.bucket, key, err)
	}
	if json.Unmarshal(b, &state.lockRecord) != nil || state.Lifetime <= 0 {
		state.lockRecord = lockRecord{Lifetime: s.LockLifetime} // not one of ours: it ends all the same
	}
	now, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		now = time.Now()
	}
	written := aws.ToTime(out.LastModified)
	state.etag, state.expires = aws.ToString(out.ETag), written.Add(state.Lifetime+clockGrain)
	state.expired = now.After(state.expires)
	return state, nil
}

func (s *Store) lockedBy(there lockState) error {
	return &shards.LockedError{Folder: s.URI(""), Holder: there.Holder, Expires: there.expires}
}

// beat renews the lock until stopped, and loses it when it cannot.
func (l *lock) beat(ctx context.Context, lose context.CancelCauseFunc) {
	every := time.NewTicker(l.record.Lifetime / 3)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if err := l.renew(ctx); err != nil {
			if ctx.Err() == nil {
				lose(fmt.Errorf("lost the lock of folder %s: %w", l.store.URI(""), err))
			}
			return
		}
	}
}

// renew writes the lock again. It tries until others may take the lock over,
// with some time to spare; an error means that the lock is lost.
func (l *lock) renew(ctx context.Context) error {
	l.record.Renewals++
	ctx, cancel := context.WithDeadline(ctx, l.since.Add(l.record.Lifetime*5/6))
	defer cancel()
	for {
		err := l.renewOnce(ctx)
		var locked *shards.LockedError
		if err == nil || errors.As(err, &locked) || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if waitErr := sleep(ctx, l.record.Lifetime/20); waitErr != nil {
			return fmt.Errorf("it could not be renewed: %w", err)
		}
	}
}

func (l *lock) renewOnce(ctx context.Context) error {
	c := l.store.client
	if !c.conditions.absent() {
		err := l.write(ctx, nil, &l.etag)
		code, _ := status(err)
		switch {
		case lacksConditions(err):
			c.conditions.lack(c, "If-Match")
		case code != http.StatusPreconditionFailed && code != http.StatusNotFound:
			return err
		}
	}
	// Another's, or ours by a request whose answer was lost.
	there, err := l.store.readLock(ctx)
	if err != nil {
		return err
	}
	if there.Owner != l.record.Owner {
		return l.store.lockedBy(there)
	}
	l.etag = there.etag
	if c.conditions.absent() {
		return l.write(ctx, nil, nil)
	}
	return l.write(ctx, nil, &l.etag)
}

// release removes the lock object if it is still ours.
func (l *lock) release(ctx context.Context) error {
	s := l.store
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer cancel()
	there, err := s.readLock(ctx)
	if errors.Is(err, fs.ErrNotExist) || err == nil && there.Owner != l.record.Owner {
		return nil // it was lost, which its holder has been told
	}
	if err != nil {
		return fmt.Errorf("release lock of folder %s: %w", s.URI(""), err)
	}
	key := s.lockKey()
	remove := func(match *string) error {
		_, err := s.client.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key, IfMatch: match})
		return s.client.wrap(ctx, "release lock", s.bucket, key, err)
	}
	err = remove(&there.etag)
	if lacksConditions(err) {
		err = remove(nil)
	}
	if code, _ := status(err); code == http.StatusPreconditionFailed || code == http.StatusNotFound {
		return nil // another's by now, or gone
	}
	return err
}
