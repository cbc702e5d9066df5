package shards

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// arrowAlignment is what messages are aligned to at most.
const arrowAlignment = 64

// checkGaps makes sure that a file's footer names every message once: rows of
// a batch that it leaves out would be lost without a word, those of one that it
// names twice would come twice. limit is where messages end, footer the length
// of what comes then.
func (b arrowBlocks) checkGaps(obj Object, limit, footer int64) error {
	at, err := b.afterSchema(obj, limit, footer)
	if err != nil {
		return err
	}
	all := slices.SortedFunc(slices.Values(slices.Concat(b.dictionaries, b.batches)), func(x, y arrowBlock) int { return cmp.Compare(x.offset, y.offset) })
	for _, block := range append(all, arrowBlock{offset: limit}) {
		if block.offset < at {
			return fmt.Errorf("%w: the footer names a message at %d, inside the one that ends at %d", ErrCorrupt, block.offset, at)
		}
		if err := checkGap(obj, at, block.offset); err != nil {
			return err
		}
		at = block.offset + block.meta + block.body
	}
	return nil
}

// afterSchema is the offset behind the schema message. Where that has no length
// before it, it ends at the first message, and is no longer than the footer,
// which has the schema as well.
func (b arrowBlocks) afterSchema(obj Object, limit, footer int64) (int64, error) {
	if b.schema != nil {
		first := limit
		for _, block := range slices.Concat(b.dictionaries, b.batches) {
			first = min(first, block.offset)
		}
		if first-arrowStart > footer+arrowAlignment {
			return 0, fmt.Errorf("%w: %d bytes before the first message that the footer names", ErrCorrupt, first-arrowStart)
		}
		return first, nil
	}
	schema := arrowMessages{in: io.NewSectionReader(obj, arrowStart, limit-arrowStart)}
	if _, err := schema.metadata(); err != nil {
		return 0, err
	}
	at, err := schema.in.Seek(0, io.SeekCurrent)
	return arrowStart + at, err
}

// checkGap checks that no message begins between two messages. Zeros that align
// the next one may be there, and the mark of the stream's end.
func checkGap(obj Object, from, to int64) error {
	gap := make([]byte, min(to-from, arrowAlignment))
	if len(gap) == 0 {
		return nil
	}
	if _, err := obj.ReadAt(gap, from); err != nil {
		return fmt.Errorf("read between messages: %w", err)
	}
	for i := 0; i+4 <= len(gap); i += 4 {
		if word := binary.LittleEndian.Uint32(gap[i:]); word != 0 && word != arrowContinue {
			return fmt.Errorf("%w: the footer names no message at %d, but something is there", ErrCorrupt, from)
		}
	}
	return nil
}
