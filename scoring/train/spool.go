package train

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"os"
)

// spoolRecord is a tokenised row on its way to the token files.
type spoolRecord struct {
	train, held int     // buckets of its two draws
	ids         []int32 // with end-of-text; when read, valid until the next record
}

// spoolWriter appends records to a file: both buckets as uint16, the number of
// tokens and the tokens as uint32, little-endian.
type spoolWriter struct {
	file   *os.File
	buffer *bufio.Writer
	bytes  []byte
}

// spoolBuffer is the buffer size of sequential files in bytes.
const spoolBuffer = 1 << 18

func newSpoolWriter(path string) (*spoolWriter, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &spoolWriter{file: file, buffer: bufio.NewWriterSize(file, spoolBuffer)}, nil
}

func (w *spoolWriter) append(r spoolRecord) error {
	b := binary.LittleEndian.AppendUint16(w.bytes[:0], uint16(r.train))
	b = binary.LittleEndian.AppendUint16(b, uint16(r.held))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.ids)))
	for _, id := range r.ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	w.bytes = b
	_, err := w.buffer.Write(b)
	return err
}

// reader flushes and returns a reader of what was appended.
func (w *spoolWriter) reader() (*spoolReader, error) {
	if err := w.buffer.Flush(); err != nil {
		return nil, err
	}
	return &spoolReader{file: w.file}, nil
}

func (w *spoolWriter) close() error { return w.file.Close() }

// spoolReader reads a spool any number of times.
type spoolReader struct{ file *os.File }

// records yields all records in order.
func (r *spoolReader) records() iter.Seq2[spoolRecord, error] {
	return func(yield func(spoolRecord, error) bool) {
		if _, err := r.file.Seek(0, io.SeekStart); err != nil {
			yield(spoolRecord{}, err)
			return
		}
		in := bufio.NewReaderSize(r.file, spoolBuffer)
		var ids []int32
		var raw []byte
		for {
			var head [8]byte
			if _, err := io.ReadFull(in, head[:]); err == io.EOF {
				return
			} else if err != nil {
				yield(spoolRecord{}, fmt.Errorf("read spool: %w", err))
				return
			}
			n := int(binary.LittleEndian.Uint32(head[4:]))
			raw = grow(raw, 4*n)
			if _, err := io.ReadFull(in, raw); err != nil {
				yield(spoolRecord{}, fmt.Errorf("read spool: %w", err))
				return
			}
			ids = grow(ids, n)
			for i := range ids {
				ids[i] = int32(binary.LittleEndian.Uint32(raw[4*i:]))
			}
			record := spoolRecord{
				train: int(binary.LittleEndian.Uint16(head[:])),
				held:  int(binary.LittleEndian.Uint16(head[2:])),
				ids:   ids,
			}
			if !yield(record, nil) {
				return
			}
		}
	}
}

// grow returns s with length n, its content undefined.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/2)
	}
	return s[:n]
}
