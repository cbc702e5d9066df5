package shards

import (
	"encoding/binary"
	"fmt"
)

// flatTable is a table in a FlatBuffer. Reading outside of the bytes panics,
// so all use is under guard. Offsets only lead forward, so that no structure
// can contain itself. (https://flatbuffers.dev/internals)
type flatTable struct {
	b   []byte
	pos int
}

// flatRoot returns the root table of a FlatBuffer.
func flatRoot(b []byte) flatTable { return flatTable{b, int(binary.LittleEndian.Uint32(b))} }

// slot returns the position of field i, or 0 when it is absent.
func (t flatTable) slot(i int) int {
	vtable := t.pos - int(int32(binary.LittleEndian.Uint32(t.b[t.pos:])))
	// The comparison is the decoder's, down to odd sizes: it must not see a
	// field that we pass over.
	if size := int(binary.LittleEndian.Uint16(t.b[vtable:])); 4+2*i >= size {
		return 0
	}
	offset := int(binary.LittleEndian.Uint16(t.b[vtable+4+2*i:]))
	if offset == 0 {
		return 0
	}
	return t.pos + offset
}

func (t flatTable) int64(i int) int64 {
	if at := t.slot(i); at != 0 {
		return int64(binary.LittleEndian.Uint64(t.b[at:]))
	}
	return 0
}

func (t flatTable) byte(i int) byte {
	if at := t.slot(i); at != 0 {
		return t.b[at]
	}
	return 0
}

// table returns the table that field i refers to; false when it is absent.
func (t flatTable) table(i int) (flatTable, bool) {
	at := t.slot(i)
	if at == 0 {
		return flatTable{}, false
	}
	return flatTable{t.b, at + int(binary.LittleEndian.Uint32(t.b[at:]))}, true
}

// vector returns the elements of field i, each of size bytes.
func (t flatTable) vector(i, size int) (elements []byte, n, start int) {
	at := t.slot(i)
	if at == 0 {
		return nil, 0, 0
	}
	at += int(binary.LittleEndian.Uint32(t.b[at:]))
	n = int(binary.LittleEndian.Uint32(t.b[at:]))
	return t.b[at+4 : at+4+n*size], n, at + 4
}

// tables calls f for each table of a vector of tables.
func (t flatTable) tables(i int, f func(flatTable) error) error {
	elements, n, start := t.vector(i, 4)
	for k := range n {
		if err := f(flatTable{t.b, start + 4*k + int(binary.LittleEndian.Uint32(elements[4*k:]))}); err != nil {
			return err
		}
	}
	return nil
}

// Field numbers of the tables in Arrow's format/{File,Message,Schema}.fbs.
const (
	slotDictionaries, slotBatches               = 2, 3
	slotKind, slotHeader, slotBody              = 1, 2, 3
	slotFields, slotMetadata                    = 1, 2
	slotChildren, slotFieldMetadata             = 5, 6
	slotLength, slotNodes, slotBuffers          = 0, 1, 2
	slotCompression, slotVariadic               = 3, 4
	slotData                                    = 1
	kindSchema, kindDictionary, kindRecordBatch = 1, 2, 3
)

// Limits on what a schema may claim.
const (
	maxArrowDepth  = 64
	maxArrowFields = 1 << 20
)

// checkArrowSchema checks that a schema's fields are as many as their bytes
// allow and not nested too deep for a recursive decoder.
func checkArrowSchema(schema flatTable) error {
	left := maxArrowFields
	var field func(f flatTable, depth int) error
	field = func(f flatTable, depth int) error {
		if left--; left < 0 || depth > maxArrowDepth {
			return fmt.Errorf("%w: more than %d fields, or nested deeper than %d", ErrCorrupt, maxArrowFields, maxArrowDepth)
		}
		f.vector(slotFieldMetadata, 4) // panics when it passes the end
		return f.tables(slotChildren, func(child flatTable) error { return field(child, depth+1) })
	}
	schema.vector(slotMetadata, 4)
	return schema.tables(slotFields, func(f flatTable) error { return field(f, 0) })
}

// arrowMessage is the part of a message that we check before decoding it.
type arrowMessage struct {
	kind byte
	body int64 // bytes that follow the metadata
	rows int64 // of a record batch
	// buffers of the body, if they are compressed: offset and length of each
	compressed [][2]int64
}

// checkArrowMessage checks a message's metadata: buffers lie in the body, and
// the first column is as long as the batch (a decoder would cut a longer one).
func checkArrowMessage(meta []byte) (arrowMessage, error) {
	t := flatRoot(meta)
	m := arrowMessage{kind: t.byte(slotKind), body: t.int64(slotBody)}
	header, ok := t.table(slotHeader)
	if !ok {
		return m, fmt.Errorf("%w: message without header", ErrCorrupt)
	}
	if m.body < 0 {
		return m, fmt.Errorf("%w: message of %d bytes", ErrCorrupt, m.body)
	}
	switch m.kind {
	case kindSchema:
		return m, checkArrowSchema(header)
	case kindDictionary:
		if header, ok = header.table(slotData); !ok {
			return m, fmt.Errorf("%w: dictionary without values", ErrCorrupt)
		}
	case kindRecordBatch:
		m.rows = header.int64(slotLength)
	default:
		return m, fmt.Errorf("%w: message of kind %d", ErrCorrupt, m.kind)
	}
	nodes, n, _ := header.vector(slotNodes, 16)
	if m.kind == kindRecordBatch && (m.rows < 0 || n > 0 && int64(binary.LittleEndian.Uint64(nodes)) != m.rows) {
		return m, fmt.Errorf("%w: batch of %d rows, but its first column differs", ErrCorrupt, m.rows)
	}
	buffers, n, _ := header.vector(slotBuffers, 16)
	if err := checkVariadic(header, n); err != nil {
		return m, err
	}
	for i := range n {
		offset := int64(binary.LittleEndian.Uint64(buffers[16*i:]))
		length := int64(binary.LittleEndian.Uint64(buffers[16*i+8:]))
		if offset < 0 || length < 0 || offset > m.body || length > m.body-offset {
			return m, fmt.Errorf("%w: buffer %d has %d bytes at %d in a body of %d", ErrCorrupt, i, length, offset, m.body)
		}
		if header.slot(slotCompression) != 0 && length > 0 {
			m.compressed = append(m.compressed, [2]int64{offset, length})
		}
	}
	return m, nil
}

// checkVariadic checks the numbers of data buffers that view columns claim to
// have: arrow/go v17 allocates by them without asking how many there are.
func checkVariadic(header flatTable, buffers int) error {
	counts, n, _ := header.vector(slotVariadic, 8)
	left := uint64(buffers)
	for i := range n {
		claimed := binary.LittleEndian.Uint64(counts[8*i:])
		if claimed > left {
			return fmt.Errorf("%w: view column %d claims %d data buffers, the batch has %d in all", ErrCorrupt, i, claimed, buffers)
		}
		left -= claimed
	}
	return nil
}

// checkBody checks the sizes that compressed buffers say they have when they
// are decompressed, which come first in each; -1 means that it is not.
func (m arrowMessage) checkBody(body []byte) error {
	for _, buffer := range m.compressed {
		offset, length := buffer[0], buffer[1]
		if length < 8 {
			return fmt.Errorf("%w: compressed buffer of %d bytes", ErrCorrupt, length)
		}
		raw := int64(binary.LittleEndian.Uint64(body[offset:]))
		if raw != -1 && (raw < 0 || !expands(length, raw)) {
			return fmt.Errorf("%w: %d bytes are said to be %d when decompressed", ErrCorrupt, length, raw)
		}
	}
	return nil
}
