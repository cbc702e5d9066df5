package shards

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	flatbuffers "github.com/google/flatbuffers/go"
)

// ipcWriter writes tables as Arrow IPC, file or stream (Arrow's Columnar.rst,
// "Serialization and Interprocess Communication"). Dictionaries come before the
// first batch that needs them in a stream, and once, at the end, in a file:
// that is where all of their values are known.
type ipcWriter struct {
	w       *bufio.Writer
	file    bool
	begun   bool
	offset  int64 // bytes written
	batches []arrowBlock
	dicts   []arrowBlock
	codec   *bodyCodec
}

func newIPCWriter(w io.Writer, file bool) *ipcWriter {
	return &ipcWriter{w: bufio.NewWriterSize(w, 256<<10), file: file}
}

// write writes one record batch, and what has to come before it.
func (w *ipcWriter) write(t *outTable) error {
	if err := w.begin(t); err != nil {
		return err
	}
	if !w.file {
		if err := w.dictionaries(t); err != nil {
			return err
		}
	}
	block, err := w.batch(t.columns, t.rows, nil)
	w.batches = append(w.batches, block)
	return err
}

func (w *ipcWriter) begin(t *outTable) error {
	if w.begun {
		return nil
	}
	w.begun = true
	if w.file {
		if err := w.raw(append([]byte(arrowMagic), 0, 0)); err != nil {
			return err
		}
	}
	_, err := w.message(t.schema.encode())
	return err
}

// dictionaries writes the values that readers do not have yet.
func (w *ipcWriter) dictionaries(t *outTable) error {
	for _, d := range t.dicts.all {
		if !d.fresh && d.values.n == 0 {
			continue
		}
		block, err := w.batch([]*outColumn{d.values}, d.values.n, d)
		if err != nil {
			return err
		}
		w.dicts = append(w.dicts, block)
		d.fresh = false
		if !d.set.keep {
			d.values.reset()
		}
	}
	return nil
}

// finish writes the end of a stream, and what else a file needs.
func (w *ipcWriter) finish(t *outTable) error {
	if w.file {
		if err := w.dictionaries(t); err != nil {
			return err
		}
	}
	if err := w.raw(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, arrowContinue), 0)); err != nil {
		return err
	}
	if w.file {
		footer := w.footer(t.schema.encode())
		footer = binary.LittleEndian.AppendUint32(footer, uint32(len(footer)))
		if err := w.raw(footer, []byte(arrowMagic)); err != nil {
			return err
		}
	}
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("write Arrow: %w", err)
	}
	return nil
}

func (w *ipcWriter) raw(parts ...[]byte) error {
	for _, b := range parts {
		n, err := w.w.Write(b)
		w.offset += int64(n)
		if err != nil {
			return fmt.Errorf("write Arrow: %w", err)
		}
	}
	return nil
}

// message writes metadata, padded to 8 bytes, and returns its size.
func (w *ipcWriter) message(meta []byte) (int64, error) {
	n := (len(meta) + 7) &^ 7
	head := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, arrowContinue), uint32(n))
	return int64(8 + n), w.raw(head, meta, make([]byte, n-len(meta)))
}

// batch writes columns as a record batch, or as the values of a dictionary.
func (w *ipcWriter) batch(columns []*outColumn, rows int, dict *outDict) (arrowBlock, error) {
	body := &ipcBody{codec: w.codec}
	for _, c := range columns {
		if err := body.column(c); err != nil {
			return arrowBlock{}, err
		}
	}
	block := arrowBlock{offset: w.offset, body: body.size}
	var err error
	if block.meta, err = w.message(body.message(rows, dict)); err != nil {
		return block, err
	}
	padding := make([]byte, 8)
	for _, b := range body.buffers {
		if err := w.raw(b, padding[:-len(b)&7]); err != nil {
			return block, err
		}
	}
	return block, nil
}

// ipcBody is the body of a message and what its metadata says of it.
type ipcBody struct {
	codec    *bodyCodec
	nodes    [][2]int64 // values and nulls, by column, depth first
	buffers  [][]byte
	spans    [][2]int64 // where buffers are in the body
	variadic []int64    // buffers of bytes, by column of views
	size     int64
}

func (b *ipcBody) buffer(bytes []byte) error {
	if b.codec != nil && len(bytes) > 0 {
		var err error
		if bytes, err = b.codec.compress(bytes); err != nil {
			return err
		}
	}
	b.buffers = append(b.buffers, bytes)
	b.spans = append(b.spans, [2]int64{b.size, int64(len(bytes))})
	b.size += int64(len(bytes)+7) &^ 7
	return nil
}

