package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/curate-data/curate/shards"
)

// tokenKey is the metadata by which an object whose request was repeated is
// known to be ours.
const tokenKey = "curate-upload"

// pending is an object being written: its end, and the upload of the parts
// before it once there are any.
type pending struct {
	store *Store
	ctx   context.Context // of Create, without its end
	key   string
	fresh bool   // nothing may be at the key
	token string // see tokenKey

	buffer []byte // what is not yet sent
	size   int64  // of all that was written
	sum    uint32 // CRC-32 of it
	upload *upload
	err    error // of an earlier Write
}

// Create implements shards.Store.
func (s *Store) Create(ctx context.Context, name string) (shards.Pending, error) {
	return s.create(ctx, name, false)
}

// CreateNew is Create whose Finish does not replace an object.
func (s *Store) CreateNew(ctx context.Context, name string) (shards.Pending, error) {
	return s.create(ctx, name, true)
}

func (s *Store) create(ctx context.Context, name string, fresh bool) (shards.Pending, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return &pending{store: s, ctx: ctx, key: s.prefix + name, fresh: fresh, token: rand.Text()}, nil
}

// Write implements io.Writer. It sends full parts in the background.
func (p *pending) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n := len(b)
	p.sum = crc32.Update(p.sum, crc32.IEEETable, b)
	p.size += int64(n)
	for len(b) > 0 {
		limit := int(p.partSize())
		m := min(len(b), limit-len(p.buffer))
		p.buffer = append(p.grow(m, limit), b[:m]...)
		b = b[m:]
		if len(p.buffer) == limit && len(b) > 0 { // the last part waits for Finish
			if p.err = p.flush(); p.err != nil {
				return 0, p.err
			}
		}
	}
	return n, nil
}

// grow makes room for n more bytes of a part: doubling, but to no more than it can hold.
func (p *pending) grow(n, limit int) []byte {
	need := len(p.buffer) + n
	if need <= cap(p.buffer) {
		return p.buffer
	}
	grown := make([]byte, len(p.buffer), min(limit, max(need, 2*cap(p.buffer), 4<<10)))
	copy(grown, p.buffer)
	return grown
}

func (p *pending) partSize() int64 {
	if p.upload == nil {
		return p.store.client.opt.PartSize
	}
	return partSize(p.store.client.opt.PartSize, p.upload.begun)
}

// flush sends the buffer as the next part.
func (p *pending) flush() error {
	if p.upload == nil {
		u, err := p.store.client.begin(p.ctx, p.store.bucket, p.key, p.token)
		if err != nil {
			return err
		}
		p.upload = u
	}
	next, err := p.upload.send(p.buffer)
	p.buffer = next
	return err
}

// Finish implements shards.Pending.
func (p *pending) Finish(ctx context.Context) error {
	err := p.err
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil && p.upload == nil {
		err = p.put(ctx)
	} else if err == nil {
		if err = p.flush(); err == nil {
			err = p.upload.complete(ctx, p)
		}
	}
	if err != nil {
		p.Abort()
		return fmt.Errorf("finish object s3://%s/%s: %w", p.store.bucket, p.key, err)
	}
	p.buffer = nil
	return nil
}

// Abort implements shards.Pending. An upload that cannot be ended now is swept later.
func (p *pending) Abort() {
	p.buffer, p.err = nil, errors.New("object was aborted")
	if p.upload != nil {
		p.upload.abort()
	}
}

// put sends the whole object in one request.
func (p *pending) put(ctx context.Context) error {
	c := p.store.client
	try := func(conditional bool) error {
		in := &s3.PutObjectInput{
			Bucket: &p.store.bucket, Key: &p.key, Body: bytes.NewReader(p.buffer), ContentLength: aws.Int64(int64(len(p.buffer))),
			ContentType: aws.String(contentType(p.key)), Metadata: map[string]string{tokenKey: p.token},
		}
		in.ServerSideEncryption, in.SSEKMSKeyId = c.sealed()
		if conditional {
			in.IfNoneMatch = aws.String("*")
		}
		out, err := c.api.PutObject(ctx, in)
		if err != nil {
			return c.wrap(ctx, "write object", p.store.bucket, p.key, err)
		}
		if err := checkSum(out.ChecksumCRC32, p.sum); err != nil {
			return p.discard(ctx, err)
		}
		return nil
	}
	if !p.fresh {
		return try(false)
	}
	return p.publishNew(ctx, try)
}

