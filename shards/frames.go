package shards

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Frames between a process and the child that decodes a shard for it. A frame
// is its kind, the length of its payload as a little-endian uint32, and the
// payload. The child is never asked while it works: whatever it needs, bytes
// of the shard and decisions, it asks for and waits.
const (
	frameOpen     = 'o' // to the child: sandboxOpen as JSON; answered by frameInfo
	frameBatches  = 'b' // to the child: sandboxBatches as JSON; answered by frameBatch... frameDone
	frameCopy     = 'c' // to the child: CopyOptions as JSON; answered by frameOutput... frameCounts
	frameInfo     = 'i' // sandboxInfo as JSON
	frameBatch    = 't' // rows, see appendBatch
	frameDone     = 'z' // no more batches
	frameOutput   = 'w' // bytes of the copy
	frameCounts   = 'n' // sandboxCounts as JSON
	frameError    = 'x' // sandboxFault as JSON; the child is ready for the next request
	frameRead     = 'r' // the child wants bytes: offset and length, uint64 each
	frameBytes    = 'd' // the answer: a status byte, then the bytes
	frameAhead    = 'p' // the child will read ranges: offsets and lengths, uint64 each; no answer
	frameMore     = 'q' // the child wants decisions
	frameDecide   = 'k' // the answer: see appendDecisions
	frameDecided  = 'e' // the answer: there are no more
	readOK        = 0
	readEnd       = 1
	readFailed    = 2
	maxFrameRead  = 4 << 20 // bytes of one frameRead or frameOutput
	maxFrameText  = 2 << 30 // bytes of a batch: at most one line beyond batchBytes
	maxFrameOther = 64 << 20
)

// sandboxOpen is what a child is told about a shard.
type sandboxOpen struct {
	Path, Shard string
	Size        int64
	Format      Format
}

// sandboxInfo is what a child found when it opened the shard.
type sandboxInfo struct {
	Rows    int64
	Groups  []int64
	Columns []Column
}

// sandboxBatches asks for the rows of row groups.
type sandboxBatches struct {
	Columns  Columns
	From, To int
}

// sandboxCounts is what a child has copied.
type sandboxCounts struct{ RowsIn, Kept int64 }

// sandboxFault is an error of a child: its text, and which of the errors that
// callers look for it is.
type sandboxFault struct {
	Text  string
	Kinds []int // indexes of faultKinds
}

// faultKinds are the errors that keep their identity across processes.
var faultKinds = []error{ErrCorrupt, ErrUnsupported, ErrColumn, ErrEmptyFile, ErrRange}

// longestFault bounds the text of a child's error.
const longestFault = 4 << 10

func newSandboxFault(err error) sandboxFault {
	f := sandboxFault{Text: err.Error()}
	f.Text = f.Text[:min(len(f.Text), longestFault)]
	for i, kind := range faultKinds {
		if errors.Is(err, kind) {
			f.Kinds = append(f.Kinds, i)
		}
	}
	return f
}

// Error implements error.
func (f *sandboxFault) Error() string { return f.Text }

// Is tells whether the child's error was one of faultKinds.
func (f *sandboxFault) Is(target error) bool {
	for _, i := range f.Kinds {
		if i >= 0 && i < len(faultKinds) && faultKinds[i] == target {
			return true
		}
	}
	return false
}

// writeFrame writes one frame and flushes.
func writeFrame(w *bufio.Writer, kind byte, payload []byte) error {
	var head [5]byte
	head[0] = kind
	binary.LittleEndian.PutUint32(head[1:], uint32(len(payload)))
	if len(payload) > maxFrameText {
		return fmt.Errorf("frame of %d bytes", len(payload))
	}
	w.Write(head[:])
	w.Write(payload)
	return w.Flush()
}

// readFrame reads one frame into buffer, which grows with what arrives and not
// with what the frame claims.
func readFrame(r io.Reader, buffer *bytes.Buffer) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length, limit := int64(binary.LittleEndian.Uint32(head[1:])), int64(maxFrameOther)
	switch head[0] {
	case frameBatch:
		limit = maxFrameText
	case frameRead, frameDone, frameMore:
		limit = 16
	case frameOutput, frameBytes:
		limit = maxFrameRead + 1
	}
	if length > limit {
		return 0, nil, fmt.Errorf("%w: a frame %q of %d bytes", ErrSandbox, head[0], length)
	}
	buffer.Reset()
	if _, err := io.CopyN(buffer, r, length); err != nil {
		return 0, nil, noRegularEnd(err)
	}
	return head[0], buffer.Bytes(), nil
}

// noRegularEnd makes an end inside a frame an unexpected one.
func noRegularEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decodeFrame reads JSON of our own making, strictly.
func decodeFrame(payload []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("%w: %w", ErrSandbox, err)
	}
	return nil
}

// appendRanges encodes runs of bytes.
func appendRanges(b []byte, ranges ...Range) []byte {
	for _, r := range ranges {
		b = binary.LittleEndian.AppendUint64(b, uint64(r.Offset))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.Length))
	}
	return b
}

// parseRanges decodes what appendRanges encoded, and checks it against the size
// of the object.
func parseRanges(b []byte, size int64) ([]Range, error) {
	var ranges []Range
	for ; len(b) >= 16; b = b[16:] {
		r := Range{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))}
		if r.Offset < 0 || r.Length < 0 || r.Offset > size || r.Length > size {
			return nil, fmt.Errorf("%w: it wants %d bytes at %d of %d", ErrSandbox, r.Length, r.Offset, size)
		}
		ranges = append(ranges, r)
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w: half a range", ErrSandbox)
	}
	return ranges, nil
}

// oneLine makes a text of a child fit for a log.
func oneLine(s string) string {
	return strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\uFFFD")
}
