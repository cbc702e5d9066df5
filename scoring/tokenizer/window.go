package tokenizer

import (
	"slices"
	"strings"
)

// Long words are merged with a heap over a linked list, in windows, so that
// memory does not grow with the word. A window is exact although it does not
// see what follows. Merging goes by rank, lowest first, leftmost of equals, so
// the symbols of the window change as they would in the whole word until the
// last of them could merge with what follows: the lowest rank at which that
// can happen is known, because whatever stands there begins with a known
// string. When that rank comes up the last symbol is given up ("open"), the one
// before it takes its place, and so on. In the end every symbol before the open
// ones is final, no merge crosses to the open ones, and the next window starts
// there: bytes on two sides of a boundary that no merge crosses never meet.

// defaultWindow is the symbols of a word that are merged together.
const defaultWindow = 1 << 16

// follower is a token that merges with a given token on its left.
type follower struct {
	rank  int32
	right int32
}

// followers returns for every id the tokens that may follow it in a merge,
// by rank.
func (t *Tokenizer) followers() [][]follower {
	t.followersOnce.Do(func() {
		all := make([][]follower, len(t.tokens))
		for _, slot := range t.merges.slots {
			if slot.merge != noMerge {
				left := slot.pair >> 32
				all[left] = append(all[left], follower{int32(slot.merge >> 32), int32(uint32(slot.pair))})
			}
		}
		for _, list := range all {
			slices.SortFunc(list, func(a, b follower) int { return int(a.rank - b.rank) })
		}
		t.followerLists = all
	})
	return t.followerLists
}

// symbolSource gives the symbols of a word, byte by byte or by characters.
type symbolSource interface {
	// read appends symbols to dst until it has limit of them, or a few more, or
	// there are no more.
	read(dst []int32, limit int) []int32
	more() bool
}

// byteReader is the symbolSource of a byte-level model.
type byteReader struct {
	ids  *[256]int32
	word []byte // not yet read
}

func (r *byteReader) read(dst []int32, limit int) []int32 {
	n := max(0, min(len(r.word), limit-len(dst)))
	for _, b := range r.word[:n] {
		dst = append(dst, r.ids[b])
	}
	r.word = r.word[n:]
	return dst
}

func (r *byteReader) more() bool { return len(r.word) > 0 }

// mergeLong appends the ids of a word of any length.
func (e *Encoder) mergeLong(dst []int32, source symbolSource) []int32 {
	size := e.window
	symbols := e.symbols[:0]
	for {
		symbols = source.read(symbols, size+1) // one more: what follows the window
		done := !source.more()
		used := 0
		dst, used = e.mergeParts(dst, symbols, done)
		dst = e.drain(dst)
		if done {
			break
		}
		if used <= size/4 { // too little is final: a larger window costs less than many
			size *= 2
		} else {
			size = e.window
		}
		symbols = append(symbols[:0], symbols[used:]...)
	}
	e.symbols = symbols[:0]
	return dst
}

// mergeParts appends the ids of as many symbols as are final, all if there are no
// more, and returns how many those are.
func (e *Encoder) mergeParts(dst, symbols []int32, done bool) ([]int32, int) {
	from := 0
	if e.t.runes != nil {
		for at := 1; at < len(symbols); at++ {
			if !e.t.runes.crossed.has(symbols[at-1], symbols[at]) {
				dst = e.mergeSymbols(dst, symbols[from:at])
				from = at
			}
		}
	}
	if done {
		return e.mergeSymbols(dst, symbols[from:]), len(symbols)
	}
	if from > 0 || len(symbols) < 2 {
		return dst, from
	}
	last := len(symbols) - 1
	return e.chain.appendWindow(dst, e.t, symbols[:last], symbols[last])
}

// chain holds the symbols of a window as a linked list, and a heap of the
// merges that may be done. Its memory is reused.
type chain struct {
	ids  []int32 // -1: merged into a symbol on its left
	prev []int32 // -1: none
	next []int32 // -1: none, or open
	heap []uint64
}

