package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io/fs"
	"path/filepath"

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

// modelDigests identify a model folder without loading it.
type modelDigests struct{ weights, tokenizer string }

// digestModel digests config and weights together, and the tokenizer.
func (s *stage) digestModel(ctx context.Context, folder string) (modelDigests, error) {
	var d modelDigests
	parts := map[string]string{}
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json"} {
		input, err := fileInput(ctx, folder, name)
		if err != nil {
			return d, fmt.Errorf("open model %s: %w (a model folder has config.json, model.safetensors and tokenizer.json)", folder, err)
		}
		if parts[name], err = s.cache.Digest(ctx, input); err != nil {
			return d, err
		}
	}
	return modelDigests{shards.UnitKey(parts["config.json"], parts["model.safetensors"]), parts["tokenizer.json"]}, nil
}

// fileInput describes one file of a folder for the digest cache.
func fileInput(ctx context.Context, folder, name string) (shards.Input, error) {
	store := local.New(folder)
	infos, err := store.List(ctx, name)
	if err != nil {
		return shards.Input{}, err
	}
	for _, info := range infos {
		if info.Name == name {
			return shards.Input{Store: store, Path: name, Shard: name, URI: filepath.Join(folder, name), Size: info.Size, Version: info.Version, Modified: info.Modified}, nil
		}
	}
	return shards.Input{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// describe returns the unit of a file that a stage wrote by other means.
func (s *stage) describe(ctx context.Context, name string) (shards.Unit, error) {
	input, err := fileInput(ctx, s.folder, name)
	if err != nil {
		return shards.Unit{}, err
	}
	digest, err := shards.Digest(ctx, input)
	if err != nil {
		return shards.Unit{}, err
	}
	return shards.Unit{File: name, Size: input.Size, SHA256: digest}, nil
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
