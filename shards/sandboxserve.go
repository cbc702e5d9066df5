package shards

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
)

// ServeShard is what the child of a Sandbox does: it decodes one shard, whose
// bytes come over r, and answers requests on w until r ends. It opens no file.
func ServeShard(r io.Reader, w io.Writer) error {
	s := &sandboxServer{r: bufio.NewReader(r), w: bufio.NewWriter(w)}
	for {
		s.mu.Lock()
		kind, payload, err := readFrame(s.r, &s.buffer)
		payload = bytes.Clone(payload)
		s.mu.Unlock()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		if err := s.serve(kind, payload); err != nil {
			return fmt.Errorf("answer request: %w", err)
		}
	}
}

// sandboxServer is the child's end of the pipe.
type sandboxServer struct {
	mu     sync.Mutex // over r, w and buffer: decoders may read in parallel
	r      *bufio.Reader
	w      *bufio.Writer
	buffer bytes.Buffer

	shard *Shard
}

// serve answers one request. Errors of the shard are answers, too.
func (s *sandboxServer) serve(kind byte, payload []byte) error {
	var err error
	switch kind {
	case frameOpen:
		err = s.open(payload)
	case frameBatches:
		err = s.batches(payload)
	case frameCopy:
		err = s.copy(payload)
	default:
		return fmt.Errorf("a request %q", kind)
	}
	var broken pipeError
	if err == nil || errors.As(err, &broken) {
		return err
	}
	return s.sendJSON(frameError, newSandboxFault(err))
}

// pipeError is a failure to talk to the parent.
type pipeError struct{ error }

func (e pipeError) Unwrap() error { return e.error }

func (s *sandboxServer) send(kind byte, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := writeFrame(s.w, kind, payload); err != nil {
		return pipeError{err}
	}
	return nil
}

func (s *sandboxServer) sendJSON(kind byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.send(kind, b)
}

// call sends a question and hands the answer to use.
func (s *sandboxServer) call(kind byte, payload []byte, use func(kind byte, payload []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := writeFrame(s.w, kind, payload); err != nil {
		return pipeError{err}
	}
	kind, payload, err := readFrame(s.r, &s.buffer)
	if err != nil {
		return pipeError{err}
	}
	return use(kind, payload)
}

func (s *sandboxServer) open(payload []byte) error {
	var request sandboxOpen
	if err := decodeFrame(payload, &request); err != nil {
		return err
	}
	in := Input{Path: request.Path, Shard: request.Shard, Size: request.Size, Format: request.Format}
	obj := &pipedObject{s, request.Size}
	reader, err := openFormat(in, obj)
	if err != nil {
		return err
	}
	s.shard = &Shard{Memory: memory.DefaultAllocator, in: in, obj: obj, reader: reader}
	return s.sendJSON(frameInfo, sandboxInfo{reader.numRows(), reader.rowGroups(), s.shard.Columns()})
}

func (s *sandboxServer) batches(payload []byte) error {
	var request sandboxBatches
	if err := decodeFrame(payload, &request); err != nil {
		return err
	}
	if s.shard == nil || request.From < 0 || request.From > request.To || request.To > s.shard.NumRowGroups() {
		return ErrRange
	}
	var frame []byte
	for b, err := range s.shard.reader.batches(context.Background(), s.shard.Memory, request.Columns, request.From, request.To) {
		if err != nil {
			return err
		}
		frame = appendBatch(frame[:0], b)
		b.Release()
		if err := s.send(frameBatch, frame); err != nil {
			return err
		}
		if cap(frame) > 2*batchBytes {
			frame = nil // one huge document shall not keep its memory
		}
	}
	return s.send(frameDone, nil)
}

func (s *sandboxServer) copy(payload []byte) error {
	var opt CopyOptions
	if err := decodeFrame(payload, &opt); err != nil {
		return err
	}
	if s.shard == nil {
		return ErrRange
	}
	rows, stop := newRowDecisions(s.shard.in.Shard, s.decisions())
	defer stop()
	out := bufio.NewWriterSize(outputPipe{s}, 1<<20)
	if err := s.shard.copyKept(context.Background(), copyTarget{rows, out, opt}); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return s.sendJSON(frameCounts, sandboxCounts{rows.count.RowsIn, rows.count.Kept})
}

// decisions asks the parent for them.
func (s *sandboxServer) decisions() iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) {
		for {
			var d *pipeline.Decisions
			err := s.call(frameMore, nil, func(kind byte, payload []byte) (err error) {
				switch kind {
				case frameDecided:
				case frameDecide:
					d, err = parseDecisions(payload, s.shard.in.Shard)
				default:
					err = pipeError{unexpectedFrame(kind)}
				}
				return err
			})
			if err == nil && d == nil || !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// outputPipe sends the bytes of a copy to the parent.
type outputPipe struct{ s *sandboxServer }

// Write implements io.Writer.
func (o outputPipe) Write(b []byte) (n int, err error) {
	for ; len(b) > 0; b = b[min(len(b), maxFrameRead):] {
		part := b[:min(len(b), maxFrameRead)]
		if err := o.s.send(frameOutput, part); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// pipedObject is the shard, whose bytes the parent sends.
type pipedObject struct {
	s    *sandboxServer
	size int64
}

// Size implements Object.
func (o *pipedObject) Size() int64 { return o.size }

// Close implements io.Closer.
func (o *pipedObject) Close() error { return nil }

// Prefetch tells the parent what will be read.
func (o *pipedObject) Prefetch(ranges []Range) {
	_ = o.s.send(frameAhead, appendRanges(nil, ranges...)) // a pipe that broke is found by the next read
}

// ReadAt implements io.ReaderAt.
func (o *pipedObject) ReadAt(b []byte, off int64) (n int, err error) {
	if off < 0 || off >= o.size {
		return 0, io.EOF
	}
	for n < len(b) && err == nil {
		part := b[n:min(len(b), n+maxFrameRead)]
		if off+int64(n) >= o.size {
			return n, io.EOF
		}
		err = o.s.call(frameRead, appendRanges(nil, Range{off + int64(n), int64(len(part))}), func(kind byte, payload []byte) error {
			if kind != frameBytes || len(payload) == 0 || len(payload)-1 > len(part) {
				return pipeError{unexpectedFrame(kind)}
			}
			n += copy(part, payload[1:])
			switch payload[0] {
			case readEnd:
				return io.EOF
			case readFailed:
				return errPipedRead
			}
			return nil
		})
	}
	return n, err
}

// errPipedRead says that the parent could not read; it knows why.
var errPipedRead = errors.New("read shard")
