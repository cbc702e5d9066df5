package tokenizer

import "math/bits"

// mergeTable maps a pair of ids to its rank and the id it becomes. Open
// addressing with linear probing, at most half full.
type mergeTable struct {
	slots []mergeSlot
	shift uint
}

// mergeSlot is empty if merge is noMerge.
type mergeSlot struct {
	pair  uint64 // left<<32 | right
	merge uint64 // rank<<32 | id
}

func (s mergeSlot) left() int32  { return int32(s.pair >> 32) }
func (s mergeSlot) right() int32 { return int32(uint32(s.pair)) }

// hashFactor spreads keys over the high bits.
const hashFactor = 0x9E3779B97F4A7C15

// noMerge sorts behind every merge.
const noMerge = ^uint64(0)

func pairOf(left, right int32) uint64 { return uint64(left)<<32 | uint64(uint32(right)) }

func newMergeTable(count int) *mergeTable {
	log := bits.Len(uint(max(count, 1)*2 - 1))
	t := &mergeTable{slots: make([]mergeSlot, 1<<log), shift: uint(64 - log)}
	for i := range t.slots {
		t.slots[i].merge = noMerge
	}
	return t
}

// slot returns where pair is or would be.
func (t *mergeTable) slot(pair uint64) *mergeSlot {
	for i := pair * hashFactor >> t.shift; ; i++ {
		s := &t.slots[i&uint64(len(t.slots)-1)]
		if s.pair == pair || s.merge == noMerge {
			return s
		}
	}
}

// put sets the merge of a pair; the last one wins, as in HF tokenizers.
func (t *mergeTable) put(pair uint64, rank, id int32) {
	*t.slot(pair) = mergeSlot{pair, uint64(rank)<<32 | uint64(uint32(id))}
}

// get returns rank<<32 | id of the pair, or noMerge.
func (t *mergeTable) get(left, right int32) uint64 {
	pair := pairOf(left, right)
	if s := t.slot(pair); s.pair == pair {
		return s.merge
	}
	return noMerge
}

// shortWord is the length in bytes up to which scanning an array for the next
// merge beats a heap.
const shortWord = 96

// mergeShort appends the ids of a word of at most shortWord symbols, which are in
// e.shortIDs: take the merge of the lowest rank, the leftmost of equals, until
// there is none.
func (e *Encoder) mergeShort(dst []int32, n int) []int32 {
	ids, merges := e.shortIDs[:n], e.shortMerges[:n]
	for i := 0; i < n-1; i++ {
		merges[i] = e.t.merges.get(ids[i], ids[i+1])
	}
	for n > 1 {
		best, at := noMerge, 0
		for i, m := range merges[:n-1] {
			if m < best {
				best, at = m, i
			}
		}
		if best == noMerge {
			break
		}
		ids[at] = int32(uint32(best))
		copy(ids[at+1:n-1], ids[at+2:n])
		copy(merges[at:n-2], merges[at+1:n-1])
		n--
		if at > 0 {
			merges[at-1] = e.t.merges.get(ids[at-1], ids[at])
		}
		if at < n-1 {
			merges[at] = e.t.merges.get(ids[at], ids[at+1])
		}
	}
	return append(dst, ids[:n]...)
}

// mergeSymbols appends the ids of a whole word.
func (e *Encoder) mergeSymbols(dst, symbols []int32) []int32 {
	if len(symbols) <= shortWord {
		return e.mergeShort(dst, copy(e.shortIDs[:], symbols))
	}
	return e.chain.appendAll(dst, e.t, symbols)
}
