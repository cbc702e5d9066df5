package shards

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"
)

// Digest returns the sha256 of an input's content, hex.
func Digest(ctx context.Context, in Input) (string, error) {
	obj, err := in.Store.Open(ctx, in.Path)
	if err != nil {
		return "", fmt.Errorf("digest %s: %w", in.URI, err)
	}
	defer obj.Close()
	h := sha256.New()
	content := io.NewSectionReader(obj, 0, obj.Size())
	for {
		if err := ctx.Err(); err != nil {
			return "", context.Cause(ctx)
		}
		n, err := io.CopyN(h, content, 16<<20)
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", fmt.Errorf("digest %s: after %d bytes: %w", in.URI, n, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// DigestCache remembers digests by URI and Version, so that what did not
// change is not read again. It may be used by several goroutines.
type DigestCache struct {
	mu      sync.Mutex
	entries map[string]digestEntry
	changed bool
}

type digestEntry struct {
	Version string `json:"version"`
	Digest  string `json:"digest"`
}

// racy is how long after its last change an object is not remembered: within
// the clock's grain it could change again and keep its Version. (Git treats
// entries of its index in the same way.)
const racy = 2 * time.Second

// LoadDigestCache reads a cache that Save wrote. A missing one is empty, and so
// is a damaged one: what it knew is only computed again.
func LoadDigestCache(ctx context.Context, store Store, name string) (*DigestCache, error) {
	c := &DigestCache{entries: map[string]digestEntry{}}
	b, err := ReadObject(ctx, store, name, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load digest cache %s: %w", name, err)
	}
	if json.Unmarshal(b, &c.entries) != nil || c.entries == nil {
		c.entries = map[string]digestEntry{}
	}
	return c, nil
}

// Digest is the identity of an input's content: what its store knows of it, or
// Digest, from memory where the input's Version is known.
func (c *DigestCache) Digest(ctx context.Context, in Input) (string, error) {
	if in.Digest != "" {
		return in.Digest, nil
	}
	c.mu.Lock()
	entry, ok := c.entries[in.URI]
	c.mu.Unlock()
	if ok && entry.Version == in.Version && in.Version != "" && len(entry.Digest) == hex.EncodedLen(sha256.Size) {
		return entry.Digest, nil
	}
	begun := time.Now()
	digest, err := Digest(ctx, in)
	if err != nil {
		return "", err
	}
	if in.Version != "" && begun.Sub(in.Modified) > racy {
		c.mu.Lock()
		c.entries[in.URI] = digestEntry{in.Version, digest}
		c.changed = true
		c.mu.Unlock()
	}
	return digest, nil
}

// Save publishes the cache if it has learnt anything since it was loaded.
func (c *DigestCache) Save(ctx context.Context, store Store, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.changed {
		return nil
	}
	b, err := json.MarshalIndent(c.entries, "", "  ")
	if err != nil {
		return fmt.Errorf("save digest cache %s: %w", name, err)
	}
	if err := WriteObject(ctx, store, name, append(b, '\n')); err != nil {
		return fmt.Errorf("save digest cache %s: %w", name, err)
	}
	c.changed = false
	return nil
}
