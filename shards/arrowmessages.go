package shards

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Bytes at the border of Arrow IPC files and messages.
const (
	arrowMagic    = "ARROW1"
	featherMagic  = "FEA1"
	arrowContinue = 0xFFFFFFFF // comes before the length of a message's metadata
	arrowStart    = 8          // offset of the schema message in a file
	maxArrowMeta  = 256 << 20  // bytes of one message's metadata, or of a file's footer
	maxArrowAlloc = 4 << 30    // bytes of one buffer
)

// arrowBlock is a message: metadata with its prefix, then the body.
type arrowBlock struct{ offset, meta, body int64 }

// arrowBlocks lists the messages that a file's footer names.
type arrowBlocks struct {
	dictionaries, batches []arrowBlock
	schema                []byte // the message that a file of Polars lacks at its start, see schemaMessage
}

// readArrowFooter reads the footer of an Arrow file.
func readArrowFooter(obj Object) (arrowBlocks, error) {
	var blocks arrowBlocks
	size := obj.Size()
	const tail = 4 + len(arrowMagic)
	var end [tail]byte
	if size < arrowStart+int64(tail) {
		return blocks, fmt.Errorf("%w: %d bytes are too few for an Arrow file", ErrCorrupt, size)
	}
	if _, err := obj.ReadAt(end[:], size-int64(tail)); err != nil {
		return blocks, fmt.Errorf("read Arrow footer length: %w", err)
	}
	if string(end[4:]) != arrowMagic {
		return blocks, fmt.Errorf("%w: Arrow file cut short, it ends with %q", ErrCorrupt, end[4:])
	}
	length := int64(int32(binary.LittleEndian.Uint32(end[:4])))
	limit := size - int64(tail) - length // where messages must end
	if length <= 0 || length > maxArrowMeta || limit < arrowStart {
		return blocks, fmt.Errorf("%w: Arrow footer of %d bytes in a file of %d", ErrCorrupt, length, size)
	}
	b := make([]byte, length)
	if _, err := obj.ReadAt(b, limit); err != nil {
		return blocks, fmt.Errorf("read Arrow footer: %w", err)
	}
	footer := flatRoot(b)
	for _, list := range []struct {
		slot int
		to   *[]arrowBlock
	}{{slotDictionaries, &blocks.dictionaries}, {slotBatches, &blocks.batches}} {
		elements, n, _ := footer.vector(list.slot, 24)
		for i := range n {
			e := elements[24*i:]
			block := arrowBlock{
				offset: int64(binary.LittleEndian.Uint64(e)), meta: int64(int32(binary.LittleEndian.Uint32(e[8:]))),
				body: int64(binary.LittleEndian.Uint64(e[16:])),
			}
			if block.offset < arrowStart || block.meta < 8 || block.body < 0 || block.offset > limit ||
				block.meta > min(maxArrowMeta, limit-block.offset) || block.body > limit-block.offset-block.meta {
				return blocks, fmt.Errorf("%w: message %d is said to be at %d, %d + %d bytes, but messages end at %d",
					ErrCorrupt, i, block.offset, block.meta, block.body, limit)
			}
			*list.to = append(*list.to, block)
		}
	}
	var err error
	if !startsWithSchema(obj, limit) {
		if blocks.schema, err = footerSchema(footer); err != nil {
			return blocks, err
		}
	}
	return blocks, blocks.checkGaps(obj, limit, length)
}

// startsWithSchema tells whether a file's first message, which ends before limit,
// is its schema, as the format says. Polars puts the schema there without the
// length that comes before a message.
func startsWithSchema(obj Object, limit int64) bool {
	m := arrowMessages{in: io.NewSectionReader(obj, arrowStart, limit-arrowStart)}
	meta, err := m.metadata()
	if err != nil {
		return false
	}
	kind := byte(0)
	err = guard(func() error { kind = flatRoot(meta).byte(slotKind); return nil })
	return err == nil && kind == kindSchema
}

// arrowMessages reads messages one after the other and checks each before the
// decoder sees it. It implements ipc.MessageReader.
type arrowMessages struct {
	in     *io.SectionReader
	mem    memory.Allocator
	blocks []arrowBlock // what to read after the schema, in a file
	schema []byte       // the schema message, where it is not the first
	file   bool
	begun  bool        // the schema has been read
	views  *viewCounts // of the schema
	last   *ipc.Message
	failed error // kept, since the decoder takes some errors for the end
}