// load fills the list with symbols and the heap with their merges.
func (c *chain) load(t *Tokenizer, symbols []int32) {
	n := len(symbols)
	c.ids, c.prev, c.next = slices.Grow(c.ids[:0], n)[:n], slices.Grow(c.prev[:0], n)[:n], slices.Grow(c.next[:0], n)[:n]
	c.heap = c.heap[:0]
	copy(c.ids, symbols)
	for i := range c.ids {
		c.prev[i], c.next[i] = int32(i-1), int32(i+1)
	}
	c.next[n-1] = -1
	for i := range int32(n) {
		c.offer(t, i)
	}
}

// offer pushes the merge of symbol i with the next one, if there is one.
func (c *chain) offer(t *Tokenizer, i int32) {
	if i < 0 || c.next[i] < 0 {
		return
	}
	if m := t.merges.get(c.ids[i], c.ids[c.next[i]]); m != noMerge {
		c.push(m>>32<<32 | uint64(i))
	}
}

// top returns the rank and place of the next merge; false if there is none.
func (c *chain) top(t *Tokenizer) (rank, at, id int32, ok bool) {
	for len(c.heap) > 0 {
		rank, at = int32(c.heap[0]>>32), int32(uint32(c.heap[0]))
		if c.ids[at] >= 0 && c.next[at] >= 0 {
			if m := t.merges.get(c.ids[at], c.ids[c.next[at]]); m != noMerge && int32(m>>32) == rank {
				return rank, at, int32(uint32(m)), true
			}
		}
		c.pop() // out of date
	}
	return 0, 0, 0, false
}

// merge makes symbol at and the next one into id.
func (c *chain) merge(t *Tokenizer, at, id int32) {
	c.pop()
	gone := c.next[at]
	c.ids[at], c.ids[gone], c.next[at] = id, -1, c.next[gone]
	if after := c.next[at]; after >= 0 {
		c.prev[after] = at
	}
	c.offer(t, c.prev[at])
	c.offer(t, at)
}

// appendAll appends the ids of a whole word.
func (c *chain) appendAll(dst []int32, t *Tokenizer, symbols []int32) []int32 {
	c.load(t, symbols)
	for {
		_, at, id, ok := c.top(t)
		if !ok {
			break
		}
		c.merge(t, at, id)
	}
	for i := int32(0); i >= 0; i = c.next[i] {
		dst = append(dst, c.ids[i])
	}
	return dst
}

// appendWindow appends the ids that are final whatever follows the window, of
// which only the next symbol is known, and returns how many symbols they stand for.
func (c *chain) appendWindow(dst []int32, t *Tokenizer, window []int32, following int32) ([]int32, int) {
	c.load(t, window)
	followers := t.followers()
	last, end := int32(len(window)-1), len(window)
	open := t.tokens[following] // what stands behind last begins with this
	limit, limited := firstFollower(followers[c.ids[last]], t.tokens, open)
	for {
		rank, at, id, ok := c.top(t)
		switch {
		case ok && (!limited || rank <= limit):
			grows := c.next[at] == last
			c.merge(t, at, id)
			if !grows {
				continue
			}
			last = at
		case !limited:
			for i := int32(0); i >= 0; i = c.next[i] {
				dst = append(dst, c.ids[i])
			}
			return dst, end
		default:
			open, end = t.tokens[c.ids[last]], int(last)
			if last = c.prev[last]; last < 0 {
				return dst, 0
			}
			c.next[last] = -1
		}
		limit, limited = firstFollower(followers[c.ids[last]], t.tokens, open)
	}
}

// firstFollower returns the lowest rank at which a token that begins with
// prefix merges.
func firstFollower(list []follower, tokens []string, prefix string) (int32, bool) {
	for _, f := range list {
		if strings.HasPrefix(tokens[f.right], prefix) {
			return f.rank, true
		}
	}
	return 0, false
}

// push and pop keep a binary heap, lowest first. Keys are rank<<32 | place.
func (c *chain) push(key uint64) {
	c.heap = append(c.heap, key)
	i := len(c.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if c.heap[parent] <= key {
			break
		}
		c.heap[i] = c.heap[parent]
		i = parent
	}
	c.heap[i] = key
}

func (c *chain) pop() {
	n := len(c.heap) - 1
	key := c.heap[n]
	c.heap = c.heap[:n]
	if n == 0 {
		return
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= n {
			break
		}
		if child+1 < n && c.heap[child+1] < c.heap[child] {
			child++
		}
		if key <= c.heap[child] {
			break
		}
		c.heap[i] = c.heap[child]
		i = child
	}
	c.heap[i] = key
}
