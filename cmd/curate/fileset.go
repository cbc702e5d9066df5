package main

import (
	"context"
	"encoding/hex"
	"io"
	"path"

	"github.com/curate-data/curate/shards"
)

// fileSet is a work unit that makes several files, all or none of them. Each
// is a unit of the manifest; the first one has the counts.
type fileSet struct {
	names []string
	shard string
	key   string
}

// pendingFile is one file of a set, being written.
type pendingFile struct {
	*digesting
	record *shards.Unit
}

func writers(files []pendingFile) []io.Writer {
	out := make([]io.Writer, len(files))
	for i, f := range files {
		out[i] = f
	}
	return out
}

// recordFor names the record that says that a file is done.
func recordFor(name string) string { return path.Join(unitsFolder, name+".json") }

// fileSet makes a set of files unless their records say that they are done.
// work writes the files, fills in their records, the counts into the first, and
// says whether they are to be kept: without rows there are none. It returns
// the first record.
func (s *stage) fileSet(ctx context.Context, set fileSet, work func(ctx context.Context, out []pendingFile, record *shards.Unit) (bool, error)) (shards.Unit, error) {
	if records, ok := s.recordsOf(ctx, set); ok {
		s.addUnits(records...)
		return records[0], nil
	}
	// Records without a key come first: they vouch for no file, and say that
	// those which may follow are ours, should nobody ever finish them.
	for _, name := range set.names {
		if err := s.writeRecord(ctx, recordFor(name), shards.Unit{File: name, Shard: set.shard}); err != nil {
			return shards.Unit{}, err
		}
	}
	records, err := s.writeSet(ctx, set, work)
	if err != nil {
		return shards.Unit{}, err
	}
	for i, record := range records {
		if err := s.writeRecord(ctx, recordFor(set.names[i]), record); err != nil {
			return shards.Unit{}, err
		}
	}
	for _, name := range set.names[len(records):] { // nothing was kept
		if err := s.remove(ctx, recordFor(name)); err != nil {
			return shards.Unit{}, err
		}
	}
	s.addUnits(records...)
	return records[0], nil
}

// recordsOf returns the records of a set that is done: one for each file, or
// the first alone if nothing was kept.
func (s *stage) recordsOf(ctx context.Context, set fileSet) ([]shards.Unit, bool) {
	var records []shards.Unit
	for _, name := range set.names {
		record, err := s.readRecord(ctx, recordFor(name))
		if err != nil || record.Key != set.key || !s.hasFile(ctx, record) {
			return nil, false
		}
		records = append(records, record)
		if record.File == "" {
			break
		}
	}
	return records, true
}

// writeSet writes and publishes the files of a set, the first one last.
func (s *stage) writeSet(ctx context.Context, set fileSet, work func(context.Context, []pendingFile, *shards.Unit) (bool, error)) ([]shards.Unit, error) {
	records := make([]shards.Unit, len(set.names))
	var files []pendingFile
	defer func() {
		for _, f := range files { // those that were not finished
			f.Abort()
		}
	}()
	for i, name := range set.names {
		records[i] = shards.Unit{Key: set.key, Shard: set.shard}
		pending, err := s.store.Create(ctx, name)
		if err != nil {
			return nil, err
		}
		files = append(files, pendingFile{newDigesting(pending), &records[i]})
	}
	keep, err := work(ctx, files, &records[0])
	if err != nil {
		return nil, err
	}
	if !keep {
		for _, name := range set.names { // of an earlier run with other options
			if err := s.remove(ctx, name); err != nil {
				return nil, err
			}
		}
		return records[:1], nil
	}
	for i := len(files) - 1; i >= 0; i-- {
		f := files[i]
		files = files[:i] // Finish ends it, whatever comes of it
		if err := f.Finish(ctx); err != nil {
			return nil, err
		}
		f.record.File, f.record.Size, f.record.SHA256 = set.names[i], f.size, hex.EncodeToString(f.sum.Sum(nil))
	}
	return records, nil
}