// Message implements ipc.MessageReader: the next message, valid until the
// next call, or io.EOF at the end.
func (r *arrowMessages) Message() (*ipc.Message, error) {
	if r.failed != nil {
		return nil, r.failed
	}
	r.Release()
	m, err := r.next()
	if err != nil {
		r.failed = err
		return nil, err
	}
	r.last = m
	return m, nil
}

// Release implements ipc.MessageReader.
func (r *arrowMessages) Release() {
	if r.last != nil {
		r.last.Release()
		r.last = nil
	}
}

// Retain implements ipc.MessageReader. There is one owner.
func (r *arrowMessages) Retain() {}

func (r *arrowMessages) next() (*ipc.Message, error) {
	if r.file && r.begun {
		if len(r.blocks) == 0 {
			return nil, io.EOF
		}
		if _, err := r.in.Seek(r.blocks[0].offset, io.SeekStart); err != nil {
			return nil, err
		}
		r.blocks = r.blocks[1:]
	}
	meta := r.schema
	var err error
	if r.begun || meta == nil {
		meta, err = r.metadata()
	}
	r.begun = true
	if err == io.EOF {
		return nil, r.checkEnd()
	}
	if err != nil {
		return nil, err
	}
	var message arrowMessage
	if err := guard(func() (err error) { message, err = checkArrowMessage(meta); return err }); err != nil {
		return nil, err
	}
	if err := guard(func() (err error) {
		if message.kind == kindSchema {
			r.views, err = countViews(meta)
			return err
		}
		return r.views.check(message.kind, meta)
	}); err != nil {
		return nil, err
	}
	at, err := r.in.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	if message.body > r.in.Size()-at {
		return nil, fmt.Errorf("%w: message of %d bytes at %d passes the end of the file", ErrCorrupt, message.body, at)
	}
	body := memory.NewResizableBuffer(r.mem)
	defer body.Release()
	body.Resize(int(message.body))
	if _, err := io.ReadFull(r.in, body.Bytes()); err != nil {
		return nil, fmt.Errorf("read message body: %w", noEOF(err))
	}
	if err := message.checkBody(body.Bytes()); err != nil {
		return nil, err
	}
	return ipc.NewMessage(memory.NewBufferBytes(meta), body), nil
}

// metadata reads a message's metadata; io.EOF at the end of the stream.
func (r *arrowMessages) metadata() ([]byte, error) {
	var word [4]byte
	if _, err := io.ReadFull(r.in, word[:]); err != nil {
		return nil, fmt.Errorf("%w: no end of stream: cut short?", ErrCorrupt)
	}
	length := binary.LittleEndian.Uint32(word[:])
	if length == arrowContinue { // absent before Arrow 0.15
		if _, err := io.ReadFull(r.in, word[:]); err != nil {
			return nil, fmt.Errorf("read message length: %w", noEOF(err))
		}
		length = binary.LittleEndian.Uint32(word[:])
	}
	if length == 0 {
		return nil, io.EOF
	}
	at, err := r.in.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	if int64(length) > min(maxArrowMeta, r.in.Size()-at) || length < 8 {
		return nil, fmt.Errorf("%w: message metadata of %d bytes at %d in a file of %d", ErrCorrupt, length, at, r.in.Size())
	}
	meta := make([]byte, length)
	if _, err := io.ReadFull(r.in, meta); err != nil {
		return nil, fmt.Errorf("read message metadata: %w", noEOF(err))
	}
	return meta, nil
}

// checkEnd returns io.EOF, or an error when a stream goes on after its end.
func (r *arrowMessages) checkEnd() error {
	if at, err := r.in.Seek(0, io.SeekCurrent); err != nil || at != r.in.Size() {
		return errors.Join(err, fmt.Errorf("%w: the stream ends at %d, the file at %d", ErrCorrupt, at, r.in.Size()))
	}
	return io.EOF
}

// noEOF keeps an early end from being taken for the regular one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: cut short", ErrCorrupt)
	}
	return err
}

// boundedAllocator panics, for guard to catch, where a file asks for a buffer
// larger than any real one.
type boundedAllocator struct{ memory.Allocator }

func (a boundedAllocator) Allocate(size int) []byte {
	checkAllocation(size)
	return a.Allocator.Allocate(size)
}

func (a boundedAllocator) Reallocate(size int, b []byte) []byte {
	checkAllocation(size)
	return a.Allocator.Reallocate(size, b)
}

func checkAllocation(size int) {
	if size < 0 || size > maxArrowAlloc {
		panic(fmt.Errorf("%w: a buffer of %d bytes", ErrCorrupt, size))
	}
}
