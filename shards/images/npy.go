package images

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/half"
)

const (
	npyMagic     = "\x93NUMPY"
	maxNpyHeader = 1 << 20 // bytes
	matrixBlock  = 1 << 20 // bytes of a side file that are read at once
)

// npyHeader is what the header of a NumPy file says.
type npyHeader struct {
	item   int   // bytes of a number: 2, 4 or 8
	shape  []int // one or two dimensions
	offset int64 // of the first number
}

// Fields of the dictionary in a header, which is a Python literal.
var (
	npyDescr   = regexp.MustCompile(`['"]descr['"]\s*:\s*['"]([^'"]*)['"]`)
	npyFortran = regexp.MustCompile(`['"]fortran_order['"]\s*:\s*(True|False)`)
	npyShape   = regexp.MustCompile(`['"]shape['"]\s*:\s*\(([0-9,\sL]*)\)`)
)

// readNpyHeader reads the header of a file of size bytes, and checks that the
// numbers are there. Taken are float16, float32 and float64, little-endian, in C
// order, of one or two dimensions.
func readNpyHeader(r io.ReaderAt, size int64) (npyHeader, error) {
	var h npyHeader
	var start [12]byte
	n, err := r.ReadAt(start[:], 0)
	if err != nil && err != io.EOF {
		return h, fmt.Errorf("read NumPy header: %w", err)
	}
	if n < 10 || string(start[:6]) != npyMagic {
		return h, fmt.Errorf("%w: not a NumPy file", shards.ErrCorrupt)
	}
	length := int64(binary.LittleEndian.Uint16(start[8:]))
	h.offset = 10
	if version := start[6]; version == 2 || version == 3 {
		length, h.offset = int64(binary.LittleEndian.Uint32(start[8:])), 12
	} else if version != 1 {
		return h, fmt.Errorf("%w: NumPy file of version %d", shards.ErrUnsupported, version)
	}
	if length > maxNpyHeader || length > size-h.offset {
		return h, fmt.Errorf("%w: NumPy header of %d bytes in a file of %d", shards.ErrCorrupt, length, size)
	}
	text := make([]byte, length)
	if n, err := r.ReadAt(text, h.offset); n < len(text) {
		return h, fmt.Errorf("read NumPy header: %w", noEnd(err))
	}
	h.offset += length
	return h, h.parse(string(text), size)
}

// parse takes what is needed from a header's dictionary.
func (h *npyHeader) parse(text string, size int64) error {
	descr, fortran, shape := npyDescr.FindStringSubmatch(text), npyFortran.FindStringSubmatch(text), npyShape.FindStringSubmatch(text)
	if descr == nil || fortran == nil || shape == nil {
		return fmt.Errorf("%w: NumPy header without type, order and shape: %.100q", shards.ErrUnsupported, text)
	}
	switch descr[1] {
	case "<f2":
		h.item = 2
	case "<f4":
		h.item = 4
	case "<f8":
		h.item = 8
	default:
		return fmt.Errorf("%w: NumPy file of type %s, want <f2, <f4 or <f8: astype('float32') makes one", shards.ErrUnsupported, descr[1])
	}
	total := int64(h.item)
	for part := range strings.SplitSeq(shape[1], ",") {
		part = strings.TrimSuffix(strings.TrimSpace(part), "L")
		if part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n > 0 && total > math.MaxInt64/int64(n) {
			return fmt.Errorf("%w: NumPy file of shape (%s)", shards.ErrCorrupt, shape[1])
		}
		h.shape = append(h.shape, n)
		total *= int64(n)
	}
	if len(h.shape) < 1 || len(h.shape) > 2 {
		return fmt.Errorf("%w: NumPy file of shape (%s), want one or two dimensions", shards.ErrUnsupported, shape[1])
	}
	if fortran[1] == "True" && len(h.shape) == 2 && h.shape[0] > 1 && h.shape[1] > 1 {
		return fmt.Errorf("%w: NumPy file in Fortran order: np.ascontiguousarray makes it one in C order", shards.ErrUnsupported)
	}
	if total != size-h.offset {
		return fmt.Errorf("%w: NumPy file of shape (%s) with %d bytes of numbers, want %d", shards.ErrCorrupt, shape[1], size-h.offset, total)
	}
	return nil
}

// decode decodes numbers.
func (h npyHeader) decode(b []byte) []float32 {
	out := make([]float32, len(b)/h.item)
	for i := range out {
		switch h.item {
		case 2:
			out[i] = half.Float32(binary.LittleEndian.Uint16(b[2*i:]))
		case 4:
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		case 8:
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
	}
	return out
}

// decodeNpy decodes a whole file: as many rows as it says, one of a file of one
// dimension.
func decodeNpy(b []byte) (rows [][]float32, matrix bool, err error) {
	h, err := readNpyHeader(strings.NewReader(string(b)), int64(len(b)))
	if err != nil {
		return nil, false, err
	}
	b = b[h.offset:]
	if len(h.shape) == 1 {
		return [][]float32{h.decode(b)}, false, nil
	}
	if len(b) == 0 && h.shape[0] > 0 {
		return nil, true, fmt.Errorf("%w: a NumPy file of %d vectors without numbers", shards.ErrUnsupported, h.shape[0])
	}
	width := h.shape[1] * h.item
	for range h.shape[0] {
		rows = append(rows, h.decode(b[:width:width]))
		b = b[width:]
	}
	return rows, true, nil
}

// Matrix is a NumPy file of vectors, one a row, that columns of a shard refer to
// by the number of the row. It may be used by several goroutines at a time.
type Matrix struct {
	obj    shards.Object
	header npyHeader
}

// OpenMatrix reads the header of a file of float16, float32 or float64 in C
// order. The Matrix uses obj and does not close it.
func OpenMatrix(obj shards.Object) (*Matrix, error) {
	h, err := readNpyHeader(obj, obj.Size())
	if err != nil {
		return nil, fmt.Errorf("open vectors: %w", err)
	}
	if len(h.shape) != 2 || h.shape[1] == 0 {
		return nil, fmt.Errorf("open vectors: %w: a NumPy file of shape %v, want (vectors, dimension)", shards.ErrUnsupported, h.shape)
	}
	return &Matrix{obj, h}, nil
}

// Rows returns the number of vectors.
func (m *Matrix) Rows() int { return m.header.shape[0] }

// Dim returns the length of the vectors.
func (m *Matrix) Dim() int { return m.header.shape[1] }

// matrixReader reads rows of a Matrix, those next to each other at once.
type matrixReader struct {
	*Matrix
	block []byte
	start int64 // offset of block in the file
}

// row returns a vector.
func (r *matrixReader) row(n int64) ([]float32, error) {
	if n < 0 || n >= int64(r.Rows()) {
		return nil, fmt.Errorf("%w: row %d of a file of %d vectors", shards.ErrRange, n, r.Rows())
	}
	width := int64(r.Dim() * r.header.item)
	at := r.header.offset + n*width
	if at < r.start || at+width > r.start+int64(len(r.block)) {
		size := min(max(matrixBlock, width), r.obj.Size()-at)
		if int64(cap(r.block)) < size {
			r.block = make([]byte, size)
		}
		r.block, r.start = r.block[:size], at
		if got, err := r.obj.ReadAt(r.block, at); int64(got) < size {
			r.block = nil
			return nil, fmt.Errorf("read vector %d: %w", n, errors.Join(noEnd(err)))
		}
	}
	return r.header.decode(r.block[at-r.start : at-r.start+width]), nil
}
