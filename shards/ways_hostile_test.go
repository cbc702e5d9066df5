package shards

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// ways are the ways in which the drill reads a mutant. They return the rows
// that came out.
var ways = []struct {
	name string
	run  func(m *mutant, want int64) (int64, error)
}{
	{"describe", describeMutant},
	{"read text", readMutant},
	{"copy all", func(m *mutant, want int64) (int64, error) { return copyMutant(m, want, masks["all"]) }},
	{"copy a third", func(m *mutant, want int64) (int64, error) { return copyMutant(m, want, masks["third"]) }},
}

// mutantStore is a Store of one mutant.
type mutantStore struct {
	Store
	content []byte
}

func (s mutantStore) Open(context.Context, string) (Object, error) {
	return bytesObject(s.content), nil
}

func openMutant(m *mutant) (*Shard, error) {
	format, _, _ := formatOf(m.file)
	return Open(context.Background(), Input{Store: mutantStore{content: m.bytes}, Path: m.file, Shard: "test", Size: int64(len(m.bytes)), Format: format})
}

// describeMutant lists the columns, and decodes every page of Parquet.
func describeMutant(m *mutant, want int64) (int64, error) {
	s, err := openMutant(m)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	s.Columns()
	if strings.HasSuffix(m.file, ".parquet") {
		return CheckRows(context.Background(), mutantStore{content: m.bytes}, m.file)
	}
	return want, nil // the others show their rows when they are read
}

func readMutant(m *mutant, _ int64) (int64, error) {
	s, err := openMutant(m)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	rows := int64(0)
	for b, err := range s.Batches(context.Background(), m.cols, 0, s.NumRowGroups()) {
		if err != nil {
			return rows, err
		}
		rows += int64(b.NumRows())
		b.Release()
	}
	return rows, nil
}

// copyMutant copies rows and returns how many of the input the output accounts
// for: all, if it holds exactly those that are kept.
func copyMutant(m *mutant, want int64, keep func(int) bool) (int64, error) {
	s, err := openMutant(m)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	var out bytes.Buffer
	counts, err := CopyKept(context.Background(), s, decide(int(want), keep), &out, CopyOptions{ScoreColumn: "color_score"})
	if err != nil {
		return 0, err
	}
	kept := int64(0)
	for row := range want {
		if keep(int(row)) {
			kept++
		}
	}
	if counts.Kept != kept {
		return counts.Kept - kept, nil
	}
	if kept > 0 {
		if rows, err := rowsOfCopy(m, out.Bytes()); err != nil || rows != kept {
			return -1, nil // the copy itself is broken
		}
	}
	return counts.RowsIn, nil
}

// rowsOfCopy reads a copy to its end.
func rowsOfCopy(m *mutant, b []byte) (int64, error) {
	if IsTar(m.file) {
		return readMutant(&mutant{mutantSource: mutantSource{file: "copy.tar", cols: m.cols}, bytes: b}, 0)
	}
	return CheckRows(context.Background(), mutantStore{content: b}, "copy.parquet")
}

// rowsOfMutant is how many rows an accepted mutant must have: as many as the
// whole file, or, where a line more or less is no contradiction, as many as
// there are lines.
func rowsOfMutant(m *mutant) int64 {
	var r io.Reader
	var err error
	switch {
	case strings.HasSuffix(m.file, ".tar"):
		r = bytes.NewReader(m.bytes)
	case strings.HasSuffix(m.file, ".gz"):
		r, err = gzip.NewReader(bytes.NewReader(m.bytes))
	case strings.HasSuffix(m.file, ".zst"):
		r, err = zstd.NewReader(bytes.NewReader(m.bytes), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	default:
		return m.rows
	}
	if err != nil {
		return m.rows
	}
	text, err := io.ReadAll(io.LimitReader(r, 64<<20))
	if err != nil {
		return m.rows
	}
	if IsTar(m.file) {
		return keysOfTar(text)
	}
	rows := int64(0)
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if len(bytes.Trim(line, " \t\r")) > 0 {
			rows++
		}
	}
	return rows
}

// keysOfTar counts the keys of an archive: a name that is damaged where no sum
// covers it makes one more.
func keysOfTar(b []byte) int64 {
	keys := map[string]bool{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err != nil {
			return int64(len(keys))
		}
		if h.Typeflag == tar.TypeReg {
			dir, base := path.Split(path.Clean(h.Name))
			key, _, _ := strings.Cut(base, ".")
			keys[dir+key] = true
		}
	}
}
