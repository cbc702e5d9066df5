package shards

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Limits of JSONL files, far above real ones.
const (
	maxLine    = 1 << 30   // bytes of one line
	maxWindow  = 256 << 20 // bytes of history that a zstd frame may ask for; zstd --long=27 asks for 128 MiB
	lineBuffer = 1 << 20   // bytes read at a time; longer lines are gathered
)

// lineReader reads the rows of a JSONL shard one by one: its lines, but for
// blank ones. Memory is one line and what the decompressor needs.
type lineReader struct {
	source io.Reader
	close  func()
	buffer *bufio.Reader
	long   []byte // a line that did not fit the buffer
	limit  int    // bytes of a line: maxLine, but for tests
	line   int64  // number of the last line, from 1, blank ones counted
}

// openLines begins to read obj, decompressed as its name says.
func openLines(in Input, obj Object) (*lineReader, error) {
	_, compression, _ := formatOf(in.Path)
	r := &lineReader{source: io.NewSectionReader(obj, 0, obj.Size()), close: func() {}, limit: maxLine}
	switch compression {
	case gzipd:
		z, err := gzip.NewReader(bufio.NewReaderSize(r.source, lineBuffer))
		if err != nil {
			return nil, fmt.Errorf("%w: gzip: %w", ErrCorrupt, err)
		}
		r.source, r.close = z, func() { z.Close() }
	case zstdd:
		// One goroutine: the caller's. Workers run several shards at a time.
		z, err := zstd.NewReader(r.source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("%w: zstd: %w", ErrCorrupt, err)
		}
		r.source, r.close = z, z.Close
	}
	r.buffer = bufio.NewReaderSize(r.source, lineBuffer)
	return r, nil
}

// next returns the next line that is not blank, without its line end, valid
// until the next call; io.EOF after the last.
func (r *lineReader) next() ([]byte, error) {
	for {
		line, err := r.read()
		if err != nil {
			return nil, err
		}
		if r.line == 1 { // a byte order mark is no part of the text
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		if len(bytes.TrimLeft(line, " \t\r\n")) > 0 {
			return line, nil
		}
	}
}

// read returns the next line.
func (r *lineReader) read() ([]byte, error) {
	if cap(r.long) > 8*lineBuffer {
		r.long = nil // one huge line shall not keep its memory for the rest of the file
	}
	r.long = r.long[:0]
	for {
		part, err := r.buffer.ReadSlice('\n')
		switch {
		case err == nil || err == io.EOF && len(part)+len(r.long) > 0:
			r.line++
			if len(r.long) > 0 {
				r.long = append(r.long, part...)
				part = r.long
			}
			return bytes.TrimSuffix(part, []byte("\n")), nil
		case err == io.EOF:
			return nil, io.EOF
		case errors.Is(err, bufio.ErrBufferFull):
			if len(r.long)+len(part) > r.limit {
				return nil, fmt.Errorf("line %d: %w: longer than %d bytes", r.line+1, ErrUnsupported, r.limit)
			}
			r.long = append(r.long, part...)
		default:
			return nil, fmt.Errorf("line %d: %w: %w", r.line+1, ErrCorrupt, err)
		}
	}
}