// column adds a column and those below it.
func (b *ipcBody) column(c *outColumn) error {
	b.nodes = append(b.nodes, [2]int64{int64(c.n), int64(c.nulls)})
	var parts [][]byte
	switch c.layout {
	case layoutNull, layoutRunEnd:
	case layoutUnion:
		if parts = [][]byte{c.data}; c.field.unit == unitDense {
			parts = append(parts, c.offsets)
		}
	default:
		valid := c.valid
		if c.nulls == 0 {
			valid = nil
		}
		parts = append(parts, valid)
	}
	switch c.layout {
	case layoutBool, layoutFixed:
		parts = append(parts, c.data)
	case layoutVar32, layoutVar64:
		parts = append(parts, c.offsets, c.data)
	case layoutList32, layoutList64:
		parts = append(parts, c.offsets)
	case layoutViews32, layoutViews64:
		parts = append(parts, c.offsets, c.sizes)
	case layoutView:
		parts = append(parts, c.data)
		b.variadic = append(b.variadic, int64(min(1, len(c.long))))
		if len(c.long) > 0 {
			parts = append(parts, c.long)
		}
	}
	for _, part := range parts {
		if err := b.buffer(part); err != nil {
			return err
		}
	}
	for _, child := range c.children {
		if err := b.column(child); err != nil {
			return err
		}
	}
	return nil
}

// message returns the FlatBuffer of a record batch or of dict's values.
func (b *ipcBody) message(rows int, dict *outDict) []byte {
	f := flatbuffers.NewBuilder(1024)
	pairs := func(list [][2]int64) flatbuffers.UOffsetT { // structs of two int64
		f.StartVector(16, len(list), 8)
		for i := range list {
			pair := list[len(list)-1-i]
			f.PrependInt64(pair[1])
			f.PrependInt64(pair[0])
		}
		return f.EndVector(len(list))
	}
	nodes, spans := pairs(b.nodes), pairs(b.spans)
	var variadic, compression flatbuffers.UOffsetT
	if len(b.variadic) > 0 {
		f.StartVector(8, len(b.variadic), 8)
		for i := range b.variadic {
			f.PrependInt64(b.variadic[len(b.variadic)-1-i])
		}
		variadic = f.EndVector(len(b.variadic))
	}
	if b.codec != nil {
		f.StartObject(2)
		f.PrependByteSlot(0, b.codec.id, 0)
		f.PrependByteSlot(1, 0, 1) // by buffer; the only method there is
		compression = f.EndObject()
	}
	f.StartObject(5)
	f.PrependInt64Slot(slotLength, int64(rows), 0)
	f.PrependUOffsetTSlot(slotNodes, nodes, 0)
	f.PrependUOffsetTSlot(slotBuffers, spans, 0)
	f.PrependUOffsetTSlot(slotCompression, compression, 0)
	f.PrependUOffsetTSlot(slotVariadic, variadic, 0)
	header, kind := f.EndObject(), byte(kindRecordBatch)
	if dict != nil {
		data := header
		f.StartObject(3)
		f.PrependInt64Slot(0, dict.id, -1)
		f.PrependUOffsetTSlot(slotData, data, 0)
		f.PrependBoolSlot(2, !dict.fresh, false)
		header, kind = f.EndObject(), kindDictionary
	}
	f.StartObject(messageSlots)
	f.PrependInt16Slot(slotVersion, metadataV5, 0)
	f.PrependByteSlot(slotKind, kind, 0)
	f.PrependUOffsetTSlot(slotHeader, header, 0)
	f.PrependInt64Slot(slotBody, b.size, 0)
	f.Finish(f.EndObject())
	return bytes.Clone(f.FinishedBytes())
}

// footer returns the FlatBuffer at the end of a file: the schema, which is
// pointed to where the schema's message has it, and where messages are.
func (w *ipcWriter) footer(message []byte) []byte {
	f := flatbuffers.NewBuilder(len(message) + 1024)
	f.Prep(8, len(message))
	end := int(f.CreateByteVector(message)) - 4
	schema, _ := flatRoot(message).table(slotHeader)
	blocks := func(list []arrowBlock) flatbuffers.UOffsetT {
		f.StartVector(24, len(list), 8)
		for i := range list {
			block := list[len(list)-1-i]
			f.PrependInt64(block.body)
			f.PrependInt64(block.meta) // an int32 and as many bytes of padding
			f.PrependInt64(block.offset)
		}
		return f.EndVector(len(list))
	}
	dicts, batches := blocks(w.dicts), blocks(w.batches)
	f.StartObject(4)
	f.PrependInt16Slot(0, metadataV5, 0)
	f.PrependUOffsetTSlot(1, flatbuffers.UOffsetT(end-schema.pos), 0)
	f.PrependUOffsetTSlot(slotDictionaries, dicts, 0)
	f.PrependUOffsetTSlot(slotBatches, batches, 0)
	f.Finish(f.EndObject())
	return f.FinishedBytes()
}