// missingTries is how often a request is made that fails because an object is
// there, when none is.
const missingTries = 4

// publishNew runs a request that must not replace an object. try is told
// whether the request itself says so; a store that does not know the condition
// is asked beforehand what is there.
func (p *pending) publishNew(ctx context.Context, try func(conditional bool) error) error {
	c := p.store.client
	for attempt := 1; ; attempt++ {
		if c.conditions.absent() {
			if _, err := c.head(ctx, p.store.bucket, p.key); err == nil {
				return p.decide(ctx)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return try(false)
		}
		err := try(true)
		code, _ := status(err)
		switch {
		case err == nil:
			return nil
		case lacksConditions(err):
			c.conditions.lack(c, "If-None-Match")
		case code == http.StatusPreconditionFailed || code == http.StatusConflict:
			// On conflict another request for the key is being decided.
			err := p.decide(ctx)
			if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if attempt == missingTries {
				// Some versioned stores take a deleted object for one that is there.
				return try(false)
			}
			if err := sleep(ctx, time.Duration(attempt)*50*time.Millisecond); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// decide says whether the object that is at the key counts as this one: a
// request whose answer was lost is repeated, and then finds its own object.
func (p *pending) decide(ctx context.Context) error {
	c := p.store.client
	out, err := c.head(ctx, p.store.bucket, p.key)
	if err != nil {
		return err
	}
	if out.Metadata[tokenKey] == p.token {
		return nil
	}
	taken := fmt.Errorf("an object with other content is at the name: %w", fs.ErrExist)
	if aws.ToInt64(out.ContentLength) != p.size {
		return taken
	}
	obj, err := p.store.open(ctx, p.key)
	if err != nil {
		return err
	}
	defer obj.Close()
	h := crc32.NewIEEE()
	if _, err := io.Copy(h, io.NewSectionReader(obj, 0, obj.Size())); err != nil {
		return err
	}
	if obj.Size() != p.size || h.Sum32() != p.sum {
		return taken
	}
	return nil
}

// discard removes an object that was stored wrongly, and returns why.
func (p *pending) discard(ctx context.Context, why error) error {
	c := p.store.client
	_, err := c.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &p.store.bucket, Key: &p.key})
	return errors.Join(why, c.wrap(ctx, "remove object", p.store.bucket, p.key, err))
}

// checkSum compares a checksum that the store reports, if it does.
func checkSum(reported *string, sum uint32) error {
	if reported != nil && *reported != encodeSum(sum) {
		return fmt.Errorf("the store holds checksum %s, %s was sent", *reported, encodeSum(sum))
	}
	return nil
}

// contentType is what an object's name says it is.
func contentType(name string) string {
	for suffix, kind := range map[string]string{
		".json": "application/json", ".jsonl": "application/x-ndjson", ".html": "text/html; charset=utf-8",
		".parquet": "application/vnd.apache.parquet", ".arrow": "application/vnd.apache.arrow.file", ".arrows": "application/vnd.apache.arrow.stream",
		".zst": "application/zstd", ".gz": "application/gzip", ".txt": "text/plain; charset=utf-8", ".tar": "application/x-tar",
	} {
		if strings.HasSuffix(path.Base(name), suffix) {
			return kind
		}
	}
	return "application/octet-stream"
}

// conditions remembers whether a store knows If-None-Match and If-Match.
type conditions struct {
	mu      sync.Mutex
	missing bool
	heeded  bool
}

// proven reports whether the store was seen to heed them.
func (c *conditions) proven() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heeded
}

func (c *conditions) prove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heeded = true
}

func (c *conditions) absent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.missing
}

// lack notes that the store does not know a condition, and says so once.
func (c *conditions) lack(client *Client, header string) {
	c.mu.Lock()
	first := !c.missing
	c.missing = true
	c.mu.Unlock()
	if first {
		client.notice(fmt.Sprintf("the store at endpoint %s does not know %s on writes: manifests and locks are checked before they are written, "+
			"which two runs that start in the same moment can get past", client.endpoint, header))
	}
}

// lacksConditions reports whether an answer means that a store does not know a
// condition on a request.
func lacksConditions(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Status == http.StatusNotImplemented ||
		e.Status == http.StatusBadRequest && (e.Code == "NotImplemented" || strings.Contains(strings.ToLower(e.Message), "match"))
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
