package train

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
)

// idWidth returns the bytes of a token id on disk: two where the vocabulary
// allows, as in OLMo's memory-mapped files, else four.
func idWidth(vocabulary int) int {
	if vocabulary <= 1<<16 {
		return 2
	}
	return 4
}

// tokenWriter writes a flat little-endian file of token ids.
type tokenWriter struct {
	file   *os.File
	buffer *bufio.Writer
	digest hash.Hash
	width  int
	count  int64
	bytes  []byte
}

func newTokenWriter(path string, width int) (*tokenWriter, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &tokenWriter{file: file, buffer: bufio.NewWriterSize(file, spoolBuffer), digest: sha256.New(), width: width}, nil
}

func (w *tokenWriter) append(ids []int32) error {
	b := w.bytes[:0]
	for _, id := range ids {
		if w.width == 2 {
			b = binary.LittleEndian.AppendUint16(b, uint16(id))
		} else {
			b = binary.LittleEndian.AppendUint32(b, uint32(id))
		}
	}
	w.bytes = b
	w.count += int64(len(ids))
	w.digest.Write(b)
	_, err := w.buffer.Write(b)
	return err
}

// finish makes the file durable and returns the SHA-256 of its bytes.
func (w *tokenWriter) finish() (string, error) {
	if err := w.buffer.Flush(); err != nil {
		return "", err
	}
	if err := w.file.Sync(); err != nil {
		return "", err
	}
	return hex.EncodeToString(w.digest.Sum(nil)), w.file.Close()
}

// sequences gives access to a token file in pieces of `length` ids. It holds
// no more than one of them in memory.
type sequences struct {
	file   *os.File
	width  int
	length int
	count  int64 // whole sequences; the tail is dropped
	bytes  []byte
}

func openSequences(path string, width, length int) (*sequences, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &sequences{
		file: file, width: width, length: length,
		count: info.Size() / int64(width*length), bytes: make([]byte, width*length),
	}, nil
}

// read fills dst, of the sequence length, with sequence i.
func (s *sequences) read(i int64, dst []int32) error {
	if _, err := s.file.ReadAt(s.bytes, i*int64(len(s.bytes))); err != nil {
		return fmt.Errorf("read sequence %d of %s: %w", i, s.file.Name(), err)
	}
	for k := range dst {
		if s.width == 2 {
			dst[k] = int32(binary.LittleEndian.Uint16(s.bytes[2*k:]))
		} else {
			dst[k] = int32(binary.LittleEndian.Uint32(s.bytes[4*k:]))
		}
	}
	return nil
}

func (s *sequences) close() error { return s.file.Close() }
