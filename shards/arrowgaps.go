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
// names twice would come twice. limit is where messages end.
func (b arrowBlocks) checkGaps(obj Object, limit int64) error {
	schema := arrowMessages{in: io.NewSectionReader(obj, arrowStart, limit-arrowStart)}
	if _, err := schema.metadata(); err != nil {
		if err == io.EOF {
			err = fmt.Errorf("%w: no schema", ErrCorrupt)
		}
		return err
	}
	at, err := schema.in.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	at += arrowStart
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
