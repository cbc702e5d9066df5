package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// Encoded states are a name with a version, the state, and a CRC-32C of both.
// Numbers are varints or little-endian; texts and lists have their length before
// them. The same state has the same bytes, whatever order it was made in.
const (
	censusMagic   = "curate ofds census 1\n"
	codebookMagic = "curate ofds codebook 1\n"
	tallyMagic    = "curate ofds tally 1\n"
)

// errCut says that there is less than a length promised.
var errCut = errors.New("it is cut off, or damaged")

type writer struct{ to []byte }

func (w *writer) count(n int)      { w.to = binary.AppendUvarint(w.to, uint64(n)) }
func (w *writer) number(n int64)   { w.to = binary.AppendVarint(w.to, n) }
func (w *writer) fixed(n uint64)   { w.to = binary.LittleEndian.AppendUint64(w.to, n) }
func (w *writer) float(x float32)  { w.to = binary.LittleEndian.AppendUint32(w.to, math.Float32bits(x)) }
func (w *writer) text(text string) { w.count(len(text)); w.to = append(w.to, text...) }

func (w *writer) floats(list []float32) {
	for _, x := range list {
		w.float(x)
	}
}

func (w *writer) sealed() []byte {
	return binary.LittleEndian.AppendUint32(w.to, crc32.Checksum(w.to, crc32.MakeTable(crc32.Castagnoli)))
}

// reader decodes; after a fault it gives zeros. Lengths are checked against
// what is left before anything is allocated for them.
type reader struct {
	from  []byte
	fault error
}

// open checks the name, the version and the checksum.
func open(state []byte, magic string) (*reader, error) {
	body := len(state) - 4
	switch {
	case body < len(magic) || string(state[:len(magic)]) != magic:
		return nil, fmt.Errorf("it does not begin with %q: it is something else, or of another version of curate", magic[:len(magic)-1])
	case crc32.Checksum(state[:body], crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(state[body:]):
		return nil, errors.New("its checksum is wrong: " + errCut.Error())
	}
	return &reader{from: state[len(magic):body]}, nil
}

func (r *reader) fail(format string, args ...any) {
	if r.fault == nil {
		r.fault, r.from = fmt.Errorf(format, args...), nil
	}
}

func (r *reader) end() error {
	if len(r.from) > 0 {
		r.fail("%d bytes too many", len(r.from))
	}
	return r.fault
}

// count returns the length of a list whose elements take at least size bytes.
func (r *reader) count(size int) int {
	n, used := binary.Uvarint(r.from)
	if used <= 0 || n > uint64(len(r.from)-used)/uint64(size) {
		r.fail("%w", errCut)
		return 0
	}
	r.from = r.from[used:]
	return int(n)
}

// number returns an integer from low to high.
func (r *reader) number(low, high int64) int64 {
	n, used := binary.Varint(r.from)
	if used <= 0 {
		r.fail("%w", errCut)
		return low
	}
	if n < low || n > high {
		r.fail("a number is %d: want %d to %d", n, low, high)
		return low
	}
	r.from = r.from[used:]
	return n
}

func (r *reader) fixed() uint64 {
	if len(r.from) < 8 {
		r.fail("%w", errCut)
		return 0
	}
	n := binary.LittleEndian.Uint64(r.from)
	r.from = r.from[8:]
	return n
}

// float returns a finite number.
func (r *reader) float() float32 {
	if len(r.from) < 4 {
		r.fail("%w", errCut)
		return 0
	}
	x := math.Float32frombits(binary.LittleEndian.Uint32(r.from))
	if x-x != 0 {
		r.fail("a number is not finite")
		return 0
	}
	r.from = r.from[4:]
	return x
}

func (r *reader) floats(list []float32) {
	for i := range list {
		list[i] = r.float()
	}
}

func (r *reader) text() string {
	n := r.count(1)
	text := string(r.from[:n])
	r.from = r.from[n:]
	return text
}
