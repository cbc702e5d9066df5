package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"hash"
	"io"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// maxRecord bounds the record of one unit, which takes some hundred bytes.
const maxRecord = 1 << 20

// readRecord reads what is known of a unit that was done before.
func (s *stage) readRecord(ctx context.Context, name string) (record shards.Unit, err error) {
	raw, err := shards.ReadObject(ctx, s.store, name, maxRecord)
	if err != nil {
		return record, err
	}
	return record, json.Unmarshal(raw, &record)
}

// writeRecord publishes that a unit is done.
func (s *stage) writeRecord(ctx context.Context, name string, record shards.Unit) error {
	raw, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	return shards.WriteObject(ctx, s.store, name, append(raw, '\n'))
}

// fileInput describes one object of a folder for the digest cache.
func fileInput(ctx context.Context, store shards.Store, folder, name string) (shards.Input, error) {
	info, err := findObject(ctx, store, name)
	if err != nil {
		return shards.Input{}, err
	}
	return shards.Input{
		Store: store, Path: name, Shard: name, URI: joinPlace(folder, name),
		Size: info.Size, Version: info.Version, Modified: info.Modified, Digest: info.Digest,
	}, nil
}

// adopt makes a file that training wrote into a local folder part of the
// output: described where it lies in it, copied there otherwise.
func (s *stage) adopt(ctx context.Context, work *local.Store, name string) (shards.Unit, error) {
	input, err := fileInput(ctx, work, work.Root, name)
	if err != nil {
		return shards.Unit{}, err
	}
	if here, ok := localPath(s.folder); ok && here == work.Root {
		digest, err := shards.Digest(ctx, input)
		return shards.Unit{File: name, Size: input.Size, SHA256: digest}, err
	}
	var record shards.Unit
	err = s.writeUnit(ctx, name, &record, func(ctx context.Context, out shards.Pending, _ *shards.Unit) (bool, error) {
		file, err := work.Open(ctx, name)
		if err != nil {
			return false, err
		}
		defer file.Close()
		return true, copyObject(ctx, out, file, nil)
	})
	return record, err
}

// copyPiece is how much of an object is read at once: on a remote store a
// request has to be worth its round trip.
const copyPiece = 8 << 20

// copyObject copies a whole object and tells progress, which may be nil, what
// has passed, in bytes.
func copyObject(ctx context.Context, to io.Writer, from shards.Object, progress func(int64)) error {
	piece := make([]byte, min(copyPiece, from.Size()))
	for at := int64(0); at < from.Size(); {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(int64(len(piece)), from.Size()-at)
		if _, err := io.ReadFull(io.NewSectionReader(from, at, n), piece[:n]); err != nil {
			return err
		}
		if _, err := to.Write(piece[:n]); err != nil {
			return err
		}
		at += n
		if progress != nil {
			progress(n)
		}
	}
	return nil
}

// digesting passes a unit's bytes on and digests them on the way.
type digesting struct {
	shards.Pending
	sum  hash.Hash
	size int64
}

func newDigesting(p shards.Pending) *digesting { return &digesting{Pending: p, sum: sha256.New()} }

func (d *digesting) Write(b []byte) (int, error) {
	n, err := d.Pending.Write(b)
	d.sum.Write(b[:n])
	d.size += int64(n)
	return n, err
}
