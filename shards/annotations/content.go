package annotations

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/curate-data/curate/shards"
)

// content is an open label file, whose parts can be read in any order.
type content struct {
	io.ReaderAt
	place Place
	info  shards.ObjectInfo
	base  int64 // bytes of a byte order mark at the start
	close func() error
}

// remote is what an object has whose reads each cost a round trip.
type remote interface{ Prefetch(ranges []shards.Range) }

// openContent opens a label file. One that is far away is copied to a temporary
// file, because it is read at many places.
func openContent(ctx context.Context, place Place) (*content, error) {
	info, err := find(ctx, place)
	if err != nil {
		return nil, err
	}
	obj, err := place.Files.Open(ctx, place.Name)
	if err != nil {
		return nil, fmt.Errorf("open labels %s: %w", place, err)
	}
	c := &content{ReaderAt: obj, place: place, info: info, close: obj.Close}
	c.info.Size = obj.Size()
	if _, far := obj.(remote); far {
		err = errors.Join(c.copyHere(ctx, obj), obj.Close())
	}
	if err == nil {
		c.base, err = c.mark()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read labels %s: %w", place, err), c.close())
	}
	return c, nil
}

// find returns what the store knows of a file.
func find(ctx context.Context, place Place) (shards.ObjectInfo, error) {
	infos, err := place.Files.List(ctx, place.Name)
	if err != nil {
		return shards.ObjectInfo{}, fmt.Errorf("find labels %s: %w", place, err)
	}
	for _, info := range infos {
		if info.Name == place.Name {
			return info, nil
		}
	}
	return shards.ObjectInfo{}, fmt.Errorf("find labels %s: %w", place, os.ErrNotExist)
}

// copyHere makes c read a copy on the local disk.
func (c *content) copyHere(ctx context.Context, obj shards.Object) error {
	c.close = func() error { return nil }
	file, err := os.CreateTemp("", "curate-labels-*")
	if err != nil {
		return err
	}
	c.ReaderAt = file
	c.close = func() error { return errors.Join(file.Close(), os.Remove(file.Name())) }
	src := &limited{ctx: ctx, r: io.NewSectionReader(obj, 0, obj.Size()), limit: obj.Size() + 1}
	_, err = io.Copy(file, src)
	return err
}

// mark returns the length of the byte order mark, and refuses packed files.
func (c *content) mark() (int64, error) {
	head := make([]byte, 3)
	if _, err := c.ReadAt(head, 0); err != nil && err != io.EOF {
		return 0, err
	}
	switch {
	case string(head) == "\xef\xbb\xbf":
		return 3, nil
	case string(head[:2]) == "\x1f\x8b":
		return 0, errors.New("it is packed by gzip; unpack it first")
	}
	return 0, nil
}

// tokens reads the file as JSON.
func (c *content) tokens(ctx context.Context) *tokens {
	section := io.NewSectionReader(c, c.base, c.info.Size-c.base)
	return newTokens(ctx, bufio.NewReaderSize(section, 1<<20), c.base)
}

// window reads parts of a file, mostly one after the other.
type window struct {
	c    *content
	buf  []byte
	from int64 // offset of buf
	next int64 // end of the last part
}

const (
	ahead = 256 << 10 // bytes read at once while parts follow each other
	near  = 16 << 10  // bytes between parts that still follow each other
)

// part returns bytes of the file, valid until the next call.
func (w *window) part(offset int64, length int) ([]byte, error) {
	if at := offset - w.from; at < 0 || at+int64(length) > int64(len(w.buf)) {
		want := int64(length)
		if gap := offset - w.next; gap >= 0 && gap < near {
			want = max(want, ahead)
		}
		want = min(want, w.c.info.Size-offset)
		if want < int64(length) {
			return nil, io.ErrUnexpectedEOF
		}
		if int64(cap(w.buf)) < want {
			w.buf = make([]byte, want)
		}
		w.buf, w.from = w.buf[:want], offset
		if n, err := w.c.ReadAt(w.buf, offset); n < len(w.buf) {
			w.buf = w.buf[:0]
			return nil, fmt.Errorf("read bytes %d to %d: %w", offset, offset+want, err)
		}
	}
	w.next = offset + int64(length)
	at := offset - w.from
	return w.buf[at : at+int64(length)], nil
}
